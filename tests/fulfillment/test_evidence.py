"""F61, D7: what a bank is told about an order, and that it fits into Stripe's fields."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import SignIn, User
from fulfillment import evidence
from fulfillment.converge import deliver
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download, Entitlement
from orders.disputes import FIELD_LIMIT, TOTAL_LIMIT
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.steps import GUEST, buy

pytestmark = pytest.mark.django_db

PAID = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.fixture
def order() -> Order:
    """Bought by a guest on the 4th of May, mailed, downloaded in three requests."""
    order = OrderFactory(
        product=ProductFactory(name="Knots", description="Forty knots.\n\nWith drawings."),
        state=Order.State.PAID,
        email=GUEST,
        created_at=PAID,
        paid_at=PAID,
        stripe_payment_intent_id="pi_1",
        buyer_address="192.0.2.7",
        buyer_agent="Firefox",
    )
    deliver(order, list(order.lines.all()), door="webhook")
    mail = order.deliveries.get()
    mail.attempt_log.create(started_at=PAID, finished_at=PAID, outcome="accepted", reply="accepted")
    Delivery.objects.update(state="sent", sent_at=PAID)
    Download.objects.create(
        entitlement=Entitlement.objects.get(),
        file=order.lines.get().edition.files.get(),
        via="link",
        address="192.0.2.8",
        agent="Safari",
        started_at=PAID + timedelta(hours=1),
        last_at=PAID + timedelta(hours=1, minutes=2),
        ranges=3,
        bytes=76,
    )
    return order


def test_f61_text_has_product_order_mails_and_downloads(order: Order) -> None:
    text = evidence.text(order)
    file = order.lines.get().edition.files.get()
    read = "2026-05-04 11:00:00 UTC until 2026-05-04 11:02:00 UTC"
    for line in (
        "Knots (digital goods, delivered by download)",
        "Forty knots.",
        f"File: Knots.pdf, application/pdf, 38 bytes, SHA-256 {file.sha256}",
        "Paid: $12.50 (USD), 2026-05-04 10:00:00 UTC, through Stripe Checkout",
        "Bought from address 192.0.2.7 with Firefox",
        "Item: 1 x Knots, $12.50",
        f"order and its files to {GUEST}, Message-ID {order.deliveries.get().message_id}: Sent",
        "  2026-05-04 10:00:00 UTC mail server: Accepted",
        f"{read} Knots.pdf by the link in the mail from 192.0.2.8, 76 of 38 bytes in 3 requests, Safari",
    ):
        assert f"\n{line}\n" in f"\n{text}", line


def test_f61_fields_are_stripes_own(order: Order) -> None:
    found = evidence.fields(order)
    assert set(found) == {
        "product_description", "customer_email_address", "customer_purchase_ip", "service_date",
        "access_activity_log", "uncategorized_text",
    }  # fmt: skip
    assert (found["customer_email_address"], found["customer_purchase_ip"]) == (GUEST, "192.0.2.7")
    assert found["access_activity_log"].startswith("DOWNLOADS\n2026-05-04 11:00:00 UTC")
    assert found["uncategorized_text"].startswith("ORDER AND RECEIPT\n")


def test_service_date_is_when_access_began(order: Order) -> None:
    at = order.timeline.get(kind="access").at
    assert evidence.fields(order)["service_date"] == f"{at:%B} {at.day}, {at.year}"


def test_f61_sign_ins_of_the_account_and_of_who_proved_the_mailbox_are_told(order: Order) -> None:
    def sign_in(user: User, at: datetime) -> None:
        SignIn.objects.create(user=user, at=at, address="192.0.2.9", agent="Opera")

    proven, unproven = UserFactory(email=GUEST), UserFactory(email="other@example.com", proven=False)
    sign_in(proven, PAID + timedelta(days=1))
    sign_in(proven, PAID - timedelta(days=31))
    sign_in(unproven, PAID)
    sign_in(UserFactory(), PAID)
    log = evidence.fields(order)["access_activity_log"].splitlines()
    assert log[:2] == ["SIGN-INS", f"2026-05-05 10:00:00 UTC {GUEST} signed in from 192.0.2.9, Opera"]
    assert log[2:4] == ["", "DOWNLOADS"]
    order.user = unproven
    assert "2026-05-04 10:00:00 UTC other@example.com signed in" in evidence.text(order)


def test_other_orders_downloads_are_not_told(order: Order) -> None:
    assert "DOWNLOADS" not in evidence.text(OrderFactory(state=Order.State.PAID, email=GUEST))


def test_policy_is_told_when_there_is_one(order: Order, settings: Settings) -> None:
    assert "POLICY" not in evidence.text(order)
    settings.REFUND_POLICY = "Refunds within 14 days.\nWrite to us."
    assert "\nPOLICY\nRefunds within 14 days.\nWrite to us.\n" in evidence.text(order)


def test_endless_logs_fit_and_keep_their_beginning_and_their_end(order: Order) -> None:
    first = Download.objects.get()
    Download.objects.bulk_create(
        Download(
            entitlement=first.entitlement,
            file=first.file,
            via="library",
            agent="x" * 200,
            started_at=PAID + timedelta(days=1, minutes=number),
            last_at=PAID + timedelta(days=1, minutes=number),
        )
        for number in range(400)
    )
    found = evidence.fields(order)
    log = found["access_activity_log"].splitlines()
    assert len(found["access_activity_log"]) <= FIELD_LIMIT
    assert log[1].startswith("2026-05-04 11:00:00 UTC until")
    assert log[-1].startswith("2026-05-05 16:39:00 UTC")
    left_out = [line for line in log if line.endswith(" lines left out]")]
    assert left_out == [f"[{402 - (len(log) - 1)} lines left out]"]


def test_long_texts_fit(order: Order) -> None:
    product = order.lines.get().product
    product.description = "é" * 20_000
    product.save()
    for number in range(200):
        order.timeline.create(kind="state", door="webhook", detail="x" * 250 + str(number))
    found = evidence.fields(order)
    assert max(map(len, found.values())) <= FIELD_LIMIT
    assert sum(map(len, found.values())) <= TOTAL_LIMIT


def test_order_with_nothing_in_it_still_has_a_text() -> None:
    order = Order.objects.create(source="payment_link", currency="usd", livemode=False)
    assert f"Order: {order.reference}" in evidence.text(order)
    assert set(evidence.fields(order)) == {"uncategorized_text"}


def test_buy_notes_where_it_was_pressed_last(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    order.refresh_from_db()
    assert (order.buyer_address, order.buyer_agent) == ("127.0.0.1", "")
    other = Client(headers={"user-agent": "Firefox\x00/150"}, REMOTE_ADDR="2001:db8::7")
    order = buy(world, other, ProductFactory())
    order.refresh_from_db()
    assert (order.buyer_address, order.buyer_agent) == ("2001:db8::7", "Firefox/150")
