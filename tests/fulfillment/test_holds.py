"""What people at the shop suspend by hand stays closed whatever Stripe says; restoring it computes from the facts."""

import uuid
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from fulfillment import holds, links, outbox
from fulfillment.access import Actor, may_read
from fulfillment.book_models import Difference
from fulfillment.both_sides import look_at
from fulfillment.buying import give_free
from fulfillment.converge import converge
from fulfillment.delivery_models import Delivery
from fulfillment.erase import erase_address
from fulfillment.fulfill import fulfill
from fulfillment.hold_models import Hold
from fulfillment.lost_link import content
from fulfillment.models import Entitlement
from fulfillment.reconcile import reconcile
from fulfillment.sweep import sweep
from orders import checkout, stripe_api
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.fulfillment.test_at_once import at_once
from tests.proof.invariants import violations
from tests.steps import GUEST, body_of, buy, report

pytestmark = pytest.mark.django_db

WHY = "looks like a stolen card"


@pytest.fixture
def owner() -> User:
    user: User = UserFactory(email="owner@example.com", is_staff=True, is_superuser=True)
    return user


@pytest.fixture
def order(world: World, client: Client) -> Order:
    bought = buy(world, client, ProductFactory(name="Knots"))
    fulfill(str(bought.stripe_session_id), door="webhook")
    bought.refresh_from_db()
    return bought


def place(order: Order, by: User, **given: Any) -> Hold:
    wanted: dict[str, Any] = {"key": uuid.uuid4(), "by": by, "reason": WHY} | given
    return holds.place(order.pk, **wanted)


def lift(order: Order, by: User) -> holds.Restored:
    return holds.lift(order.pk, list(order.holds.values_list("pk", flat=True)), by=by, reason="all is well")


def access(order: Order) -> list[tuple[str, str]]:
    rights = Entitlement.objects.filter(order_line__order=order).order_by("pk")
    return list(rights.values_list("state", "reason"))


def wrong(world: World) -> list[str]:
    found = violations(connection, ledger=world.control("ledger")["sessions"])
    return [one for one in found if not one.endswith("is pending after 0 tries")]


def test_held_order_opens_nothing_at_any_door(client: Client, order: Order, owner: User) -> None:
    file, token = order.lines.get().edition.files.get(), links.token(order)
    assert may_read(Actor(link=order.reference), file)
    place(order, owner)
    assert access(order) == [("suspended", "held")]
    assert may_read(Actor(link=order.reference), file) is None
    page = body_of(client.get(f"/links/{token}/")).decode()
    assert "Access to these files is suspended. Please write to us." in page
    assert (WHY in page, f"/links/{token}/files/" in page) == (False, False)
    assert client.post(f"/links/{token}/files/{file.pk}/").status_code == 403
    assert client.get(f"/downloads/{file.pk}/?link={token}").status_code == 404
    letter = Delivery(kind="lost", recipient=GUEST, about="x")
    [told] = (content(letter) or {})["bought"]
    assert (told.link, told.why) == ("", "suspended")


def test_hold_tells_who_when_and_why(order: Order, owner: User) -> None:
    hold = place(order, owner, reason="asked by bob@example.com")
    assert (hold.line, hold.placed_by, hold.reason) == (None, owner, "asked by b…@example.com")
    who = f"o…@example.com (user {owner.pk})"
    entries = list(order.timeline.order_by("-pk").values_list("kind", "door", "detail")[:2])
    assert entries == [
        ("access", "admin", "Knots: Suspended, suspended by hand"),
        ("by_hand", "admin", f"access suspended, the whole order: asked by b…@example.com – {who}"),
    ]


