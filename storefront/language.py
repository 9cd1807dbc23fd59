"""Which language a page is in."""

from django.http import HttpRequest, HttpResponseBase
from django.middleware.locale import LocaleMiddleware


class PageLanguage(LocaleMiddleware):
    """Django's, and only of pages it says that they differ by language: covers, files and figures are the same in
    every one, so one copy in a cache is enough for all readers."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)
