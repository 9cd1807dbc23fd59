"""An order is found by what somebody has of it: an address, a number read aloud, an id of Stripe's, a card's end."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from fulfillment.erase import erase_address
from fulfillment.finding import find
from fulfillment.fulfill import fulfill
from fulfillment.models import StripeEvent
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.steps import GUEST, buy, events, report

pytestmark = pytest.mark.django_db

LIST = "/admin/orders/order/"


def found(typed: str) -> list[str]:
    return list(find(typed).order_by("pk").values_list("reference", flat=True))


@pytest.fixture
def other() -> Order:
    order: Order = OrderFactory(
        reference="ZZZZ9999ZZZZ9999", email="zoe@example.com", paid_last4="1111", paid_brand="amex", paid_by="card",
        stripe_session_id="cs_test_other", stripe_payment_intent_id="pi_other", stripe_charge_id="ch_other",
    )  # fmt: skip
    return order


@pytest.mark.usefixtures("other")
@pytest.mark.parametrize(
    "typed",
    [
        GUEST,
        " Guest@Example.COM ",
        "guest@exam",
        "gue",
        "K7QP22AB33CD44EF",
        "k7qp 22ab 33cd 44ef",
        "K7QP-22AB-33CD-44EF",
        "k7qp22",
        "cs_test_mine",
        "pi_mine",
        "ch_mine",
        "cus_mine",
        "3220",
        "visa 3220",
        "Visa •••• 3220",
        "**** 3220",
        "card 3220",
    ],
)
def test_order_is_found_by(typed: str) -> None:
    OrderFactory(
        reference="K7QP22AB33CD44EF", email=GUEST, paid_last4="3220", paid_brand="visa", paid_by="card",
        stripe_session_id="cs_test_mine", stripe_payment_intent_id="pi_mine", stripe_charge_id="ch_mine",
        stripe_customer_id="cus_mine",
    )  # fmt: skip
    assert found(typed) == ["K7QP22AB33CD44EF"]


@pytest.mark.usefixtures("other")
@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "zo",
        "%",
        "zo%",
        "z_e@",
        "mastercard 1111",
        "0000",
        "cs_test",
        "evt_unknown",
        "ZZZZ9",
        "\x00",
        "é" * 300,
    ],
)
def test_nothing_is_found_by(typed: str) -> None:
    assert found(typed) == []


def test_what_stripe_says_of_the_payment_is_kept_and_found(world: World, client: Client, other: Order) -> None:
    order = buy(world, client, ProductFactory(), card="4000000000003220")
    fulfill(str(order.stripe_session_id), door="webhook")
    order.refresh_from_db()
    assert (order.paid_by, order.paid_brand, order.paid_last4) == ("card", "visa", "3220")
    assert (order.paid_with, order.stripe_charge_id[:3]) == ("Visa •••• 3220", "ch_")
    assert found("3220") == found(order.stripe_charge_id) == [order.reference]


def test_bank_debit_is_found_by_the_end_of_its_account(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory(), method="bank_debit")
    fulfill(str(order.stripe_session_id), door="webhook")
    order.refresh_from_db()
    assert order.paid_with == "Us bank account •••• 6789"
    assert found("6789") == [order.reference]


def test_refund_dispute_and_event_lead_to_their_order(world: World, client: Client, other: Order) -> None:
    order = buy(world, client, ProductFactory())
    made = world.control("refund", {"session": order.stripe_session_id, "amount": 100})
    opened = world.control("dispute", {"session": order.stripe_session_id})
    report(world, client)
    sweep()
    happened = [event["id"] for event in events(world, "checkout.session.completed", "refund.created")]
    for typed in (made["id"], opened["id"], *happened):
        assert found(typed) == [order.reference], typed
    StripeEvent.objects.update(body=b"")  # months later
    for typed in (made["id"], happened[0]):
        assert found(typed) == [order.reference], typed


def test_order_of_somebody_who_was_forgotten_is_not_found_by_card_or_address(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    fulfill(str(order.stripe_session_id), door="webhook")
    assert found("4242") == [order.reference]
    erase_address(GUEST)
    fulfill(str(order.stripe_session_id), door="replay")
    assert (found("4242"), found(GUEST)) == ([], [])
    order.refresh_from_db()
    assert (order.paid_last4, order.paid_brand) == ("", "visa")


def test_search_that_finds_one_leads_to_it(desk: Client, other: Order) -> None:
    answer = desk.get(LIST, {"q": "zoe@"})
    assert (answer.status_code, answer["Location"]) == (303, f"{LIST}{other.pk}/change/")
    OrderFactory(email="zoe@example.org")
    page = desk.get(LIST, {"q": "zoe@"})
    assert (page.status_code, len(page.context["cl"].result_list)) == (200, 2)
    assert "the last four digits of a card" in page.content.decode()
    assert desk.get(LIST, {"q": "zoe@example.com", "state": "open"}).status_code == 200
    assert len(desk.get(LIST, {"q": "nobody@"}).context["cl"].result_list) == 0


def test_search_tells_nothing_to_who_may_not_see_orders(
    client: Client, staff: Callable[..., Client], other: Order
) -> None:
    assert client.get(LIST, {"q": "zoe@"})["Location"].startswith("/admin/login/")
    assert staff().get(LIST, {"q": "zoe@"}).status_code == 303


FILL = """
    INSERT INTO orders_order (reference, email, state, source, total, refunded, currency, dispute, livemode,
        stripe_session_id, stripe_payment_intent_id, stripe_customer_id, checkout_key, checkout_url, facts_version,
        facts_digest, attention, created_at, paid_at, stripe_charge_id, paid_last4, paid_brand, paid_by)
    SELECT rpad(translate(n::text, '01', 'AB'), 16, 'Z'), concat('reader', n, '@example.com'), 'paid', 'checkout',
        1, 0, 'usd', '', false, concat('cs_test_', n), concat('pi_test_', n), concat('cus_test_', n), '', '', 1, '', '',
        now() - n * interval '1 minute', now(), concat('ch_test_', n), lpad((n %% 10000)::text, 4, '0'), 'visa', 'card'
    FROM generate_series(1, %s) AS n"""


@pytest.mark.parametrize(
    "typed, index",
    [
        ("reader77@example.com", "order_email_prefix"),
        ("reader77", "order_email_prefix"),
        ("0077", "order_last4"),
        ("visa 0077", "order_last4"),
        ("cs_test_77", "orders_order_stripe_session_id"),
        ("pi_test_77", "orders_order_stripe_payment_intent_id"),
        ("ch_test_77", "order_charge"),
        ("cus_test_77", "order_customer"),
        ("77ZZZZZZZZZZZZZZ", "orders_order_reference"),
        ("b234-5z", "orders_order_reference"),
    ],
)
def test_each_question_is_answered_by_its_index(typed: str, index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL, [20_000])
        cursor.execute("ANALYZE orders_order")
    wanted = find(typed)
    assert wanted.exists()
    plan = wanted.order_by("-created_at", "-pk")[:100].explain()
    assert (index in plan, "Seq Scan" in plan) == (True, False), plan


def test_events_of_an_object_are_found_by_their_index() -> None:
    StripeEvent.objects.bulk_create(
        [StripeEvent(event_id=f"evt_{n}", type="charge.refunded", object_id=f"ch_{n}", body=b"") for n in range(3000)]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE fulfillment_stripeevent")
    plan = StripeEvent.objects.exclude(state="ignored").filter(object_id="ch_7").explain()
    assert "event_about" in plan, plan
