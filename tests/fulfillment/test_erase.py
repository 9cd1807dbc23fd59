"""Who asks to be forgotten is: nothing names them any more, and the books of the money still agree with Stripe's."""

import json
from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import MailChoice, Session, SignIn, User
from fulfillment import lost_link, outbox
from fulfillment.access import Actor, held
from fulfillment.books import look_again
from fulfillment.delivery_models import Delivery
from fulfillment.erase import EraseRefused, erase_account, erase_address
from fulfillment.fulfill import fulfill
from fulfillment.models import Download, StripeEvent
from fulfillment.news_models import News
from fulfillment.resend import ResendRefused, resend_order
from fulfillment.sweep import sweep
from orders.billing_models import Billing
from orders.models import Order
from orders.refund_models import RefundRequest
from sandbox.world.server import World
from tests.factories import PDF, OrderFactory, ProductFactory, UserFactory
from tests.proof.invariants import violations
from tests.steps import begin_checkout, body_of, buy, report

pytestmark = pytest.mark.django_db

BOB = "bob@example.com"
PRIVATE = ("bob@example.com", "b…@example.com", "Bob & Sons", "192.0.2.9", "Firefox/150")
TABLES = """SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
    AND table_name NOT IN ('django_migrations', 'cache')"""


@pytest.fixture
def bob() -> User:
    user: User = UserFactory(email=BOB)
    return user


@pytest.fixture
def order(smtp: World, client: Client, bob: User) -> Order:
    """Bought by Bob, signed in; fulfilled, mailed and read."""
    client.force_login(bob)
    order = buy(smtp, client, ProductFactory(), email=BOB)
    report(smtp, client)
    sweep()
    line = order.lines.get()
    Download.objects.create(
        entitlement=line.entitlement,
        file=line.edition.files.get(),
        via="library",
        address="192.0.2.9",
        agent="Firefox/150",
    )
    Order.objects.filter(pk=order.pk).update(buyer_address="192.0.2.9", buyer_agent="Firefox/150")
    Billing.objects.create(order=order, name="Bob & Sons")
    SignIn.objects.create(user=bob, address="192.0.2.9", agent="Firefox/150")
    resend_order(order.reference, to="typo@example.com", reason="bob@example.com was wrong", door="admin", wait=True)
    Order.objects.filter(pk=order.pk).update(email=BOB)
    order.timeline.create(kind="mail", door="outbox", detail=f"order: gave up, 550 <{BOB}>: no such user")
    order.refresh_from_db()
    return order