def test_i4_books_find_nothing_in_a_hold_and_everything_that_breaks_it(
    smtp: World, client: Client, order: Order, owner: User
) -> None:
    """Read by `differences` from the rows themselves: a replay closes what was opened past the hold."""
    place(order, owner)
    report(smtp, client)
    sweep()
    assert look_at(str(order.stripe_session_id)).found == []
    Entitlement.objects.update(state="active", reason="")
    [found] = look_at(str(order.stripe_session_id)).found
    assert (found.kind, found.here) == (
        Difference.Kind.FREE_ACCESS,
        "order paid, suspended by hand, and access to Knots",
    )
    fulfill(str(order.stripe_session_id), door="replay")
    assert (access(order), look_at(str(order.stripe_session_id)).found) == ([("suspended", "held")], [])


@pytest.mark.parametrize("what", ["webhook", "refund of a part", "dispute won", "sweep", "reconcile", "replay"])
def test_nothing_that_stripe_says_restores_it(
    world: World, client: Client, order: Order, owner: User, what: str
) -> None:
    place(order, owner)
    if what == "refund of a part":
        world.control("refund", {"session": order.stripe_session_id, "amount": 100})
    if what == "dispute won":
        opened = world.control("dispute", {"session": order.stripe_session_id})
        fulfill(str(order.stripe_session_id), door="webhook")
        assert access(order) == [("suspended", "disputed")]
        world.control(f"dispute/{opened['id']}/close", {"status": "won"})
    report(world, client)
    sweep()
    if what == "reconcile":
        reconcile(since=timezone.now() - timezone.timedelta(hours=1), say=lambda _line: None)  # type: ignore[attr-defined]
    fulfill(str(order.stripe_session_id), door="replay")
    assert access(order) == [("suspended", "held")]


def test_restoring_gives_back_what_was_paid(world: World, order: Order, owner: User) -> None:
    place(order, owner)
    assert lift(order, owner) == holds.Restored(open=("Knots",), closed=())
    assert access(order) == [("active", "")]
    hold = Hold.objects.get()
    assert (hold.lifted_by, hold.lifted_reason, hold.lifted_at is not None) == (owner, "all is well", True)
    assert order.timeline.filter(kind="by_hand").last().detail.startswith("access restored, the whole order: all is")  # type: ignore[union-attr]
    assert wrong(world) == []


def test_restoring_gives_nothing_back_that_was_refunded(world: World, order: Order, owner: User) -> None:
    place(order, owner)
    world.control("refund", {"session": order.stripe_session_id})
    fulfill(str(order.stripe_session_id), door="webhook")
    assert access(order) == [("revoked", "refunded")]
    assert lift(order, owner) == holds.Restored(open=(), closed=(("Knots", "Refunded"),))
    assert access(order) == [("revoked", "refunded")]


def test_one_line_is_suspended_and_the_other_stays(world: World, client: Client, owner: User) -> None:
    order = OrderFactory(product=ProductFactory(name="Knots"), email=GUEST)
    other = ProductFactory(name="Ropes", price=2000)
    line = checkout.add_line(order, other, other.editions.get())
    Order.objects.filter(pk=order.pk).update(total=3250)
    order.refresh_from_db()
    checkout.ensure_session(order)
    world.control(f"pay/{order.stripe_session_id}", {"email": GUEST})
    fulfill(str(order.stripe_session_id), door="webhook")
    place(order, owner, line_id=line.pk)
    assert access(order) == [("active", ""), ("suspended", "held")]
    with pytest.raises(holds.HoldRefused, match="suspended already"):
        place(order, owner, line_id=line.pk)
    assert outbox.send(order.deliveries.get().pk)  # there is still something to read
    place(order, owner)
    assert access(order) == [("suspended", "held"), ("suspended", "held")]
    holds.lift(order.pk, [order.holds.get(line=None).pk], by=owner, reason="the other one was meant")
    assert access(order) == [("active", ""), ("suspended", "held")]
    assert wrong(world) == []


