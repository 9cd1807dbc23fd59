"""Take it along, have it erased: for whoever has just shown that the account is theirs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import SignIn, User
from fulfillment import lost_link
from fulfillment.models import Download, Entitlement
from orders.billing_models import Billing
from orders.models import Order
from tests.accounts.conftest import wait_for_mails
from tests.factories import PDF, PDF_SHA256, OrderFactory, ProductFactory, UserFactory
from tests.steps import body_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_rate_limits")]

PASSWORD = "a good long password"
BOB, EVE = "bob@example.com", "eve@example.com"
DATA, ERASE = "/accounts/data/", "/accounts/erase/"


@pytest.fixture
def bob() -> User:
    user: User = UserFactory(email=BOB, password=PASSWORD)
    return user


@pytest.fixture
def client(bob: User) -> Client:
    client = Client(headers={"user-agent": "Firefox/150"})
    client.post("/accounts/login/", {"login": BOB, "password": PASSWORD})
    return client


def sold(user: User | None, email: str, name: str) -> Order:
    order: Order = OrderFactory(user=user, email=email, state="paid", product=ProductFactory(name=name))
    line = order.lines.get()
    right = Entitlement.objects.create(order_line=line, product=line.product, user=user, email="" if user else email)
    file = line.edition.files.get()
    Download.objects.create(entitlement=right, file=file, via="library", address="192.0.2.1", agent=f"of {email}")
    order.deliveries.create(kind="order", recipient=email, state="sent", sent_at=timezone.now())
    order.timeline.create(kind="by_hand", door="admin", detail="the customer is rude")
    Billing.objects.create(order=order, name=f"{name} Ltd")
    return order


def exported(client: Client) -> dict[str, Any]:
    answer = client.post(DATA)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    found: dict[str, Any] = json.loads(body_of(answer))
    return found


def test_s65_export_holds_everything_of_oneself_and_nothing_of_others(client: Client, bob: User) -> None:
    mine, as_guest = sold(bob, BOB, "Mine"), sold(None, BOB, "As a guest")
    lost_link.ask(BOB)
    lost_link.ask(EVE)
    client.get("/library/")
    sold(UserFactory(email=EVE), EVE, "Hers")
    sold(None, EVE, "Hers as a guest")
    SignIn.objects.create(user=User.objects.get(email=EVE), address="192.0.2.66")
    found = exported(client)
    assert list(found) == [
        "format", "made_at", "shop", "account", "addresses", "sign_ins", "sessions", "passkeys", "mail_choices",
        "library_visits", "letters", "orders", "files",
    ]  # fmt: skip
    assert (found["format"], found["account"]["email"]) == (1, BOB)
    assert found["addresses"] == [{"email": BOB, "verified": True, "primary": True}]
    assert [(one["address"], one["agent"]) for one in found["sign_ins"]] == [("127.0.0.1", "Firefox/150")]
    assert [one["agent"] for one in found["sessions"]] == ["Firefox/150"]
    assert [one["to"] for one in found["letters"]] == [BOB]
    assert len(found["library_visits"]) == 1
    assert [one["reference"] for one in found["orders"]] == [mine.reference, as_guest.reference]
    order = found["orders"][0]
    assert (order["total"], order["currency"], order["receipt_details"]["name"]) == (1250, "usd", "Mine Ltd")
    assert order["lines"][0]["access"]["state"] == "active"
    assert [one["agent"] for one in order["lines"][0]["downloads"]] == [f"of {BOB}"]
    assert [(one["about"], one["to"], one["state"]) for one in order["mails"]] == [("order and its files", BOB, "sent")]
    assert {one["kind"] for one in order["timeline"]} == {"paid", "sent", "opened"}
    file = mine.lines.get().edition.files.get()
    assert {
        "product": "Mine", "edition": 1, "name": "Mine.pdf", "size": len(PDF), "sha256": PDF_SHA256,
        "address": f"http://testserver/downloads/{file.pk}/",
    } in [{**one, "address": "http://testserver" + one["address"][one["address"].index("/downloads") :]}
          for one in found["files"]]  # fmt: skip
    text = json.dumps(found)
    assert [word for word in (EVE, "Hers", "192.0.2.66", "rude") if word in text] == []


def test_export_takes_as_many_queries_for_thirty_orders(
    client: Client, bob: User, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for number in range(30):
        sold(bob, BOB, f"Book {number}")
    with django_assert_max_num_queries(26):
        assert len(exported(client)["orders"]) == 30


def test_who_was_not_asked_lately_gets_nothing(bob: User) -> None:
    client = Client()
    client.force_login(bob)
    for answer in (client.post(DATA), client.get(ERASE), client.post(ERASE, {"email": BOB})):
        assert (answer.status_code, answer["Location"][:26]) == (302, "/accounts/reauthenticate/?")
    assert User.objects.filter(pk=bob.pk).exists()


def test_erasure_says_what_goes_and_is_done_once_the_address_is_typed(client: Client, bob: User) -> None:
    order = sold(bob, BOB, "Mine")
    page = client.get(ERASE).content.decode()
    for said in ("nothing that you bought can be downloaded any more", "Stripe’s to keep", "names nobody any more"):
        assert said in page
    assert "not the main address" in client.post(ERASE, {"email": EVE}).content.decode()
    assert User.objects.filter(pk=bob.pk).exists()
    assert "Your account is erased" in client.post(ERASE, {"email": "Bob@Example.com"}).content.decode()
    order.refresh_from_db()
    assert (order.user, order.email.endswith("@invalid")) == (None, True)
    wait_for_mails()
    assert [(one.to, one.subject) for one in mail.outbox[-1:]] == [([BOB], "Your account is erased")]
    assert client.get("/library/").status_code == 302
    client.post("/accounts/login/", {"login": BOB, "password": PASSWORD})
    assert "_auth_user_id" not in client.session


def test_erasure_waits_for_the_money_and_says_for_which(client: Client, bob: User) -> None:
    order = OrderFactory(user=bob, email=BOB, state="paid", dispute="open")
    page = client.get(ERASE).content.decode()
    assert order.reference in page
    assert "Erase everything now" not in page
    assert "Nothing was erased" in client.post(ERASE, {"email": BOB}).content.decode()
    assert User.objects.filter(pk=bob.pk).exists()


@pytest.mark.parametrize("strange", ["", "\x00", "bob", "é@x.org", "a" * 500, "bob@example.com,eve@example.com"])
def test_s61_strange_address_erases_nothing(client: Client, bob: User, strange: str) -> None:
    assert client.post(ERASE, {"email": strange}).status_code == 200
    assert User.objects.filter(pk=bob.pk).exists()


def test_people_of_the_shop_are_sent_to_the_admin(client: Client, bob: User) -> None:
    bob.is_staff = True
    bob.save()
    assert "This account belongs to a person of the shop." in client.get(ERASE).content.decode()
    client.post(ERASE, {"email": BOB})
    assert User.objects.filter(pk=bob.pk).exists()
    assert 'href="/accounts/erase/"' not in client.get(DATA).content.decode()
