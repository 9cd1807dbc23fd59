"""Ways into somebody else's account, and ways to learn that there is one."""

import re
import statistics
import time
from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as configured
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from fulfillment.access import Actor, owns
from fulfillment.models import Entitlement
from orders.models import Order
from tests.factories import OrderFactory, ProductFactory, UserFactory

Code = Callable[[], str]
Mailed = Callable[[], list[EmailMessage]]

LOGIN, REQUEST, CONFIRM = "/accounts/login/", "/accounts/login/code/", "/accounts/login/code/confirm/"
PASSWORD = "a good long password"


@pytest.fixture
def bob(db: None) -> User:
    return UserFactory(email="bob@example.com", password=PASSWORD)


def test_s34_both_mailboxes_hear_of_a_change_and_the_former_proof_ends(
    client: Client, bob: User, mailed: Mailed, code: Code
) -> None:
    """The new one by its code, the former one by a notice; what was bought under the former is no longer opened."""
    product = ProductFactory()
    order = OrderFactory(state=Order.State.PAID, email="bob@example.com", product=product)
    Entitlement.objects.create(order_line=order.lines.get(), product=product, email="bob@example.com")
    client.force_login(bob)
    assert owns(Actor(user=bob), product)
    answer = client.post("/accounts/email/", {"action_add": "", "email": "new@example.com"})
    client.post(answer["Location"], {"code": code()})
    client.post("/accounts/email/", {"action_primary": "", "email": "new@example.com"})
    assert client.post("/accounts/email/", {"action_remove": "", "email": "bob@example.com"}).status_code == 302
    assert list(EmailAddress.objects.values_list("email", "verified")) == [("new@example.com", True)]
    told = {address for message in mailed() for address in message.to}
    assert told == {"bob@example.com", "new@example.com"}
    bob.refresh_from_db()
    assert bob.email == "new@example.com"
    assert not owns(Actor(user=bob), product)


def test_s34_code_for_a_new_address_is_void_after_a_reset_of_the_password(bob: User, mailed: Mailed) -> None:
    """A thief in the account asks for a new address; the owner resets the password: the code is void."""
    thief, owner = Client(), Client()
    thief.force_login(bob)
    pending = thief.post("/accounts/email/", {"action_add": "", "email": "thief@example.com"})["Location"]
    thiefs_code = newest_code(mailed)
    owner.post("/accounts/password/reset/", {"email": "bob@example.com"})
    owner.post("/accounts/password/reset/confirm/", {"code": newest_code(mailed)})
    new = {"password1": "another long password", "password2": "another long password"}
    owner.post("/accounts/password/reset/complete/", new)
    thief.post(pending, {"code": thiefs_code})
    assert list(EmailAddress.objects.filter(user=bob).values_list("email", flat=True)) == ["bob@example.com"]
    assert thief.get("/library/").status_code == 302


def newest_code(mailed: Mailed) -> str:
    found = re.search(r"^[0-9A-Z]{4}-[0-9A-Z]{4}$", str(mailed()[-1].body), re.MULTILINE)
    assert found
    return found[0]


@pytest.mark.parametrize("alias", ["bob+books@example.com", "b.ob@example.com", "bob@mail.example.com"])
def test_s31_tags_dots_and_other_hosts_are_other_mailboxes(bob: User, mailed: Mailed, alias: str) -> None:
    browser = Client()
    browser.post(REQUEST, {"email": alias})
    browser.post("/accounts/signup/", {"email": alias})
    assert [message.to for message in mailed()] == [[alias]]
    assert User.objects.count() == 2


@pytest.mark.parametrize("spelled", ["BOB@EXAMPLE.COM", " bob@example.com ", "Bob@Example.com", "bob@EXAMPLE.com"])
def test_s31_every_case_of_an_address_is_the_same_account(bob: User, mailed: Mailed, spelled: str) -> None:
    browser = Client()
    assert browser.post(LOGIN, {"login": spelled, "password": PASSWORD}).status_code == 302
    assert browser.session["_auth_user_id"] == str(bob.pk)


