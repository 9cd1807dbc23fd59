"""Cover images: two WebP files per product under one random key, served by the shop and cached for ever."""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import FileResponse, Http404, HttpRequest
from django.urls import reverse
from django.views.decorators.http import require_safe

from catalog.cover_images import Cover, render_pdf_cover
from catalog.inspection import Refused
from catalog.models import File, Product
from catalog.stored_bytes import blocks

log = logging.getLogger(__name__)

WIDTHS = (320, 640)
LONGEST_KEY = 64  # characters, as in Product.cover


def file_name(key: str, width: int) -> str:
    return f"{key}-{width}.webp"


def public_url(product: Product) -> str:
    """Where Stripe's page can load the cover from, or "" where it could not reach this shop."""
    reachable = settings.HTTPS or settings.STRIPE_API_BASE.startswith("http://127.0.0.1")
    if not product.cover or not reachable:
        return ""
    return settings.SITE_URL + reverse("cover", args=[product.cover, WIDTHS[-1]])


def store(cover: Cover) -> str:
    """Save both sizes; returns the random key."""
    key = secrets.token_hex(16)
    for width, data in zip(WIDTHS, (cover.small, cover.large), strict=True):
        storages["covers"].save(file_name(key, width), ContentFile(data))
    return key


def from_first_page(product_id: int) -> bool:
    """Give a product without a cover the first page of its newest PDF. May be repeated; True when it made one."""
    product = Product.objects.wanting_cover().filter(pk=product_id).first()
    if product is None:
        return False
    pdfs = File.objects.filter(edition__product=product, media_type="application/pdf")
    file = pdfs.order_by("-edition__number", "position", "pk").first()
    try:
        if file is None:
            raise Refused("no PDF to draw a cover from")
        with local_copy(file) as path:
            cover = render_pdf_cover(path)
    except (Refused, OSError) as error:  # the bytes may be gone
        log.warning("no cover for %s: %s", product, error)
        Product.objects.filter(pk=product.pk).update(cover_failed=True)
        return False
    key = store(cover)
    return bool(Product.objects.filter(pk=product.pk, cover="").update(cover=key, cover_height=cover.large_height))


@contextmanager
def local_copy(file: File) -> Iterator[Path]:
    """The bytes of a stored file at a path that a child process can read."""
    with NamedTemporaryFile(suffix=".pdf") as copy:
        for block in blocks(file.key):
            copy.write(block)
        copy.flush()
        yield Path(copy.name)


@require_safe
def cover(request: HttpRequest, key: str, width: int) -> FileResponse:
    """The bytes of one cover."""
    if width not in WIDTHS:
        raise Http404
    return public_file(key, file_name(key, width), "image/webp")


def public_file(key: str, name: str, content_type: str) -> FileResponse:
    """A file that anybody may have. Its key is new whenever it changes, so a browser never needs to ask again."""
    if len(key) > LONGEST_KEY:  # a name too long for the file system would be an error
        raise Http404
    try:
        data = storages["covers"].open(name)
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(
        data,
        content_type=content_type,
        headers={"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"},
    )
