"""The shop as visitors reach it: certificate, HSTS, the way from http, and what the proxy makes of headers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.conf import settings

from storefront.production import web
from storefront.production.lines import Line, ok, warning, wrong

SOON = 14  # days: automatic renewal happens 30 days before the end, so it has failed by then
PROXY = "Let the proxy set X-Forwarded-Proto itself, and set TRUSTED_PROXY_COUNT=1: see the README."


def check() -> Iterator[Line]:
    if not settings.HTTPS:
        yield wrong("https", f"SITE_URL is {settings.SITE_URL}", "Serve the shop over https, and say so in SITE_URL.")
        return
    try:
        answer = web.get(f"{settings.SITE_URL}/healthz")
    except web.CertificateRefused as error:
        yield wrong(
            "certificate", f"browsers refuse it: {error}", "Renew it, for this name: certbot renew, for example."
        )
        return
    except web.NoAnswer as error:
        yield wrong(
            "https", f"{settings.SITE_URL} does not answer: {error}", "Are web and its proxy up? Is port 443 open?"
        )
        return
    yield certificate(answer.certificate_ends)
    yield _ours(answer)
    yield from _as_visitors_see_it()
    plain = urlsplit(settings.SITE_URL)
    if plain.port in (None, 443):
        yield from_http(f"http://{plain.hostname}/")


def certificate(ends: datetime | None) -> Line:
    if ends is None:
        return wrong("certificate", "none", "Serve the shop over https.")
    days = (ends - datetime.now(UTC)).days
    if days < SOON:
        return warning("certificate", f"ends in {days} days", "Renew it, and see why that does not happen by itself.")
    return ok("certificate", f"good for {days} days")


def _ours(answer: web.Answer) -> Line:
    try:
        is_ours = answer.status == 200 and json.loads(answer.body) == {"status": "ok"}
    except ValueError:
        is_ours = False
    if is_ours:
        return ok("https", "the shop answers")
    found = f"{settings.SITE_URL}/healthz is answered with {answer.status}, and not by the shop"
    return wrong("https", found, "Let the proxy hand every path on to web, with the Host header as it came.")


def _as_visitors_see_it() -> Iterator[Line]:
    """A page that insists on https: sent back to itself, the shop does not know that it is spoken to over https."""
    front = f"{settings.SITE_URL}/"
    try:
        answer = web.get(front)
    except web.NoAnswer as error:
        yield wrong("front page", f"does not answer: {error}", "See the log of web.")
        return
    if answer.is_redirect and answer.location.rstrip("/") == settings.SITE_URL:
        yield wrong(
            "forwarded headers", "every page is sent to itself for ever: X-Forwarded-Proto is not believed", PROXY
        )
        return
    yield ok("forwarded headers", "the shop knows that it is reached over https")
    yield _hsts(answer.headers.get("Strict-Transport-Security") or "")


def _hsts(header: str) -> Line:
    parts = [part.strip().lower() for part in header.split(";")]
    age = next((part.partition("=")[2].strip('"') for part in parts if part.startswith("max-age=")), "")
    if not age.isdecimal() or int(age) < settings.SECURE_HSTS_SECONDS:
        do = "Let the proxy hand on Strict-Transport-Security as the shop sends it, and set none of its own."
        return wrong("hsts", f"{header[:60] or 'no header'}", do)
    days = f"for {int(age) // 86400} days"
    if "includesubdomains" not in parts:
        return ok("hsts", days)
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        return ok("hsts", f"{days}, all names under this one too")
    do = "Let the proxy hand the header on as it is, or set HSTS_SUBDOMAINS=true if all of them speak https for good."
    return warning("hsts", f"{days}, also for all names under this one, which the shop does not say", do)


def from_http(address: str) -> Line:
    """Whether http leads to https, also for a visitor who claims to be there already."""
    name = "http"
    try:
        answer = web.get(address)
        forged = web.get(address, {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on"})
    except web.NoAnswer as error:
        do = "Open port 80, and let it lead to https: not every visitor types the s."
        return warning(name, f"{address} does not answer: {error}", do)
    if not (answer.is_redirect and answer.location.startswith("https://")):
        return wrong(name, f"{address} is answered with {answer.status}, unencrypted", "Let port 80 lead to https.")
    if not (forged.is_redirect and forged.location.startswith("https://")):
        return wrong(name, "a visitor's own X-Forwarded-Proto is believed", PROXY)
    return ok(name, "leads to https")
