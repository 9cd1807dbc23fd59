"""An upload begins, goes on where it stopped, arrives, or is given up."""

import hashlib
import logging
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.template.defaultfilters import filesizeformat
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from catalog import parts
from catalog.filenames import visible
from catalog.stored_bytes import delete_quietly, random_key
from catalog.upload_models import Upload, UploadQuerySet
from storefront.celery import enqueue

log = logging.getLogger(__name__)

RESUMED = timedelta(days=7)  # a bucket's lifecycle rule may throw parts away after that
MOST = 200  # unsettled uploads of one person: more than a form takes, fewer than fill a disk unnoticed

State = Upload.State


class Incomplete(Exception):
    """Some parts are not there yet."""

    def __init__(self, missing: list[int]) -> None:
        super().__init__(missing)
        self.missing = missing


def start(owner_id: int, *, name: str, size: int, modified: int) -> Upload:
    """The upload of this file by this person: the one that they began before, else a new one. May be repeated.

    `modified`: when the file was last changed, as the browser tells; with name and size it makes out the same file.
    Raises ValidationError, and parts.Away.
    """
    name = visible(name)[:255] or "file"
    _check(name, size)
    fingerprint = hashlib.sha256(f"{size} {modified} {name}".encode()).hexdigest()
    mine = Upload.objects.filter(owner_id=owner_id).unsettled()
    before = mine.filter(fingerprint=fingerprint).first()
    if before is not None and _goes_on(before):
        return before
    if mine.count() >= MOST:
        raise ValidationError(_("Too many files are on their way already. Save the product, or remove some."))
    key = random_key()
    upload = Upload(
        owner_id=owner_id,
        language=get_language() or settings.LANGUAGE_CODE,
        name=name,
        size=size,
        fingerprint=fingerprint,
        part_size=parts.size_for(size),
        key=key,
        multipart=parts.begin(key),
    )
    try:
        with transaction.atomic():
            upload.save()
    except IntegrityError:  # another tab was quicker with the same file
        delete_quietly(lambda: parts.forget(upload), upload.key)
        return mine.get(fingerprint=fingerprint)
    return Upload.objects.get(pk=upload.pk)


def _check(name: str, size: int) -> None:
    if size < 1:
        raise ValidationError(
            _("%(name)s is empty. Choose it again, or export it again if it is empty on your computer too."),
            code="empty",
            params={"name": name[:100]},
        )
    if size > settings.MAX_UPLOAD_BYTES:
        raise ValidationError(
            _("%(name)s is too large: a file may have up to %(most)s."),
            code="size",
            params={"name": name[:100], "most": filesizeformat(settings.MAX_UPLOAD_BYTES)},
        )


def _goes_on(upload: Upload) -> bool:
    """Whether it can be used further. One whose parts are gone, or too old to trust, is given up."""
    if upload.state != State.STARTED:
        return True
    recent = Upload.objects.filter(pk=upload.pk, state=State.STARTED, created_at__gt=Now() - RESUMED)
    try:
        if recent.update(touched_at=Now()):
            parts.listed(upload)
            return True
    except parts.Gone:
        log.info("the parts of upload %s are gone, it begins anew", upload.public_id)
    abandon(upload)
    return False


def complete(upload: Upload) -> None:
    """Every part is there, the browser says. The storage is asked; then the worker is told. May be repeated.

    Raises Incomplete with what is missing, parts.Away, parts.Gone.
    """
    if upload.state != State.STARTED:
        return
    found = parts.listed(upload)
    if missing := [number for number, size in upload.sizes.items() if found.get(number) != size]:
        raise Incomplete(missing)
    with transaction.atomic():
        mine = Upload.objects.filter(pk=upload.pk, state=State.STARTED)
        if mine.update(state=State.ARRIVED, due_at=Now(), touched_at=Now()):
            enqueue("catalog.tasks.inspect_upload", upload.pk)


def abandon(upload: Upload, *, only: UploadQuerySet | None = None) -> bool:
    """Give it up, and its bytes. False when it is gone already: given up before, or taken by a product. `only`: where
    it is still among these by the time it is locked.

    The row goes first: whoever deletes it owns the bytes. Those that a storage does not let go of now are orphans.
    """
    with transaction.atomic():
        among = Upload.objects.all() if only is None else only
        last = among.select_for_update().filter(pk=upload.pk).first()
        if last is None:
            return False
        Upload.objects.filter(pk=last.pk).delete()
    delete_quietly(lambda: parts.forget(last), last.key)
    return True
