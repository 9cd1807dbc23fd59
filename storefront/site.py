"""What every template may say about the shop itself."""

from email.utils import parseaddr

from django.conf import settings
from django.http import HttpRequest


def context(request: HttpRequest) -> dict[str, str]:
    return {
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
        "contact": parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
    }
