"""The check of the books as a whole: periods, sums, what is in flight, many at once, and Stripe away."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from fulfillment import bookkeeping
from fulfillment import books as checking
from fulfillment.book_models import BooksCheck, Difference
from orders.models import Order
from sandbox.world.server import World
from storefront.celery import app
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.books_steps import (
    SENT,
    age,
    books,
    books_json,
    found,
    only_row,
    sold,
    sql,
    work,
)
from tests.fulfillment.test_at_once import at_once, roomy_pool  # noqa: F401 - a fixture
from tests.steps import begin_checkout, buy, pay_by_link, report, states

pytestmark = pytest.mark.django_db

DOWN = {"area": "api", "kind": "error", "status": 503}


def lost(world: World) -> Order:
    """An order that was paid some minutes ago; no event of it came."""
    order = buy(world, Client(), ProductFactory())
    age(world)
    return order


# Sums


def test_i3_totals_of_both_sides_are_equal_per_currency(smtp: World) -> None:
    sold(smtp)
    refunded = sold(smtp, price=900, currency="eur")
    sold(smtp, price=500, currency="jpy")
    smtp.control("refund", {"session": refunded.stripe_session_id, "amount": 400})
    report(smtp, Client(), "charge.refunded")
    work()
    smtp.control("trigger", {"type": "checkout.session.completed"})
    begin_checkout(Client(), ProductFactory())
    age(smtp)
    said = books_json()
    assert said["totals"] == {
        "eur": {"stripe_paid": 900, "here_paid": 900, "stripe_refunded": 400, "here_refunded": 400},
        "jpy": {"stripe_paid": 500, "here_paid": 500, "stripe_refunded": 0, "here_refunded": 0},
        "usd": {"stripe_paid": 1250, "here_paid": 1250, "stripe_refunded": 0, "here_refunded": 0},
    }
    assert (said["agree"], said["sessions"], said["foreign"], said["in_flight"]) == (True, 3, 1, 0)
    assert "JPY: paid ¥500 at Stripe, ¥500 here, difference ¥0; refunded ¥0 at Stripe, ¥0 here" in books()


def test_i3_totals_differ_by_what_the_rows_explain(smtp: World) -> None:
    sold(smtp)
    lost(smtp)
    assert "USD: paid $25.00 at Stripe, $12.50 here, difference -$12.50; refunded $0.00" in books(code=1)
    assert books_json(code=1)["differences"][0]["kind"] == "unpaid_here"
    assert "USD: paid $25.00 at Stripe, $25.00 here, difference $0.00" in books("--mend") + books()


def test_i4_paid_here_alone_shows_in_the_sum(smtp: World) -> None:
    OrderFactory(state=Order.State.PAID, email="thief@example.com", stripe_session_id="cs_test_none")
    age(smtp)
    assert "USD: paid $0.00 at Stripe, $12.50 here, difference $12.50" in books(code=1)


def test_period_counts_payments_by_the_time_they_were_made(smtp: World) -> None:
    sold(smtp)
    age(smtp, timedelta(hours=30))
    sold(smtp)
    assert books_json("--since", "1d")["totals"]["usd"]["stripe_paid"] == 1250
    assert books_json("--since", "2d")["totals"]["usd"]["stripe_paid"] == 2500


# In flight


def test_payment_of_just_now_is_in_flight_and_a_difference_two_minutes_later(smtp: World) -> None:
    order = buy(smtp, Client(), ProductFactory())
    pay_by_link(smtp, slug=None)
    said = books_json()
    assert (said["agree"], said["in_flight"], said["totals"]) == (True, 2, {})
    assert found() == []
    age(smtp, timedelta(seconds=100))
    assert books_json()["in_flight"] == 2
    age(smtp, timedelta(seconds=21))
    assert books_json(code=1)["in_flight"] == 0
    assert sorted(kind for kind, _ in found()) == ["no_order", "unpaid_here"]
    assert states(order) == ("open", [], [])


def test_in_flight_hides_nothing_that_is_older(smtp: World) -> None:
    """A refund of just now explains the refund, and not the amount."""
    order = sold(smtp)
    sql("UPDATE orders_order SET total = 9999 WHERE id = %s", order.pk)
    smtp.control("refund", {"session": order.stripe_session_id, "amount": 100})
    said = books_json(code=1)
    assert (found(), said["in_flight"]) == ([("amount", order.reference)], 1)
    age(smtp)
    books(code=1)
    assert found() == [("amount", order.reference), ("refund", order.reference)]


def test_dispute_and_late_settlement_of_just_now_are_in_flight(smtp: World) -> None:
    disputed = sold(smtp)
    debit = buy(smtp, Client(), ProductFactory(), method="bank_debit")
    report(smtp, Client(), "checkout.session.completed")
    work()
    age(smtp, timedelta(days=1))
    smtp.control("dispute", {"session": disputed.stripe_session_id})
    smtp.control(f"settle/{debit.stripe_session_id}", {"result": "succeeded"})
    assert (books_json()["in_flight"], found()) == (2, [])
    age(smtp)
    books(code=1)
    assert sorted(found()) == [("dispute", disputed.reference), ("unpaid_here", debit.reference)]


def test_open_row_stays_while_something_newer_is_in_flight(smtp: World) -> None:
    order = lost(smtp)
    books(code=1)
    smtp.control("refund", {"session": order.stripe_session_id})
    books(code=1)
    assert found() == [("unpaid_here", order.reference)]


def test_i5_mail_written_just_now_is_in_flight_but_no_reason_to_close(smtp: World) -> None:
    order = sold(smtp)
    sql("UPDATE fulfillment_delivery SET state = 'pending', sent_at = NULL, next_attempt_at = now() + interval '1 day'")
    books(code=1)
    assert found() == [("no_mail", order.reference)]
    sql("UPDATE fulfillment_delivery SET created_at = now()")
    assert books_json(code=1)["in_flight"] == 1
    assert found() == [("no_mail", order.reference)]


# Rows


def test_repeated_checks_keep_one_row_and_its_first_sight(smtp: World) -> None:
    lost(smtp)
    books(code=1)
    first = only_row()
    age(smtp)
    books(code=1)
    again = only_row()
    assert again.pk == first.pk
    assert again.first_seen == first.first_seen - timedelta(minutes=5)
    assert again.last_seen > first.last_seen


def test_difference_that_comes_back_is_a_new_row_and_the_history_stays(smtp: World) -> None:
    order = sold(smtp)
    for _ in range(2):
        sql("UPDATE orders_order SET total = total + 1 WHERE id = %s", order.pk)
        books(code=1)
        sql("UPDATE orders_order SET total = 1250 WHERE id = %s", order.pk)
        books()
    assert Difference.objects.filter(kind="amount", resolved_at__isnull=False).count() == 2
    assert found() == []


def test_row_of_a_longer_period_is_looked_at_by_every_check(smtp: World) -> None:
    order = sold(smtp)
    sql("UPDATE orders_order SET total = total + 1 WHERE id = %s", order.pk)
    age(smtp, timedelta(days=10))
    assert books("--since", "2d").endswith("0 differ\n")  # beyond its period
    books("--since", "30d", code=1)
    books("--since", "2d", code=1)
    assert found() == [("amount", order.reference)]
    sql("UPDATE orders_order SET total = 1250 WHERE id = %s", order.pk)
    assert books("--since", "2d").endswith("0 differ\n")
    assert found() == []


def test_history_is_forgotten_after_90_days(smtp: World) -> None:
    now = timezone.now()
    fields: dict[str, Any] = {"kind": "amount", "livemode": False, "mend": "replay", "first_seen": now - timedelta(200)}
    for subject, days in (("old", 91), ("young", 89)):
        at = now - timedelta(days=days)
        Difference.objects.create(subject=subject, last_seen=at, resolved_at=at, **fields)
    BooksCheck.objects.create(since=now, livemode=False, began_at=now - timedelta(days=15))
    books()
    assert list(Difference.objects.values_list("subject", flat=True)) == ["young"]
    assert BooksCheck.objects.count() == 1


def test_database_allows_one_open_row_for_a_kind_and_subject(world: World) -> None:
    fields: dict[str, Any] = {"kind": "amount", "subject": "X", "livemode": False, "mend": "replay"}
    Difference.objects.create(**fields, resolved_at=timezone.now())
    Difference.objects.create(**fields)
    with pytest.raises(IntegrityError, match="difference_open_once"):
        Difference.objects.create(**fields)


@pytest.mark.parametrize(
    "constraint, fields",
    [("difference_has_subject", {"subject": ""}), ("difference_seen_in_order", {"last_seen": timezone.now()})],
)
def test_database_refuses_a_row_that_makes_no_sense(constraint: str, fields: dict[str, Any]) -> None:
    later = timezone.now() + timedelta(minutes=1)
    with pytest.raises(IntegrityError, match=constraint):
        Difference.objects.create(
            **{"kind": "amount", "subject": "X", "livemode": False, "mend": "replay", "first_seen": later} | fields
        )


def test_what_another_check_has_seen_since_is_not_closed_by_an_older_look(world: World) -> None:
    seen = timezone.now()
    row = Difference.objects.create(
        kind="amount", subject="X", livemode=False, mend="replay", first_seen=seen, last_seen=seen
    )
    bookkeeping.close(["X"], looked_at=seen - timedelta(seconds=1))
    row.refresh_from_db()
    assert row.resolved_at is None
    bookkeeping.close(["X"], looked_at=seen + timedelta(seconds=1))
    row.refresh_from_db()
    assert row.resolved_at is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("roomy_pool")
def test_eight_checks_at_once_open_each_row_once_and_close_it_once(smtp: World) -> None:
    orders = [buy(smtp, Client(), ProductFactory()) for _ in range(5)]
    age(smtp)
    day = timezone.now() - timedelta(days=1)

    def check() -> int:
        return len(checking.check(since=day, say=lambda _: None).found)

    assert at_once(*[check] * 8) == [5] * 8
    assert sorted(found()) == sorted(("unpaid_here", order.reference) for order in orders)
    assert Difference.objects.count() == 5
    books("--mend")
    assert at_once(*[check] * 8) == [0] * 8
    assert (found(), Difference.objects.count()) == ([], 5)


# Stripe away, another account, the other mode


@pytest.mark.parametrize("path", ["/v1/refunds", "/v1/checkout/sessions", "/v1/checkout/sessions/cs_", "/v1/events"])
def test_stripe_away_ends_with_2_and_resolves_nothing(smtp: World, path: str) -> None:
    order = lost(smtp)
    books(code=1)
    smtp.control("faults", {**DOWN, "path": path})
    said = books(code=2)
    assert said.startswith("Stripe could not be asked, so nothing is known: ")
    assert found() == [("unpaid_here", order.reference)]
    assert BooksCheck.objects.first().failure.startswith("StripeUnavailable")  # type: ignore[union-attr]
    smtp.control("faults/clear", {})
    books(code=1)
    assert found() == [("unpaid_here", order.reference)]


def test_stripe_away_in_a_task_is_no_error(smtp: World) -> None:
    app.loader.import_default_modules()
    smtp.control("faults", DOWN)
    app.tasks["fulfillment.tasks.check_books"](48)
    check = BooksCheck.objects.get()
    assert (check.failure.split(":")[0], check.ended_at is not None) == ("StripeUnavailable", True)


def test_key_of_another_account_settles_nothing(smtp: World) -> None:
    """What is open stays open, and every order that was paid is said to be unknown there."""
    delivered = sold(smtp)
    ProductFactory(slug="knots")
    session_id = pay_by_link(smtp, slug="knots")
    age(smtp)
    books(code=1)
    assert found() == [("no_order", session_id)]
    smtp.control("reset", {})
    books(code=1)
    assert found() == [("no_order", session_id), ("unknown_there", delivered.reference)]


def test_i14_orders_of_the_other_mode_are_left_alone(smtp: World) -> None:
    OrderFactory(state=Order.State.PAID, email="buyer@example.com", livemode=True, stripe_session_id="cs_live_1")
    Difference.objects.create(kind="amount", subject="LIVE", livemode=True, mend="replay", session_id="cs_live_2")
    age(smtp)
    assert books().endswith("0 sessions compared, 0 of others, 0 in flight; 0 differ\n")
    assert found() == [("amount", "LIVE")]


def test_foreign_sessions_are_counted_and_left_alone(smtp: World) -> None:
    for _ in range(3):
        smtp.control("trigger", {"type": "checkout.session.completed"})
    age(smtp)
    assert books().endswith("0 sessions compared, 3 of others, 0 in flight; 0 differ\n")


# The command


def test_dry_run_prints_what_differs_and_writes_nothing(smtp: World) -> None:
    order = lost(smtp)
    said = books("--dry-run", "--mend", code=1)
    assert f"    python manage.py replay --order {order.reference}\n" in said
    assert (Difference.objects.count(), BooksCheck.objects.count()) == (0, 0)
    assert states(order) == ("open", [], [])


def test_mend_runs_each_command_and_ends_with_0(smtp: World) -> None:
    other, order = sold(smtp), lost(smtp)
    sql("DELETE FROM fulfillment_entitlement WHERE order_line_id = %s", other.lines.get().pk)
    said = books("--mend")
    assert f"paid at Stripe, not paid here: {order.reference}: mended, fulfilled again; the mail was accepted\n" in said
    assert f"paid, no access: {other.reference}: mended, fulfilled again\n" in said
    assert said.endswith("2 sessions compared, 0 of others, 0 in flight; 0 differ\n")
    assert (states(order), states(other)) == (SENT, SENT)
    assert list(order.timeline.filter(door="books").values_list("kind", flat=True)) == ["state", "access"]


def test_mend_says_why_it_still_differs(smtp: World) -> None:
    order = sold(smtp)
    sql("UPDATE fulfillment_delivery SET state = 'gave_up', sent_at = NULL, created_at = now() - interval '1 hour'")
    sql("DELETE FROM fulfillment_deliveryattempt")
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "code": 550})
    said = books("--mend", code=1)
    assert re.search(rf"paid, no mail sent: {order.reference}: still differs, the mail: .*550", said)
    assert found() == [("no_mail", order.reference)]
    again = books("--mend", code=1)
    assert "had a mail within the last minute" in again


def test_i6_mail_that_was_accepted_is_not_sent_again_for_a_row_that_forgot(smtp: World) -> None:
    order = sold(smtp)
    sql("UPDATE fulfillment_delivery SET state = 'pending', sent_at = NULL")
    assert f"paid, no mail sent: {order.reference}: mended, the mail was accepted at " in books("--mend")
    assert states(order) == SENT
    work()
    assert len(smtp.mails(to="guest@example.com")) == 1


def test_intent_that_another_order_holds_is_said_and_nothing_breaks(smtp: World) -> None:
    order, other = sold(smtp), sold(smtp)
    order.refresh_from_db()
    sql("UPDATE orders_order SET stripe_payment_intent_id = NULL WHERE id = %s", order.pk)
    sql(
        "UPDATE orders_order SET stripe_payment_intent_id = %s WHERE id = %s",
        order.stripe_payment_intent_id, other.pk,
    )  # fmt: skip
    said = books("--order", order.reference, "--mend", code=1)
    assert f"payment ids differ: {order.reference}: still differs, it could not be done: duplicate key" in said
    books("--order", other.reference, "--mend")
    books("--order", order.reference, "--mend")
    assert books().endswith("0 differ\n")


def test_one_order_alone_may_be_looked_at(smtp: World) -> None:
    order, other = lost(smtp), lost(smtp)
    assert order.reference in books("--order", order.reference.lower(), code=1)
    assert found() == [("unpaid_here", order.reference)]
    books("--order", order.reference, "--mend")
    assert (states(order), states(other)) == (SENT, ("open", [], []))
    assert found() == []
    with pytest.raises(CommandError, match="there is no order NONE"):
        books("--order", "NONE")
    with pytest.raises(CommandError, match="--since"):
        books("--since", "yesterday")


def test_json_tells_all_that_the_sentences_do(smtp: World) -> None:
    order = lost(smtp)
    (row,) = books_json(code=1)["differences"]
    assert row | {"first_seen": ""} == {
        "kind": "unpaid_here",
        "subject": order.reference,
        "session": order.stripe_session_id,
        "at_stripe": "$12.50 paid",
        "here": "open",
        "meaning": "A buyer paid, and the order does not show it: they got nothing.",
        "by_hand": "",
        "command": f"python manage.py replay --order {order.reference}",
        "first_seen": "",
    }


# Many


def test_number_of_queries_does_not_grow_with_the_orders(smtp: World) -> None:
    counts = []
    for _ in range(3):
        for _ in range(3):
            buy(smtp, Client(), ProductFactory())
        report(smtp, Client(), "checkout.session.completed")
        work()
        age(smtp)
        with CaptureQueriesContext(connection) as captured:
            books()
        counts.append(len(captured))
    assert counts == [counts[0]] * 3


def test_more_differences_than_are_looked_at_closer_are_all_found(world: World) -> None:
    """After a backup was restored: four pages of payments that no order knows."""
    payer = {"metadata": {"product_slug": "knots"}}
    for _ in range(checking.CLOSER + 5):
        world.control("trigger", {"type": "checkout.session.completed", **payer})
    age(world)
    checked = checking.check(since=timezone.now() - timedelta(days=1), say=lambda _: None)
    assert (checked.sessions, checked.closer) == (305, 300)
    assert len(checked.found) == len(found()) == 305
    assert {kind for kind, _ in found()} == {"no_order"}


# By itself


@pytest.mark.parametrize("entry, days", [("books", 2), ("books 30 days", 30)])
def test_beat_checks_the_books(smtp: World, settings: Settings, entry: str, days: int) -> None:
    order = lost(smtp)
    scheduled = settings.CELERY_BEAT_SCHEDULE[entry]
    app.loader.import_default_modules()
    app.tasks[scheduled["task"]](*scheduled["args"])
    assert found() == [("unpaid_here", order.reference)]
    check = BooksCheck.objects.get()
    assert (check.sessions, check.failure) == (1, "")
    assert abs(timezone.now() - timedelta(days=days) - check.since) < timedelta(minutes=1)
