"""Guessing and flooding end at 429, counted by account and by network, in the database."""

from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.test import Client

from accounts.models import User
from tests.factories import UserFactory

Mailed = Callable[[], list[EmailMessage]]
pytestmark = pytest.mark.usefixtures("clean_rate_limits")

LOGIN, REQUEST, SIGNUP, RESET = (f"/accounts/{page}/" for page in ("login", "login/code", "signup", "password/reset"))
PASSWORD = "a good long password"


@pytest.fixture
def bob(db: None) -> User:
    return UserFactory(email="bob@example.com", password=PASSWORD)


def statuses(path: str, data: list[dict[str, str]], *, address: str = "127.0.0.1", forwarded: str = "") -> list[int]:
    """Each from a browser without cookies."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return [Client(REMOTE_ADDR=address).post(path, one, headers=headers).status_code for one in data]


def test_s35_passwords_of_one_account_are_guessed_five_times(bob: User, mailed: Mailed) -> None:
    guesses = [{"login": "bob@example.com", "password": f"guess {n}"} for n in range(6)]
    assert statuses(LOGIN, guesses) == [200] * 5 + [429]
    right = {"login": "BOB@example.com", "password": PASSWORD}
    assert statuses(LOGIN, [right], address="203.0.113.9") == [429]


def test_s35_owner_under_attack_still_signs_in_by_code(bob: User, mailed: Mailed) -> None:
    statuses(LOGIN, [{"login": "bob@example.com", "password": f"guess {n}"} for n in range(6)])
    assert statuses(REQUEST, [{"email": "bob@example.com"}], address="203.0.113.9") == [302]
    assert len(mailed()) == 1


def test_s35_one_guess_at_each_of_many_accounts_is_stopped_by_network(bob: User, mailed: Mailed) -> None:
    guesses = [{"login": f"reader{n}@example.com", "password": "123456"} for n in range(11)]
    assert statuses(LOGIN, guesses) == [200] * 10 + [429]
    assert statuses(LOGIN, guesses[-1:], address="203.0.113.9") == [200]


def test_s35_s40_header_of_a_stranger_does_not_change_the_network(bob: User, mailed: Mailed) -> None:
    guesses = [{"login": f"reader{n}@example.com", "password": "123456"} for n in range(11)]
    answers = [
        Client().post(LOGIN, one, headers={"X-Forwarded-For": f"198.51.100.{n}"}) for n, one in enumerate(guesses)
    ]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]


@pytest.mark.parametrize("email", ["bob@example.com", "nobody@example.com"])
def test_s35_codes_for_one_address_are_limited_whether_it_is_known_or_not(
    bob: User, mailed: Mailed, email: str
) -> None:
    assert statuses(REQUEST, [{"email": email}] * 4) == [302] * 3 + [429]


@pytest.mark.parametrize("email", ["bob@example.com", "nobody@example.com"])
def test_s35_resets_for_one_address_are_limited_whether_it_is_known_or_not(
    bob: User, mailed: Mailed, email: str
) -> None:
    assert statuses(RESET, [{"email": email}] * 6) == [302] * 5 + [429]


def test_s35_codes_for_many_addresses_are_limited_by_network(bob: User, mailed: Mailed) -> None:
    assert statuses(REQUEST, [{"email": f"r{n}@example.com"} for n in range(21)]) == [302] * 20 + [429]


def test_s35_accounts_made_in_a_row_are_limited_by_network(bob: User, mailed: Mailed) -> None:
    assert statuses(SIGNUP, [{"email": f"r{n}@example.com"} for n in range(21)]) == [302] * 20 + [429]
    assert len(mailed()) == 20


@pytest.mark.parametrize("email", ["bob@example.com", "newcomer@example.com"])
def test_signup_repeated_within_seconds_is_too_often(bob: User, mailed: Mailed, email: str) -> None:
    assert statuses(SIGNUP, [{"email": email}] * 2) == [302, 429]


def test_address_added_twice_within_seconds_is_too_often(client: Client, bob: User, mailed: Mailed) -> None:
    client.force_login(bob)
    adding = {"action_add": "", "email": "work@example.com"}
    assert [client.post("/accounts/email/", adding).status_code for _ in range(2)] == [302, 429]


def test_too_often_is_said_on_a_page_of_the_shop(bob: User, mailed: Mailed) -> None:
    statuses(REQUEST, [{"email": "bob@example.com"}] * 3)
    answer = Client().post(REQUEST, {"email": "bob@example.com"})
    assert answer.status_code == 429
    assert "429.html" in [template.name for template in answer.templates]


def test_s35_counters_are_rows_of_the_database(bob: User, mailed: Mailed) -> None:
    assert type(cache._connections["default"]).__name__ == "DatabaseCache"  # type: ignore[attr-defined]
