"""What has arrived is put together and looked into, before anybody may sell it. Done by the worker, or by the sweep."""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.core.files import File as DjangoFile
from django.core.files.storage import storages
from django.db import DatabaseError, connections
from django.db.models import F
from django.db.models.functions import Now
from django.utils import translation
from django.utils.translation import gettext as _

from catalog import parts, stored_bytes
from catalog.filetypes import Refused
from catalog.inspection import Inspected, inspect_file
from catalog.stored_bytes import delete_quietly
from catalog.upload_models import Upload

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=3)  # renewed while the work goes on, which may take much longer
RENEW_SECONDS = 30.0
BACK_OFF = [timedelta(seconds=seconds) for seconds in (5, 15, 60, 180, 600)]  # then every ten minutes

State = Upload.State


def inspect(upload_id: int) -> bool:
    """Look into one upload that is due, unless somebody else does. May be repeated; True when it is settled.

    A storage that is away is tried again later, as is whatever else fails: no row is lost. What a crash breaks off is
    done again after the lease.
    """
    claim = uuid.uuid4()
    upload = _claim(upload_id, claim)
    if upload is None:
        return False
    try:
        with translation.override(upload.language), _renewed(upload, claim):
            return _look(upload, claim)
    except Exception as error:  # noqa: BLE001 - the next attempt may go well, and others must not wait
        _later(upload, claim, error)
        return False


def due() -> list[int]:
    """Ids of uploads whose wake-up was lost, or whose worker died."""
    return list(Upload.objects.due(Now()).order_by("due_at").values_list("pk", flat=True)[:20])


def _claim(upload_id: int, claim: uuid.UUID) -> Upload | None:
    mine = Upload.objects.due(Now()).filter(pk=upload_id)
    claimed = mine.update(claim=claim, due_at=Now() + LEASE, attempts=F("attempts") + 1, touched_at=Now())
    return Upload.objects.get(pk=upload_id, claim=claim) if claimed else None


def _look(upload: Upload, claim: uuid.UUID) -> bool:
    try:
        parts.join(upload)
        with stored_bytes.on_disk(upload.key) as path:
            if path.stat().st_size != upload.size:
                raise parts.Gone
            return _settle(upload, claim, inspect_file(path, upload.name))
    except Refused as error:
        return _refuse(upload, claim, str(error))
    except (parts.Gone, FileNotFoundError):
        return _refuse(upload, claim, _("Its bytes are gone from the storage. Upload it again."))


def _settle(upload: Upload, claim: uuid.UUID, found: Inspected) -> bool:
    """An unlocked copy goes under a key of its own: a worker that is slow must not change what another one checked."""
    key = upload.key
    if found.replacement:
        try:
            with found.replacement.open("rb") as source:
                key = storages["default"].save(stored_bytes.random_key(), DjangoFile(source))
        finally:
            found.replacement.unlink()
    settled = Upload.objects.filter(pk=upload.pk, claim=claim).update(
        state=State.CHECKED,
        due_at=None,
        claim=None,
        problem="",
        key=key,
        safe_name=found.name,
        media_type=found.media_type,
        stored_size=found.size,
        sha256=found.sha256,
        pages=found.pages,
        outline=found.outline,
        touched_at=Now(),
    )
    if settled and key != upload.key:
        delete_quietly(lambda: None, upload.key)
    return bool(settled)


def _refuse(upload: Upload, claim: uuid.UUID, why: str) -> bool:
    held = Upload.objects.filter(pk=upload.pk, claim=claim)
    refused = held.update(state=State.REFUSED, due_at=None, claim=None, problem=why[:600], touched_at=Now())
    if refused:
        delete_quietly(lambda: parts.forget(upload), upload.key)
    return bool(refused)


def _later(upload: Upload, claim: uuid.UUID, error: Exception) -> None:
    log.warning("upload %s is tried again: %s: %s", upload.public_id, type(error).__name__, error)
    with translation.override(upload.language):
        problem = _("The storage does not answer just now. It is tried again by itself.")
    wait = BACK_OFF[min(upload.attempts, len(BACK_OFF)) - 1]
    Upload.objects.filter(pk=upload.pk, claim=claim).update(due_at=Now() + wait, claim=None, problem=problem)


@contextmanager
def _renewed(upload: Upload, claim: uuid.UUID) -> Iterator[None]:
    """Renew the lease as long as this block runs: 5 GB take minutes to fetch and read."""
    done = threading.Event()
    thread = threading.Thread(target=_renew, args=(upload.pk, claim, done), name="upload lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew(upload_id: int, claim: uuid.UUID, done: threading.Event) -> None:
    try:
        while not done.wait(RENEW_SECONDS):
            try:
                Upload.objects.filter(pk=upload_id, claim=claim).update(due_at=Now() + LEASE, touched_at=Now())
            except DatabaseError as error:  # the next time may go well; the outcome is conditional on the claim anyway
                log.warning("the lease of upload %s was not renewed: %s", upload_id, error)
    finally:
        connections.close_all()
