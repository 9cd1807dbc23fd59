"""Bytes that nobody names any more, and uploads that nobody finished.

An object is deleted only if its key has exactly the form of ours, it is older than a day, and at this moment neither a
File nor an Upload names it. Anything else in the storage is somebody else's, and never touched.
"""

import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage, storages
from django.db.models.functions import Now
from django.utils import timezone

from catalog import arriving, parts_in_folder
from catalog.models import File, Product
from catalog.upload_models import Upload

log = logging.getLogger(__name__)

KEY = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{38}")
PARTS = re.compile(r"[0-9a-f]{32}")
COVER = re.compile(r"([0-9a-f]{32})-(?:320|640)\.webp")
YOUNG = timedelta(days=1)  # bytes come before the row that names them, in forms that may take their time
BATCH = 500

Say = Callable[[str], object]


@dataclass
class Purged:
    """How many went, or would in a dry run."""

    uploads: int = 0  # unfinished, refused, or never saved with a product
    parts: int = 0  # of uploads without a row: folders, or multipart uploads of the bucket
    files: int = 0
    covers: int = 0
    failed: int = 0  # could not be deleted, and will be tried again

    def __str__(self) -> str:
        return (
            f"{self.uploads} uploads, parts of {self.parts} more, {self.files} files and {self.covers} covers "
            f"that nothing names; {self.failed} failed"
        )


def purge(*, older_than: timedelta, dry_run: bool = False, say: Say = lambda _: None) -> Purged:
    """Delete uploads without a sign of life for that long, then the bytes that no row names. May be repeated, and
    stopped at any point: what is left is found the next time."""
    purged = Purged()
    _uploads(purged, older_than, dry_run)
    say(f"uploads: {purged.uploads}")
    _each(_lost_parts(), "parts", purged, dry_run)
    say(f"parts without an upload: {purged.parts}")
    for alias, kind, form in (("default", "files", KEY), ("covers", "covers", COVER)):
        for keys in _batches(_old_keys(alias, form)):
            unnamed = set(keys) - _named(kind, keys)
            _each((_deletion(alias, kind, key) for key in sorted(unnamed)), kind, purged, dry_run)
        say(f"{kind} that nothing names: {getattr(purged, kind)}")
    return purged


def _uploads(purged: Purged, older_than: timedelta, dry_run: bool) -> None:
    """What has arrived and waits to be looked into is not given up, however long a storage is away."""
    left = Upload.objects.exclude(state=Upload.State.ARRIVED).filter(touched_at__lt=Now() - older_than)
    for upload in left.order_by("pk").iterator(BATCH):
        # Asked once more under a lock: it may go on, or be saved with a product, just now.
        still = left.filter(pk=upload.pk)
        purged.uploads += dry_run or arriving.abandon(upload, only=still)


Deletion = Callable[[], bool]  # False when it turned out that there was nothing to delete


def _each(deletions: Iterable[Deletion], kind: str, purged: Purged, dry_run: bool) -> None:
    for delete in deletions:
        try:
            setattr(purged, kind, getattr(purged, kind) + (dry_run or delete()))
        except Exception as error:  # noqa: BLE001 - one that cannot be deleted must not keep the others
            log.warning("%s: nothing deleted: %s", kind, error)
            purged.failed += 1


def _named(kind: str, keys: Iterable[str]) -> set[str]:
    """Those of the keys that some row names. One statement: it sees a key that goes from an upload to a file in one of
    the two, never in between."""
    keys = list(keys)
    if kind == "files":
        files, uploads = File.objects.filter(key__in=keys), Upload.objects.filter(key__in=keys)
        return set(files.order_by().values_list("key").union(uploads.values_list("key")).values_list("key", flat=True))
    covers = {key: (COVER.fullmatch(key) or [""] * 2)[1] for key in keys}
    shown = set(Product.objects.filter(cover__in=set(covers.values())).values_list("cover", flat=True))
    return {key for key, cover in covers.items() if cover in shown}


def _deletion(alias: str, kind: str, key: str) -> Deletion:
    def delete() -> bool:
        if _named(kind, [key]):
            return False
        storages[alias].delete(key)
        log.info("deleted what nothing names: %s", key)
        return True

    return delete


# What is in the storage, as a stream


def _batches(keys: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(keys, BATCH)):
        yield batch


def _old_keys(alias: str, form: re.Pattern[str]) -> Iterator[str]:
    storage: Any = storages[alias]
    found = _in_folder(storage) if isinstance(storage, FileSystemStorage) else _in_bucket(storage)
    before = timezone.now() - YOUNG
    return (key for key, changed in found if form.fullmatch(key) and changed < before)


def _in_folder(storage: FileSystemStorage) -> Iterator[tuple[str, datetime]]:
    root = Path(storage.location)
    for folder, _folders, names in os.walk(root):
        for name in names:
            file = Path(folder, name)
            try:
                changed = file.lstat().st_mtime
            except FileNotFoundError:
                continue
            yield file.relative_to(root).as_posix(), datetime.fromtimestamp(changed, tz=UTC)


def _in_bucket(storage: Any) -> Iterator[tuple[str, datetime]]:
    prefix = f"{storage.location.strip('/')}/".lstrip("/")
    pages = storage.connection.meta.client.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=storage.bucket_name, Prefix=prefix):
        for one in page.get("Contents", []):
            yield one["Key"].removeprefix(prefix), one["LastModified"]


def _lost_parts() -> Iterator[Deletion]:
    """Of uploads whose row is gone, or was never written: a process died in between, or the storage was away."""
    if isinstance(storages["default"], FileSystemStorage):
        yield from _lost_folders(parts_in_folder.all_folders())
    else:
        yield from _lost_multiparts()


def _lost_folders(root: Path) -> Iterator[Deletion]:
    before = (timezone.now() - YOUNG).timestamp()
    for folder in root.iterdir() if root.is_dir() else ():
        is_ours = PARTS.fullmatch(folder.name) and folder.is_dir() and folder.stat().st_mtime < before
        if is_ours and not Upload.objects.filter(public_id=uuid.UUID(folder.name)).exists():
            yield partial(_delete_folder, folder)


def _delete_folder(folder: Path) -> bool:
    shutil.rmtree(folder)
    return True


def _lost_multiparts() -> Iterator[Deletion]:
    from catalog import parts_in_bucket as bucket

    before, prefix = timezone.now() - YOUNG, bucket.prefix()
    pages = bucket.client().get_paginator("list_multipart_uploads")
    for page in pages.paginate(Bucket=bucket.bucket_name(), Prefix=prefix):
        for one in page.get("Uploads", []):
            key, multipart = one["Key"].removeprefix(prefix), one["UploadId"]
            is_ours = KEY.fullmatch(key) and one["Initiated"] < before
            if is_ours and not Upload.objects.filter(key=key, multipart=multipart).exists():
                yield partial(_abort, key, multipart)


def _abort(key: str, multipart: str) -> bool:
    from catalog import parts_in_bucket as bucket

    bucket.abort(key, multipart)
    return True
