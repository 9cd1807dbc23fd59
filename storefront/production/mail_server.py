"""The mail server: connect, encrypt, log in, ask whether it takes our sender. No mail is sent."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.smtp import EmailBackend

from storefront.production.lines import Line, brief, ok, wrong

HERE = ("localhost", "127.0.0.1", "::1")
EXAMPLE = "EMAIL_URL=smtp+tls://user:password@host:587"


def check() -> Iterator[Line]:
    backend = get_connection()
    if not isinstance(backend, EmailBackend):
        yield wrong("mail server", "none: mails go nowhere", EXAMPLE)
        return
    where = f"{backend.host}:{backend.port}"
    try:
        backend.open()
        yield _encryption(backend, where)
        yield _login(backend)
        yield _sender(backend.connection)
    except smtplib.SMTPAuthenticationError as error:
        yield wrong("mail login", f"refused: {_reply(error)}", "Correct user and password in EMAIL_URL.")
    except ssl.SSLError as error:
        do = "Is the port right for the scheme: smtp+tls for 587, smtp+ssl for 465? Else mend the server's certificate."
        yield wrong("mail server", f"{where} cannot be spoken to securely: {brief(error)}", do)
    except smtplib.SMTPException as error:
        yield wrong(
            "mail server", f"{where} refuses: {_reply(error)}", "Does EMAIL_URL name the right port and scheme?"
        )
    except OSError as error:
        do = "Is EMAIL_URL right? Many hosts block port 25 and some 587: ask yours."
        yield wrong("mail server", f"{where} does not answer: {brief(error)}", do)
    finally:
        with suppress(Exception):
            backend.close()


def _encryption(backend: EmailBackend, where: str) -> Line:
    if backend.use_tls or backend.use_ssl:
        return ok("mail server", f"{where} answers, encrypted")
    if str(backend.host) in HERE:
        return ok("mail server", f"{where} answers, on this machine")
    return wrong("mail server", f"{where} answers, and everything goes there in the clear", EXAMPLE)


def _login(backend: EmailBackend) -> Line:
    if backend.username:
        return ok("mail login", "accepted")
    return ok("mail login", "none is configured, none was asked for")


def _sender(client: Any) -> Line:
    """MAIL FROM and RSET: the server says whether it would send for us, and forgets it."""
    client.ehlo_or_helo_if_needed()  # where neither TLS nor a login has made it say hello
    code, reply = client.mail(parseaddr(settings.DEFAULT_FROM_EMAIL)[1])
    client.rset()
    if code >= 400:
        found = f"refused: {code} {reply.decode('utf-8', 'replace')}"
        return wrong("mail sender", found, "Register the address of DEFAULT_FROM_EMAIL with the mail provider.")
    return ok("mail sender", f"accepted, in the domain {settings.MAIL_DOMAIN}")


def _reply(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"[:160]
    return brief(error)