@pytest.mark.parametrize("path", [REQUEST, "/accounts/password/reset/", "/accounts/signup/"])
def test_s36_time_does_not_tell_whether_there_is_an_account(
    bob: User, mailed: Mailed, settings: Settings, path: str
) -> None:
    """With the real password hasher and a mail server that takes half a second: the mail goes out beside the answer."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    settings.ACCOUNT_RATE_LIMITS = dict.fromkeys(("request_login_code", "reset_password", "signup", "confirm_email"))
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    for number in range(12):
        UserFactory(email=f"known{number}@example.com")
        for kind, times in took.items():
            began = time.perf_counter()
            status = Client().post(path, {"email": f"{kind}{number}@example.com"}).status_code
            times.append(time.perf_counter() - began)
            assert status == 302
    known, unknown = (statistics.median(times) for times in took.values())
    # Five milliseconds on a quiet machine; a busy one gets what a password hash would cost it.
    assert abs(known - unknown) < max(0.03, 0.5 * min(known, unknown))


def test_s36_wrong_password_takes_as_long_for_nobody_as_for_somebody(mailed: Mailed, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    settings.ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": None}
    UserFactory(email="known@example.com", password=PASSWORD)
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    for _ in range(5):
        for kind, times in took.items():
            began = time.perf_counter()
            Client().post(LOGIN, {"login": f"{kind}@example.com", "password": "wrong"})
            times.append(time.perf_counter() - began)
    known, unknown = (statistics.median(times) for times in took.values())
    assert 0.5 < known / unknown < 2


def test_s37_cookies_are_strict(client: Client, bob: User, mailed: Mailed) -> None:
    client.get(LOGIN)
    client.post(LOGIN, {"login": "bob@example.com", "password": PASSWORD})
    for name in (configured.SESSION_COOKIE_NAME, configured.CSRF_COOKIE_NAME):
        cookie = client.cookies[name]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")


def test_s37_session_is_of_no_use_after_sign_out(client: Client, bob: User) -> None:
    client.force_login(bob)
    stolen = client.cookies[configured.SESSION_COOKIE_NAME].value
    client.post("/accounts/logout/")
    thief = Client()
    thief.cookies[configured.SESSION_COOKIE_NAME] = stolen
    assert thief.get("/library/").status_code == 302


def test_s37_session_that_was_planted_is_not_the_one_that_signs_in(bob: User, mailed: Mailed, code: Code) -> None:
    attacker = Client()
    attacker.get("/")
    session = attacker.session
    session["x"] = "y"
    session.save()
    victim = Client()
    victim.cookies[configured.SESSION_COOKIE_NAME] = str(session.session_key)
    attacker.cookies[configured.SESSION_COOKIE_NAME] = str(session.session_key)
    victim.post(REQUEST, {"email": "bob@example.com"})
    victim.post(CONFIRM, {"code": code()})
    assert victim.get("/library/").status_code == 200
    assert attacker.get("/library/").status_code == 302


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-host": "evil.example"},
        {"x-forwarded-proto": "https"},
        {"x-forwarded-for": "evil.example"},
        {"x-forwarded-server": "evil.example", "x-host": "evil.example", "forwarded": "host=evil.example"},
        {"referer": "https://evil.example/", "origin": "https://evil.example"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_s40_links_and_pages_name_the_shop_whatever_headers_say(
    client: Client, bob: User, mailed: Mailed, headers: dict[str, str]
) -> None:
    for path in (REQUEST, "/accounts/password/reset/", "/accounts/signup/"):
        answer = client.post(path, {"email": f"new{len(mailed())}@example.com"}, headers=headers)
        assert "evil" not in answer.headers.get("Location", "")
        assert answer.headers.get("Location", "/").startswith("/")
    client.post(REQUEST, {"email": "bob@example.com"}, headers=headers)
    assert all("evil" not in str(message.message()) for message in mailed())
    assert "evil" not in client.get("/", headers=headers).content.decode()


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "evil.example:80"]
)
def test_s40_other_hosts_are_refused_at_every_door(client: Client, bob: User, mailed: Mailed, host: str) -> None:
    headers = {"host": host}
    for path in ("/", "/library/", LOGIN, "/checkout/done/", "/webhooks/stripe/"):
        assert client.get(path, headers=headers).status_code in (400, 405), path
    assert client.post("/accounts/password/reset/", {"email": "bob@example.com"}, headers=headers).status_code == 400
    assert mailed() == []
