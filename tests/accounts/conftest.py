"""Mails with codes, which are sent beside the request."""

import re
import threading
from collections.abc import Callable, Iterator

import pytest
from django.core import mail
from django.core.mail import EmailMessage

from accounts import mails


def wait_for_mails() -> None:
    for thread in threading.enumerate():
        if thread.name == mails.THREAD:
            thread.join()


@pytest.fixture(autouse=True)
def no_late_mails() -> Iterator[None]:
    """No mail of this test arrives in the next one."""
    yield
    wait_for_mails()


@pytest.fixture
def mailed(db: None, clean_rate_limits: None) -> Callable[[], list[EmailMessage]]:
    """Every mail so far, once those that are under way have arrived."""

    def all_mails() -> list[EmailMessage]:
        wait_for_mails()
        return list(mail.outbox)

    return all_mails


@pytest.fixture
def code(mailed: Callable[[], list[EmailMessage]]) -> Callable[[], str]:
    """The code in the newest mail."""

    def newest() -> str:
        found = re.search(r"^[0-9A-Z]{4}-[0-9A-Z]{4}$", str(mailed()[-1].body), re.MULTILINE)
        assert found, mailed()[-1].body
        return found[0]

    return newest
