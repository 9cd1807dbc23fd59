"""What buyers write for their receipts: as they wrote it, at any time, and nobody else."""

import pytest
from django.test import Client

from accounts.models import User
from orders.billing_models import Billing
from orders.models import Order
from tests.factories import OrderFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_rate_limits")]

DETAILS = {"name": "Bob & Sons", "address": " 2 Hill \r\n\r\n York ", "vat_number": "de  123"}


@pytest.fixture
def bob() -> User:
    user: User = UserFactory(email="bob@example.com")
    return user


@pytest.fixture
def client(bob: User) -> Client:
    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture
def order(bob: User) -> Order:
    order: Order = OrderFactory(user=bob, email=bob.email, state="paid")
    return order


def address(order: Order) -> str:
    return f"/orders/{order.reference}/details/"


def test_details_are_kept_plain_and_the_change_is_noted_without_them(client: Client, order: Order) -> None:
    answer = client.post(address(order), DETAILS)
    assert (answer.status_code, answer["Location"]) == (303, f"/orders/{order.reference}/receipt/")
    kept = Billing.objects.get(order=order)
    assert (kept.name, kept.address, kept.vat_number) == ("Bob & Sons", "2 Hill\nYork", "DE 123")
    assert list(order.timeline.values_list("kind", "detail")) == [("billing", "changed by the buyer")]
    assert "2 Hill\nYork</textarea>" in client.get(address(order)).content.decode()


def test_same_details_once_more_change_nothing(client: Client, order: Order) -> None:
    for _ in range(2):
        client.post(address(order), DETAILS)
    assert order.timeline.count() == 1


def test_details_can_be_taken_back(client: Client, order: Order) -> None:
    client.post(address(order), DETAILS)
    client.post(address(order), {"name": "", "address": "", "vat_number": ""})
    assert Billing.objects.values_list("name", "address", "vat_number").get() == ("", "", "")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * 121},
        {"address": "x" * 401},
        {"address": "\n".join("1234567")},
        {"vat_number": "x" * 31},
        {"name": "a\x00b"},
        {"address": "a\x00b"},
    ],
)
def test_s61_what_does_not_fit_is_said_and_not_kept(client: Client, order: Order, change: dict[str, str]) -> None:
    answer = client.post(address(order), {**DETAILS, **change})
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert not Billing.objects.exists()


def test_order_of_somebody_else_or_not_paid_takes_none(client: Client, bob: User) -> None:
    for order in (OrderFactory(user=UserFactory(), state="paid"), OrderFactory(user=bob, state="failed")):
        assert client.get(address(order)).status_code == 404
        assert client.post(address(order), DETAILS).status_code == 404
    assert not Billing.objects.exists()


def test_changes_are_limited(client: Client, order: Order) -> None:
    statuses = [client.post(address(order), {**DETAILS, "name": str(number)}).status_code for number in range(21)]
    assert statuses == [303] * 20 + [429]
