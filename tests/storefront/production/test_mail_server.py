"""Real conversations: a scripted server for what goes wrong, aiosmtpd with a certificate and a login for the rest."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from pytest_django import Settings

from sandbox.world.server import World, free_port
from storefront.production import mail_server
from tests.scripted_smtp import HANG_UP, ScriptedServer, scripted_server
from tests.storefront.production.conftest import good_until, line, states


@pytest.fixture(autouse=True)
def smtp_backend(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "localhost", 2
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "", ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False


class Keeps:
    """A mailbox: nothing may arrive in it."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd looks for
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        self.mails.append(envelope)
        return "250 kept"


def knows_the_shop(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"shop", b"right password"), handled=False)


@pytest.fixture
def provider(authority: trustme.CA, settings: Settings) -> Iterator[Keeps]:
    """A mail server that wants STARTTLS and a login."""
    yield from provider_with(good_until(authority, datetime.now(UTC) + timedelta(days=60)), settings)


def provider_with(certificate: trustme.LeafCert, settings: Settings) -> Iterator[Keeps]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    kept = Keeps()
    controller = Controller(
        kept,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        authenticator=knows_the_shop,
        auth_required=True,
    )
    controller.start()
    settings.EMAIL_PORT, settings.EMAIL_USE_TLS = controller.port, True
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "shop", "right password"
    yield kept
    controller.stop()
    assert kept.mails == []


def test_whole_mail_server_is_green_and_gets_no_mail(provider: Keeps) -> None:
    assert states(mail_server.check()) == {"mail server": "ok", "mail login": "ok", "mail sender": "ok"}


def test_server_on_this_machine_is_green(smtp: World) -> None:
    lines = list(mail_server.check())
    assert states(lines) == {"mail server": "ok", "mail login": "ok", "mail sender": "ok"}
    assert line(lines, "mail login").found == "none is configured, none was asked for"
    assert smtp.mails() == []


def test_wrong_password_is_said_without_it(provider: Keeps, settings: Settings) -> None:
    settings.EMAIL_HOST_PASSWORD = "wrong password"
    [only] = mail_server.check()
    assert (only.name, only.state, only.found[:12]) == ("mail login", "wrong", "refused: 535")
    assert "wrong password" not in only.found + only.do


def test_certificate_of_a_stranger_is_refused(settings: Settings) -> None:
    for _kept in provider_with(good_until(trustme.CA(), datetime.now(UTC) + timedelta(days=60)), settings):
        [only] = mail_server.check()
    assert (only.name, only.state) == ("mail server", "wrong")
    assert "certificate" in only.found


@pytest.fixture
def scripted(settings: Settings, request: pytest.FixtureRequest) -> Iterator[ScriptedServer]:
    with scripted_server(**request.param) as server:
        settings.EMAIL_PORT = server.port
        yield server


@pytest.mark.parametrize(
    "scripted, name, state",
    [
        ({}, "mail sender", "ok"),
        ({"MAIL": "550 not your domain"}, "mail sender", "wrong"),
        ({"connect": "554 go away"}, "mail server", "wrong"),
        ({"connect": HANG_UP}, "mail server", "wrong"),
    ],
    indirect=["scripted"],
)
def test_server_that_refuses(scripted: ScriptedServer, name: str, state: str) -> None:
    assert line(mail_server.check(), name).state == state
    assert scripted.texts == []


@pytest.mark.parametrize("scripted", [{}], indirect=True)
def test_server_without_encryption_is_wrong_unless_it_is_here(
    scripted: ScriptedServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line(mail_server.check(), "mail server").found.endswith("on this machine")
    monkeypatch.setattr(mail_server, "HERE", ())
    assert line(mail_server.check(), "mail server").do == "EMAIL_URL=smtp+tls://user:password@host:587"


@pytest.mark.parametrize("scripted", [{"STAR": "454 not now"}], indirect=True)
def test_server_that_does_not_speak_tls_is_wrong(scripted: ScriptedServer, settings: Settings) -> None:
    settings.EMAIL_USE_TLS = True
    [only] = mail_server.check()
    assert (only.name, only.state) == ("mail server", "wrong")


def test_nobody_listening_is_wrong(settings: Settings) -> None:
    settings.EMAIL_PORT = 9
    [only] = mail_server.check()
    assert (only.state, "does not answer" in only.found) == ("wrong", True)


def test_backend_that_sends_nothing_is_wrong(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert states(mail_server.check()) == {"mail server": "wrong"}