def test_mail_that_would_lead_to_nothing_is_withdrawn_and_written_again(smtp: World, order: Order, owner: User) -> None:
    place(order, owner)
    assert not outbox.send(order.deliveries.get().pk)
    fulfill(str(order.stripe_session_id), door="replay")
    assert list(order.deliveries.values_list("seq", "state")) == [(1, "withdrawn")]
    lift(order, owner)
    sweep()
    assert list(order.deliveries.order_by("seq").values_list("seq", "state")) == [(1, "withdrawn"), (2, "sent")]
    assert [mail["to"] for mail in smtp.mails(GUEST)] == [[GUEST]]
    assert violations(connection, ledger=smtp.control("ledger")["sessions"], mails=smtp.mails()) == []


def test_order_that_is_suspended_before_it_is_paid_is_delivered_suspended(
    world: World, client: Client, owner: User
) -> None:
    order = buy(world, client, ProductFactory())
    place(order, owner)
    assert access(order) == []
    fulfill(str(order.stripe_session_id), door="webhook")
    assert access(order) == [("suspended", "held")]
    assert wrong(world) == []


def test_order_held_for_a_person_gets_nothing_by_being_restored(order: Order, owner: User) -> None:
    """What Stripe charged is not what its lines are worth: nothing was delivered, and a hold changes nothing of it."""
    Entitlement.objects.all().delete()
    Order.objects.update(attention="Stripe charged something else")
    place(order, owner)
    lift(order, owner)
    assert access(order) == []


def test_free_order_is_suspended_and_restored_without_stripe(owner: User) -> None:
    reader, book = UserFactory(), ProductFactory(price=0)
    give_free(book, reader)
    order = Order.objects.get()
    place(order, owner)
    assert access(order) == [("suspended", "held")]
    lift(order, owner)
    assert access(order) == [("active", "")]


def test_same_form_twice_makes_one_hold(order: Order, owner: User) -> None:
    key = uuid.uuid4()
    assert place(order, owner, key=key) == place(order, owner, key=key)
    with pytest.raises(holds.HoldRefused, match="suspended already"):
        place(order, owner)
    with pytest.raises(holds.HoldRefused, match="another order"):
        place(OrderFactory(), owner, key=key)
    lift(order, owner)
    with pytest.raises(holds.HoldRefused, match="not suspended any more"):
        lift(order, owner)
    assert order.timeline.filter(kind="by_hand").count() == 2


@pytest.mark.parametrize(
    "constraint, rows",
    [
        ("hold_one_open", [{}, {}]),
        ("hold_has_reason", [{"reason": ""}]),
        ("hold_lifted_has_reason", [{"lifted_at": timezone.now()}]),
        ("hold_lifted_has_reason", [{"lifted_reason": "why"}]),
        ("fulfillment_hold_key", [{"key": uuid.UUID(int=1), "line": True}, {"key": uuid.UUID(int=1)}]),
    ],
)
def test_database_refuses(constraint: str, rows: list[dict[str, Any]]) -> None:
    order = OrderFactory()
    found = [
        Hold(order=order, **({"reason": WHY} | row | ({"line": order.lines.get()} if row.get("line") else {})))
        for row in rows
    ]
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Hold.objects.bulk_create(found)


def test_forgetting_the_buyer_leaves_no_address_in_the_reasons(order: Order, owner: User) -> None:
    place(order, owner)
    Hold.objects.update(reason="wrote from bob@example.com")
    erase_address(GUEST)
    assert Hold.objects.get().reason == "wrote from …"
    assert access(order) == [("suspended", "held")]


@pytest.mark.django_db(transaction=True)
def test_hold_placed_while_facts_are_absorbed_always_holds(world: World) -> None:
    by: User = UserFactory(is_staff=True)
    for _ in range(5):
        order = buy(world, Client(), ProductFactory())
        facts = stripe_api.fetch_facts(str(order.stripe_session_id))
        doors = [partial(converge, facts, seen=0, door="race")] * 3
        at_once(*doors, partial(place, order, by))
        assert access(order) == [("suspended", "held")]
    assert wrong(world) == []
