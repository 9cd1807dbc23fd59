"""A second look: by password or code, for five minutes, and nowhere else than on this shop afterwards."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client

from accounts.models import User
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

PASSWORD = "a good long password"
CONFIRM, GUARDED = "/accounts/confirm/", "/accounts/erase/"

Mailed = Callable[[], list[EmailMessage]]


@pytest.fixture
def bob(clean_rate_limits: None) -> User:
    user: User = UserFactory(email="bob@example.com")
    user.set_unusable_password()
    user.save()
    return user


@pytest.fixture
def client(bob: User) -> Client:
    """Bob's browser, signed in longer ago than five minutes."""
    client = Client()
    client.force_login(bob)
    return client


def test_without_password_a_code_by_mail_opens(client: Client, mailed: Mailed, code: Callable[[], str]) -> None:
    sent_on = client.get(GUARDED)
    assert (sent_on.status_code, sent_on["Location"]) == (302, "/accounts/confirm/?next=%2Faccounts%2Ferase%2F")
    client.post(CONFIRM, {"next": GUARDED})
    assert (mailed()[-1].to, mailed()[-1].subject) == (["bob@example.com"], "Your code to confirm that it is you")
    answer = client.post(CONFIRM, {"next": GUARDED, "code": code().lower().replace("-", " ")})
    assert (answer.status_code, answer["Location"]) == (303, GUARDED)
    assert client.get(GUARDED).status_code == 200


def test_with_password_the_password_opens(bob: User, client: Client) -> None:
    bob.set_password(PASSWORD)
    bob.save()
    client.force_login(bob)
    assert client.get(GUARDED)["Location"].startswith("/accounts/reauthenticate/")
    client.post("/accounts/reauthenticate/?next=/accounts/erase/", {"password": PASSWORD})
    assert client.get(GUARDED).status_code == 200


def test_who_signed_in_just_now_is_not_asked_again(bob: User, clean_rate_limits: None) -> None:
    bob.set_password(PASSWORD)
    bob.save()
    client = Client()
    client.post("/accounts/login/", {"login": "bob@example.com", "password": PASSWORD})
    assert client.get(GUARDED).status_code == 200


def age(client: Client, key: str, seconds: int) -> None:
    session = client.session
    kept: Any = session[key]
    for one in kept if isinstance(kept, list) else [kept]:
        one["at"] -= seconds
    session.save()


def test_it_lasts_five_minutes(client: Client, mailed: Mailed, code: Callable[[], str]) -> None:
    client.post(CONFIRM)
    client.post(CONFIRM, {"code": code()})
    age(client, "account_authentication_methods", 299)
    assert client.get(GUARDED).status_code == 200
    age(client, "account_authentication_methods", 2)
    assert client.get(GUARDED).status_code == 302


def test_three_wrong_codes_end_it(client: Client, mailed: Mailed, code: Callable[[], str]) -> None:
    client.post(CONFIRM)
    for _ in range(3):
        assert "This is not the code" in client.post(CONFIRM, {"code": "0000-0000"}).content.decode()
    assert client.post(CONFIRM, {"code": code()}).status_code == 200
    assert client.get(GUARDED).status_code == 302


def test_code_is_good_once_and_for_fifteen_minutes(client: Client, mailed: Mailed, code: Callable[[], str]) -> None:
    client.post(CONFIRM)
    age(client, "confirm", 15 * 60 + 1)
    assert client.post(CONFIRM, {"code": code()}).status_code == 200
    client.post(CONFIRM)
    used = code()
    assert client.post(CONFIRM, {"code": used}).status_code == 303
    assert client.post(CONFIRM, {"code": used}).status_code == 200


def test_codes_are_limited(client: Client, mailed: Mailed) -> None:
    assert [client.post(CONFIRM).status_code for _ in range(6)] == [200] * 5 + [429]
    assert len(mailed()) == 5


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/a\x00b", ""])
def test_s61_it_leads_nowhere_else(client: Client, mailed: Mailed, code: Callable[[], str], wanted: str) -> None:
    client.post(CONFIRM)
    assert client.post(CONFIRM, {"code": code(), "next": wanted})["Location"] == "/accounts/"


@pytest.mark.parametrize("strange", ["\x00", "é" * 8, "a" * 500, ""])
def test_s61_strange_code_is_no_code(client: Client, mailed: Mailed, strange: str) -> None:
    client.post(CONFIRM)
    assert client.post(CONFIRM, {"code": strange}).status_code == 200
