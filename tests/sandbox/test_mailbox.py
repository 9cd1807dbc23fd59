"""The mailbox: what it accepted it has; what it was told to spoil, it spoils."""

import smtplib
import sqlite3
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.world.mailbox import Mailbox
from sandbox.world.server import World, running_world
from tests.sandbox.world_fixtures import (
    module_world,
    test_settings,
    world,
)

__all__ = ["module_world", "test_settings", "world"]
TO = "ada@example.com"


def message(to: str = TO, subject: str = "Your PDF is ready: Über Bäume") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Shop <shop@example.com>", to, subject
    mail["Message-ID"] = "<delivery-1@example.com>"
    mail.set_content("Open http://127.0.0.1:8000/links/abc/ within 48 hours.")
    mail.add_alternative('<p><a href="http://127.0.0.1:8000/links/abc/">Open</a></p>', subtype="html")
    return mail


def send(world: World, mail: EmailMessage | None = None, timeout: float = 5) -> None:
    with smtplib.SMTP("127.0.0.1", world.smtp_port, timeout=timeout) as connection:
        connection.send_message(mail or message())


def spoil(world: World, kind: str, **options: Any) -> None:
    world.control("faults", {"area": "mail", "kind": kind, "count": 1, **options})


def test_mail_is_kept_whole(world: World) -> None:
    send(world)
    (mail,) = world.control("mails")["mails"]
    assert (mail["to"], mail["from"], mail["sender"]) == ([TO], "Shop <shop@example.com>", "shop@example.com")
    assert mail["subject"] == "Your PDF is ready: Über Bäume"
    assert mail["message_id"] == "<delivery-1@example.com>"
    assert "within 48 hours" in mail["text"]
    assert 'href="http://127.0.0.1:8000/links/abc/"' in mail["html"]
    assert abs(mail["received_at"] - time.time()) < 5


def test_mails_are_found_by_recipient_newest_first_and_cleared(world: World) -> None:
    for to, subject in ((TO, "1"), ("bob@example.com", "2"), (TO, "3")):
        send(world, message(to, subject))
    assert [mail["subject"] for mail in world.mails(to="ADA@example.com")] == ["3", "1"]
    assert world.mails(to="a@example.com") == []
    assert world.control("mails", method="DELETE") == {"cleared": 3}
    assert world.mails() == []


def test_mail_survives_a_restart(tmp_path: Path) -> None:
    with running_world(data=tmp_path) as world:
        send(world)
    with running_world(data=tmp_path) as world:
        assert len(world.mails()) == 1


@pytest.mark.parametrize("code", [550, 451])
def test_recipient_is_refused_as_told_and_only_that_one(world: World, code: int) -> None:
    spoil(world, "refuse_recipient", to=TO, code=code)
    send(world, message("bob@example.com"))
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        send(world)
    assert caught.value.recipients[TO][0] == code
    send(world)
    assert len(world.mails()) == 2


@pytest.mark.parametrize("code", [554, 452])
def test_message_is_refused_as_told(world: World, code: int) -> None:
    spoil(world, "refuse_message", code=code)
    with pytest.raises(smtplib.SMTPDataError) as caught:
        send(world)
    assert (caught.value.smtp_code, world.mails()) == (code, [])


@pytest.mark.parametrize("keep,kept", [(True, 1), (False, 0)])
def test_connection_drops_after_the_final_dot(world: World, keep: bool, kept: int) -> None:
    spoil(world, "drop_after", keep=keep)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send(world)
    assert len(world.mails()) == kept
    send(world)
    assert len(world.mails()) == kept + 1


@pytest.mark.parametrize("kind,kept", [("hang_before", 0), ("hang_after", 1)])
def test_silence_lasts_until_the_sender_gives_up(world: World, kind: str, kept: int) -> None:
    spoil(world, kind, seconds=0.6)
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        send(world, timeout=0.2)
    assert len(world.mails()) == kept


def test_slow_server_answers_in_the_end(world: World) -> None:
    spoil(world, "slow", seconds=0.2)
    began = time.monotonic()
    send(world)
    assert (time.monotonic() - began >= 0.2, len(world.mails())) == (True, 1)


def test_pages_show_the_mail_in_a_sandbox(world: World) -> None:
    send(world)
    number = world.mails()[0]["id"]
    base = f"{world.base_url}/mailbox/"
    assert "Über Bäume" in requests.get(base, timeout=5).text
    page = requests.get(f"{base}{number}/", timeout=5).text
    assert 'sandbox="allow-top-navigation-by-user-activation allow-popups"' in page
    framed = requests.get(f"{base}{number}/html", timeout=5)
    assert framed.text.startswith('<base target="_top">')
    assert "sandbox allow-top-navigation" in framed.headers["Content-Security-Policy"]
    assert "allow-scripts" not in framed.headers["Content-Security-Policy"]
    assert 'href="http://127.0.0.1:8000/links/abc/"' in requests.get(f"{base}{number}/?show=text", timeout=5).text
    assert "delivery-1@example.com" in requests.get(f"{base}{number}/?show=headers", timeout=5).text


def test_markup_in_headers_is_shown_not_run(world: World) -> None:
    send(world, message(subject="<script>alert(1)</script>"))
    page = requests.get(f"{world.base_url}/mailbox/", timeout=5).text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_mail_tells_whether_its_sender_was_told(world: World) -> None:
    send(world)
    spoil(world, "drop_after", keep=True)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(world)
    assert [mail["confirmed"] for mail in world.mails()] == [False, True]
    assert len(world.control("mails?limit=1")["mails"]) == 1


def test_mails_of_an_earlier_version_are_kept_as_confirmed(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "mail.sqlite3")
    old.execute(
        "CREATE TABLE mails (id INTEGER PRIMARY KEY, received_at REAL, sender TEXT, recipients TEXT, content BLOB)"
    )
    old.execute("INSERT INTO mails VALUES (1, 0, 'a@example.com', 'b@example.com', x'5375626a6563743a2048656c6c6f')")
    old.commit()
    mailbox = Mailbox(tmp_path / "mail.sqlite3")
    assert [(mail["subject"], mail["confirmed"]) for mail in mailbox.mails()] == [("Hello", True)]
    mailbox.close()
