"""Parts in a hidden folder beside the private files: on the same disk, so the whole is put in place by a rename."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from django.core.files.storage import FileSystemStorage, storages
from django.urls import reverse

from catalog import parts
from catalog.stored_bytes import BLOCK
from catalog.upload_models import Upload

FOLDER = ".parts"
NUMBER = re.compile(r"[1-9][0-9]{0,4}")


def begin(key: str) -> str:
    return ""


def listed(upload: Upload) -> dict[int, int]:
    with _disk():
        if not folder_of(upload).is_dir():
            return {}  # none has come yet
        return {int(one.name): one.stat().st_size for one in folder_of(upload).iterdir() if NUMBER.fullmatch(one.name)}


def address(upload: Upload, number: int) -> str:
    return reverse("admin:catalog_upload_part", args=[upload.public_id, number])


def receive(upload: Upload, number: int, source: BinaryIO) -> None:
    """Under a name of its own until it is whole: a part that breaks off, or comes twice at once, spoils none."""
    folder = folder_of(upload)
    with _disk():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        arriving = folder / f"{number}.{secrets.token_hex(8)}"
        try:
            with _new(arriving) as target:
                _copy_exactly(source, target, upload.size_of(number))
            arriving.rename(folder / str(number))
        finally:
            arriving.unlink(missing_ok=True)


def _new(path: Path) -> BinaryIO:
    """A file that nobody else on this machine reads."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _copy_exactly(source: BinaryIO, target: BinaryIO, size: int) -> None:
    left = size
    while left and (block := source.read(min(BLOCK, left))):
        target.write(block)
        left -= len(block)
    if left or source.read(1):
        raise ValueError(f"a part of {size} bytes was to come, not one of {'fewer' if left else 'more'}")


def join(upload: Upload) -> None:
    """The parts are deleted once the whole is in its place; until then it may begin anew at any time."""
    storage = _storage()
    target, folder = Path(storage.path(upload.key)), folder_of(upload)
    with _disk():
        if not (target.exists() and target.stat().st_size == upload.size):
            _check(upload)
            whole = folder / f"whole.{secrets.token_hex(8)}"
            with _new(whole) as joined:
                for number in range(1, upload.parts + 1):
                    with (folder / str(number)).open("rb") as part:
                        shutil.copyfileobj(part, joined, BLOCK)
                joined.flush()
                os.fsync(joined.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            if storage.file_permissions_mode is not None:
                whole.chmod(storage.file_permissions_mode)
            whole.rename(target)
        forget(upload)


def _check(upload: Upload) -> None:
    if listed(upload) != upload.sizes:
        raise parts.Gone


def forget(upload: Upload) -> None:
    with _disk():
        if folder_of(upload).exists():
            shutil.rmtree(folder_of(upload))


def folder_of(upload: Upload) -> Path:
    return all_folders() / upload.public_id.hex


def all_folders() -> Path:
    return Path(_storage().path(FOLDER))


def _storage() -> FileSystemStorage:
    storage = storages["default"]
    assert isinstance(storage, FileSystemStorage)  # noqa: S101 - `parts` asks before it comes here
    return storage


@contextmanager
def _disk() -> Iterator[None]:
    """A disk that is full or gone is tried again, like a bucket that does not answer."""
    try:
        yield
    except OSError as error:
        raise parts.Away(f"{type(error).__name__}: {error.strerror}") from error
