"""The door for web servers: `gunicorn storefront.wsgi`."""

import os
from typing import Any

from django.core.checks import Tags, run_checks
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "storefront.settings")


class Utf8Request(WSGIRequest):
    """Reads everything as UTF-8. Django takes the charset that the client names, and fails on such as base64."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


application = get_wsgi_application()
application.request_class = Utf8Request

# manage.py checks the settings by itself, a web server does not: an unsafe shop must not start.
if unsafe := [str(message) for message in run_checks(tags=[Tags.security]) if message.is_serious()]:
    raise SystemExit("\n".join(unsafe))
