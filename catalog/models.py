"""What can be bought: products, their editions, and the files in each."""

import uuid
from typing import Any

from django.core.validators import MinLengthValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length, Lower
from django.db.models.lookups import Exact, GreaterThanOrEqual
from django.urls import reverse
from django.utils import timezone

from catalog import money


def chargeable() -> Q:
    """Prices that Stripe can charge, or 0 for free."""
    allowed = Q(price=0) | Q(price__gte=1, price__lte=money.MAXIMUM) & ~Q(currency__in=sorted(money.MINIMUM))
    for currency, least in money.MINIMUM.items():
        allowed |= Q(currency=currency, price__gte=least, price__lte=money.MAXIMUM)
    return allowed


class Category(models.Model):
    name = models.CharField(max_length=60)
    slug = models.SlugField(max_length=60, unique=True)

    class Meta:
        verbose_name_plural = "categories"
        ordering = ("name",)
        constraints = (models.UniqueConstraint(Lower("name"), name="category_name_unique"),)

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
        DRAFT = "draft"
        PUBLISHED = "published"
        ARCHIVED = "archived"

    name = models.CharField(max_length=120, validators=[MinLengthValidator(3)])
    slug = models.SlugField(max_length=140, help_text="The last part of the product's address.")
    summary = models.CharField(max_length=200, blank=True, help_text="One line for lists and search results.")
    description = models.TextField(blank=True, max_length=20_000, help_text="Markdown.")
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    price = models.IntegerField(help_text="Minor units; 0 is free.")
    currency = models.CharField(max_length=3, default="usd", choices=money.choices)
    categories = models.ManyToManyField(Category, blank=True, related_name="products")
    # The cover as two WebP files, <cover>-320.webp and <cover>-640.webp; the height is that of the larger one.
    cover = models.CharField(max_length=64, blank=True, editable=False)
    cover_height = models.PositiveSmallIntegerField(default=0, editable=False)
    cover_failed = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ProductQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                Lower("name"),
                name="product_name_unique",
                violation_error_message="A product with this name exists already.",
            ),
            models.UniqueConstraint(
                Lower("slug"),
                name="product_slug_unique",
                violation_error_message="A product with this slug exists already.",
            ),
            models.CheckConstraint(condition=Q(price__gte=0), name="product_price_not_negative"),
            models.CheckConstraint(condition=chargeable(), name="product_price_chargeable"),
            models.CheckConstraint(
                condition=Q(status="draft") | Q(published_at__isnull=False), name="product_published_at_known"
            ),
            models.CheckConstraint(condition=GreaterThanOrEqual(Length("name"), 3), name="product_name_length"),
        )
        indexes = (models.Index("published_at", "id", name="product_newest", condition=Q(status="published")),)

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


class StripePrice(models.Model):
    """A price in Stripe's dashboard that sells a product: whatever pays it, such as a Payment Link, is delivered."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="stripe_prices")
    price_id = models.CharField(
        "price in Stripe",
        max_length=255,
        unique=True,
        validators=[RegexValidator(r"\Aprice_[A-Za-z0-9]+\Z", "Copy the ID from Stripe: it begins with price_.")],
        error_messages={"unique": "This price already belongs to a product."},
        help_text="The ID of a price in Stripe’s dashboard, such as price_1QxA2bC3. A Payment Link with this price "
        "delivers this product.",
    )

    class Meta:
        verbose_name = "price in Stripe"
        verbose_name_plural = "prices in Stripe, for Payment Links"
        constraints = (
            models.CheckConstraint(condition=Q(price_id__regex=r"^price_[A-Za-z0-9]+$"), name="stripe_price_is_an_id"),
        )

    def __str__(self) -> str:
        return self.price_id


class PaymentLinkQuerySet(models.QuerySet["PaymentLink"]):
    def in_use(self) -> "PaymentLinkQuerySet":
        return self.filter(deactivated_at=None)


class PaymentLink(models.Model):
    """A Payment Link of Stripe's, made here: an address that sells one product at one price, wherever it is shown.

    The row comes first and Stripe is asked under its `key`, so a second click finds the same link. Without a `link_id`
    Stripe's answer never came.
    """

    product = models.ForeignKey(Product, models.PROTECT, related_name="payment_links")
    key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    price = models.IntegerField(help_text="Minor units.")
    currency = models.CharField(max_length=3, choices=money.choices)
    livemode = models.BooleanField(default=False)
    link_id = models.CharField("link in Stripe", max_length=255, unique=True, null=True)  # noqa: DJ001 - none is not ""
    url = models.URLField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deactivated_at = models.DateTimeField(null=True)

    objects = PaymentLinkQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        permissions = (("make_paymentlink", "Can make and deactivate Payment Links"),)
        constraints = (
            models.UniqueConstraint(
                "product", "price", "currency", "livemode",
                name="payment_link_once_for_its_terms",
                condition=Q(deactivated_at=None),
            ),
            models.CheckConstraint(condition=Q(price__gt=0), name="payment_link_price_positive"),
            models.CheckConstraint(
                condition=Q(link_id=None, url="")
                | Q(link_id__isnull=False, link_id__regex=r"^plink_[A-Za-z0-9]+$") & ~Q(url=""),
                name="payment_link_has_id_and_address",
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return self.link_id or f"Payment Link {self.pk}"

    @property
    def is_made(self) -> bool:
        """Whether Stripe has answered with an address."""
        return self.link_id is not None

    @property
    def is_active(self) -> bool:
        return self.deactivated_at is None

    @property
    def price_display(self) -> str:
        return money.display(self.price, self.currency)


class EditionQuerySet(models.QuerySet["Edition"]):
    def deliverable(self) -> "EditionQuerySet":
        """Published editions with files: what buyers can get."""
        return self.filter(published_at__isnull=False, files__isnull=False).distinct()


class Edition(models.Model):
    """One version of what a product delivers. Buyers get every published one; the newest first."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="editions")
    number = models.PositiveSmallIntegerField()
    notes = models.TextField(blank=True, help_text="What changed, for those who own an earlier edition.")
    published_at = models.DateTimeField(null=True, blank=True, default=timezone.now)

    objects = EditionQuerySet.as_manager()

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint("product", "number", name="edition_number_unique"),
            models.CheckConstraint(condition=Q(number__gte=1), name="edition_number_from_one"),
        )

    def __str__(self) -> str:
        return f"{self.product}, edition {self.number}"


class File(models.Model):
    """Bytes that buyers download. The key in the storage is random, so nothing can be guessed or overwritten."""

    edition = models.ForeignKey(Edition, models.CASCADE, related_name="files")
    position = models.PositiveSmallIntegerField(default=1)
    key = models.CharField(max_length=80, unique=True, editable=False)
    name = models.CharField(max_length=160, help_text="The name the buyer's download gets.")
    media_type = models.CharField(max_length=100, editable=False)
    size = models.BigIntegerField(editable=False, help_text="Bytes.")
    sha256 = models.CharField(max_length=64, editable=False)
    pages = models.PositiveIntegerField(null=True, editable=False)

    class Meta:
        ordering = ("position", "pk")
        constraints = (
            models.CheckConstraint(condition=Q(size__gt=0), name="file_size_positive"),
            models.CheckConstraint(condition=Exact(Length("sha256"), 64), name="file_sha256_whole"),
        )

    def __str__(self) -> str:
        return self.name
