"""The storage: a file of our own is written, read, asked for as a stranger would, and deleted."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

from storefront.production import web
from storefront.production.lines import Line, brief, ok, warning, wrong

NAMES = {"default": "private files", "covers": "covers"}
SIZE = 1000


def check() -> Iterator[Line]:
    for alias, name in NAMES.items():
        storage, text = storages[alias], secrets.token_hex(SIZE // 2).encode()
        key, problem = _keep(storage, text)
        try:
            if not problem:
                problem = _read(storage, key, text)
            if problem:
                yield wrong(name, problem, "Is STORAGE_URL right, and may the shop write, read and delete there?")
            elif alias == "default":
                yield ok(name, f"written and read in {_where()}")
                yield _closed_to_strangers(storage, key, text)
            else:
                yield ok(name, "written and read")
        finally:
            if key:
                deletion = _delete(storage, key)
        if key and deletion:
            yield wrong(f"{name}, deletion", deletion, "Let the shop's user delete what it wrote.")


def _keep(storage: Storage, text: bytes) -> tuple[str, str]:
    """The key, or why there is none."""
    try:
        return storage.save(f"check-{secrets.token_urlsafe(24)}", ContentFile(text)), ""
    except Exception as error:  # noqa: BLE001 - folders and buckets fail each in their own way
        return "", f"nothing can be written: {brief(error)}"


def _read(storage: Storage, key: str, text: bytes) -> str:
    try:
        with storage.open(key) as file:
            return "" if file.read() == text else "what is read is not what was written"
    except Exception as error:  # noqa: BLE001 - the same
        return f"what was written cannot be read: {brief(error)}"


def _delete(storage: Storage, key: str) -> str:
    try:
        storage.delete(key)
    except Exception as error:  # noqa: BLE001 - the same
        return f"what was written cannot be deleted: {brief(error)}"
    return ""


def _where() -> str:
    return "a bucket" if settings.STORAGE_URL.startswith("s3:") else "a folder"


def _closed_to_strangers(storage: Storage, key: str, text: bytes) -> Line:
    name = "private files are private"
    folder = _folder(storage)
    if folder and (under := _served_folder(folder)):
        return wrong(name, f"they lie under {under}, which is served to everybody", "Move them, and set STORAGE_URL.")
    asked = 0
    for address in _addresses(storage, key):
        with suppress(web.NoAnswer):
            answer = web.get(address)
            asked += 1
            if text in answer.body:
                return wrong(name, f"anybody gets them at {_shown(address, key)}", _close(storage))
            if answer.status == 200 and "list-type" in address:
                return wrong(name, "anybody can list the bucket", _close(storage))
    if not asked:
        return warning(name, "no address answered, so nothing is known", "Look again once the shop is on line.")
    if folder and Path(storage.path(key)).stat().st_mode & 0o007:
        return warning(name, "other users of this machine may read them", f"chmod -R go-rwx {folder}")
    return ok(name, f"a stranger gets them at none of {asked} addresses")


def _folder(storage: Storage) -> Path | None:
    location = getattr(storage, "base_location", None)
    return Path(location).resolve() if location and hasattr(storage, "path") and not _bucket(storage) else None


def _bucket(storage: Storage) -> str:
    return str(getattr(storage, "bucket_name", "") or "")


def _served_folder(folder: Path) -> Path | None:
    served = [Path(one).resolve() for one in (settings.STATIC_ROOT, *settings.STATICFILES_DIRS)]
    return next((one for one in served if folder.is_relative_to(one)), None)


def _addresses(storage: Storage, key: str) -> Iterator[str]:
    """Where a mistake would put the file on line: the bucket itself, or a web server that serves the folder."""
    if bucket := _bucket(storage):
        origin = str(getattr(storage, "endpoint_url", "")).rstrip("/")
        path = quote(f"{getattr(storage, 'location', '')}/{key}".lstrip("/"))
        yield f"{origin}/{bucket}/{path}"
        yield f"{origin}/{bucket}?list-type=2&max-keys=1"
        return
    folder = _folder(storage)
    last = folder.name if folder else ""
    above = folder.parent.name if folder else ""
    internal = settings.X_ACCEL_REDIRECT.strip("/")
    prefixes = ("", "media", "files", "static", last, f"{above}/{last}", internal, f"{internal}/{last}")
    for prefix in dict.fromkeys(prefix.strip("/") for prefix in prefixes):
        yield "/".join(filter(None, [settings.SITE_URL, prefix, quote(key)]))


def _shown(address: str, key: str) -> str:
    return address.replace(quote(key), "…")


def _close(storage: Storage) -> str:
    if _bucket(storage):
        return "Take public access away from the bucket: its policy and its ACLs. The shop signs each address itself."
    host = urlsplit(settings.SITE_URL).hostname
    return f"Let the web server of {host} serve that path to nobody: in nginx `internal;`, or no location at all."
