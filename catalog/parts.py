"""Parts of an upload in the private storage: where they go, which are there, and how they become one object.

A folder and a bucket keep them each in its own way, under the same names.
"""

from types import ModuleType
from typing import BinaryIO

from django.core.files.storage import FileSystemStorage, storages

from catalog.upload_models import Upload

SIZE = 8 << 20  # bytes of a part; a bucket takes none below 5 MiB but the last
MOST = 10_000  # parts of one object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html


class Away(Exception):
    """The storage does not answer, or will not do it now. To be tried again."""


class Gone(Exception):
    """The parts are not there any more, and nor is the object they should have become."""


def size_for(size: int) -> int:
    """Bytes of each part of a file of this many: 8 MiB, or as many as are needed to come out with 10,000 parts."""
    return max(SIZE, -(-size // MOST))


def begin(key: str) -> str:
    """Make ready for parts; returns the storage's own id of the upload. Raises Away."""
    return str(_kept_in().begin(key))


def listed(upload: Upload) -> dict[int, int]:
    """Numbers of the parts that arrived whole, with their sizes as the storage tells them. Raises Away, Gone."""
    found: dict[int, int] = _kept_in().listed(upload)
    return found


def address(upload: Upload, number: int) -> str:
    """Where the browser sends this part to by PUT: good for some minutes, for this part and for its length alone."""
    return str(_kept_in().address(upload, number))


def receive(upload: Upload, number: int, source: BinaryIO) -> None:
    """Keep one part that came to the shop itself. Raises Away, and ValueError when it is not as long as told."""
    _kept_in().receive(upload, number, source)


def join(upload: Upload) -> None:
    """Make one object of the parts. May be repeated: also after a crash at any point. Raises Away, Gone."""
    _kept_in().join(upload)


def forget(upload: Upload) -> None:
    """Delete whatever parts there are. May be repeated. Raises Away."""
    _kept_in().forget(upload)


def origin() -> str:
    """Where browsers send parts to, if that is not the shop: the bucket's scheme and host."""
    return "" if _in_folder() else str(_kept_in().origin())


def _in_folder() -> bool:
    return isinstance(storages["default"], FileSystemStorage)


def _kept_in() -> ModuleType:
    """Boto takes a second to import and 30 MB: only a shop with a bucket pays for it."""
    if _in_folder():
        from catalog import parts_in_folder

        return parts_in_folder
    from catalog import parts_in_bucket

    return parts_in_bucket
