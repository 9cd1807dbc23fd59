"""Look whether the private files can be read, and how much room is left, so that no page must ask a bucket."""

import shutil

from django.core.files.storage import Storage, storages
from django.utils import timezone

from catalog.models import File
from catalog.storage_models import StorageLook

LONGEST = 300  # characters


def look() -> StorageLook:
    """Ask the storage for the newest file that is sold, and the disk for its room; keep the answer. May be repeated."""
    storage = storages["default"]
    key = File.objects.order_by("-pk").values_list("key", flat=True).first()
    problem = _problem(storage, key)
    free, size = _room(storage)
    found = {"at": timezone.now(), "problem": problem[:LONGEST], "free": free, "size": size}
    return StorageLook.objects.update_or_create(pk=1, defaults=found)[0]


def _problem(storage: Storage, key: str | None) -> str:
    if key is None:
        return ""
    try:
        return "" if storage.exists(key) else "the newest file is not there"
    except Exception as error:  # noqa: BLE001 - folders and buckets fail each in their own way
        return f"{type(error).__name__}: {error}"


def _room(storage: Storage) -> tuple[int | None, int | None]:
    """Bytes free and in all, of a folder's disk."""
    folder = getattr(storage, "base_location", None)
    if not folder:
        return None, None
    try:
        disk = shutil.disk_usage(storage.path(""))
    except (OSError, NotImplementedError):  # no folder until the first upload; a bucket has no paths
        return None, None
    return disk.free, disk.total
