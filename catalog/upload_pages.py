"""What the admin's product form asks while files are on their way. JSON, for static/upload.js; a stranger's upload is
not there (404), and nothing here changes what a buyer gets: saving the form does."""

import json
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from catalog import arriving, parts
from catalog.upload_models import Upload

ADDRESSES = 20  # of parts in one answer: they are good for some minutes only
LONGEST = 4096  # bytes of a question

View = Callable[..., HttpResponse]


def addresses(admin: ModelAdmin) -> list[URLPattern]:
    """The addresses, for the product's admin to put before its own."""

    def page(view: View, method: str) -> View:
        return admin.admin_site.admin_view(_guarded(view, admin, method))

    one = "uploads/<uuid:upload_id>/"
    return [
        path("uploads/", page(start, "POST"), name="catalog_upload_start"),
        path(one, page(status, "GET"), name="catalog_upload"),
        path(f"{one}parts/", page(part_addresses, "POST"), name="catalog_upload_parts"),
        path(f"{one}parts/<int:number>/", page(part, "PUT"), name="catalog_upload_part"),
        path(f"{one}complete/", page(complete, "POST"), name="catalog_upload_complete"),
        path(f"{one}abandon/", page(abandon, "POST"), name="catalog_upload_abandon"),
    ]


def _guarded(view: View, admin: ModelAdmin, method: str) -> View:
    """For those who may add or change products; what is wrong becomes a sentence for the row of the file."""

    @wraps(view)
    def guarded(request: HttpRequest, **where: Any) -> HttpResponse:
        if not (admin.has_add_permission(request) or admin.has_change_permission(request)):
            raise PermissionDenied
        if request.method != method:
            return HttpResponseNotAllowed([method])
        try:
            answer = view(request, **where)
        except ValidationError as error:
            answer = _problem(" ".join(error.messages), 400)
        except parts.Gone:
            answer = _problem(_("What has arrived of it is gone. Choose it again."), 410)
        except parts.Away:
            answer = _problem(_("The storage does not answer just now. It is tried again by itself."), 503)
        answer["Cache-Control"] = "no-store"
        return answer

    return guarded


def start(request: HttpRequest) -> HttpResponse:
    asked = _asked(request, name=str, size=int, modified=int)
    return _told(arriving.start(_person(request), **asked), with_parts=True)


def status(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    return _told(_own(request, upload_id), with_parts=False)


def part_addresses(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    """Where the browser sends these parts to."""
    upload, numbers = _own(request, upload_id), _asked(request, numbers=list)["numbers"]
    if len(numbers) > ADDRESSES or not all(type(one) is int and 1 <= one <= upload.parts for one in numbers):
        raise ValidationError(_("There are no such parts."))
    _still_coming(upload)
    return JsonResponse({"addresses": {number: parts.address(upload, number) for number in numbers}})


def part(request: HttpRequest, upload_id: uuid.UUID, number: int) -> HttpResponse:
    """One part for the shop's own folder, as the body. It goes to the disk in blocks."""
    upload = _own(request, upload_id)
    _still_coming(upload)
    if parts.origin() or not 1 <= number <= upload.parts:
        raise ValidationError(_("There are no such parts."))
    if request.headers.get("Content-Length") != str(upload.size_of(number)):
        raise ValidationError(_("This part has another length than was told. Choose the file again."))
    try:
        parts.receive(upload, number, request)  # type: ignore[arg-type]
    except ValueError:
        return _problem(_("This part was cut off on its way."), 400)
    Upload.objects.filter(pk=upload.pk).update(touched_at=Now())
    return HttpResponse(status=204)


def complete(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    upload = _own(request, upload_id)
    try:
        arriving.complete(upload)
    except arriving.Incomplete as error:
        return JsonResponse({"missing": error.missing}, status=409)
    upload.refresh_from_db()
    return _told(upload, with_parts=False)


def abandon(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    arriving.abandon(_own(request, upload_id))
    return HttpResponse(status=204)


def _told(upload: Upload, *, with_parts: bool) -> JsonResponse:
    found: dict[str, Any] = {
        "id": str(upload.public_id),
        "name": upload.safe_name or upload.name,
        "size": upload.size,
        "state": upload.state,
        "problem": upload.problem,
        "part_size": upload.part_size,
    }
    if with_parts and upload.state == Upload.State.STARTED:
        found["arrived"] = sorted(
            number for number, size in parts.listed(upload).items() if size == upload.size_of(number)
        )
    return JsonResponse(found)


def _still_coming(upload: Upload) -> None:
    if upload.state != Upload.State.STARTED:
        raise ValidationError(_("This file has arrived already."))


def _person(request: HttpRequest) -> int:
    assert request.user.pk is not None  # noqa: S101 - the admin lets nobody else in
    return request.user.pk


def _own(request: HttpRequest, upload_id: uuid.UUID) -> Upload:
    return get_object_or_404(Upload, public_id=upload_id, owner_id=_person(request))


def _asked(request: HttpRequest, **types: type) -> dict[str, Any]:
    """The JSON object in the body, with these values of these types and no others."""
    try:
        found = json.loads(request.read(LONGEST))
        if set(found) == set(types) and all(type(found[name]) is kind for name, kind in types.items()):
            return dict(found)
    except (ValueError, TypeError, RecursionError):
        pass
    raise ValidationError(_("This question is not understood. Load the page again."))


def _problem(words: str, status: int) -> JsonResponse:
    return JsonResponse({"problem": words}, status=status)
