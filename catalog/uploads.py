"""From an upload in the admin to a stored file: checked, hashed, kept under a random key."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files import File as DjangoFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.db import transaction
from django.db.models import Max
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog import samples, upload_choice
from catalog.filetypes import Refused
from catalog.inspection import Inspected, inspect_file
from catalog.models import Edition, File, Product
from catalog.stored_bytes import random_key
from catalog.upload_models import Upload
from storefront.celery import enqueue

FORM_LIMIT = 2 * 1024**3  # bytes of a file that comes with the form itself; larger ones need JavaScript and its parts


def form_limit() -> int:
    return min(FORM_LIMIT, int(settings.MAX_UPLOAD_BYTES))


class StaffUploadHandler(TemporaryFileUploadHandler):
    """Writes what staff upload to disk, and of each file little more than it may have. Files from anybody else are
    not even read: the shop has no form for them, and the CSRF check would store them before any view has its say."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        user = getattr(self.request, "user", None)
        if user is None or not user.is_staff:
            raise StopUpload(connection_reset=True)
        super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start <= form_limit():  # one byte too many is written, so that `check` can tell
            super().receive_data_chunk(raw_data, start)


@dataclass(frozen=True)
class Checked:
    """An upload that passed: what was found in it, and where its bytes are until they are stored. An unlocked copy
    that was made of them is deleted with this object."""

    inspected: Inspected
    path: Path


def path_of(upload: UploadedFile) -> Path:
    """Where the upload lies on disk, for a child process to read; FILE_UPLOAD_HANDLERS puts every upload there."""
    assert isinstance(upload, TemporaryUploadedFile)  # noqa: S101 - a setting of ours, not something a stranger sends
    return Path(upload.temporary_file_path())


def check(path: Path, name: str) -> Checked:
    """Raises ValidationError that names the file, says what is wrong with it and what to do."""
    if path.stat().st_size > form_limit():
        raise ValidationError(
            _("%(name)s is too large: a file may have up to %(most)s."),
            code="size",
            params={"name": name[:100], "most": filesizeformat(form_limit())},
        )
    try:
        checked = Checked(inspect_file(path, name), path)
    except Refused as error:
        raise ValidationError(f"{name[:100]}: {error}", code="refused") from error
    if copy := checked.inspected.replacement:
        weakref.finalize(checked, copy.unlink, missing_ok=True)  # also when the form is refused for something else
    return checked


@transaction.atomic
def add_files(
    product: Product, checked: Sequence[Checked | Upload], *, as_new_edition: bool = False, notes: str = ""
) -> Edition:
    """Store the files as part of the newest edition, or as a new one that every buyer gets. Bytes are stored first:
    a row never points to nothing; a transaction that fails leaves an object without a row behind (catalog.orphans).
    Uploads bring bytes that are stored already, and are locked by the caller (upload_choice.locked)."""
    edition = product.editions.order_by("-number").first()
    if edition is None or as_new_edition:
        edition = product.editions.create(
            number=edition.number + 1 if edition else 1, notes=notes, published_at=timezone.now()
        )
    last = edition.files.aggregate(last=Max("position"))["last"] or 0
    for position, one in enumerate(checked, start=last + 1):
        if isinstance(one, Upload):
            upload_choice.take(one, edition, position)
        else:
            _store(edition, one, position)
    if not product.cover:
        Product.objects.filter(pk=product.pk).update(cover_failed=False)  # the new files may have a page to show
        enqueue("catalog.tasks.make_cover", product.pk)
    samples.want(product)
    return edition


def _store(edition: Edition, checked: Checked, position: int) -> File:
    found = checked.inspected
    with (found.replacement or checked.path).open("rb") as source:
        key = storages["default"].save(random_key(), DjangoFile(source))
    return File.objects.create(
        edition=edition,
        position=position,
        key=key,
        name=found.name,
        media_type=found.media_type,
        size=found.size,
        sha256=found.sha256,
        pages=found.pages,
        outline=found.outline,
    )
