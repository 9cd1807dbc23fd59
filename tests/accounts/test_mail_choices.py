"""Mails that may be stopped: by the page of an account, by a mail's own link, by one click in the mail program."""

import pytest
from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.test import Client

from accounts import mail_choices
from accounts.models import MailChoice, User
from storefront.scrub import without_secrets
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

READER = "reader@example.com"


@pytest.fixture
def path() -> str:
    return mail_choices.address(READER).removeprefix("http://localhost")


def wants() -> bool:
    return not mail_choices.refusers([READER])


def test_page_of_a_mailbox_shows_and_changes_nothing(client: Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert READER in page.content.decode()
    assert page["X-Robots-Tag"] == "noindex"
    assert "no-store" in page["Cache-Control"]
    client.head(path)
    assert not MailChoice.objects.exists()
    assert wants()


def test_button_stops_the_mails_and_another_brings_them_back(client: Client, path: str) -> None:
    assert "no longer mail" in client.post(path, {"new_editions": "off"}).content.decode()
    assert not wants()
    assert "Tell me about new editions again" in client.get(path).content.decode()
    client.post(path, {"new_editions": "on"})
    assert wants()
    assert MailChoice.objects.count() == 1


@pytest.mark.parametrize("body", ["List-Unsubscribe=One-Click", "", "new_editions=x%00y"])
def test_one_click_needs_no_token_of_a_form(path: str, body: str) -> None:
    """As a mailbox provider posts it: RFC 8058, section 3.2."""
    client = Client(enforce_csrf_checks=True)
    for _ in range(2):
        answer = client.post(path, body, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 200
    assert not wants()


@pytest.mark.parametrize("change", [("e", "f"), (".", ":"), (".", ""), ("W", "%00"), ("/mails/W", "/mails/xW")])
def test_address_that_was_not_signed_here_stops_nothing(client: Client, path: str, change: tuple[str, str]) -> None:
    forged = path.replace(*change, 1) if change[0] != "e" else f"{path[:-3]}{'aa' if path[-3:-1] != 'aa' else 'bb'}/"
    assert forged != path
    for answer in (client.get(forged), client.post(forged)):
        assert answer.status_code == 404
        assert READER not in answer.content.decode()
    assert not MailChoice.objects.exists()


def test_account_chooses_for_each_proven_address_and_no_other(client: Client) -> None:
    user: User = UserFactory(email=READER)
    EmailAddress.objects.create(user=user, email="second@example.com", verified=True)
    EmailAddress.objects.create(user=user, email="claimed@example.com", verified=False)
    client.force_login(user)
    page = client.get("/accounts/mails/").content.decode()
    assert page.count('type="checkbox"') == page.count("checked") == 2
    assert "claimed@example.com" not in page
    wanted = ["second@example.com", "claimed@example.com", "stranger@example.com", "a\x00b"]
    assert client.post("/accounts/mails/", {"new_editions": wanted}).status_code == 303
    assert dict(MailChoice.objects.values_list("email", "new_editions")) == {READER: False, "second@example.com": True}


def test_signed_address_reaches_no_log(path: str) -> None:
    assert without_secrets(f"Not found: {path}") == "Not found: /mails/[token]/"


def test_address_is_kept_in_one_spelling() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        MailChoice.objects.create(email="Reader@example.com")
    MailChoice.objects.create(email=READER)
    with pytest.raises(IntegrityError), transaction.atomic():
        MailChoice.objects.create(email=READER)
