"""What waits too long is named, once, with the command that mends it; everything else is not."""

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement, Heartbeat, StripeEvent
from fulfillment.stuck import Stuck, find_stuck
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.steps import GUEST, buy, report

pytestmark = pytest.mark.django_db

FIVE = timedelta(minutes=5)


def ago(minutes: float) -> datetime:
    return timezone.now() - timedelta(minutes=minutes)


def found() -> list[tuple[str, str]]:
    return [(row.what, row.which) for row in find_stuck(longer_than=FIVE)]


def event(state: str = "received", *, minutes: float, **fields: object) -> StripeEvent:
    defaults = {"event_id": "evt_1", "type": "charge.refunded", "body": b"{}", "received_at": ago(minutes)}
    handled_at = timezone.now() if state == "handled" else None
    return StripeEvent.objects.create(**defaults | {"state": state, "handled_at": handled_at} | fields)


def paid_order(*, minutes: float, email: str = GUEST, access: bool = True) -> Order:
    order = OrderFactory(state=Order.State.PAID, paid_at=ago(minutes), email=email)
    for line in order.lines.all() if access else ():
        Entitlement.objects.create(order_line=line, product=line.product, email=email)
    return order


def mail(order: Order, state: str, *, minutes: float, **fields: object) -> Delivery:
    sent_at = timezone.now() if state == "sent" else None
    return Delivery.objects.create(
        order=order, kind="order", recipient=GUEST, state=state, sent_at=sent_at, created_at=ago(minutes), **fields
    )


