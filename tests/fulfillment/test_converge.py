"""What Stripe says becomes what the buyer has: states, access, mail — once, in any order, from any door."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from django.test import Client

from fulfillment.converge import converge
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement
from orders import stripe_api
from orders.facts import Dispute, Facts, NewSession, PaidLine, Refund, SessionLine
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.steps import GUEST, begin_checkout, buy

pytestmark = pytest.mark.django_db

State = Entitlement.State


def facts_of(order: Order, **changes: Any) -> Facts:
    """What Stripe would say of this order's session once it is paid."""
    return replace(
        Facts(
            session_id=order.stripe_session_id or "cs_test_1",
            livemode=False,
            status="complete",
            payment_status="paid",
            client_reference_id=order.reference,
            metadata={"storefront_order": order.reference},
            payment_link="",
            email=GUEST,
            amount_subtotal=order.total,
            amount_total=order.total,
            currency=order.currency,
            customer_id="",
            payment_intent_id="pi_1",
            payment_intent_status="succeeded",
            paid_at=None,
            refunds=(),
            disputes=(),
        ),
        **changes,
    )


def absorb(order: Order, **changes: Any) -> Order:
    seen = Order.objects.get(pk=order.pk).facts_version
    converge(facts_of(order, **changes), seen=seen, door="test")
    order.refresh_from_db()
    return order


def refund(amount: int, status: str = "succeeded") -> Refund:
    return Refund(id="re_1", amount=amount, status=status, order_line="")


def access(order: Order) -> tuple[str, str]:
    entitlement = Entitlement.objects.get(order_line__order=order)
    return entitlement.state, entitlement.reason


def rows() -> tuple[list[Any], ...]:
    """Everything that fulfilling writes, but for the version."""
    timeline = Order.objects.order_by("pk").values_list("timeline__kind", "timeline__detail")
    return (
        list(Order.objects.order_by("pk").values_list("state", "total", "refunded", "dispute", "email", "attention")),
        list(Entitlement.objects.order_by("pk").values()),
        list(Delivery.objects.order_by("pk").values()),
        list(timeline),
    )


def test_i2_i3_i5_paid_order_gives_one_entitlement_one_delivery_one_timeline() -> None:
    order = absorb(OrderFactory())
    assert (order.state, order.email, order.total) == ("paid", GUEST, 1250)
    assert order.paid_at is not None
    assert access(order) == ("active", "")
    delivery = Delivery.objects.get()
    assert (delivery.kind, delivery.seq, delivery.recipient, delivery.state) == ("order", 1, GUEST, "pending")
    assert list(order.timeline.values_list("kind", "door", "detail")) == [
        ("state", "test", "open → paid"),
        ("access", "test", f"{order.lines.get().name}: Active"),
    ]


def test_the_run_that_writes_the_mail_names_it_as_due() -> None:
    order = OrderFactory()
    outcome = converge(facts_of(order), seen=order.facts_version, door="test")
    assert outcome.due == (Delivery.objects.get().pk,)


def test_i20_same_facts_again_change_nothing_but_the_version() -> None:
    order = absorb(OrderFactory())
    before, version = rows(), order.facts_version
    absorb(order)
    assert rows() == before
    assert order.facts_version == version + 1


def test_f53_i4_unpaid_completed_session_grants_nothing_until_it_settles() -> None:
    order = absorb(OrderFactory(), payment_status="unpaid", payment_intent_status="processing")
    assert order.state == Order.State.PROCESSING
    assert (Entitlement.objects.count(), list(Delivery.objects.values_list("kind", flat=True))) == (0, ["waiting"])
    absorb(order)
    assert (order.state, Entitlement.objects.count()) == ("paid", 1)
    assert set(Delivery.objects.values_list("kind", flat=True)) == {"waiting", "order"}


def test_f54_failed_delayed_payment_grants_nothing_and_late_success_delivers() -> None:
    order = absorb(OrderFactory(), payment_status="unpaid", payment_intent_status="requires_payment_method")
    assert (order.state, Entitlement.objects.count()) == ("failed", 0)
    absorb(order)
    assert (order.state, access(order)) == ("paid", ("active", ""))


def test_f52_nothing_due_counts_as_paid() -> None:
    order = OrderFactory()
    absorb(order, payment_status="no_payment_required", amount_total=0, payment_intent_id="", payment_intent_status="")
    assert (order.state, order.total, access(order)) == ("paid", 0, ("active", ""))


