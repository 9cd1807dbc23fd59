"""What the admin says of a product's sample: its state, and the pages that shoppers see."""

from collections.abc import Iterator

from django.template.defaultfilters import date, filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from catalog import samples
from catalog.models import Product
from catalog.sample_models import Sample


def sample_preview(product: Product) -> SafeString:
    """Every sentence that holds, and the pages as small pictures."""
    found = {sample.state: sample for sample in product.samples.prefetch_related("pages")}
    made = found.get(Sample.State.MADE)
    lines = format_html_join("", "<p>{}</p>", ((line,) for line in _sentences(found)))
    return format_html("{}{}", lines, _strip(made)) if made else lines


def _sentences(found: dict[str, Sample]) -> Iterator[str]:
    if failed := found.get(Sample.State.FAILED):
        yield _("It could not be made: %(why)s") % {"why": failed.problem}
    if made := found.get(Sample.State.MADE):
        when = {"when": date(timezone.localtime(made.made_at), "DATETIME_FORMAT")}
        if not made.pages.all():
            yield _("Looked at on %(when)s: there is nothing to show.") % when
        elif made.pdf_size:
            yield _("Made on %(when)s, with a sample PDF of %(size)s.") % {
                **when,
                "size": filesizeformat(made.pdf_size),
            }
        else:
            yield _("Made on %(when)s. There are pictures alone: no sample PDF could be made of these pages.") % when
    if Sample.State.WANTED in found:
        yield _("It is being made. Load this page again in a moment.")
    elif not found:
        yield _("It is made when there are files.")


def _strip(sample: Sample) -> SafeString:
    pictures = (
        (reverse("sample_picture", args=[sample.key, page.number, samples.WIDTHS[0]]), _("Page %d") % page.number)
        for page in sample.pages.all()
    )
    return format_html(
        '<div class="sample-strip">{}</div>',
        format_html_join(
            "", '<figure><img src="{0}" alt="" loading="lazy"><figcaption>{1}</figcaption></figure>', pictures
        ),
    )
