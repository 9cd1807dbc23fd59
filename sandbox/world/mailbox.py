"""The mailbox: an SMTP server that keeps every message, and misbehaves for the recipients it is told to."""

import asyncio
import sqlite3
import threading
import time
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.world.faults import Fault, Faults

SCHEMA = """
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY AUTOINCREMENT, received_at REAL NOT NULL, sender TEXT NOT NULL, recipients TEXT NOT NULL,
    content BLOB NOT NULL, confirmed INTEGER NOT NULL DEFAULT 1);
"""
ADD_CONFIRMED = "ALTER TABLE mails ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 1"
SIZE_LIMIT = 40 * 1024 * 1024
TEMPORARY = "450 4.7.0"


class Mailbox:
    """Messages in SQLite. What `keep` returned from is on the disk."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")  # the 250 that follows is a promise
        self.connection.executescript(SCHEMA)
        columns = [row["name"] for row in self.connection.execute("PRAGMA table_info(mails)")]
        if "confirmed" not in columns:  # kept by an earlier version
            self.connection.execute(ADD_CONFIRMED)
        self.lock = threading.Lock()

    def keep(self, sender: str, recipients: list[str], content: bytes, *, confirmed: bool = True) -> int:
        """`confirmed`: whether the sender is going to be told that the message was kept."""
        with self.lock:
            values = (time.time(), sender, ",".join(recipients), content, confirmed)
            cursor = self.connection.execute(
                "INSERT INTO mails (received_at, sender, recipients, content, confirmed) VALUES (?, ?, ?, ?, ?)", values
            )
            return cursor.lastrowid or 0

    def mails(self, *, to: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """Messages newest first; `to` finds those with this envelope recipient, regardless of case."""
        statement, values = "SELECT * FROM mails", []
        if to:
            statement += " WHERE ',' || lower(recipients) || ',' LIKE '%,' || ? || ',%'"
            values.append(to.lower().replace("%", ""))
        with self.lock:
            rows = self.connection.execute(f"{statement} ORDER BY id DESC LIMIT ?", (*values, limit)).fetchall()
        return [described(row) for row in rows]

    def mail(self, number: int) -> dict[str, Any] | None:
        with self.lock:
            row = self.connection.execute("SELECT * FROM mails WHERE id = ?", (number,)).fetchone()
        return described(row) if row else None

    def clear(self) -> int:
        with self.lock:
            return self.connection.execute("DELETE FROM mails").rowcount

    def close(self) -> None:
        with self.lock:
            self.connection.close()


def described(row: sqlite3.Row) -> dict[str, Any]:
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(row["content"])
    return {
        "id": row["id"],
        "received_at": row["received_at"],
        "sender": row["sender"],
        "to": row["recipients"].split(","),
        "from": str(message["From"] or ""),
        "subject": str(message["Subject"] or ""),
        "message_id": str(message["Message-ID"] or "").strip(),
        "confirmed": bool(row["confirmed"]),
        "headers": [[name, str(value)] for name, value in message.items()],
        "text": part(message, "plain"),
        "html": part(message, "html"),
    }


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    return str(body.get_content()) if body is not None else ""


def break_off(server: SMTP) -> None:
    """Reset the connection without another word."""
    if isinstance(server.transport, asyncio.Transport):
        server.transport.abort()


class Server(SMTP):
    """Hangs before it asks for the message when the mail faults say so."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - the name that aiosmtpd looks for
        handler = self.event_handler
        if self.envelope is not None and (fault := handler.find(self.envelope.rcpt_tos, "hang_before")):
            await asyncio.sleep(fault.options["seconds"])
            break_off(self)
            return
        await super().smtp_DATA(arg)


class Sink:
    """What aiosmtpd asks for each recipient and each message."""

    def __init__(self, mailbox: Mailbox, faults: Faults) -> None:
        self.mailbox, self.faults = mailbox, faults

    def find(self, recipients: list[str], *kinds: str) -> Fault | None:
        for recipient in recipients:
            if fault := self.faults.take("mail", *kinds, to=recipient):
                return fault
        return None

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if fault := self.faults.take("mail", "refuse_recipient", to=address):
            return f"{fault.options['code']} The sandbox refuses this recipient"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        fault = self.find(envelope.rcpt_tos, "refuse_message", "hang_after", "drop_after", "slow")
        if fault and fault.kind == "refuse_message":
            return f"{fault.options['code']} The sandbox refuses this message"
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.options["seconds"])
        number, silent = 0, fault is not None and fault.kind in ("hang_after", "drop_after")
        if fault is None or fault.options.get("keep", True):
            number = await self.keep(envelope, confirmed=not silent)
        if fault and fault.kind == "hang_after":
            await asyncio.sleep(fault.options["seconds"])
        if silent:
            break_off(server)
            return f"{TEMPORARY} never heard"
        return f"250 2.0.0 kept as {number}"

    async def keep(self, envelope: Envelope, *, confirmed: bool) -> int:
        content = envelope.content or b""
        content = content.encode() if isinstance(content, str) else content
        sender, recipients = envelope.mail_from or "", envelope.rcpt_tos
        # The disk may take a while; other conversations go on meanwhile.
        return await asyncio.to_thread(self.mailbox.keep, sender, recipients, content, confirmed=confirmed)


class MailServer(Controller):
    """The SMTP server in its own thread, on the loopback address. The port must be given: 0 does not work."""

    def __init__(self, mailbox: Mailbox, faults: Faults, port: int) -> None:
        super().__init__(Sink(mailbox, faults), hostname="127.0.0.1", port=port, ready_timeout=5.0)

    def factory(self) -> SMTP:
        return Server(self.handler, data_size_limit=SIZE_LIMIT, enable_SMTPUTF8=True, hostname="sandbox.localhost")
