"""Two people at one product: a form says what it was made from, so that saving it undoes nothing in silence."""

import hashlib
import time
from datetime import UTC, datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from catalog.models import File, Product
from catalog.stripe_price_models import StripePrice

FIELDS = ("name", "slug", "summary", "description", "price", "currency", "sample_pages", "status")
HELD = {*FIELDS, "categories", "tags", "file_order"}  # of the form's fields, those that were stored before


def stamp(object_id: str) -> str:
    """What the product's form would hold now, and the second of now; "" for no product.

    Read it before what the form shows: what changes in between is then refused once too often, never undone.
    """
    own = {"product": OuterRef("pk")}
    categories = Product.categories.through.objects.filter(**own).order_by("category_id").values("category_id")
    tags = Product.tags.through.objects.filter(**own).order_by("tag_id").values("tag_id")
    prices = StripePrice.objects.filter(**own).order_by("pk").values("price_id")
    files = File.objects.filter(edition__product=OuterRef("pk")).order_by("-edition__number", "position", "pk")
    lists = (categories, tags, prices, files.values("pk"))
    stored = _row(object_id).values_list(*FIELDS, *map(ArraySubquery, lists)).first()
    return f"{hashlib.sha256(repr(stored).encode()).hexdigest()}.{int(time.time())}" if stored else ""


def lock(object_id: str) -> None:
    """Until the transaction ends nobody else saves the product. A statement of its own: one that waits for a lock sees
    other tables as they were before it waited."""
    _row(object_id).select_for_update(no_key=True).values_list("pk").first()


def is_stale(sent: str, now: str) -> bool:
    return sent.partition(".")[0] != now.partition(".")[0]


def refusal(product: Product, sent: str, differing: list[str], *, with_files: bool) -> SafeString:
    """What a person reads whose form is older than what is stored. `with_files`: it brought some, which no page can
    hold for a second save."""
    said = _("This product was changed since you opened this page")
    if entry := _newest_entry(product, sent):
        told = {
            "person": entry.user,
            "time": formats.date_format(timezone.localtime(entry.action_time), "DATETIME_FORMAT"),
        }
        said = _("This product was changed since you opened this page, by %(person)s at %(time)s") % told
    return format_html(
        '{}. {} {} <a href="{}" target="_blank" rel="noopener">{}</a>. {}',
        said,
        _("Nothing was saved, and your entries are still here."),
        _("Choose the files once more.") if with_files else "",
        reverse("admin:catalog_product_change", args=[product.pk]),
        _("Look at what is there now"),
        _("It differs from yours in: %(fields)s. Save again to put yours in its place.")
        % {"fields": ", ".join(differing)},
    )


def _row(object_id: str) -> QuerySet[Product]:
    known = object_id.isascii() and object_id.isdecimal()
    return Product.objects.filter(pk=int(object_id)) if known else Product.objects.none()


def _newest_entry(product: Product, sent: str) -> LogEntry | None:
    """Who changed it in the admin since then; commands and workers leave no entry."""
    second = sent.rpartition(".")[2]
    if not (second.isascii() and second.isdecimal() and len(second) < 12):
        return None
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Product),
        object_id=str(product.pk),
        action_time__gte=datetime.fromtimestamp(int(second), UTC),
    )
    return entries.select_related("user").order_by("-action_time").first()
