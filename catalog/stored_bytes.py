"""The bytes under a key of the private storage, a block at a time. No file is ever held in memory as a whole."""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages

log = logging.getLogger(__name__)

BLOCK = 1 << 20  # bytes


def random_key() -> str:
    """A new key: it says nothing, cannot be guessed, and spreads the files of a folder over 256."""
    token = secrets.token_hex(20)
    return f"{token[:2]}/{token}"


def blocks(key: str, size: int = BLOCK) -> Iterator[bytes]:
    """Raises FileNotFoundError where there is nothing under this key."""
    with storages["default"].open(key) as source:
        stored: Any = getattr(source, "obj", None)  # an object in a bucket, which `chunks` would first copy as a whole
        if stored is None:
            yield from source.chunks(size)
        else:
            yield from stored.get()["Body"].iter_chunks(size)


@contextmanager
def on_disk(key: str) -> Iterator[Path]:
    """Where a child process can read the bytes: where they lie, or in a copy that is deleted afterwards."""
    storage = storages["default"]
    if isinstance(storage, FileSystemStorage):
        yield Path(storage.path(key))
        return
    with NamedTemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as copy:
        for block in blocks(key):
            copy.write(block)
        copy.flush()
        yield Path(copy.name)


def delete_quietly(forget: Callable[[], object], key: str) -> None:
    """Parts and object of what no row names any more. A storage that is away keeps them for `purge_files`."""
    try:
        forget()
        storages["default"].delete(key)
    except Exception as error:  # noqa: BLE001 - folders and buckets fail each in their own way
        log.warning("the bytes under %s are left for purge_files: %s", key, error)
