"""The settings: what would cost money or trust, Django's own checks for production among it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import WARNING, run_checks
from django.http.request import validate_host

from storefront.production.lines import Line, ok, warning, wrong

# RFC 2606 and 6761: names that nobody can own.
NOBODYS = ("example.com", "example.net", "example.org", "example", "test", "invalid", "localhost")


def check() -> Iterator[Line]:
    yield _debug()
    yield _secret_key()
    yield _site_url()
    yield _allowed_hosts()
    yield from _django()
    yield ok("sentry", "errors are reported" if settings.SENTRY_DSN else "not set up, which is well: it is optional")


def is_nobodys(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in NOBODYS)


def _debug() -> Line:
    if settings.DEBUG:
        return wrong("debug", "on: errors show settings and code to everybody", "Remove DEBUG, or set DEBUG=false.")
    return ok("debug", "off")


def _secret_key() -> Line:
    key = settings.SECRET_KEY
    make = "SECRET_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(64))')"
    if len(key) < 50 or len(set(key)) < 10 or key.startswith("django-insecure-"):
        return wrong("secret key", f"{len(key)} characters, {len(set(key))} of them different: it can be guessed", make)
    return ok("secret key", f"{len(key)} characters")


def _site_url() -> Line:
    url = urlsplit(settings.SITE_URL)
    host = url.hostname or ""
    if not host or is_nobodys(host) or host.startswith("127."):
        return wrong(
            "site url", f"{settings.SITE_URL} leads nobody to this shop", "Set SITE_URL to what shoppers type."
        )
    if url.path or url.query:
        return wrong("site url", f"{settings.SITE_URL} has a path", f"SITE_URL={url.scheme}://{url.netloc}")
    if url.scheme != "https":
        return wrong("site url", f"{settings.SITE_URL} is not encrypted", f"SITE_URL=https://{url.netloc}")
    return ok("site url", settings.SITE_URL)


def _allowed_hosts() -> Line:
    host = urlsplit(settings.SITE_URL).hostname or ""
    if "*" in settings.ALLOWED_HOSTS:
        return wrong("allowed hosts", "any: links in mails can be forged", f"ALLOWED_HOSTS={host}")
    if not validate_host(host, settings.ALLOWED_HOSTS):
        found = f"{', '.join(settings.ALLOWED_HOSTS)}: every page of {host} answers 400"
        return wrong("allowed hosts", found, f"ALLOWED_HOSTS={','.join([host, *settings.ALLOWED_HOSTS])}")
    return ok("allowed hosts", ", ".join(settings.ALLOWED_HOSTS))


def _django() -> Iterator[Line]:
    """A line for each message of `check --deploy` that is not silenced, or one for all."""
    found = run_checks(include_deployment_checks=True)
    messages = [one for one in found if one.level >= WARNING and not one.is_silenced()]
    for one in messages:
        say = wrong if one.is_serious() else warning
        yield say(f"deploy {one.id}", str(one.msg), str(one.hint or "See: python manage.py check --deploy"))
    if not messages:
        yield ok("deploy checks", "Django's and the shop's own find nothing")
