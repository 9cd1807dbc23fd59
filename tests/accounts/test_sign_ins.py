"""Who signed in, when and from where: written at every door that signs in, and at no other."""

from collections.abc import Callable

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import Settings

from accounts.models import SignIn, User
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

PASSWORD = "a good long password"
LOGIN, REQUEST, CONFIRM = "/accounts/login/", "/accounts/login/code/", "/accounts/login/code/confirm/"
BROWSER = {"user-agent": "Firefox/150"}


@pytest.fixture
def bob(clean_rate_limits: None) -> User:
    user: User = UserFactory(email="bob@example.com", password=PASSWORD)
    return user


def rows() -> list[tuple[str, str | None, str]]:
    return list(SignIn.objects.values_list("user__email", "address", "agent"))


def test_password_is_noted_with_address_and_agent(client: Client, bob: User) -> None:
    client.post(LOGIN, {"login": "bob@example.com", "password": "wrong"}, headers=BROWSER)
    assert rows() == []
    client.post(LOGIN, {"login": "bob@example.com", "password": PASSWORD}, headers=BROWSER)
    assert rows() == [("bob@example.com", "127.0.0.1", "Firefox/150")]


def test_mailed_code_is_noted_once_it_was_entered(client: Client, bob: User, code: Callable[[], str]) -> None:
    client.post(REQUEST, {"email": "bob@example.com"}, headers=BROWSER)
    assert rows() == []
    client.post(CONFIRM, {"code": code()}, headers=BROWSER)
    assert rows() == [("bob@example.com", "127.0.0.1", "Firefox/150")]


def test_first_visit_is_noted(
    client: Client, mailed: Callable[[], list[EmailMessage]], code: Callable[[], str]
) -> None:
    client.post("/accounts/signup/", {"email": "new@example.com"}, headers=BROWSER)
    client.post("/accounts/confirm-email/", {"code": code()}, headers=BROWSER)
    assert rows() == [("new@example.com", "127.0.0.1", "Firefox/150")]


@pytest.mark.parametrize(
    "proxies, forwarded, noted",
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "203.0.113.9, 10.0.0.1", "203.0.113.9"),
    ],
)
def test_address_is_the_one_our_own_proxies_saw(
    client: Client, bob: User, settings: Settings, proxies: int, forwarded: str, noted: str
) -> None:
    settings.TRUSTED_PROXY_COUNT = settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    form = {"login": "bob@example.com", "password": PASSWORD}
    client.post(LOGIN, form, headers={"x-forwarded-for": forwarded})
    assert rows() == [("bob@example.com", noted, "")]


def test_s61_strange_agent_is_cut_and_cleaned(client: Client, bob: User) -> None:
    form = {"login": "bob@example.com", "password": PASSWORD}
    client.post(LOGIN, form, headers={"user-agent": "a\x00b" + "c" * 500})
    assert SignIn.objects.get().agent == "ab" + "c" * 198


def test_log_is_read_in_the_admin_and_never_written(client: Client) -> None:
    owner = UserFactory(is_staff=True, is_superuser=True)
    row = SignIn.objects.create(user=owner, address="192.0.2.1")
    client.force_login(owner)
    assert "192.0.2.1" in client.get("/admin/accounts/signin/").content.decode()
    assert client.get("/admin/accounts/signin/add/").status_code == 403
    assert client.post(f"/admin/accounts/signin/{row.pk}/change/", {}).status_code == 403
    assert client.post(f"/admin/accounts/signin/{row.pk}/delete/", {"post": "yes"}).status_code == 403