def everywhere() -> str:
    """Every row of every table, as text; bodies of events as what they say."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        names = [row[0] for row in cursor.fetchall()]
        found = []
        for name in names:
            cursor.execute(f"SELECT to_jsonb(t)::text FROM {name} t")  # noqa: S608
            found += [f"{name}: {row[0]}" for row in cursor.fetchall()]
    bodies = [bytes(event.body).decode() for event in StripeEvent.objects.all()]
    return "\n".join([*found, *bodies])


def test_s65_nothing_names_the_buyer_and_the_money_stays(order: Order, bob: User) -> None:
    before = Order.objects.values("reference", "total", "state", "currency", "paid_at", "stripe_session_id").get()
    lines, entries = order.lines.count(), order.timeline.count()
    erased = erase_account(bob)
    assert (erased.account, erased.orders, erased.downloads) == (True, 1, 1)
    # What Stripe told of charges and customers loses its text after 30 days: these events name no session of ours.
    StripeEvent.objects.exclude(object_id__in=[order.stripe_session_id, order.stripe_payment_intent_id]).update(
        body=b""
    )
    left = everywhere()
    assert [word for word in PRIVATE if word in left] == []
    assert Order.objects.values(*before).get() == before
    assert (order.lines.count(), order.timeline.count()) == (lines, entries)
    assert not User.objects.exists()
    assert not EmailAddress.objects.exists()
    assert not Session.objects.filter(user_id=bob.pk).exists()


def test_access_has_ended_everywhere(order: Order, bob: User, client: Client) -> None:
    file = order.lines.get().edition.files.get()
    guest = Client()
    token_page = f"/downloads/{file.pk}/"
    assert body_of(client.get(token_page)) == PDF
    references = frozenset({order.reference})
    erase_account(bob)
    for browser in (client, guest):
        assert browser.get(token_page).status_code == 404
        assert browser.get(f"/orders/{order.reference}/").status_code == 404
        assert browser.get(f"/orders/{order.reference}/receipt/").status_code == 404
    assert not held(Actor(references=references, link=order.reference)).exists()
    with pytest.raises(ResendRefused, match="asked to be forgotten"):
        resend_order(order.reference, door="resend")


def test_s65_invariants_and_books_hold_and_stripe_brings_nobody_back(order: Order, bob: User, smtp: World) -> None:
    sweep()
    erase_account(bob)
    for door in ("replay", "reconcile", "webhook"):
        fulfill(str(order.stripe_session_id), door=door)
    sweep()
    order.refresh_from_db()
    assert order.email.startswith("erased-")
    assert order.email.endswith("@invalid")
    told = violations(
        connection, ledger=smtp.control("ledger")["sessions"], mails=smtp.mails(), staff=["typo@example.com"]
    )
    assert told == []
    assert look_again(str(order.stripe_session_id), order.pk, keep=False).found == []


def test_refund_after_the_erasure_is_entered_and_mailed_to_nobody(order: Order, bob: User, smtp: World) -> None:
    sweep()
    erase_account(bob)
    mails = len(smtp.mails())
    smtp.control("refund", {"session": order.stripe_session_id, "amount": order.total})
    fulfill(str(order.stripe_session_id), door="webhook")
    sweep()
    order.refresh_from_db()
    assert (order.refunded, len(smtp.mails())) == (order.total, mails)


@pytest.mark.parametrize(
    "change", [{"state": "open", "paid_at": None}, {"state": "processing"}, {"dispute": "open"}, {"attention": "look"}]
)
def test_s65_money_in_motion_refuses_and_changes_nothing(bob: User, change: dict[str, Any]) -> None:
    order = OrderFactory(user=bob, email=BOB, **{"state": "paid", "paid_at": timezone.now(), **change})
    with pytest.raises(EraseRefused) as refused:
        erase_account(bob)
    assert refused.value.orders == (order.reference,)
    order.refresh_from_db()
    assert (order.email, order.user, order.erased_at) == (BOB, bob, None)


def test_refund_that_was_asked_for_refuses(bob: User) -> None:
    order = OrderFactory(user=bob, email=BOB, state="paid")
    RefundRequest.objects.create(order=order, amount=100, reason="duplicate")
    with pytest.raises(EraseRefused):
        erase_account(bob)


@pytest.mark.parametrize("rank", ["is_staff", "is_superuser"])
def test_people_of_the_shop_are_not_erased(rank: str) -> None:
    user = UserFactory(**{rank: True})
    with pytest.raises(EraseRefused, match="people of the shop"):
        erase_account(user)
    assert User.objects.filter(pk=user.pk).exists()


def test_mail_that_waits_is_withdrawn_and_never_sent(bob: User, smtp: World) -> None:
    order = OrderFactory(user=bob, email=BOB, state="paid")
    waiting = order.deliveries.create(kind="order", recipient=BOB)
    erase_account(bob)
    assert outbox.send(waiting.pk) is False
    waiting.refresh_from_db()
    assert (waiting.state, smtp.mails()) == ("withdrawn", [])


def test_letters_and_choices_of_the_mailbox_go_too(order: Order, bob: User) -> None:
    lost_link.ask(BOB)
    MailChoice.objects.create(email=BOB, new_editions=False)
    News.objects.create(edition=order.lines.get().edition, email=BOB, due_at=timezone.now())
    erase_account(bob)
    letter = Delivery.objects.get(order=None)
    assert (letter.state, "bob" in letter.recipient) == (Delivery.State.WITHDRAWN, False)
    assert (MailChoice.objects.count(), News.objects.count()) == (0, 0)


def test_guest_orders_count_once_the_address_is_proven(bob: User) -> None:
    mine = OrderFactory(email=BOB, state="paid")
    others = [OrderFactory(email="eve@example.com", state="paid"), OrderFactory(user=UserFactory(), email=BOB)]
    assert erase_account(bob).orders == 1
    mine.refresh_from_db()
    assert mine.erased_at is not None
    assert Order.objects.filter(pk__in=[one.pk for one in others], erased_at=None).count() == 2


def test_unproven_address_takes_no_guest_order_along() -> None:
    user = UserFactory(email=BOB, proven=False)
    order = OrderFactory(email=BOB, state="paid")
    assert erase_account(user).orders == 0
    order.refresh_from_db()
    assert order.email == BOB


def erase(*words: str) -> str:
    out = StringIO()
    call_command("erase", *words, stdout=out)
    return out.getvalue()


def test_command_erases_a_guest_and_a_dry_run_does_not() -> None:
    order = OrderFactory(email=BOB, state="paid")
    assert erase("Bob@Example.com", "--dry-run").startswith("would erase: 1 orders, 0 mails, 0 downloads\n")
    order.refresh_from_db()
    assert order.email == BOB
    assert erase("Bob@Example.com").startswith("erased: 1 orders, 0 mails, 0 downloads\n")
    order.refresh_from_db()
    assert order.erased_at is not None
    assert erase(BOB) == "erased: 0 orders, 0 mails, 0 downloads\n"


def test_command_erases_the_account_that_has_proven_the_address(bob: User) -> None:
    assert erase(BOB) == "erased: the account, 0 orders, 0 mails, 0 downloads\n"
    assert erase_address(BOB).account is False


def test_command_says_what_is_in_the_way(world: World, client: Client) -> None:
    order = begin_checkout(client, ProductFactory())
    Order.objects.update(email=BOB)
    with pytest.raises(CommandError, match=f"still open: {order.reference}"):
        erase(BOB)
    with pytest.raises(CommandError, match="Enter one e-mail address"):
        erase("bob")
    assert json.dumps(order.reference) not in erase("eve@example.com")
