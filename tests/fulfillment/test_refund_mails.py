"""Money that goes back: each refund is told once, with what it ends; one that fails is told, too, and computes back."""

import logging
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog.models import Product
from fulfillment import conditions, mails, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement
from fulfillment.stuck import find_stuck
from orders import checkout, stripe_api
from orders.facts import Refund
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_converge import absorb
from tests.fulfillment.test_permutations import all_orders_of
from tests.steps import GUEST, buy, pay, report

pytestmark = pytest.mark.django_db


def begin_cart(*products: Product, user: User | None = None) -> Order:
    """An order of several lines from our own checkout, with its session at Stripe."""
    total = sum(product.price for product in products)
    order: Order = Order.objects.create(
        user=user, source=Order.Source.CHECKOUT, total=total, currency="usd", livemode=False
    )
    for product in products:
        edition = product.edition_on_sale()
        assert edition is not None
        checkout.add_line(order, product, edition)
    checkout.ensure_session(order)
    return order


def paid_cart(world: World, *prices: int) -> Order:
    order = begin_cart(*[ProductFactory(name=f"Book {price}", price=price) for price in prices])
    pay(world, order)
    return fulfilled(order)


def fulfilled(order: Order) -> Order:
    fulfill(str(order.stripe_session_id), door="test")
    order.refresh_from_db()
    return order


def give_back(world: World, order: Order, amount: int | None = None, **options: Any) -> str:
    """A refund in Stripe's dashboard, and what the shop makes of it; the refund's id."""
    made = world.control("refund", {"session": order.stripe_session_id, "amount": amount, **options})
    fulfilled(order)
    return str(made["id"])


def line_of(order: Order, price: int) -> dict[str, str]:
    return {"order_line": str(order.lines.get(unit_price=price).pk)}


def access(order: Order) -> dict[str, str]:
    rights = Entitlement.objects.filter(order_line__order=order)
    return dict(rights.order_by("pk").values_list("order_line__name", "state"))


def told(order: Order) -> list[tuple[str, int, int]]:
    """Of the mails about refunds: kind, seq and amount."""
    rows = order.deliveries.filter(kind__in=("refund", "refund_failed")).order_by("pk")
    return list(rows.values_list("kind", "seq", "amount"))


def text(order: Order, kind: str, seq: int = 1) -> str:
    mail = mails.compose(order.deliveries.get(kind=kind, seq=seq))
    # Both say the same.
    plain = " ".join(mail.body.split())
    html = " ".join(str(mail.alternatives[0][0]).replace("<strong>", "").replace("</strong>", "").split())
    for sentence in plain.split("Order ")[0].split(". "):
        assert sentence.rstrip(". ").split(" http")[0] in html
    return f"{mail.subject} | {plain}"


def test_full_refund_tells_the_amount_and_what_ended(world: World) -> None:
    order = paid_cart(world, 1250)
    give_back(world, order)
    assert (told(order), access(order)) == ([("refund", 1, 1250)], {"Book 1250": "revoked"})
    assert text(order, "refund").startswith(
        f"Your refund of $12.50: order {order.reference} | $12.50 is on its way back to the card or account you paid "
        "with. Most banks show it within 5 to 10 days. That is all you paid. Your access to Book 1250 has ended. "
        f"Order {order.reference}"
    )
    assert text(order, "refund").endswith("Total paid: $12.50 Refunded: $12.50 Paper Lantern http://localhost")


def test_refund_of_a_line_tells_what_ended_and_what_stays(world: World) -> None:
    order = paid_cart(world, 1000, 700, 300)
    give_back(world, order, 700, metadata=line_of(order, 700))
    assert access(order) == {"Book 1000": "active", "Book 700": "revoked", "Book 300": "active"}
    assert (
        "$7.00 is on its way back to the card or account you paid with. Most banks show it within 5 to 10 days. In "
        "all, $7.00 of $20.00 has been refunded. Your access to Book 700 has ended. You keep your access to "
        "Book 1000, Book 300." in text(order, "refund")
    )


def test_part_that_covers_no_line_ends_nothing(world: World) -> None:
    order = paid_cart(world, 1000, 700)
    give_back(world, order, 1000)
    assert access(order) == {"Book 1000": "active", "Book 700": "active"}
    assert "You keep your access to Book 1000, Book 700." in text(order, "refund")
    assert "has ended" not in text(order, "refund")


def test_each_refund_is_told_and_the_last_one_ends_all(world: World) -> None:
    order = paid_cart(world, 1000, 700)
    for amount in (500, 500, None):
        give_back(world, order, amount)
        fulfilled(order)
    assert told(order) == [("refund", 1, 500), ("refund", 2, 500), ("refund", 3, 700)]
    assert set(access(order).values()) == {"revoked"}
    assert "$7.00 is on its way back" in text(order, "refund", 3)
    assert "With what was refunded before, that is all you paid." in text(order, "refund", 3)


