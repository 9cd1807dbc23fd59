"""An operator sends an order's mail again, to the right address; one a minute, all or nothing."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.addresses import masked
from accounts.models import User
from fulfillment import outbox
from fulfillment.converge import deliver
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement
from fulfillment.resend import ResendRefused, resend_order
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.steps import GUEST, buy

pytestmark = pytest.mark.django_db

RIGHT = "right@example.com"


def paid_order(*, email: str = GUEST, user: User | None = None, minutes: float = 10) -> Order:
    """An order with access, its mail written that many minutes ago."""
    order = OrderFactory(state=Order.State.PAID, email=email, user=user)
    deliver(order, list(order.lines.all()), door="webhook")
    Delivery.objects.update(created_at=timezone.now() - timedelta(minutes=minutes))
    return order


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("resend", *arguments, stdout=out)
    return out.getvalue()


def timeline(order: Order) -> list[tuple[str, str]]:
    return list(order.timeline.filter(door="resend").values_list("kind", "detail"))


def dump() -> list[list[object]]:
    return [list(model.objects.order_by("pk").values()) for model in (Order, Entitlement, Delivery)]


def test_f72_mail_is_sent_again_under_a_number_of_its_own(drain: Callable[[], int]) -> None:
    order = paid_order()
    assert run(order.reference, "--reason", "asked by phone") == (
        f"written: order and its files to {GUEST}, number 2; a sender was woken\n"
    )
    assert list(order.deliveries.order_by("seq").values_list("kind", "seq", "recipient")) == [
        ("order", 1, GUEST),
        ("order", 2, GUEST),
    ]
    assert timeline(order) == [("mail", "sent again (asked by phone)")]


@pytest.mark.django_db(transaction=True)
def test_sender_is_woken_and_the_mail_goes_out(drain: Callable[[], int]) -> None:
    order = paid_order()
    resend_order(order.reference, to=RIGHT, door="resend")
    assert drain() == 1
    assert [message.to for message in mail.outbox] == [[RIGHT]]


def test_f58_wrong_address_is_corrected_and_a_guests_access_follows() -> None:
    order = paid_order()
    assert run(order.reference, "--to", " Right@Example.COM ").startswith(f"corrected: {GUEST} → {RIGHT}\n")
    order.refresh_from_db()
    assert (order.email, Entitlement.objects.get().email) == (RIGHT, RIGHT)
    assert order.deliveries.get(seq=2).recipient == RIGHT
    assert timeline(order) == [("mail", f"address corrected: {masked(GUEST)} → {masked(RIGHT)}")]


def test_signed_in_buyers_access_stays_with_the_account() -> None:
    user = UserFactory()
    order = paid_order(user=user, email=user.email)
    run(order.reference, "--to", RIGHT)
    entitlement = Entitlement.objects.get()
    assert (entitlement.user, entitlement.email) == (user, "")
    assert order.deliveries.get(seq=2).recipient == RIGHT


def test_f58_correction_survives_the_next_convergence(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    fulfill(str(order.stripe_session_id), door="webhook")
    Delivery.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    resend_order(order.reference, to=RIGHT, door="resend")
    fulfill(str(order.stripe_session_id), door="sweep")
    order.refresh_from_db()
    assert (order.email, Entitlement.objects.get().email, order.deliveries.count()) == (RIGHT, RIGHT, 2)


def test_f58_i8_what_waits_for_the_wrong_mailbox_is_not_sent() -> None:
    order = paid_order()
    held = Delivery.objects.create(order=order, kind="link", recipient=GUEST, state="sending", claim=uuid.uuid4())
    run(order.reference, "--to", RIGHT)
    assert [outbox.send(pk) for pk in order.deliveries.order_by("pk").values_list("pk", flat=True)] == [
        False,
        False,
        True,
    ]
    assert [message.to for message in mail.outbox] == [[RIGHT]]
    held.refresh_from_db()
    assert (held.state, held.claim) == ("withdrawn", None)


def test_order_that_never_had_an_address_gets_one() -> None:
    order = paid_order(email="")
    with pytest.raises(ResendRefused, match="has no address"):
        resend_order(order.reference, door="resend")
    assert run(order.reference, "--to", RIGHT) == (
        f"corrected: none → {RIGHT}\nwritten: order and its files to {RIGHT}, number 1; a sender was woken\n"
    )


def test_f72_second_mail_within_a_minute_is_refused_and_nothing_changes() -> None:
    order = paid_order(minutes=0.5)
    Delivery.objects.update(attempts=1)
    before = dump()
    with pytest.raises(CommandError, match=f"{order.reference} had a mail within the last minute") as ended:
        run(order.reference, "--to", RIGHT)
    assert ended.value.returncode == 1
    assert (dump(), timeline(order)) == (before, [])


def test_mail_that_was_withdrawn_before_anybody_tried_it_does_not_count() -> None:
    order = paid_order(minutes=0.5)
    resend_order(order.reference, to="typo@example.com", door="resend")
    resend_order(order.reference, to=RIGHT, door="resend")
    assert list(order.deliveries.order_by("seq").values_list("recipient", "state")) == [
        (GUEST, "withdrawn"),
        ("typo@example.com", "withdrawn"),
        (RIGHT, "pending"),
    ]


@pytest.mark.parametrize("address", ["nobody", "a@example.com, b@example.com", '"x"@example.com', "a@b@c"])
def test_s33_nonsense_address_is_refused_and_nothing_changes(address: str) -> None:
    order = paid_order()
    before = dump()
    with pytest.raises(ValidationError):
        resend_order(order.reference, to=address, door="resend")
    with pytest.raises(CommandError, match="Enter one e-mail address"):
        run(order.reference, "--to", address)
    assert (dump(), timeline(order)) == (before, [])


def test_order_that_gives_access_to_nothing_is_refused() -> None:
    order = OrderFactory(email=GUEST)
    with pytest.raises(CommandError, match=rf"{order.reference} \(open\) gives access to nothing"):
        run(order.reference)
    revoked = paid_order()
    Entitlement.objects.update(state="revoked", reason="refunded")
    with pytest.raises(CommandError, match="gives access to nothing"):
        run(revoked.reference)


def test_reference_is_read_as_people_type_it() -> None:
    order = paid_order()
    run(f" {order.reference.lower()} ")
    assert order.deliveries.count() == 2
    with pytest.raises(CommandError, match="There is no order NOSUCH"):
        run("NOSUCH")


def test_same_address_is_no_correction() -> None:
    order = paid_order()
    assert resend_order(order.reference, to=GUEST, door="resend").before is None
    assert timeline(order) == [("mail", "sent again")]
