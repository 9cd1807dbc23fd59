"""Where somebody is signed in: what they see of it, and that ending it ends it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.test import Client

from accounts.models import Session, SignIn, User
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

PASSWORD = "a good long password"
LOGIN, SESSIONS = "/accounts/login/", "/accounts/sessions/"


@pytest.fixture
def bob(clean_rate_limits: None) -> User:
    user: User = UserFactory(email="bob@example.com", password=PASSWORD)
    return user


def sign_in(agent: str, user: User) -> Client:
    client = Client(headers={"user-agent": agent})
    answer = client.post(LOGIN, {"login": user.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def key_of(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def session_of(client: Client) -> Session:
    return Session.objects.get(session_key=key_of(client))


def is_in(client: Client) -> bool:
    return client.get("/library/").status_code == 200


def test_each_device_is_shown_with_where_and_when(bob: User) -> None:
    phone, laptop = sign_in("Phone/1", bob), sign_in("Laptop/2", bob)
    page = laptop.get(SESSIONS).content.decode()
    assert page.index("Laptop/2") < page.index("This device") < page.index("Phone/1")
    assert page.count("from 127.0.0.1") == 2
    assert key_of(phone) not in page


def test_session_knows_whose_it_is_and_how_it_began(bob: User) -> None:
    row = session_of(sign_in("Phone/1", bob))
    assert (row.user, row.sign_in) == (bob, SignIn.objects.get())


def test_visitor_has_a_session_of_nobody(client: Client) -> None:
    session = client.session
    session["orders"] = {}
    session.save()
    assert Session.objects.get().user is None


def test_ended_device_is_signed_out_with_its_next_request(bob: User) -> None:
    phone, laptop = sign_in("Phone/1", bob), sign_in("Laptop/2", bob)
    assert laptop.post(f"{SESSIONS}{session_of(phone).name}/end/").status_code == 303
    assert "That device is signed out." in laptop.get(SESSIONS).content.decode()
    assert (is_in(phone), is_in(laptop)) == (False, True)


def test_ending_ones_own_is_signing_out(bob: User) -> None:
    phone = sign_in("Phone/1", bob)
    answer = phone.post(f"{SESSIONS}{session_of(phone).name}/end/")
    assert (answer.status_code, answer["Location"]) == (302, LOGIN)
    assert not is_in(phone)


def test_all_others_end_at_once(bob: User) -> None:
    others = [sign_in(f"Phone/{number}", bob) for number in range(3)]
    laptop = sign_in("Laptop/2", bob)
    eve = UserFactory(password=PASSWORD)
    hers = sign_in("Eve/1", eve)
    laptop.post(f"{SESSIONS}others/end/")
    assert "3 other devices are signed out." in laptop.get(SESSIONS).content.decode()
    assert [is_in(one) for one in (*others, laptop, hers)] == [False, False, False, True, True]


def test_s37_session_of_somebody_else_is_not_there(bob: User) -> None:
    eve = sign_in("Eve/1", UserFactory(password=PASSWORD))
    bobs = sign_in("Phone/1", bob)
    name = session_of(bobs).name
    assert eve.post(f"{SESSIONS}{name}/end/").status_code == 404
    assert is_in(bobs)


@pytest.mark.parametrize("name", ["nonsense", "0" * 32, "é", "a" * 5000])
def test_s61_strange_name_is_not_there(bob: User, name: str) -> None:
    assert sign_in("Phone/1", bob).post(f"{SESSIONS}{name}/end/").status_code == 404


def test_ended_session_is_not_saved_again(bob: User) -> None:
    """A request that was under way when its session ended may not bring it back."""
    phone = sign_in("Phone/1", bob)
    store = phone.session
    store["late"] = True  # which reads it
    session_of(phone).delete()
    with pytest.raises(UpdateError):
        store.save()
    assert not is_in(phone)


def test_new_password_ends_the_others_and_keeps_this_one_listed(bob: User) -> None:
    phone, laptop = sign_in("Phone/1", bob), sign_in("Laptop/2", bob)
    new = "another good long password"
    laptop.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert (is_in(phone), is_in(laptop)) == (False, True)
    assert session_of(laptop).sign_in == SignIn.objects.latest("pk")


def test_list_takes_as_many_queries_for_fifty_devices(
    bob: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    laptop = sign_in("Laptop/2", bob)
    for _ in range(50):
        Client().force_login(bob)
    with django_assert_num_queries(3):  # session, user, the list
        page = laptop.get(SESSIONS).content.decode()
    assert page.count("A browser that does not say its name") == 50


def test_account_page_leads_everywhere(bob: User, django_assert_num_queries: Callable[[int], Any]) -> None:
    laptop = sign_in("Laptop/2", bob)
    laptop.get("/accounts/")  # shows the message of the sign-in
    with django_assert_num_queries(5):  # session, user, addresses, passkeys, sessions
        page = laptop.get("/accounts/").content.decode()
    for address in ("/orders/", "/accounts/email/", "/accounts/password/change/", "/accounts/2fa/", SESSIONS):
        assert page.count(f'href="{address}"') >= 2, address
    assert 'href="/accounts/data/"' in page
