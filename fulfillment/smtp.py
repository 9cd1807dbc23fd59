"""One mail over SMTP, with the one fact that smtplib's exceptions hide: whether the server may have taken it."""

import smtplib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.smtp import EmailBackend

from fulfillment.delivery_models import DeliveryAttempt

Outcome = DeliveryAttempt.Outcome


@dataclass(frozen=True)
class Result:
    outcome: DeliveryAttempt.Outcome
    reply: str


class _Aware:
    """Mixed into smtplib's clients: knows whether the whole text, final dot included, has left."""

    before_body: Callable[[], None]
    body_left = False

    def send(self, s: Any) -> None:
        # smtplib sends its commands as str and the text, dot included, as one bytes object.
        if isinstance(s, str):
            super().send(s)  # type: ignore[misc]
            return
        self.before_body()
        super().send(s)  # type: ignore[misc]
        self.body_left = True


class _PlainClient(_Aware, smtplib.SMTP):
    pass


class _TlsClient(_Aware, smtplib.SMTP_SSL):
    pass


class _Backend(EmailBackend):
    @property
    def connection_class(self) -> Any:
        return _TlsClient if self.use_ssl else _PlainClient


def send(message: EmailMessage, *, before_body: Callable[[], None]) -> Result:
    """Send one message by the configured backend and tell how it ended; raises nothing for what the server does.

    `before_body` is called after the server accepted the recipient and before the text goes out. If the connection
    breaks after the final dot and before the reply, nobody knows (RFC 5321, section 4.5.3.2.6): UNCONFIRMED.
    A refusal of the recipient or the text (5xx) is PERMANENT; whatever the shop's own account causes is TEMPORARY,
    because a wrong password must not lose a customer's mail.
    """
    if isinstance(get_connection(), EmailBackend):
        return _send_over_smtp(_Backend(), message, before_body)
    before_body()
    get_connection().send_messages([message])
    return Result(Outcome.ACCEPTED, "handed to the mail backend")


def _send_over_smtp(backend: _Backend, message: EmailMessage, before_body: Callable[[], None]) -> Result:
    try:
        backend.open()
        client: Any = backend.connection
        client.before_body = before_body
        text = message.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]
        client.sendmail(parseaddr(message.from_email)[1], message.recipients(), text)
        return Result(Outcome.ACCEPTED, "accepted")
    except smtplib.SMTPRecipientsRefused as error:
        return _by_code(*next(iter(error.recipients.values())))
    except smtplib.SMTPDataError as error:
        return _by_code(error.smtp_code, error.smtp_error)
    except (smtplib.SMTPException, OSError) as error:
        unknown = backend.connection is not None and getattr(backend.connection, "body_left", False)
        return Result(Outcome.UNCONFIRMED if unknown else Outcome.TEMPORARY, f"{type(error).__name__}: {error}"[:300])
    finally:
        # The reply is in: a server that fails to say goodbye must not turn an accepted mail into an unconfirmed one.
        with suppress(Exception):
            backend.close()


def _by_code(code: int, reply: bytes | str) -> Result:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    return Result(Outcome.PERMANENT if 500 <= code < 600 else Outcome.TEMPORARY, f"{code} {text}"[:300])