def test_nothing_is_stuck_in_a_shop_that_works(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    report(world, client)
    sweep()
    Order.objects.update(paid_at=ago(60))
    StripeEvent.objects.update(received_at=ago(60))
    assert found() == []


@pytest.mark.parametrize(
    "state, minutes, what",
    [
        ("received", 6, "event not handled"),
        ("received", 4, None),
        ("failed", 0, "event failed"),
        ("handled", 60, None),
        ("ignored", 60, None),
    ],
)
def test_event_is_stuck_when_unhandled_for_long_or_failed(state: str, minutes: float, what: str | None) -> None:
    event(state, minutes=minutes)
    assert found() == ([(what, "evt_1")] if what else [])


def test_row_says_since_when_why_and_what_to_do() -> None:
    row = event("failed", minutes=60, note="SessionUnknown: none such")
    assert find_stuck(longer_than=FIVE) == [
        Stuck(
            what="event failed",
            which="evt_1",
            since=row.received_at,
            why="SessionUnknown: none such",
            mend="python manage.py replay --event evt_1",
        )
    ]


def test_event_never_tried_says_so() -> None:
    event(minutes=60)
    assert find_stuck(longer_than=FIVE)[0].why == "charge.refunded, 0 tries"


def test_order_that_needs_a_person_is_named_once_and_at_once() -> None:
    order = paid_order(minutes=60, access=False)
    Order.objects.update(attention="No product has the slug 'x'.")
    (row,) = find_stuck(longer_than=FIVE)
    assert (row.what, row.which, row.why) == ("order needs a person", order.reference, "No product has the slug 'x'.")
    assert row.mend == f"python manage.py replay --order {order.reference}"


def test_order_without_address_needs_one_first() -> None:
    order = paid_order(minutes=0, email="")
    Order.objects.update(attention="The payment has no usable e-mail address.")
    (row,) = find_stuck(longer_than=FIVE)
    assert row.mend == (
        f"python manage.py resend {order.reference} --to ADDRESS && python manage.py replay --order {order.reference}"
    )


def test_paid_line_without_entitlement_is_stuck() -> None:
    order = paid_order(minutes=6, access=False)
    mail(order, "sent", minutes=6)
    assert found() == [("paid without access", order.reference)]


def test_order_just_paid_is_not_stuck_yet() -> None:
    paid_order(minutes=4, access=False)
    assert found() == []


def test_paid_order_without_any_mail_is_stuck() -> None:
    order = paid_order(minutes=6)
    assert found() == [("paid without mail", order.reference)]
    assert find_stuck(longer_than=FIVE)[0].mend == f"python manage.py resend {order.reference}"


def test_order_paid_long_ago_whose_mail_is_new_is_stuck_until_it_is_accepted() -> None:
    order = paid_order(minutes=60)
    young = mail(order, "pending", minutes=1)
    assert found() == [("paid without mail", order.reference)]
    Delivery.objects.filter(pk=young.pk).update(state="sent", sent_at=timezone.now())
    assert found() == []


@pytest.mark.parametrize("state", ["pending", "sending", "unconfirmed"])
def test_mail_not_accepted_in_time_is_stuck_and_its_order_not_named_twice(state: str) -> None:
    order = paid_order(minutes=6)
    delivery = mail(order, state, minutes=6, attempts=2)
    delivery.attempt_log.create(outcome="temporary", reply="451 later")
    delivery.attempt_log.create(outcome="temporary", reply="452 full")
    (row,) = find_stuck(longer_than=FIVE)
    assert (row.what, row.why) == ("mail not accepted", f"order and its files to {GUEST}: 452 full, 2 tries")
    assert row.mend == "python manage.py sweep"


def test_mail_given_up_is_stuck_until_a_later_one_was_accepted() -> None:
    order = paid_order(minutes=6)
    mail(order, "gave_up", minutes=6)
    (row,) = find_stuck(longer_than=FIVE)
    assert (row.what, row.mend) == ("mail given up", f"python manage.py resend {order.reference} --to ADDRESS")
    mail(order, "sent", minutes=1, seq=2)
    assert found() == []


def test_mail_given_up_after_an_accepted_one_is_stuck() -> None:
    order = paid_order(minutes=60)
    mail(order, "sent", minutes=50)
    mail(order, "gave_up", minutes=1, seq=2)
    assert found() == [("mail given up", order.reference)]


def test_order_whose_check_is_overdue_is_stuck() -> None:
    late = OrderFactory(next_check_at=ago(6))
    OrderFactory(next_check_at=ago(4))
    OrderFactory(next_check_at=None)
    OrderFactory(next_check_at=ago(6), livemode=True)  # begun with another key: the sweep leaves it alone
    assert found() == [("payment not asked about", late.reference)]


def test_f10_process_without_a_sign_of_life_is_stuck() -> None:
    Heartbeat.objects.create(name="sweep")
    silent = Heartbeat.objects.create(name="beat", at=ago(6))
    assert find_stuck(longer_than=FIVE) == [
        Stuck(
            what="no sign of life from",
            which="beat",
            since=silent.at,
            why="what beat sends: beat, the broker or all workers",
            mend="start it again; what is due meanwhile: python manage.py sweep",
        )
    ]
    assert find_stuck(longer_than=timedelta(minutes=7)) == []


def test_number_of_queries_does_not_grow(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    def one_of_each(number: int) -> None:
        event("failed", minutes=0, event_id=f"evt_{number}")
        paid_order(minutes=6, access=False)
        mail(paid_order(minutes=6), "gave_up", minutes=6)
        OrderFactory(next_check_at=ago(6))

    for number in range(2):
        one_of_each(number)
        with django_assert_num_queries(7):
            assert len(find_stuck(longer_than=FIVE)) == 5 * (number + 1)


def test_command_prints_each_and_ends_with_1_when_anything_is_stuck() -> None:
    out = StringIO()
    call_command("stuck", stdout=out)
    assert out.getvalue() == "0 stuck\n"
    row = event("failed", minutes=60, note="a reason")
    with pytest.raises(SystemExit) as ended:
        call_command("stuck", stdout=out)
    assert ended.value.code == 1
    assert out.getvalue() == (
        "0 stuck\n"
        f"event failed evt_1 since {row.received_at:%Y-%m-%d %H:%M:%S}: a reason\n"
        "    python manage.py replay --event evt_1\n"
        "1 stuck\n"
    )


def test_minutes_may_be_chosen_and_nonsense_is_refused() -> None:
    event(minutes=8)
    call_command("stuck", "--minutes", "10", stdout=StringIO())
    with pytest.raises(SystemExit):
        call_command("stuck", "--minutes", "7", stdout=StringIO())
    for nonsense in ("-1", "nan", "inf", "1e9", "many", "\x00"):
        with pytest.raises(CommandError):
            call_command("stuck", "--minutes", nonsense, stdout=StringIO())
