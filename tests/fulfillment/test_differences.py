"""I3, I4, I5, I11, I12: each way in which the books may differ is made to happen, and is found, named and mended."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.test import Client
from django.utils.html import escape
from django.utils.text import capfirst

from fulfillment.book_models import Difference
from fulfillment.differences import BY_HAND, MEANINGS, by_hand, command
from fulfillment.models import Entitlement
from fulfillment.sweep import Swept, sweep_money
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.books_steps import SENT, age, books, found, only_row, run_its_command, sold, sql, work
from tests.steps import begin_checkout, buy, pay_by_link, report, states

pytestmark = pytest.mark.django_db

Kind = Difference.Kind


@dataclass(frozen=True)
class Row:
    """What the row must say, and what the order must be once it is mended."""

    subject: str
    at_stripe: str
    here: str
    command: str
    after: tuple[str, list[str], list[str]] = SENT


def no_order(world: World) -> Row:
    """A Payment Link was paid, and no event of it came."""
    ProductFactory(slug="knots")
    session_id = pay_by_link(world, slug="knots", amount=900)
    return Row(session_id, "$9.00 paid", "no order", f"replay --session {session_id}")


def not_paid_here(world: World) -> Row:
    order = buy(world, Client(), ProductFactory())
    return Row(order.reference, "$12.50 paid", "open", f"replay --order {order.reference}")


def never_learned_its_session(world: World) -> Row:
    order = buy(world, Client(), ProductFactory())
    session_id = order.stripe_session_id
    sql("UPDATE orders_order SET stripe_session_id = NULL WHERE id = %s", order.pk)
    return Row(order.reference, "$12.50 paid", "open", f"replay --session {session_id}")


def not_paid_there(world: World) -> Row:
    """The bank debit failed long after it seemed to succeed."""
    order = buy(world, Client(), ProductFactory(), method="bank_debit")
    report(world, Client())
    work()
    sql("UPDATE orders_order SET state = 'paid', paid_at = now() WHERE id = %s", order.pk)
    return Row(
        order.reference,
        "session complete, unpaid",
        "paid",
        f"replay --order {order.reference}",
        ("processing", [], []),
    )


def not_even_begun_there(world: World) -> Row:
    """Nobody has paid, and the list of complete sessions does not show it."""
    order = begin_checkout(Client(), ProductFactory())
    sql("UPDATE orders_order SET state = 'paid', paid_at = now() WHERE id = %s", order.pk)
    return Row(order.reference, "session open, unpaid", "paid", f"replay --order {order.reference}", ("open", [], []))


def other_amount(world: World) -> Row:
    order = sold(world)
    sql("UPDATE orders_order SET total = 1251 WHERE id = %s", order.pk)
    return Row(order.reference, "$12.50", "$12.51", f"replay --order {order.reference}")


def other_currency_of_a_link(world: World) -> Row:
    ProductFactory(slug="knots")
    pay_by_link(world, slug="knots")
    report(world, Client(), "checkout.session.completed")
    work()
    order = Order.objects.get()
    sql("UPDATE orders_order SET currency = 'eur' WHERE id = %s", order.pk)
    return Row(order.reference, "$9.00", "€9.00", f"replay --order {order.reference}")


def other_intent(world: World) -> Row:
    order = sold(world)
    order.refresh_from_db()
    sql("UPDATE orders_order SET stripe_payment_intent_id = 'pi_other' WHERE id = %s", order.pk)
    return Row(
        order.reference,
        f"{order.stripe_session_id} {order.stripe_payment_intent_id}",
        f"{order.stripe_session_id} pi_other",
        f"replay --order {order.reference}",
    )


def no_session(world: World) -> Row:
    order = sold(world)
    order.refresh_from_db()
    sql("UPDATE orders_order SET stripe_session_id = NULL WHERE id = %s", order.pk)
    return Row(
        order.reference,
        f"{order.stripe_session_id} {order.stripe_payment_intent_id}",
        str(order.stripe_payment_intent_id),
        f"replay --session {order.stripe_session_id}",
    )


def refund_unheard_of(world: World) -> Row:
    order = sold(world)
    world.control("refund", {"session": order.stripe_session_id})
    return Row(
        order.reference,
        "$12.50 given back",
        "$0.00 given back",
        f"replay --order {order.reference}",
        ("paid", ["revoked"], ["sent"]),
    )


def refund_of_an_older_payment(world: World) -> Row:
    order = sold(world)
    age(world, timedelta(days=40))
    world.control("refund", {"session": order.stripe_session_id, "amount": 500})
    return Row(order.reference, "$5.00 given back", "$0.00 given back", f"replay --order {order.reference}")


def refund_that_failed_later(world: World) -> Row:
    order = sold(world)
    refund = world.control("refund", {"session": order.stripe_session_id})
    report(world, Client(), "charge.refunded")
    work()
    assert states(order) == ("paid", ["revoked"], ["sent"])
    world.control(f"refund/{refund['id']}/fail", {})
    return Row(order.reference, "$0.00 given back", "$12.50 given back", f"replay --order {order.reference}")


def refund_of_no_line(world: World) -> Row:
    """All is given back, and the line does not say so."""
    order = sold(world)
    world.control("refund", {"session": order.stripe_session_id})
    report(world, Client(), "charge.refunded")
    work()
    sql("UPDATE orders_orderline SET refunded = 0 WHERE order_id = %s", order.pk)
    return Row(
        order.reference,
        "$12.50 given back",
        f"$0.00 of it for {order.lines.get().name}",
        f"replay --order {order.reference}",
        ("paid", ["revoked"], ["sent"]),
    )


def refund_on_a_line_alone(world: World) -> Row:
    """The line says that it was given back, so its buyer would lose it at the next change."""
    order = sold(world)
    sql("UPDATE orders_orderline SET refunded = 300 WHERE order_id = %s", order.pk)
    return Row(
        order.reference,
        "$0.00 given back",
        "$3.00 given back on its lines",
        f"replay --order {order.reference}",
    )


def dispute_unheard_of(world: World) -> Row:
    order = sold(world)
    world.control("dispute", {"session": order.stripe_session_id})
    return Row(
        order.reference,
        "dispute: open",
        "dispute: none",
        f"replay --order {order.reference}",
        ("paid", ["suspended"], ["sent"]),
    )


def dispute_decided_months_later(world: World) -> Row:
    order = sold(world)
    dispute = world.control("dispute", {"session": order.stripe_session_id})
    report(world, Client(), "charge.dispute.created")
    work()
    assert states(order) == ("paid", ["suspended"], ["sent"])
    age(world, timedelta(days=70))
    world.control(f"dispute/{dispute['id']}/close", {"status": "won"})
    return Row(order.reference, "dispute: won", "dispute: open", f"replay --order {order.reference}")


def dispute_of_an_older_payment(world: World) -> Row:
    order = sold(world)
    age(world, timedelta(days=40))
    world.control("dispute", {"session": order.stripe_session_id})
    return Row(
        order.reference,
        "dispute: open",
        "dispute: none",
        f"replay --order {order.reference}",
        ("paid", ["suspended"], ["sent"]),
    )


def no_entitlement(world: World) -> Row:
    order = sold(world, name="Knots")
    sql("DELETE FROM fulfillment_entitlement")
    return Row(order.reference, "$12.50 paid", "no access to Knots", f"replay --order {order.reference}")


def entitlement_taken_away(world: World) -> Row:
    order = sold(world, name="Knots")
    sql("UPDATE fulfillment_entitlement SET state = 'suspended', reason = 'disputed'")
    return Row(order.reference, "$12.50 paid", "no access to Knots", f"replay --order {order.reference}")


def access_after_a_refund(world: World) -> Row:
    order = sold(world, name="Knots")
    world.control("refund", {"session": order.stripe_session_id})
    report(world, Client(), "charge.refunded")
    work()
    sql("UPDATE fulfillment_entitlement SET state = 'active', reason = ''")
    return Row(
        order.reference,
        "$12.50 paid",
        "order refunded, and access to Knots",
        f"replay --order {order.reference}",
        ("paid", ["revoked"], ["sent"]),
    )


def access_in_a_dispute(world: World) -> Row:
    order = sold(world, name="Knots")
    dispute = world.control("dispute", {"session": order.stripe_session_id})
    world.control(f"dispute/{dispute['id']}/close", {"status": "lost"})
    report(world, Client(), "charge.dispute.closed")
    work()
    sql("UPDATE fulfillment_entitlement SET state = 'active', reason = ''")
    return Row(
        order.reference,
        "$12.50 paid",
        "order lost in a dispute, and access to Knots",
        f"replay --order {order.reference}",
        ("paid", ["suspended"], ["sent"]),
    )


def access_without_any_payment(world: World) -> Row:
    order = begin_checkout(Client(), ProductFactory(name="Knots"))
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, email="thief@example.com")
    return Row(
        order.reference,
        "session open, unpaid",
        "order open, and access to Knots",
        f"replay --order {order.reference}",
        ("open", ["revoked"], []),
    )


def no_mail_row(world: World) -> Row:
    order = sold(world)
    sql("DELETE FROM fulfillment_deliveryattempt")
    sql("DELETE FROM fulfillment_delivery")
    return Row(order.reference, "$12.50 paid", "no mail was written", f"replay --order {order.reference}")


def mail_that_waits(world: World) -> Row:
    """The mail server said: later."""
    world.control("faults", {"area": "mail", "kind": "refuse_message", "code": 451, "count": 1})
    order = buy(world, Client(), ProductFactory())
    report(world, Client(), "checkout.session.completed")
    work()
    assert states(order) == ("paid", ["active"], ["pending"])
    return Row(
        order.reference,
        "$12.50 paid",
        "the mail is pending, attempts: 1",
        f"books --order {order.reference} --mend",
    )


def mail_given_up(world: World) -> Row:
    world.control("faults", {"area": "mail", "kind": "refuse_recipient", "code": 550, "count": 1})
    order = buy(world, Client(), ProductFactory())
    report(world, Client(), "checkout.session.completed")
    work()
    assert states(order) == ("paid", ["active"], ["gave_up"])
    return Row(
        order.reference,
        "$12.50 paid",
        "the mail is gave up, attempts: 1",
        f"resend {order.reference}",
        ("paid", ["active"], ["gave_up", "sent"]),
    )


MENDED_BY_COMMAND: list[tuple[Kind, Callable[[World], Row]]] = [
    (Kind.NO_ORDER, no_order),
    (Kind.UNPAID_HERE, not_paid_here),
    (Kind.UNPAID_HERE, never_learned_its_session),
    (Kind.UNPAID_THERE, not_paid_there),
    (Kind.UNPAID_THERE, not_even_begun_there),
    (Kind.AMOUNT, other_amount),
    (Kind.AMOUNT, other_currency_of_a_link),
    (Kind.INTENT, other_intent),
    (Kind.INTENT, no_session),
    (Kind.REFUND, refund_unheard_of),
    (Kind.REFUND, refund_of_an_older_payment),
    (Kind.REFUND, refund_that_failed_later),
    (Kind.REFUND, refund_of_no_line),
    (Kind.REFUND, refund_on_a_line_alone),
    (Kind.DISPUTE, dispute_unheard_of),
    (Kind.DISPUTE, dispute_decided_months_later),
    (Kind.DISPUTE, dispute_of_an_older_payment),
    (Kind.NO_ACCESS, no_entitlement),
    (Kind.NO_ACCESS, entitlement_taken_away),
    (Kind.FREE_ACCESS, access_after_a_refund),
    (Kind.FREE_ACCESS, access_in_a_dispute),
    (Kind.FREE_ACCESS, access_without_any_payment),
    (Kind.NO_MAIL, no_mail_row),
    (Kind.NO_MAIL, mail_that_waits),
    (Kind.NO_MAIL, mail_given_up),
]
each = pytest.mark.parametrize("kind, happen", MENDED_BY_COMMAND, ids=[act.__name__ for _, act in MENDED_BY_COMMAND])


@each
def test_i3_i4_i5_i11_i12_difference_is_found_named_and_mended_by_its_command(
    smtp: World, kind: Kind, happen: Callable[[World], Row]
) -> None:
    row = happen(smtp)
    age(smtp)
    said = books(code=1)
    assert found() == [(kind, row.subject)]
    seen = only_row()
    assert (seen.at_stripe, seen.here, command(seen), by_hand(seen)) == (
        row.at_stripe, row.here, f"python manage.py {row.command}", ""
    )  # fmt: skip
    for line in (f"{kind.label}: {row.subject} since ", f"{MEANINGS[kind]}\n", f"    {command(seen)}\n"):
        assert line in said
    run_its_command(command(seen))
    work()
    assert books().endswith("0 differ\n")
    assert found() == []
    assert states(Order.objects.get()) == row.after
    seen.refresh_from_db()
    assert seen.resolved_at is not None


@each
def test_difference_is_mended_by_its_button(
    smtp: World, admin_client: Client, kind: Kind, happen: Callable[[World], Row]
) -> None:
    row = happen(smtp)
    age(smtp)
    books(code=1)
    answer = admin_client.post(f"/admin/fulfillment/difference/{only_row().pk}/mend/", follow=True)
    assert f"{capfirst(kind.label)}: {row.subject}: mended, " in answer.content.decode()
    assert found() == []
    assert states(Order.objects.get()) == row.after
    assert books().endswith("0 differ\n")


# What no command can mend: the row says what a person must do, and closes once they have.


@dataclass(frozen=True)
class ForAPerson:
    """What the row must say, and what a person does."""

    subject: str
    at_stripe: str
    here: str
    act: Callable[[], None]


def unknown_at_stripe(world: World) -> ForAPerson:
    """Somebody wrote "paid" into a row; Stripe never heard of its session."""
    order = OrderFactory(state=Order.State.PAID, email="thief@example.com", stripe_session_id="cs_test_none")
    return ForAPerson(
        order.reference,
        "no such payment",
        "paid, by cs_test_none",
        lambda: sql("UPDATE orders_order SET state = 'expired' WHERE id = %s", order.pk),
    )


def paid_by_no_session(world: World) -> ForAPerson:
    order = OrderFactory(state=Order.State.PAID, email="thief@example.com")
    return ForAPerson(
        order.reference,
        "no such payment",
        "paid, by no session",
        lambda: sql("UPDATE orders_order SET state = 'expired' WHERE id = %s", order.pk),
    )


def other_currency_of_our_own(world: World) -> ForAPerson:
    order = sold(world)
    sql("UPDATE orders_order SET currency = 'eur' WHERE id = %s", order.pk)
    return ForAPerson(
        order.reference,
        "$12.50",
        "€12.50",
        lambda: sql("UPDATE orders_order SET currency = 'usd' WHERE id = %s", order.pk),
    )


def worth_something_else(world: World) -> ForAPerson:
    order = sold(world)
    sql("UPDATE orders_orderline SET unit_price = 99900 WHERE order_id = %s", order.pk)
    return ForAPerson(
        order.reference,
        "$12.50",
        "lines worth $999.00",
        lambda: sql("UPDATE orders_orderline SET unit_price = 1250 WHERE order_id = %s", order.pk),
    )


def session_of_another_order(world: World) -> ForAPerson:
    order, other = sold(world), begin_checkout(Client(), ProductFactory())
    order.refresh_from_db()
    session_id, unpaid = order.stripe_session_id, other.stripe_session_id
    sql("UPDATE orders_order SET stripe_session_id = NULL WHERE id = %s", other.pk)
    sql("UPDATE orders_order SET stripe_session_id = %s WHERE id = %s", unpaid, order.pk)
    return ForAPerson(
        order.reference,
        f"{session_id} was made for this order",
        f"it names {unpaid}",
        lambda: sql("UPDATE orders_order SET stripe_session_id = %s WHERE id = %s", session_id, order.pk),
    )


def access_that_nothing_can_be_asked_about(world: World) -> ForAPerson:
    order = OrderFactory(source=Order.Source.FREE, email="thief@example.com")
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, email="thief@example.com")
    return ForAPerson(
        order.reference,
        "nothing",
        f"order open, and access to {line.name}",
        lambda: sql("UPDATE fulfillment_entitlement SET state = 'revoked', reason = 'unpaid'"),
    )


FOR_A_PERSON: list[tuple[Kind, Callable[[World], ForAPerson]]] = [
    (Kind.UNKNOWN_THERE, unknown_at_stripe),
    (Kind.UNKNOWN_THERE, paid_by_no_session),
    (Kind.AMOUNT, other_currency_of_our_own),
    (Kind.WORTH, worth_something_else),
    (Kind.OTHER_ORDER, session_of_another_order),
    (Kind.FREE_ACCESS, access_that_nothing_can_be_asked_about),
]


@pytest.mark.parametrize("kind, happen", FOR_A_PERSON, ids=[act.__name__ for _, act in FOR_A_PERSON])
def test_i3_i4_difference_that_no_command_mends_says_what_a_person_must_do(
    smtp: World, admin_client: Client, kind: Kind, happen: Callable[[World], ForAPerson]
) -> None:
    row = happen(smtp)
    age(smtp)
    said = books(code=1)
    assert found() == [(kind, row.subject)]
    seen = only_row()
    assert (seen.at_stripe, seen.here, command(seen)) == (row.at_stripe, row.here, "")
    assert f"    {BY_HAND[kind]}\n" in said
    assert said.count("python manage.py") == 0
    assert books("--mend", code=1).count("still differs") == 0  # nothing was tried
    page = admin_client.get("/admin/fulfillment/difference/").content.decode()
    assert escape(BY_HAND[kind]) in page
    assert f"/admin/fulfillment/difference/{seen.pk}/mend/" not in page
    row.act()
    assert books().endswith("0 differ\n")
    assert found() == []


def test_i3_swapped_sessions_are_named_for_both_orders(smtp: World) -> None:
    """Amounts and states agree; only the wrong buyers have the goods."""
    one, other = sold(smtp), sold(smtp)
    one.refresh_from_db()
    other.refresh_from_db()
    for order, ids in ((one, (None, None)), (other, ids_of(one)), (one, ids_of(other))):
        sql(
            "UPDATE orders_order SET stripe_session_id = %s, stripe_payment_intent_id = %s WHERE id = %s",
            *ids, order.pk,
        )  # fmt: skip
    books(code=1)
    assert sorted(found()) == sorted([("other_order", one.reference), ("other_order", other.reference)])
    assert only_row_of(one).here == f"order {one.reference} names it"


def ids_of(order: Order) -> tuple[str | None, str | None]:
    return order.stripe_session_id, order.stripe_payment_intent_id


def only_row_of(order: Order) -> Difference:
    return Difference.objects.get(order=order, resolved_at=None)


def test_b2_order_held_for_a_person_is_delivered_by_its_command_after_the_fix(smtp: World) -> None:
    session_id = pay_by_link(smtp, slug="not-yet")
    report(smtp, Client(), "checkout.session.completed")
    work()
    age(smtp)
    books(code=1)
    seen, order = only_row(), Order.objects.get()
    assert (seen.kind, seen.subject, seen.session_id) == ("held", order.reference, session_id)
    assert seen.here == "No product with a published file has the slug 'not-yet'."
    assert by_hand(seen) == BY_HAND[Kind.HELD]
    assert "held" in books("--mend", code=1)  # tried, and still so
    ProductFactory(slug="not-yet")
    run_its_command(command(seen))
    work()
    assert books().endswith("0 differ\n")
    assert states(order) == SENT


def test_i11_held_order_whose_money_was_given_back_needs_nobody(smtp: World) -> None:
    session_id = pay_by_link(smtp, slug="never")
    report(smtp, Client(), "checkout.session.completed")
    work()
    age(smtp)
    books(code=1)
    smtp.control("refund", {"session": session_id})
    report(smtp, Client(), "charge.refunded")
    work()
    assert Order.objects.get().attention
    assert books().endswith("0 differ\n")


# What is no difference.


def test_i5_order_given_back_before_its_mail_went_out_is_owed_none(smtp: World) -> None:
    order = buy(smtp, Client(), ProductFactory())
    smtp.control("refund", {"session": order.stripe_session_id})
    report(smtp, Client(), "checkout.session.completed", "charge.refunded")
    sweep_money(Swept())
    age(smtp)
    assert states(order) == ("paid", ["revoked"], ["pending"])
    assert books().endswith("0 differ\n")


def test_i5_free_order_is_owed_a_mail_too(smtp: World) -> None:
    order = OrderFactory(source=Order.Source.FREE, state=Order.State.PAID, total=0, email="reader@example.com")
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, email=order.email)
    age(smtp)
    books(code=1)
    assert found() == [("no_mail", order.reference)]
    assert command(only_row()) == f"python manage.py resend {order.reference}"
    run_its_command(command(only_row()))
    work()
    assert books().endswith("0 differ\n")


def test_i4_refund_of_a_part_leaves_access_and_no_difference(smtp: World) -> None:
    order = sold(smtp)
    smtp.control("refund", {"session": order.stripe_session_id, "amount": 100})
    report(smtp, Client(), "charge.refunded")
    work()
    age(smtp)
    assert states(order) == SENT
    assert "USD: paid $12.50 at Stripe, $12.50 here, difference $0.00; refunded $1.00 at Stripe, $1.00 here" in books()


def test_i12_inquiry_of_the_bank_is_no_dispute(smtp: World) -> None:
    order = sold(smtp)
    smtp.control("dispute", {"session": order.stripe_session_id, "inquiry": True})
    age(smtp)
    assert books().endswith("0 differ\n")


def test_order_restored_under_another_reference_is_no_other_order(smtp: World) -> None:
    """The row that made the session is lost with its database: reconcile makes another, as from a Payment Link."""
    order = sold(smtp, slug="knots")
    sql("UPDATE orders_order SET reference = 'RESTRRESTRRESTR2', source = 'payment_link' WHERE id = %s", order.pk)
    assert books().endswith("0 differ\n")


def test_every_kind_has_its_meaning() -> None:
    assert set(MEANINGS) == set(Kind)
    assert {kind for kind, _ in MENDED_BY_COMMAND} | {kind for kind, _ in FOR_A_PERSON} | {Kind.HELD} == set(Kind)
