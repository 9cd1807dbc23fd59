"""What can be bought: products, their editions, and the files in each."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVector
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Left, Length, Lower
from django.db.models.lookups import Exact, GreaterThanOrEqual
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog import money, page_choice
from catalog.columns import UnreadVectorField
from catalog.payment_link_models import PaymentLink  # noqa: F401 - Django looks for models here
from catalog.sample_models import Sample, SamplePage  # noqa: F401 - the same
from catalog.slug_models import FormerSlug  # noqa: F401 - the same
from catalog.storage_models import StorageLook  # noqa: F401 - the same
from catalog.stripe_price_models import StripePrice  # noqa: F401 - the same
from catalog.upload_models import Upload  # noqa: F401 - the same
from catalog.view_models import ProductViews  # noqa: F401 - the same


def chargeable() -> Q:
    """Prices that Stripe can charge, or 0 for free."""
    allowed = Q(price=0) | Q(price__gte=1, price__lte=money.MAXIMUM) & ~Q(currency__in=sorted(money.MINIMUM))
    for currency, least in money.MINIMUM.items():
        allowed |= Q(currency=currency, price__gte=least, price__lte=money.MAXIMUM)
    return allowed


ON_SALE = Q(status="published")


class Category(models.Model):
    name = models.CharField(_("name"), max_length=60)
    slug = models.SlugField(_("name in the address"), max_length=60, unique=True)

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        ordering = ("name",)
        constraints = (models.UniqueConstraint(Lower("name"), name="category_name_unique"),)

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A word that products have in common across categories."""

    name = models.CharField(_("name"), max_length=40)
    slug = models.SlugField(_("name in the address"), max_length=40, unique=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ("name",)
        constraints = (models.UniqueConstraint(Lower("name"), name="tag_name_unique"),)

    def __str__(self) -> str:
        return self.name


class ProductQuerySet(models.QuerySet["Product"]):
    def on_sale(self) -> "ProductQuerySet":
        return self.filter(status=Product.Status.PUBLISHED)

    def newest_first(self) -> "ProductQuerySet":
        return self.order_by("-published_at", "-pk")

    def wanting_cover(self) -> "ProductQuerySet":
        """Products with files but no cover yet."""
        return self.filter(cover="", cover_failed=False, editions__files__isnull=False).distinct()


class Product(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        PUBLISHED = "published", _("Published")
        ARCHIVED = "archived", _("Archived")

    class Kind(models.TextChoices):
        """What a file is to somebody who looks for one; the trigger in migration 0004 tells it from the media type."""

        PDF = "pdf", _("PDF")
        EPUB = "epub", _("EPUB")
        AUDIO = "audio", _("Audio")
        VIDEO = "video", _("Video")
        IMAGE = "image", _("Images")
        TEXT = "text", _("Text")
        ARCHIVE = "archive", _("ZIP archive")

    name = models.CharField(_("name"), max_length=120, validators=[MinLengthValidator(3)])
    slug = models.SlugField(
        _("name in the address"), max_length=140, help_text=_("The last part of the address of the product’s page.")
    )
    summary = models.CharField(
        _("summary"), max_length=200, blank=True, help_text=_("One line for lists and search results.")
    )
    description = models.TextField(_("description"), blank=True, max_length=20_000, help_text=_("Markdown."))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.DRAFT)
    price = models.IntegerField(_("price"), help_text="Minor units; 0 is free.")
    currency = models.CharField(_("currency"), max_length=3, default="usd", choices=money.choices)
    categories = models.ManyToManyField(Category, blank=True, related_name="products", verbose_name=_("categories"))
    tags = models.ManyToManyField(Tag, blank=True, related_name="products", verbose_name=_("tags"))
    # The tables of contents of its PDFs, for the search.
    contents = models.TextField(blank=True, default="", db_default="", editable=False)
    # How many paid orders have it, as `orders.sales` counted them last; the order of "best-selling" follows it.
    sales = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    # The kinds of files in the edition on sale. Triggers write it, whatever anybody else puts there.
    kinds = ArrayField(
        models.CharField(max_length=10, choices=Kind), default=list, db_default=Value([]), editable=False, blank=True
    )
    # 'simple' neither stems nor drops words: a shop may sell in several languages, and a stem is no prefix of what is
    # being typed. A text that is too long for a search vector would be an error: what stands behind is not found.
    name_words = models.GeneratedField(
        expression=SearchVector("name", config="simple"), output_field=UnreadVectorField(), db_persist=True
    )
    words = models.GeneratedField(
        expression=SearchVector(
            "name", "summary", Left("description", 20_000), Left("contents", 50_000), config="simple"
        ),
        output_field=UnreadVectorField(),
        db_persist=True,
    )
    # The cover as two WebP files, <cover>-320.webp and <cover>-640.webp; the height is that of the larger one.
    cover = models.CharField(max_length=64, blank=True, editable=False)
    cover_height = models.PositiveSmallIntegerField(default=0, editable=False)
    cover_failed = models.BooleanField(default=False, editable=False)
    sample_pages = models.CharField(
        _("pages to look inside"),
        max_length=page_choice.LONGEST,
        blank=True,
        default=page_choice.DEFAULT,
        db_default=page_choice.DEFAULT,
        help_text=_(
            "Such as 1-5, 12. Everybody may see these pages, and the cover and the contents page with them, as "
            "pictures and as a marked sample. Never more than a third of the PDF, nor more than 30 pages, whatever "
            "you write. Empty or 0 shows nothing."
        ),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ProductQuerySet.as_manager()

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = (
            models.UniqueConstraint(
                Lower("name"),
                name="product_name_unique",
                violation_error_message=_("A product with this name exists already."),
            ),
            models.UniqueConstraint(
                Lower("slug"),
                name="product_slug_unique",
                violation_error_message=_("Another product has this name in its address already."),
            ),
            models.CheckConstraint(condition=Q(price__gte=0), name="product_price_not_negative"),
            models.CheckConstraint(
                condition=Q(price__lte=money.MAXIMUM) & (~ON_SALE | chargeable()), name="product_price_chargeable"
            ),
            models.CheckConstraint(
                condition=Q(status="draft") | Q(published_at__isnull=False), name="product_published_at_known"
            ),
            models.CheckConstraint(condition=GreaterThanOrEqual(Length("name"), 3), name="product_name_length"),
            models.CheckConstraint(
                condition=Q(sample_pages__regex=r"^([0-9]{1,5}(-[0-9]{1,5})?(, [0-9]{1,5}(-[0-9]{1,5})?)*)?$"),
                name="product_sample_pages_clear",
            ),
        )
        indexes = (
            models.Index("published_at", "id", name="product_newest", condition=ON_SALE),
            models.Index("currency", "price", "id", name="product_by_price", condition=ON_SALE),
            models.Index(Lower("name"), "id", name="product_by_name", condition=ON_SALE),
            models.Index("sales", "id", name="product_by_sales", condition=ON_SALE),
            # Without a list of what is still to be entered, which every search would have to read from end to end.
            GinIndex("name_words", name="product_name_words", fastupdate=False),
            GinIndex("words", name="product_words", fastupdate=False),
            GinIndex("kinds", name="product_kinds"),
            GinIndex(OpClass("name", "gin_trgm_ops"), name="product_name_trigrams"),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.status != self.Status.DRAFT and self.published_at is None:
            self.published_at = timezone.now()
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("product", args=[self.slug])

    def edition_on_sale(self) -> "Edition | None":
        """The newest published edition that has files: what a buyer gets now."""
        return self.editions.deliverable().first()

    @property
    def is_free(self) -> bool:
        return self.price == 0

    @property
    def is_on_sale(self) -> bool:
        return self.status == self.Status.PUBLISHED

    @property
    def price_display(self) -> str:
        return money.display(self.price, self.currency)


class EditionQuerySet(models.QuerySet["Edition"]):
    def deliverable(self) -> "EditionQuerySet":
        """Published editions with files: what buyers can get."""
        return self.filter(published_at__isnull=False, files__isnull=False).distinct()


class Edition(models.Model):
    """One version of what a product delivers. Buyers get every published one; the newest first."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="editions", verbose_name=_("product"))
    number = models.PositiveSmallIntegerField(_("number"))
    notes = models.TextField(_("notes"), blank=True, help_text=_("What changed, for those who own an earlier edition."))
    published_at = models.DateTimeField(_("published on"), null=True, blank=True, default=timezone.now)

    objects = EditionQuerySet.as_manager()

    class Meta:
        verbose_name = _("edition")
        verbose_name_plural = _("editions")
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint("product", "number", name="edition_number_unique"),
            models.CheckConstraint(condition=Q(number__gte=1), name="edition_number_from_one"),
        )

    def __str__(self) -> str:
        return gettext("%(name)s, edition %(number)s") % {"name": self.product, "number": self.number}

    @property
    def pages(self) -> int:
        return sum(file.pages or 0 for file in self.files.all())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.all())

    @property
    def media_types(self) -> list[str]:
        """Each once, in the order of the files."""
        return list(dict.fromkeys(file.media_type for file in self.files.all()))


class File(models.Model):
    """Bytes that buyers download. The key in the storage is random, so nothing can be guessed or overwritten."""

    edition = models.ForeignKey(Edition, models.CASCADE, related_name="files", verbose_name=_("edition"))
    position = models.PositiveSmallIntegerField(_("place in the order"), default=1)
    key = models.CharField(max_length=80, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=160, help_text=_("The name of the file that buyers download."))
    media_type = models.CharField(_("type"), max_length=100, editable=False)
    size = models.BigIntegerField(_("size in bytes"), editable=False)
    sha256 = models.CharField(_("SHA-256 checksum"), max_length=64, editable=False)
    pages = models.PositiveIntegerField(_("pages"), null=True, editable=False)
    # What is inside, as catalog.outlines.Entry; null where nobody has looked yet.
    outline = models.JSONField(null=True, editable=False)

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        ordering = ("position", "pk")
        constraints = (
            models.CheckConstraint(condition=Q(size__gt=0), name="file_size_positive"),
            models.CheckConstraint(condition=Exact(Length("sha256"), 64), name="file_sha256_whole"),
        )

    def __str__(self) -> str:
        return self.name
