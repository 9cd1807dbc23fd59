"""One line of the log for each request, under an id that the answer bears and every line and task of it repeats."""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from storefront import trace
from storefront.lines import harmless

log = logging.getLogger(__name__)

HEADER = "X-Request-ID"
LONGEST_PATH = 200


def request_line(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware, the outermost: all others are measured with it. The query is left out, it may say anything."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        began = time.perf_counter()
        with trace.about(request_id=_given(request) or trace.new_request_id()):
            response = get_response(request)
            response[HEADER] = trace.request_id()
            trace.note(**_known(request))
            milliseconds = round((time.perf_counter() - began) * 1000, 1)
            path = harmless(request.path[:LONGEST_PATH])
            fields = {"method": request.method, "path": path, "status": response.status_code, "ms": milliseconds}
            log.info("%(method)s %(path)s %(status)s", fields, extra={"fields": fields})
        return response

    return answer


def _given(request: HttpRequest) -> str:
    """What our own proxy named the request; strangers name nothing."""
    given = request.headers.get(HEADER, "") if settings.TRUSTED_PROXY_COUNT else ""
    return given if trace.WELL_FORMED.fullmatch(given) else ""


def _known(request: HttpRequest) -> dict[str, str | int]:
    """The order that the address names, and the number of the user if the page has asked who it is: looking that up for
    the log would cost each page a query."""
    user = getattr(getattr(request, "_cached_user", None), "pk", None)
    reference = request.resolver_match.kwargs.get("reference") if request.resolver_match else None
    known = {"user": user, "order": str(reference)[:LONGEST_PATH] if reference else None}
    return {name: value for name, value in known.items() if value}
