"""The shop itself behind TLS on this machine, with good, foreign and expired certificates and careless proxies."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import trustme
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from pytest_django import Settings

from storefront.production import https
from storefront.production.lines import Line
from tests.storefront.production.conftest import good_until, line, serving, states

LATER = datetime.now(UTC) + timedelta(days=60, hours=1)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def shop(certificate: trustme.LeafCert, settings: Settings, *, tells_scheme: bool = True) -> Iterator[None]:
    """The shop behind a proxy that ends TLS, and says so to the shop where `tells_scheme`."""
    use_https(settings)
    handler = WSGIHandler()

    def proxied(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ["wsgi.url_scheme"] = "http"
        environ.pop("HTTPS", None)
        if tells_scheme:
            environ["HTTP_X_FORWARDED_PROTO"] = "https"
        try:
            return list(handler(environ, start_response))
        finally:
            connections.close_all()

    server = make_server("127.0.0.1", 0, proxied, handler_class=Quiet)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that refuses the certificate hangs up
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    settings.SITE_URL = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def use_https(settings: Settings) -> None:
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31536000
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.django_db(transaction=True)
def test_whole_shop_is_green(authority: trustme.CA, settings: Settings) -> None:
    with shop(good_until(authority, LATER), settings):
        lines = list(https.check())
    assert [(one.name, one.state.value, one.found) for one in lines] == [
        ("certificate", "ok", "good for 60 days"),
        ("https", "ok", "the shop answers"),
        ("forwarded headers", "ok", "the shop knows that it is reached over https"),
        ("hsts", "ok", "for 365 days"),
    ]


@pytest.mark.django_db(transaction=True)
def test_proxy_that_does_not_tell_the_scheme_is_found(authority: trustme.CA, settings: Settings) -> None:
    with shop(good_until(authority, LATER), settings, tells_scheme=False):
        found = line(https.check(), "forwarded headers")
    assert found.state == "wrong"
    assert "TRUSTED_PROXY_COUNT=1" in found.do


@pytest.mark.django_db(transaction=True)
def test_hsts_that_is_shorter_than_the_shop_s_is_wrong(authority: trustme.CA, settings: Settings) -> None:
    with shop(good_until(authority, LATER), settings):
        settings.SECURE_HSTS_SECONDS = 2 * 31536000  # what was sent is what the settings were
        assert line(https.check(), "hsts").found == "max-age=31536000"


@pytest.mark.django_db(transaction=True)
def test_hsts_that_speaks_for_other_names_is_told(authority: trustme.CA, settings: Settings) -> None:
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    with shop(good_until(authority, LATER), settings):
        found = line(https.check(), "hsts")
        assert (found.state, found.found) == ("ok", "for 365 days, all names under this one too")
        settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = False  # as if the proxy had added it
        found = line(https.check(), "hsts")
        assert (found.state, found.found) == (
            "warning",
            "for 365 days, also for all names under this one, which the shop does not say",
        )


def only(settings: Settings, certificate: trustme.LeafCert) -> Line:
    with shop(certificate, settings):
        [found] = https.check()
    return found


def test_expired_certificate_is_wrong(authority: trustme.CA, settings: Settings) -> None:
    found = only(settings, good_until(authority, datetime.now(UTC) - timedelta(days=1)))
    assert (found.name, found.state, found.found) == (
        "certificate", "wrong", "browsers refuse it: certificate has expired",
    )  # fmt: skip


def test_certificate_of_a_stranger_is_wrong(authority: trustme.CA, settings: Settings) -> None:
    found = only(settings, good_until(trustme.CA(), LATER))
    assert (found.state, found.found) == (
        "wrong", "browsers refuse it: unable to get local issuer certificate",
    )  # fmt: skip


def test_certificate_of_another_name_is_wrong(authority: trustme.CA, settings: Settings) -> None:
    found = only(settings, authority.issue_cert("other.shop"))
    assert (found.state, "Hostname mismatch" in found.found) == ("wrong", True)


@pytest.mark.parametrize("days, state", [(13, "warning"), (15, "ok")])
def test_certificate_that_ends_soon_is_a_warning(days: int, state: str) -> None:
    assert https.certificate(datetime.now(UTC) + timedelta(days=days, hours=1)).state == state


def test_other_server_at_the_address_is_wrong(authority: trustme.CA, settings: Settings) -> None:
    use_https(settings)
    with serving(lambda *_: (200, {}, b"It works!"), good_until(authority, LATER)) as port:
        settings.SITE_URL = f"https://localhost:{port}"
        lines = list(https.check())
    assert states(lines) == {"certificate": "ok", "https": "wrong", "forwarded headers": "ok", "hsts": "wrong"}
    assert line(lines, "hsts").found == "no header"


def test_nobody_at_the_address_is_wrong(settings: Settings) -> None:
    settings.HTTPS, settings.SITE_URL = True, "https://localhost:9"
    [found] = https.check()
    assert (found.name, found.state) == ("https", "wrong")


def test_site_without_https_is_wrong(settings: Settings) -> None:
    [found] = https.check()
    assert (found.name, found.state, found.found) == ("https", "wrong", "SITE_URL is http://localhost")


def redirects(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
    return 301, {"Location": "https://lantern.shop/"}, b""


def believes(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
    return (200, {}, b"books") if headers["X-Forwarded-Proto"] == "https" else redirects(path, headers)


def serves(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b"books"


def loops(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
    return 301, {"Location": "http://lantern.shop/en/"}, b""


@pytest.mark.parametrize(
    "answers, state, said",
    [
        (redirects, "ok", "leads to https"),
        (believes, "wrong", "a visitor's own X-Forwarded-Proto is believed"),
        (serves, "wrong", "answered with 200, unencrypted"),
        (loops, "wrong", "answered with 301, unencrypted"),
    ],
)
def test_http_leads_to_https(answers: Any, state: str, said: str) -> None:
    with serving(answers) as port:
        found = https.from_http(f"http://127.0.0.1:{port}/")
    assert (found.state, said in found.found) == (state, True)


def test_closed_port_80_is_a_warning() -> None:
    assert https.from_http("http://127.0.0.1:9/").state == "warning"
