"""An order's page and receipt: what they say, in every currency, and to whom."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from fulfillment import links
from fulfillment.models import Download, Entitlement
from fulfillment.story import story, with_story
from orders.billing_models import Billing
from orders.models import Order
from tests.factories import EditionFactory, FileFactory, OrderFactory, ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

BOB = "bob@example.com"


@pytest.fixture
def bob() -> User:
    user: User = UserFactory(email=BOB)
    return user


@pytest.fixture
def client(bob: User) -> Client:
    client = Client()
    client.force_login(bob)
    return client


def paid(user: User | None, **fields: Any) -> Order:
    order: Order = OrderFactory(user=user, email=BOB, **{"state": "paid", "stripe_payment_intent_id": "pi_1", **fields})
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, user=user, email="" if user else BOB)
    return order


def receipt(client: Client, order: Order, query: str = "") -> str:
    answer = client.get(f"/orders/{order.reference}/receipt/{query}")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


@pytest.mark.parametrize(
    "currency, price, refunded, shown",
    [
        ("usd", 1250, 500, ("$12.50", "−$5.00", "$7.50")),
        ("jpy", 1250, 500, ("¥1,250", "−¥500", "¥750")),
        ("kwd", 5120, 1010, ("KWD 5.12", "−KWD 1.01", "KWD 4.11")),
    ],
)
def test_receipt_counts_in_the_currency_of_the_order(
    client: Client, bob: User, currency: str, price: int, refunded: int, shown: tuple[str, ...]
) -> None:
    product = ProductFactory(price=price, currency=currency)
    page = receipt(client, paid(bob, product=product, currency=currency, refunded=refunded))
    total, back, kept = shown
    assert f'<th scope="row">Total paid</th> <td>{total}</td>' in page
    assert f'<th scope="row">Refunded</th> <td>{back}</td>' in page
    assert f'<th scope="row">Paid after the refund</th> <td>{kept}</td>' in page
    assert "A part of this order was refunded." in page


def test_receipt_of_a_refunded_order_says_so(client: Client, bob: User) -> None:
    page = receipt(client, paid(bob, refunded=1250))
    assert "This order was refunded in full." in page
    assert '<th scope="row">Paid after the refund</th> <td>$0.00</td>' in page


def test_receipt_names_both_sides(client: Client, bob: User, settings: Settings) -> None:
    settings.SELLER_NAME, settings.SELLER_TAX_ID = "Lantern Ltd", "VAT GB1"
    settings.SELLER_ADDRESS = "1 Harbour Street\nLondon"
    order = paid(bob, paid_at=datetime(2026, 3, 2, 10, tzinfo=UTC))
    Billing.objects.create(order=order, name="Bob & Sons", address="2 Hill\nYork", vat_number="DE 123")
    page = receipt(client, order)
    assert "Lantern Ltd 1 Harbour Street London orders@shop.example VAT GB1</p>" in page
    assert "Bob &amp; Sons 2 Hill York bob@example.com VAT number DE 123</p>" in page
    for said in (order.reference, "March 2, 2026", "pi_1", "a receipt for a payment, not a tax invoice"):
        assert said in page


def test_receipt_tells_what_was_changed_at_checkout(client: Client, bob: User) -> None:
    page = receipt(client, paid(bob, total=1000))
    assert '<th scope="row">Sum of the items</th> <td>$12.50</td>' in page
    assert '<th scope="row">Discounts and taxes at checkout</th> <td>-$2.50</td>' in page


@pytest.mark.parametrize("state", ["open", "processing", "failed", "expired"])
def test_what_is_not_paid_has_no_receipt(client: Client, bob: User, state: str) -> None:
    order = OrderFactory(user=bob, email=BOB, state=state)
    assert client.get(f"/orders/{order.reference}/receipt/").status_code == 404


def test_guest_prints_it_from_the_mails_link_and_strangers_do_not() -> None:
    order, other = paid(None), paid(None, stripe_payment_intent_id="pi_2")
    token = links.token(order)
    page = receipt(Client(), order, f"?link={token}")
    assert BOB in page
    assert "/details/" not in page
    for address in (
        f"/orders/{order.reference}/receipt/",
        f"/orders/{other.reference}/receipt/?link={token}",
        f"/orders/{order.reference}/receipt/?link=nonsense",
        f"/orders/{order.reference}/receipt/?link=%00",
    ):
        assert Client().get(address).status_code == 404
    links.void(order)
    assert Client().get(f"/orders/{order.reference}/receipt/?link={token}").status_code == 404


def test_guest_sees_it_in_the_browser_that_bought(bob: User) -> None:
    order, guest = paid(None), Client()
    session = guest.session
    session["orders"] = {order.reference: int(timezone.now().timestamp())}
    session.save()
    assert receipt(guest, order)
    assert guest.get(f"/orders/{order.reference}/").status_code == 200
    assert guest.get(f"/orders/{order.reference}/details/").status_code == 200


def words(order: Order) -> list[str]:
    return [one.words for one in story(with_story(Order.objects.all()).get(pk=order.pk))]


def test_story_is_told_in_the_buyers_words(bob: User) -> None:
    now = timezone.now()

    def ago(hours: int) -> datetime:
        return now - timedelta(hours=hours)

    order = paid(bob, paid_at=ago(9), product=ProductFactory(name="The Book"))
    line = order.lines.get()
    entries = [
        (ago(10), "created", "The Book"),
        (ago(9), "state", "open → paid"),
        (ago(9), "access", "The Book: Active"),
        (ago(5), "refunded", "$5.00 of $12.50"),
        (ago(4), "by_hand", "refund asked for: a…@example.com is angry"),
        (ago(3), "dispute", "Open"),
        (ago(2), "attention", "somebody must look"),
        (ago(1), "billing", "changed by the buyer"),
    ]
    for at, kind, detail in entries:
        order.timeline.create(at=at, kind=kind, door="test", detail=detail)
    order.deliveries.create(kind="order", recipient=BOB, state="sent", sent_at=ago(8))
    order.deliveries.create(kind="link", recipient=BOB, state="gave_up", next_attempt_at=ago(7))
    order.deliveries.create(kind="refund", about="re_1", recipient=BOB, state="pending")
    for at in (ago(6), ago(0)):
        Download.objects.create(
            entitlement=line.entitlement, file=line.edition.files.get(), via="library", started_at=at
        )
    FileFactory(edition=EditionFactory(product=line.product, number=2, published_at=ago(0) + timedelta(minutes=1)))
    assert words(order) == [
        "You paid $12.50.",
        "The link to your files was mailed to bob@example.com.",
        "Our mail to bob@example.com could not be delivered.",
        "You opened The Book.pdf for the first time.",
        "$5.00 of $12.50 is refunded.",
        "The bank began to look into the payment, at the cardholder’s request.",
        "The details on your receipt were changed.",
        "A new edition of The Book came out; it is yours, too.",
    ]


@pytest.mark.parametrize(
    "kind, detail, told",
    [
        ("state", "open → payment on its way", ["Your payment is on its way."]),
        ("state", "payment on its way → payment failed", ["The payment did not go through."]),
        ("dispute", "Won", ["The bank has looked into the payment: it stands."]),
        ("dispute", "Lost", ["The bank took the payment back."]),
        ("mail", "address corrected: a…@x.org → b…@x.org (by phone)", ["The address for this order was corrected."]),
        ("mail", "sent again (the customer is rude)", []),
        ("state", "open → expired", []),
    ],
)
def test_story_of_one_entry(bob: User, kind: str, detail: str, told: list[str]) -> None:
    order = OrderFactory(user=bob, email=BOB, state="failed")
    order.timeline.create(kind=kind, door="test", detail=detail)
    assert words(order) == told


def test_page_takes_as_many_queries_for_a_long_story(
    client: Client, bob: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    order = paid(bob)
    line = order.lines.get()
    for number in range(20):
        order.deliveries.create(kind="link", seq=number + 1, recipient=BOB, state="sent", sent_at=timezone.now())
        file = FileFactory(edition=line.edition, name=f"{number}.pdf")
        Download.objects.create(entitlement=line.entitlement, file=file, via="library")
    # session, user, addresses, order, timeline, mails, lines, products, editions, entitlements, downloads
    with django_assert_num_queries(11):
        page = client.get(f"/orders/{order.reference}/").content.decode()
    assert page.count("You opened") == 20
    assert page.count("A fresh link was mailed") == 20