def test_pending_refund_is_on_its_way_and_not_told_again_when_it_arrives(world: World) -> None:
    order = paid_cart(world, 1250)
    refund_id = give_back(world, order, pending=True)
    assert (told(order), access(order)) == ([("refund", 1, 1250)], {"Book 1250": "revoked"})
    world.control(f"refund/{refund_id}/succeed", {})
    assert told(fulfilled(order)) == [("refund", 1, 1250)]


def test_refund_that_fails_gives_the_access_back_and_says_so(smtp: World) -> None:
    order = paid_cart(smtp, 1000, 700)
    outbox.send(order.deliveries.get().pk)
    refund_id = give_back(smtp, order, 700, metadata=line_of(order, 700))
    outbox.send(order.deliveries.get(kind="refund").pk)
    smtp.control(f"refund/{refund_id}/fail", {})
    fulfilled(order)
    assert told(fulfilled(order)) == [("refund", 1, 700), ("refund_failed", 1, 700)]
    assert (order.refunded, access(order)) == (0, {"Book 1000": "active", "Book 700": "active"})
    assert outbox.send(order.deliveries.get(kind="refund_failed").pk) is True
    assert [mail["subject"] for mail in smtp.mails(to=GUEST)][::-1] == [
        f"Your downloads: order {order.reference}",
        f"Your refund of $7.00: order {order.reference}",
        f"Your refund did not get through: order {order.reference}",
    ]
    assert text(order, "refund_failed").startswith(
        f"Your refund did not get through: order {order.reference} | We sent you $7.00 back, but it could not be paid "
        "out, so the money has returned to us. Please reply to this mail, and we will find another way. Until then "
        f"your files are open to you. http://localhost/links/{order.reference}."
    )


def test_refund_that_failed_before_it_was_told_is_never_spoken_of(smtp: World) -> None:
    order = paid_cart(smtp, 1250)
    refund_id = give_back(smtp, order)
    smtp.control(f"refund/{refund_id}/fail", {})
    fulfilled(order)
    for delivery in order.deliveries.order_by("-pk"):
        outbox.send(delivery.pk)
    assert [mail["subject"] for mail in smtp.mails(to=GUEST)] == ["Your download: Book 1250"]
    assert set(order.deliveries.values_list("kind", "state")) == {
        ("order", "sent"),
        ("refund", "withdrawn"),
        ("refund_failed", "withdrawn"),
    }


def test_refund_first_seen_as_failed_is_never_spoken_of(world: World) -> None:
    order = paid_cart(world, 1250)
    made = world.control("refund", {"session": order.stripe_session_id})
    world.control(f"refund/{made['id']}/fail", {})
    assert told(fulfilled(order)) == []


def test_refund_after_one_that_failed_is_told(world: World) -> None:
    order = paid_cart(world, 1250)
    world.control(f"refund/{give_back(world, order)}/fail", {})
    fulfilled(order)
    give_back(world, order)
    assert told(order) == [("refund", 1, 1250), ("refund_failed", 1, 1250), ("refund", 2, 1250)]
    assert access(order) == {"Book 1250": "revoked"}


def test_more_refunds_than_one_page_are_all_told(world: World) -> None:
    order = paid_cart(world, 1250)
    for _ in range(13):
        world.control("refund", {"session": order.stripe_session_id, "amount": 10})
    fulfilled(order)
    fulfilled(order)
    assert (order.refunded, told(order)) == (130, [("refund", seq, 10) for seq in range(1, 14)])


def test_refund_of_money_that_was_held_for_a_person_is_told(world: World, client: Client) -> None:
    """Whatever was wrong with the payment, who paid hears that the money comes back."""
    order = buy(world, client, ProductFactory())
    order.lines.update(unit_price=1)
    fulfilled(order)
    assert (order.deliveries.count(), order.attention[:14]) == (0, "Stripe charged")
    refund_id = give_back(world, order)
    assert told(order) == [("refund", 1, 1250)]
    assert "access" not in text(order, "refund")
    # Nothing is left to do for anybody, unless the refund fails.
    assert (order.attention, order.next_check_at) == ("", None)
    Delivery.objects.update(state="sent", sent_at=timezone.now())
    Order.objects.update(paid_at=timezone.now() - timedelta(hours=1))
    assert (find_stuck(longer_than=timedelta(minutes=5)), conditions._undelivered(timezone.now())) == ([], [])
    world.control(f"refund/{refund_id}/fail", {})
    assert (fulfilled(order).attention[:14], access(order)) == ("Stripe charged", {})


def test_line_of_a_discounted_order_is_covered_by_what_was_paid_for_it(world: World) -> None:
    order = begin_cart(ProductFactory(name="Dear", price=1000), ProductFactory(name="Cheap", price=500))
    world.control(f"discount/{order.stripe_session_id}", {"percent": 50})
    pay(world, order)
    fulfilled(order)
    give_back(world, order, 499, metadata=line_of(order, 1000))
    assert access(order) == {"Dear": "active", "Cheap": "active"}
    give_back(world, order, 1, metadata=line_of(order, 1000))
    assert access(order) == {"Dear": "revoked", "Cheap": "active"}


