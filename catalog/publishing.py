"""Whether a product may go on sale, and what its owner should look at before: asked when it is saved and in bulk."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog import money
from catalog.models import File, Product
from catalog.sample_models import Sample

ROW = '<li class="ready-{}"><strong>{}</strong> {}</li>'
NO_FILE = gettext_lazy("Nothing can be delivered yet: add a file before you publish.")


class Severity(StrEnum):
    STOPS = "stops"  # it cannot be published
    ADVICE = "advice"  # it can, and would be better otherwise


@dataclass(frozen=True)
class Finding:
    """What was found, in a sentence that says what to do."""

    severity: Severity
    text: str


def with_facts(products: QuerySet[Product]) -> QuerySet[Product]:
    """What `findings` needs to know of them, however many they are, in the one query that reads them."""
    files = File.objects.filter(edition__product=OuterRef("pk"))
    samples = Sample.objects.filter(product=OuterRef("pk"))
    return products.annotate(
        has_file=Exists(files.filter(edition__published_at__isnull=False)),
        has_unpublished_file=Exists(files.filter(edition__published_at__isnull=True)),
        has_category=Exists(Product.categories.through.objects.filter(product=OuterRef("pk"))),
        sample_failed=Exists(samples.filter(state=Sample.State.FAILED)),
        sample_wanted=Exists(samples.filter(state=Sample.State.WANTED)),
    )


def findings(product: Any) -> list[Finding]:
    """Of a product that was read by `with_facts`; what stops it comes first."""
    return [
        *(Finding(Severity.STOPS, text) for text in stops(product)),
        *(Finding(Severity.ADVICE, text) for text in _advice(product)),
    ]


def stops(product: Any) -> Iterator[str]:
    """What keeps it from being published, each as a sentence for a person. The database would refuse as well."""
    if not product.has_file:
        if product.has_unpublished_file:
            yield _("There are files, but their edition is not published: open the edition and give it a date.")
        else:
            yield str(NO_FILE)
    try:
        money.validate(product.price, product.currency)
    except ValidationError as error:
        yield " ".join(error.messages)


def _advice(product: Any) -> Iterator[str]:
    if product.has_file and product.has_unpublished_file:
        yield _("There is an edition that is not published: buyers do not get its files until it has a date.")
    if product.is_free:
        yield _("The price is 0: everybody may download it without paying or leaving an address.")
    if product.name.startswith(_("Copy of %(name)s") % {"name": ""}):
        yield _("The name still says that it is a copy.")
    if not product.summary.strip():
        yield _("There is no summary: the list and search engines have nothing but the name. Write one line.")
    if not product.description.strip():
        yield _("There is no description: say what is inside and for whom it is.")
    if not product.has_category:
        yield _("It is in no category: shoppers who browse by category do not find it.")
    yield from _pictures(product)


def _pictures(product: Any) -> Iterator[str]:
    """About cover and sample: what is being made is said too, because the page looks bare until then."""
    if not product.cover:
        if product.cover_failed:
            yield _("There is no cover, and none could be drawn from the files: upload an image.")
        elif product.has_file or product.has_unpublished_file:
            yield _("The cover is being made from the first page. Load this page again in a moment.")
        else:
            yield _("There is no cover. The first page of a PDF becomes one, or upload an image.")
    if product.sample_failed:
        yield _("The pages to look inside could not be made: under “Look inside” it says why.")
    elif product.sample_wanted and product.has_file:
        yield _("The pages to look inside are being made. Load this page again in a moment.")


def report(product: Product) -> SafeString:
    """The list for the product's page in the admin."""
    found = findings(with_facts(Product.objects.filter(pk=product.pk)).get())
    stopped = any(finding.severity == Severity.STOPS for finding in found)
    rows = ((finding.severity, _said(finding.severity), finding.text) for finding in found)
    return format_html(
        '<p class="ready-{}">{}</p>{}',
        "no" if stopped else "yes",
        _verdict(product, stopped=stopped, advised=bool(found)),
        format_html('<ul class="ready-list">{}</ul>', format_html_join("", ROW, rows)) if found else "",
    )


def _said(severity: Severity) -> str:
    return _("Needed:") if severity == Severity.STOPS else _("Better:")


def _verdict(product: Product, *, stopped: bool, advised: bool) -> str:
    if product.is_on_sale:
        return _("It is on sale. You could make it better:") if advised else _("It is on sale, and nothing is missing.")
    if stopped:
        return _("It cannot be published yet.")
    return _("It can be published. You could make it better:") if advised else _("Ready to publish.")
