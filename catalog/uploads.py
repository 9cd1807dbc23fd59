"""From an upload in the admin to a stored file: checked, hashed, kept under a random key."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files import File as DjangoFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.db import transaction
from django.db.models import Max
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.filetypes import Refused
from catalog.inspection import Inspected, inspect_file
from catalog.models import Edition, File, Product
from storefront.celery import enqueue


@dataclass(frozen=True)
class Checked:
    """An upload that passed: what was found in it, and where its bytes are until they are stored."""

    inspected: Inspected
    path: Path


def path_of(upload: UploadedFile) -> Path:
    """Where the upload lies on disk, for a child process to read; FILE_UPLOAD_HANDLERS puts every upload there."""
    assert isinstance(upload, TemporaryUploadedFile)  # noqa: S101 - a setting of ours, not something a stranger sends
    return Path(upload.temporary_file_path())


def check(path: Path, name: str) -> Checked:
    """Raises ValidationError that names the file, says what is wrong with it and what to do."""
    size = path.stat().st_size
    if size > settings.MAX_UPLOAD_BYTES:
        raise ValidationError(
            _("%(name)s is %(size)s; files may have up to %(most)s."),
            code="size",
            params={
                "name": name,
                "size": filesizeformat(size),
                "most": filesizeformat(settings.MAX_UPLOAD_BYTES),
            },
        )
    try:
        return Checked(inspect_file(path, name), path)
    except Refused as error:
        raise ValidationError(f"{name[:100]}: {error}", code="refused") from error


@transaction.atomic
def add_files(
    product: Product, checked: Sequence[Checked], *, as_new_edition: bool = False, notes: str = ""
) -> Edition:
    """Store the files as part of the newest edition, or as a new one that every buyer gets. Bytes are stored first:
    a row never points to nothing; a transaction that fails leaves an object without a row behind."""
    edition = product.editions.order_by("-number").first()
    if edition is None or as_new_edition:
        edition = product.editions.create(
            number=edition.number + 1 if edition else 1, notes=notes, published_at=timezone.now()
        )
    last = edition.files.aggregate(last=Max("position"))["last"] or 0
    for position, one in enumerate(checked, start=last + 1):
        _store(edition, one, position)
    if not product.cover:
        enqueue("catalog.tasks.make_cover", product.pk)
    return edition


def _store(edition: Edition, checked: Checked, position: int) -> File:
    found = checked.inspected
    with (found.replacement or checked.path).open("rb") as source:
        key = storages["default"].save(_random_key(), DjangoFile(source))
    return File.objects.create(
        edition=edition,
        position=position,
        key=key,
        name=found.name,
        media_type=found.media_type,
        size=found.size,
        sha256=found.sha256,
        pages=found.pages,
    )


def _random_key() -> str:
    token = secrets.token_hex(20)
    return f"{token[:2]}/{token}"
