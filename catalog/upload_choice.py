"""The uploads that a product form names, and what becomes of them when it is saved."""

import uuid
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from catalog.models import Edition, File
from catalog.upload_models import Upload

MOST = 200  # ids in one form


def locked(owner_id: int, ids: Sequence[uuid.UUID]) -> list[Upload]:
    """These uploads of this person, in this order, each ready to become a file; nobody else can take them until the
    transaction ends. Raises ValidationError with a sentence for each that is not ready."""
    found = {
        upload.public_id: upload
        for upload in Upload.objects.select_for_update().filter(owner_id=owner_id, public_id__in=ids).order_by("pk")
    }
    wanted = list(dict.fromkeys(ids))
    errors = [ValidationError(why, code="upload") for one in wanted if (why := _unready(found.get(one)))]
    if errors:
        raise ValidationError(errors)
    return [found[one] for one in wanted]


def _unready(upload: Upload | None) -> str:
    """Why it cannot be saved with a product now, or ""."""
    if upload is None:
        return _("A file is not there any more: it was saved with a product, or removed. Choose it again.")
    words = {
        Upload.State.STARTED: _("%(name)s has not arrived yet. Wait for it, or remove it."),
        Upload.State.ARRIVED: _("%(name)s is still being checked. Save again in a moment, or remove it."),
        Upload.State.REFUSED: _("%(name)s: %(problem)s"),
        Upload.State.CHECKED: "",
    }
    return words[Upload.State(upload.state)] % {"name": upload.name[:100], "problem": upload.problem}


def take(upload: Upload, edition: Edition, position: int) -> File:
    """A file of the upload's bytes, which stay where they are. Within the transaction of `locked`."""
    Upload.objects.filter(pk=upload.pk, state=Upload.State.CHECKED).delete()
    return File.objects.create(
        edition=edition,
        position=position,
        key=upload.key,
        name=upload.safe_name,
        media_type=upload.media_type,
        size=upload.stored_size or 0,  # never 0: a constraint of what is checked
        sha256=upload.sha256,
        pages=upload.pages,
        outline=upload.outline,
    )
