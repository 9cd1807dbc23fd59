"""Many files as one ZIP, made while it is sent: no temporary file, and no more than a block of any file in memory."""

import logging
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.core.files.storage import FileSystemStorage, storages
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from zipstream import ZipStream

from catalog.filenames import safe_name
from catalog.models import File
from catalog.stored_bytes import blocks
from fulfillment import library
from fulfillment.access import Actor, Permission
from fulfillment.downloads import BLOCK, private, record
from fulfillment.library import Item
from fulfillment.models import Download, Entitlement

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One file of the ZIP: under which name, and by whose right."""

    name: str
    file: File
    entitlement: Entitlement


@never_cache
@require_safe
def product_zip(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The newest edition of one product that this visitor may read; 404 for all others, 403 once that has ended."""
    found = library.items(Actor.of(request), slug=slug)
    if not found:
        raise Http404
    if not found[0].editions:
        return ended(request, found[0].entitlement)
    return respond(request, entries(found), name=found[0].product.name, via=Download.Via.LIBRARY)


@never_cache
@login_required
@require_safe
def library_zip(request: HttpRequest) -> HttpResponseBase:
    """The newest edition of everything that this user may read, each product in a folder."""
    found = entries(library.items(Actor.of(request)), folders=True)
    if not found:
        raise Http404
    return respond(request, found, name=_("Library"), via=Download.Via.LIBRARY)


def ended(request: HttpRequest, entitlement: Entitlement | None) -> HttpResponse:
    return render(request, "fulfillment/access_ended.html", {"entitlement": entitlement}, status=403)


def entries(items: Iterable[Item], *, folders: bool = False) -> list[Entry]:
    """The files of each item's newest edition. No two names are the same, whatever a file system thinks of case."""
    found: list[Entry] = []
    taken: set[str] = set()
    for item in items:
        folder = f"{_free(safe_name(item.product.name, ''), taken)}/" if folders and item.editions else ""
        for edition in item.editions[:1]:
            files = edition.files.all()
            found += [Entry(_free(folder + file.name, taken), file, item.entitlement) for file in files]
    return found


def _free(name: str, taken: set[str]) -> str:
    stem, dot, extension = name.rpartition(".")
    if not stem or "/" in extension:
        stem, dot, extension = name, "", ""
    free, number = name, 1
    while _key(free) in taken:
        number += 1
        free = f"{stem} ({number}){dot}{extension}"
    taken.add(_key(free))
    return free


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def respond(request: HttpRequest, entries: list[Entry], *, name: str, via: Download.Via) -> HttpResponseBase:
    """The ZIP. Who may have it was asked before; each file is noted as a download when its bytes begin to leave.

    Files are stored, not packed: most are packed already, and so the length is known before the first byte.
    """
    storage = storages["default"]
    if isinstance(storage, FileSystemStorage):
        for entry in entries:
            if not storage.exists(entry.file.key):
                log.error("the bytes of file %s are not in the storage", entry.file.pk)
                return private(HttpResponse(_("These files cannot be read right now."), status=503))
    archive = ZipStream(sized=True)
    for entry in entries:
        archive.add(_bytes(request, entry, via), entry.name, size=entry.file.size)
    length = len(archive)
    _give_back()
    content: Iterable[bytes] = () if request.method == "HEAD" else archive
    response = StreamingHttpResponse(content, content_type="application/zip")
    response["Content-Length"] = length
    response["Accept-Ranges"] = "none"
    response["Content-Disposition"] = content_disposition_header(True, safe_name(name, ".zip")) or "attachment"
    return private(response)


def _bytes(request: HttpRequest, entry: Entry, via: Download.Via) -> Iterator[bytes]:
    record(request, entry.file, Permission(entry.entitlement, via), asked=entry.file.size)
    _give_back()
    try:
        yield from blocks(entry.file.key, BLOCK)
    except Exception:
        # The length was promised: the connection breaks, and the browser says that the download failed.
        log.exception("the bytes of file %s broke off", entry.file.pk)
        raise


def _give_back() -> None:
    """A connection to the database must not wait for a slow reader: each process may keep only a few."""
    if not connection.in_atomic_block:
        connection.close()
