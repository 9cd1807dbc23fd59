"""The door for web servers: `storefront.wsgi`."""

import os
from functools import lru_cache
from typing import Any

import django
from django.core.checks import Tags, run_checks
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.http import parse_header_parameters

from storefront.request_line import request_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "storefront.settings")

# Asked by machines that have no cookie and look at no page: of MIDDLEWARE these three concern them.
FOR_MACHINES = ("/webhooks/stripe/", "/healthz")
MACHINES_MIDDLEWARE = (request_line, SecurityMiddleware, CommonMiddleware)


class Utf8Request(WSGIRequest):
    """Reads everything as UTF-8. Django takes the charset that the client names, and fails on such as base64."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, parameters = parse_content_type(meta.get("CONTENT_TYPE", ""))
        self.content_params = dict(parameters)


@lru_cache(maxsize=64)
def parse_content_type(header: str) -> tuple[str, dict[str, str]]:
    """Remembered, because few are ever sent and Python's parser for mails, which Django uses, takes its time."""
    return parse_header_parameters(header)


class Application(WSGIHandler):
    """Django's own handler, with a shorter way for machines. The views are the same, found by the same addresses."""

    request_class = Utf8Request
    # Django's own; its stubs do not name them.
    _get_response: Any
    _middleware_chain: Any

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async)
        every, short = self._middleware_chain, convert_exception_to_response(self._get_response)
        for middleware in reversed(MACHINES_MIDDLEWARE):
            short = convert_exception_to_response(middleware(short))
        self._middleware_chain = lambda request: (short if request.path_info in FOR_MACHINES else every)(request)


django.setup(set_prefix=False)
application = Application()

# manage.py checks the settings by itself, a web server does not: an unsafe shop must not start.
if unsafe := [str(message) for message in run_checks(tags=[Tags.security]) if message.is_serious()]:
    raise SystemExit("\n".join(unsafe))
