"""Look inside: what anybody may see of a product before buying it, made in the background and served like covers.

A sample is never changed. Whatever it depends on calls `want`, which leaves a row that work is due; `make` makes it,
shows it in place of the one before, and deletes that one's files.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import transaction
from django.db.models.functions import Now
from django.http import FileResponse, Http404, HttpRequest
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from catalog import covers, outlines, page_choice, sample_images
from catalog.inspection import Refused
from catalog.models import Edition, File, Product
from catalog.sample_models import Sample, SamplePage
from storefront.celery import enqueue

log = logging.getLogger(__name__)

WIDTHS = (480, 960)  # pixels
LEASE = timedelta(minutes=15)  # longer than all the children of one sample may take
MOST_FILES = 20  # whose outlines are read for one sample


@transaction.atomic
def want(product: Product) -> None:
    """Have the sample made anew: the edition on sale, its files, the chosen pages or the name have changed."""
    _locked(product.pk)
    # One that is being made just now ends up replaced, too; its files are deleted by whoever makes it.
    product.samples.filter(state=Sample.State.WANTED).update(state=Sample.State.REPLACED)
    sample = product.samples.create(due_at=Now())
    enqueue("catalog.tasks.make_sample", sample.pk)


def make(sample_id: int) -> bool:
    """Do what is due about one sample, unless somebody else does: make it, or delete it. May be repeated.

    True when it is done. A PDF that cannot be drawn is not tried again; what a crash breaks off is, after the lease.
    """
    if not Sample.objects.due(Now()).filter(pk=sample_id).update(due_at=Now() + LEASE):
        return False
    sample = Sample.objects.select_related("product").get(pk=sample_id)
    _delete_files(sample)  # of an attempt that was broken off, too
    if sample.product is None or sample.state != Sample.State.WANTED:
        sample.delete()
        return True
    try:
        _fill(sample, sample.product)
    except (Refused, FileNotFoundError) as error:
        log.warning("no sample of %s: %s", sample.product, error)
        problem = str(error) if isinstance(error, Refused) else _("The file is gone from the storage.")
        _show(sample, sample.product.pk, state=Sample.State.FAILED, problem=problem[:300])
    else:
        _show(sample, sample.product.pk, state=Sample.State.MADE)
    for replaced in Sample.objects.due(Now()).filter(product=sample.product, state=Sample.State.REPLACED):
        make(replaced.pk)
    return True


def _locked(product_id: int) -> Product | None:
    """Samples of one product are wanted and shown one after the other. Orders of it need not wait for that."""
    return Product.objects.select_for_update(no_key=True).filter(pk=product_id).first()


@transaction.atomic
def _show(sample: Sample, product_id: int, *, state: Sample.State, problem: str = "") -> None:
    """Put the sample in the place of the one before, unless it was replaced or its product deleted meanwhile."""
    product, this = _locked(product_id), Sample.objects.filter(pk=sample.pk)
    if product is None or not this.filter(state=Sample.State.WANTED).exists():
        this.update(due_at=Now())
        return
    before = product.samples.filter(state__in=(Sample.State.MADE, Sample.State.FAILED))
    before.update(state=Sample.State.REPLACED, due_at=Now())
    this.update(state=state, problem=problem, made_at=Now(), due_at=None)
    Product.objects.filter(pk=product.pk).update(contents=outlines.contents_of(product))  # for the search


def _fill(sample: Sample, product: Product) -> None:
    """Pictures, sample PDF and outlines of what buyers get now. Nothing, where there is no PDF or no page is chosen."""
    edition = product.edition_on_sale()
    pdfs = list(edition.files.filter(media_type="application/pdf")[:MOST_FILES]) if edition else []
    for file in pdfs[1:]:
        _read_outline(file)
    ranges = page_choice.parsed(product.sample_pages)
    if edition is None or not pdfs or not (ranges or pdfs[0].outline is None):
        return
    with covers.local_copy(pdfs[0]) as path:
        look = sample_images.look_into(path, ranges)
        File.objects.filter(pk=pdfs[0].pk).update(outline=look.outline)
        numbers = [picture.number for picture in look.pictures]
        pdf = sample_images.extract(path, numbers, mark=_mark(product)) if numbers else b""
    _store(sample, edition, look.pictures, pdf)


def _read_outline(file: File) -> None:
    """Of a file that was uploaded before outlines were looked at."""
    if file.outline is None:
        try:
            with covers.local_copy(file) as path:
                outline = sample_images.look_into(path, []).outline
        except (Refused, FileNotFoundError) as error:
            log.warning("no outline of file %s: %s", file.pk, error)
            outline = []
        File.objects.filter(pk=file.pk).update(outline=outline)


def _mark(product: Product) -> str:
    """The line across each page. It is written in a font that every reader has, which knows Western letters alone."""
    for name in (product.name, settings.SITE_NAME):
        mark = _("Sample · %(name)s") % {"name": name}
        if mark.encode("cp1252", errors="ignore").decode("cp1252") == mark:
            return mark
    return "Sample"


def _store(sample: Sample, edition: Edition, pictures: list[sample_images.Picture], pdf: bytes) -> None:
    """The rows are committed before the bytes are stored, so whatever happens there is a row to delete them by."""
    with transaction.atomic():
        Sample.objects.filter(pk=sample.pk).update(edition=edition, pdf_size=len(pdf))
        rows = [SamplePage(sample=sample, number=each.number, height=each.height) for each in pictures]
        SamplePage.objects.bulk_create(rows)
    for picture in pictures:
        for width, data in zip(WIDTHS, (picture.small, picture.large), strict=True):
            storages["covers"].save(page_name(sample.key, picture.number, width), ContentFile(data))
    if pdf:
        storages["covers"].save(pdf_name(sample.key), ContentFile(pdf))


def _delete_files(sample: Sample) -> None:
    names = [page_name(sample.key, page.number, width) for page in sample.pages.all() for width in WIDTHS]
    for name in [*names, *([pdf_name(sample.key)] if sample.pdf_size else [])]:
        storages["covers"].delete(name)
    sample.pages.all().delete()
    Sample.objects.filter(pk=sample.pk).update(pdf_size=0)


def page_name(key: str, number: int, width: int) -> str:
    return f"{key}-page-{number}-{width}.webp"


def pdf_name(key: str) -> str:
    return f"{key}-sample.pdf"


# The addresses of what is shown


@require_safe
def picture(request: HttpRequest, key: str, number: int, width: int) -> FileResponse:
    """One page in one width."""
    if width not in WIDTHS or number > page_choice.LAST:
        raise Http404
    return covers.public_file(key, page_name(key, number, width), "image/webp")


@require_safe
def pdf(request: HttpRequest, key: str) -> FileResponse:
    """The sample as a download: no PDF of the shop's is opened within the shop's own pages."""
    answer = covers.public_file(key, pdf_name(key), "application/pdf")
    answer["Content-Disposition"] = "attachment"  # the link says under what name
    return answer