def test_f55_expired_session_closes_the_order_and_is_not_asked_about_again() -> None:
    order = absorb(OrderFactory(), status="expired", payment_status="unpaid")
    assert (order.state, order.next_check_at, order.checkout_key) == ("expired", None, "")


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"refunds": (refund(1250),)}, ("revoked", "refunded")),
        ({"refunds": (refund(1250, "pending"),)}, ("revoked", "refunded")),
        ({"refunds": (refund(1250, "failed"),)}, ("active", "")),
        ({"refunds": (refund(500),)}, ("active", "")),
        ({"disputes": (Dispute(id="dp_1", status="needs_response"),)}, ("suspended", "disputed")),
        ({"disputes": (Dispute(id="dp_1", status="under_review"),)}, ("suspended", "disputed")),
        ({"disputes": (Dispute(id="dp_1", status="lost"),)}, ("suspended", "dispute_lost")),
        ({"disputes": (Dispute(id="dp_1", status="won"),)}, ("active", "")),
        ({"disputes": (Dispute(id="dp_1", status="warning_needs_response"),)}, ("active", "")),
        (
            {"refunds": (refund(1250),), "disputes": (Dispute(id="dp_1", status="won"),)},
            ("revoked", "refunded"),
        ),
    ],
)
def test_f60_f61_i11_i12_access_follows_refunds_and_disputes_in_both_directions(
    changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    order = absorb(OrderFactory())
    absorb(order, **changes)
    assert access(order) == expected
    absorb(order)
    assert access(order) == ("active", "")
    assert Delivery.objects.filter(kind="order").count() == 1


def test_f17_f45_older_facts_never_overwrite_newer() -> None:
    """An answer fetched before another door's newer one was absorbed is stale: nothing of it is written."""
    order = absorb(OrderFactory())
    seen = order.facts_version
    absorb(order, refunds=(refund(1250),))
    outcome = converge(facts_of(order), seen=seen, door="test")
    assert outcome.stale
    assert access(order) == ("revoked", "refunded")


def test_same_facts_from_two_doors_at_once_are_not_stale() -> None:
    order = OrderFactory()
    for _ in range(2):
        assert not converge(facts_of(order), seen=0, door="test").stale


def test_f45_every_order_of_three_facts_ends_the_same() -> None:
    """Refund, dispute and payment may become known in any order: the last facts decide, not the way there."""
    last = {"refunds": (refund(1250),), "disputes": (Dispute(id="dp_1", status="won"),)}
    steps: list[dict[str, Any]] = [{}, {"disputes": (Dispute(id="dp_1", status="needs_response"),)}, last]
    ends = set()
    for number, order_of_steps in enumerate(permutations(steps)):
        order = OrderFactory(stripe_session_id=f"cs_test_{number}")
        for step in [*order_of_steps, last]:
            absorb(order, payment_intent_id=f"pi_{number}", **step)
        ends.add((order.state, order.refunded, order.dispute, *access(order)))
    assert ends == {("paid", 1250, "won", "revoked", "refunded")}


def test_f57_amount_other_than_the_lines_is_held_for_a_person() -> None:
    order = absorb(OrderFactory(), amount_subtotal=1, amount_total=1)
    assert (order.state, Entitlement.objects.count()) == ("paid", 0)
    assert order.attention == "Stripe charged $0.01 for lines worth $12.50: nothing was delivered."


def test_s44_tax_and_discount_do_not_count_as_another_amount() -> None:
    order = absorb(OrderFactory(), amount_total=1400)
    assert (order.attention, order.total, access(order)) == ("", 1400, ("active", ""))


def test_unusable_address_grants_access_and_asks_for_a_person() -> None:
    order = absorb(OrderFactory(), email="a@b.co,evil@x.yz")
    assert (order.email, order.attention) == ("", "The payment has no usable e-mail address.")
    assert (access(order), Delivery.objects.count()) == (("active", ""), 0)


def test_f58_address_of_a_paid_order_is_not_changed_by_later_facts() -> None:
    order = absorb(OrderFactory())
    assert absorb(order, email="other@example.com").email == GUEST


def test_entitlement_belongs_to_the_user_who_bought() -> None:
    user = UserFactory()
    order = absorb(OrderFactory(user=user, email=user.email))
    entitlement = Entitlement.objects.get(order_line__order=order)
    assert (entitlement.user, entitlement.email) == (user, "")


def test_f19_foreign_session_makes_no_order() -> None:
    order = OrderFactory.build()
    facts = replace(facts_of(order), metadata={}, client_reference_id="somebody-elses")
    assert converge(facts, seen=0, door="test").is_foreign
    assert Order.objects.count() == 0


def test_s15_reference_set_by_a_stranger_on_a_payment_link_does_not_reach_our_order() -> None:
    order = OrderFactory()
    lines = (PaidLine(name="Tea", price_id="price_1", slug="", quantity=1, amount=1),)
    facts = replace(
        facts_of(order), metadata={}, payment_link="plink_1", amount_subtotal=1, amount_total=1, lines=lines
    )
    outcome = converge(facts, seen=0, door="test")
    order.refresh_from_db()
    assert (order.state, order.stripe_session_id) == ("open", None)
    assert outcome.order is not None
    assert outcome.order.attention == (
        "Nothing was delivered: “Tea” names no product: enter its price price_1 at one. "
        "Mend that, then replay this order."
    )


def test_f25_order_whose_row_was_lost_is_made_again_from_its_session(world: World) -> None:
    """A database that lost its last seconds still owes what Stripe says was paid."""
    product = ProductFactory()
    line = SessionLine(name=product.name, slug=product.slug, unit_price=1250, quantity=1, image_url="")
    site = "http://localhost/"
    lost = NewSession(reference="LOST", currency="usd", lines=(line,), email="", success_url=site, cancel_url=site)
    session_id = stripe_api.create_session(lost).id
    world.control(f"pay/{session_id}", {"email": GUEST})
    fulfill(session_id, door="test")
    assert Entitlement.objects.get().product == product
    assert Order.objects.get().state == "paid"


def test_abandoned_payment_link_makes_no_order() -> None:
    facts = replace(
        facts_of(OrderFactory.build(reference="x", total=900)),
        metadata={"product_slug": "x"}, payment_link="plink_1", status="expired", payment_status="unpaid",
    )  # fmt: skip
    assert converge(facts, seen=0, door="test").is_foreign
    assert Order.objects.count() == 0


def test_order_that_is_no_longer_paid_loses_its_access() -> None:
    order = absorb(OrderFactory())
    absorb(order, payment_status="unpaid", payment_intent_status="canceled")
    assert (order.state, access(order)) == ("failed", ("revoked", "unpaid"))


def test_address_that_comes_later_brings_the_mail() -> None:
    order = absorb(OrderFactory(), email="")
    absorb(order)
    assert (order.email, order.attention) == (GUEST, "")
    assert Delivery.objects.get().recipient == GUEST
    assert Entitlement.objects.get().email == GUEST


def test_s14_session_unknown_to_stripe_raises_and_writes_nothing(world: World) -> None:
    with pytest.raises(stripe_api.SessionUnknown):
        fulfill("cs_test_doesnotexist", door="test")
    assert Order.objects.count() == 0


def test_f20_event_before_our_row_knows_its_session_finds_the_order(world: World, client: Client) -> None:
    """Stripe may report a session whose id the answer to our request has not brought yet."""
    order = begin_checkout(client, ProductFactory())
    world.control(f"pay/{order.stripe_session_id}", {"email": GUEST})
    session_id = str(order.stripe_session_id)
    Order.objects.update(stripe_session_id=None, checkout_url="")
    fulfill(session_id, door="test")
    order.refresh_from_db()
    assert (order.state, order.stripe_session_id, Order.objects.count()) == ("paid", session_id, 1)


def test_f60_f61_refund_and_dispute_in_the_sandbox_are_read_back(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    session_id = str(order.stripe_session_id)
    fulfill(session_id, door="test")
    assert access(order) == ("active", "")
    dispute = world.control("dispute", {"session": session_id})
    fulfill(session_id, door="test")
    assert access(order) == ("suspended", "disputed")
    world.control(f"dispute/{dispute['id']}/close", {"status": "won"})
    fulfill(session_id, door="test")
    assert access(order) == ("active", "")
    refunded = world.control("refund", {"session": session_id})
    fulfill(session_id, door="test")
    assert access(order) == ("revoked", "refunded")
    world.control(f"refund/{refunded['id']}/fail", {})
    fulfill(session_id, door="test")
    assert access(order) == ("active", "")
