"""Bytes: decide, log, and hand over — streamed in ranges, by nginx, or by a presigned address of the storage."""

import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages
from django.db.models import F
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.visitors import address_of, agent_of
from catalog.models import File
from fulfillment import links
from fulfillment.access import Actor, Permission, may_read
from fulfillment.models import Download

log = logging.getLogger(__name__)

SAME_DOWNLOAD = timedelta(minutes=30)
BLOCK = 64 * 1024
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@require_safe
def download(request: HttpRequest, file_id: int) -> HttpResponseBase:
    """The bytes of one file, or 404 for whoever may not have them now."""
    file = get_object_or_404(File.objects.select_related("edition__product"), pk=file_id)
    opened = links.read(request.GET.get("link", ""))
    actor = Actor.of(request, link=opened.reference if opened and opened.is_open else "")
    permission = may_read(actor, file)
    if permission is None:
        raise Http404
    if request.method == "GET":
        record(request, file, permission)
    return respond(request, file)


def record(request: HttpRequest, file: File, permission: Permission, *, asked: int | None = None) -> None:
    """Note the download. Ranges asked for within half an hour of each other belong to one; their bytes add up.

    `asked`: how many bytes, where that does not follow from the request.
    """
    now, address = timezone.now(), address_of(request)
    asked = _bytes_asked(request, file) if asked is None else asked
    same = Download.objects.filter(
        entitlement=permission.entitlement,
        file=file,
        via=permission.via,
        address=address,
        last_at__gt=now - SAME_DOWNLOAD,
    )
    if not same.update(last_at=now, ranges=F("ranges") + 1, bytes=F("bytes") + asked):
        Download.objects.create(
            entitlement=permission.entitlement,
            file=file,
            via=permission.via,
            address=address,
            agent=agent_of(request),
            bytes=asked,
        )


def _bytes_asked(request: HttpRequest, file: File) -> int:
    """What this request is answered with, whoever sends it: the whole file, one range of it, or nothing."""
    found = _requested(request, file.size, _etag(file))
    return file.size if found is None else max(0, found[1] - found[0] + 1)


def respond(request: HttpRequest, file: File) -> HttpResponseBase:
    storage = storages["default"]
    if not isinstance(storage, FileSystemStorage):
        return private(HttpResponseRedirect(_presigned(file)))
    if settings.X_ACCEL_REDIRECT:
        response = HttpResponse(content_type=file.media_type, headers={"X-Accel-Redirect": _accel(file)})
        return _named(private(response), file)
    try:
        source = Path(storage.path(file.key)).open("rb")  # noqa: SIM115 - the response closes it
    except OSError:
        log.exception("the bytes of file %s are not in the storage", file.pk)
        return private(HttpResponse(_("This file cannot be read right now. Please try again later."), status=503))
    return _named(private(_ranged(request, file, source)), file)


def _presigned(file: File) -> str:
    """An address that the storage honors for a minute, with the name and type of the file signed into it."""
    parameters = {
        "ResponseContentDisposition": content_disposition_header(True, file.name),
        "ResponseContentType": file.media_type,
        "ResponseCacheControl": "private, no-store",
    }
    return storages["default"].url(file.key, parameters=parameters, expire=60)  # type: ignore[call-arg]


def _accel(file: File) -> str:
    return f"{settings.X_ACCEL_REDIRECT.rstrip('/')}/{file.key}"


def private(response: HttpResponseBase) -> HttpResponseBase:
    """Bytes that somebody paid for: kept by no cache, shown in no page, run by no browser."""
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Robots-Tag"] = "noindex"
    return response


def _named(response: HttpResponseBase, file: File) -> HttpResponseBase:
    response["Content-Disposition"] = content_disposition_header(True, file.name) or "attachment"
    return response


def _ranged(request: HttpRequest, file: File, source: IO[bytes]) -> HttpResponseBase:
    """All of the file (200), one range of it (206), or word that there is no such range (416). RFC 9110, section 14.

    Several ranges at once are answered with the whole file, as the RFC allows.
    """
    etag = _etag(file)
    headers = {"Accept-Ranges": "bytes", "ETag": etag}
    found = _requested(request, file.size, etag)
    if found is None:
        whole = FileResponse(source, content_type=file.media_type, headers=headers)
        whole["Content-Length"] = file.size
        return whole
    first, last = found
    if first > last:
        source.close()
        return HttpResponse(status=416, headers={**headers, "Content-Range": f"bytes */{file.size}"})
    headers |= {"Content-Range": f"bytes {first}-{last}/{file.size}", "Content-Length": str(last - first + 1)}
    # Django closes the generator with the response, and the generator closes the file.
    return StreamingHttpResponse(_slice(source, first, last), content_type=file.media_type, status=206, headers=headers)


def _etag(file: File) -> str:
    return f'"{file.sha256}"'


def _requested(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte asked for; first > last where no byte of the file fits; None for the whole file."""
    match = RANGE.fullmatch(request.headers.get("Range", ""))
    if not match or match[0] == "bytes=-" or request.headers.get("If-Range", etag) != etag:
        return None
    start, end = match[1], match[2]
    if not start:
        return (size - int(end) if int(end) < size else 0, size - 1) if int(end) else (1, 0)
    if end and int(end) < int(start):
        return None  # not a range at all
    return int(start), min(int(end), size - 1) if end else size - 1


def _slice(source: IO[bytes], first: int, last: int) -> Iterator[bytes]:
    with source:
        source.seek(first)
        left = last - first + 1
        while left > 0 and (block := source.read(min(BLOCK, left))):
            left -= len(block)
            yield block
