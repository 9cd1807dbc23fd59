"""Mails with codes. They go out beside the request: how long it takes must not tell who has an account."""

import logging
from threading import Thread

from django.core.mail import EmailMessage

log = logging.getLogger(__name__)

THREAD = "account mail"


def send(message: EmailMessage) -> None:
    """Hand the message to a thread of its own and return at once, also when the mail server is slow or down.

    Not kept anywhere: a code lives for minutes, and who gets none asks for another.
    """
    Thread(target=_deliver, args=(message,), name=THREAD).start()


def _deliver(message: EmailMessage) -> None:
    try:
        message.send()
    except OSError as error:  # smtplib's exceptions are OSErrors, too
        log.error("a mail with a code was not sent: %s", type(error).__name__)  # noqa: TRY400 - may quote the recipient