def test_line_of_another_order_is_not_this_ones(world: World) -> None:
    order, other = paid_cart(world, 1000, 700), paid_cart(world, 1001, 701)
    give_back(world, order, 1000, metadata=line_of(other, 1001))
    assert set(access(order).values()) == set(access(other).values()) == {"active"}


@pytest.mark.parametrize("metadata", [{}, {"order_line": ""}, {"order_line": "x\x00"}, {"order_line": "-1"}])
def test_refund_for_no_line_we_know_ends_no_access(metadata: dict[str, str]) -> None:
    order = absorb(two_lines())
    absorb(
        order, refunds=(Refund(id="re_1", amount=1250, status="succeeded", order_line=metadata.get("order_line", "")),)
    )
    assert set(access(order).values()) == {"active"}


def two_lines(**fields: Any) -> Order:
    order: Order = OrderFactory(total=2500, **fields)
    product = ProductFactory()
    checkout.add_line(order, product, product.editions.get())
    return order


def test_f60_partial_refunds_known_in_any_order_end_the_same() -> None:
    """Each state of the world may be the first or the last that the shop hears of, and one may be heard of twice."""
    ends = set()
    for number, way in enumerate(permutations(range(4))):
        order = two_lines(stripe_session_id=f"cs_test_{number}")
        first, second = order.lines.order_by("pk")
        one = Refund(id="re_1", amount=1250, status="succeeded", order_line=str(first.pk))
        other = Refund(id="re_2", amount=1250, status="pending", order_line=str(second.pk))
        worlds: list[tuple[Refund, ...]] = [(), (one,), (one, other), (one, replace(other, status="failed"))]
        for step in [*way, 3]:
            absorb(order, payment_intent_id=f"pi_{number}", refunds=worlds[step])
        lines = tuple(order.lines.order_by("pk").values_list("refunded", "entitlement__state"))
        ends.add((order.state, order.refunded, lines, tuple(sorted(told(order)))))
    # Each way comes by the world with both refunds, and ends in the one where the second has failed.
    mails_written = (("refund", 1, 1250), ("refund", 2, 1250), ("refund_failed", 1, 1250))
    assert ends == {("paid", 1250, ((1250, "revoked"), (0, "active")), mails_written)}


def test_f60_events_of_partial_refunds_in_any_order_end_as_the_ledger(world: World, client: Client) -> None:
    order = begin_cart(ProductFactory(price=1000), ProductFactory(price=700))
    pay(world, order)
    for price in (1000, 700):
        made = world.control(
            "refund", {"session": order.stripe_session_id, "amount": price, "metadata": line_of(order, price)}
        )
    world.control(f"refund/{made['id']}/fail", {})
    ends = all_orders_of(world, order, "checkout.session.completed", "refund.created", "refund.failed")
    assert ends == {("paid", 1000, "", ("revoked", "active"), (("order", 1), ("refund", 1)))}


def test_database_lets_a_refund_be_told_once() -> None:
    order = OrderFactory(state="paid")
    about = {"order": order, "kind": "refund", "recipient": GUEST, "about": "re_1"}
    Delivery.objects.create(**about)
    with pytest.raises(IntegrityError, match="delivery_once_for_each_happening"), transaction.atomic():
        Delivery.objects.create(**about, seq=2)
    Delivery.objects.create(**{**about, "kind": "refund_failed"})


@pytest.mark.parametrize("kind", ["refund", "refund_failed"])
def test_database_wants_to_know_which_refund_a_mail_tells_of(kind: str) -> None:
    with pytest.raises(IntegrityError, match="delivery_of_refund_names_it"), transaction.atomic():
        Delivery.objects.create(order=OrderFactory(state="paid"), kind=kind, recipient=GUEST)


def test_refund_costs_no_further_request(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """One request for a payment, refunded or not; one more for a dispute."""
    order = paid_cart(world, 1250)
    for happening, requests in ((None, 1), ("refund", 1), ("dispute", 2)):
        if happening:
            world.control(happening, {"session": order.stripe_session_id, "amount": 100})
        caplog.clear()
        with caplog.at_level(logging.INFO, "stripe"):
            stripe_api.fetch_facts(str(order.stripe_session_id))
        assert sum("Request to Stripe api" in record.getMessage() for record in caplog.records) == requests


def test_no_mail_about_a_refund_is_written_twice_however_often_it_is_reported(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    world.control("refund", {"session": order.stripe_session_id})
    for _ in range(3):
        report(world, client)
        fulfilled(order)
    assert told(order) == [("refund", 1, 1250)]
    assert Delivery.objects.filter(created_at__lte=timezone.now()).count() == 2
