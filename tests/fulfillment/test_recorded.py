"""What is written down, compared, printed by commands or told to a bank reads the same from a page in any language."""

import uuid
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone, translation

from fulfillment import alerts, evidence, outbox
from fulfillment.book_models import Difference
from fulfillment.delivery_models import Delivery
from fulfillment.differences import compare
from fulfillment.export import document
from fulfillment.fulfill import fulfill
from fulfillment.preview import preview
from fulfillment.story import story, with_story
from fulfillment.timeline import moments, read
from orders import checkout, refunds
from orders.facts import Dispute
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.fulfillment.test_converge import absorb, facts_of
from tests.steps import GUEST, buy

pytestmark = pytest.mark.django_db

each_language = pytest.mark.parametrize("language", ["en", "de"])


def bought(world: World, language: str) -> Order:
    """An order that was paid, delivered, asked to be refunded, and disputed, all from pages in one language."""
    order = buy(world, Client(), ProductFactory(name="Wellen"))
    owner = UserFactory(is_staff=True, is_superuser=True)
    with translation.override(language):
        fulfill(str(order.stripe_session_id), door="test")
        outbox.send(order.deliveries.get().pk)
        refunds.request(order.pk, key=uuid.uuid4(), by=owner, reason="duplicate", note="by phone", amount=250)
        world.control("dispute", {"session": order.stripe_session_id})
        fulfill(str(order.stripe_session_id), door="test")
    order.refresh_from_db()
    return order


@each_language
def test_timeline_is_written_in_english(world: World, language: str) -> None:
    order = bought(world, language)
    details = [detail.partition(" – ")[0] for detail in order.timeline.values_list("detail", flat=True)]
    assert details[2:] == [
        "open → paid",
        "Wellen: Active",
        "order and its files: Sent",
        "refund of $2.50 asked, paid twice: by phone",
        "Open",
        "Wellen: Suspended, Disputed",
    ]


@each_language
def test_checkout_that_cannot_be_repeated_is_noted_in_english(language: str) -> None:
    order = OrderFactory(stripe_session_id=None)
    with translation.override(language):
        checkout.give_up(order, door="test")
    assert order.timeline.get().detail == "open → expired"


def test_bank_reads_english_from_a_german_desk(world: World) -> None:
    order = bought(world, "en")
    with translation.override("de"):
        told = evidence.text(order)
    assert told == evidence.text(order)
    assert f"order and its files to {GUEST}, " in told
    assert ": Sent\n" in told
    assert " mail server: Accepted: " in told
    assert " Access: Wellen: Suspended, Disputed\n" in told


def test_german_buyer_is_told_what_an_english_timeline_says(world: World) -> None:
    order = bought(world, "en")
    with translation.override("de"):
        words = [one.words for one in story(with_story(Order.objects.all()).get(pk=order.pk))]
        shown = [one.words for one in moments(order, read(order))]
    assert "Die Bank hat begonnen, die Zahlung zu prüfen, weil ihr widersprochen wurde." in words
    assert [one for one in shown if "order and its files" in one] == []  # its mail tells of it
    assert [one for one in shown if GUEST in one] == [f"E-Mail „Bestellung und ihre Dateien“ an {GUEST} gesendet"]


def test_books_and_their_preview_say_the_same_in_german(world: World) -> None:
    order = OrderFactory(state=Order.State.FAILED, source=Order.Source.CHECKOUT, stripe_session_id="cs_test_1")
    paid = OrderFactory(state=Order.State.PAID, source=Order.Source.CHECKOUT, stripe_session_id="cs_test_2")
    absorb(paid)
    disputed = facts_of(paid, disputes=(Dispute(id="dp_1", status="lost"),))
    late = buy(world, Client(), ProductFactory())

    def said() -> list[object]:
        return [
            compare(facts_of(order), order),
            compare(disputed, paid),
            preview(str(late.stripe_session_id), door="test").changes,
        ]

    english = said()
    with translation.override("de"):
        assert said() == english
    assert "dispute: lost" in str(english)
    assert "payment failed" in str(english)
    assert "the mail is pending, attempts: 0" in str(english)
    assert "payment state: open → paid" in str(english)


def test_export_names_mails_in_english(world: World) -> None:
    user = UserFactory(email="reader@example.com")
    order = OrderFactory(user=user, email=user.email, state=Order.State.PAID)
    absorb(order)
    with translation.override("de"):
        assert '"about": "order and its files"' in "".join(document(user))


def test_commands_speak_english_in_a_german_process(world: World) -> None:
    order = OrderFactory(state=Order.State.PAID, email=GUEST)
    absorb(order)
    hours_ago = timezone.now() - timedelta(hours=1)
    order.deliveries.update(created_at=hours_ago, state="gave_up", attempts=10)
    OrderFactory(next_check_at=hours_ago)
    said = StringIO()
    with translation.override("de"):
        with pytest.raises(SystemExit):
            call_command("stuck", stdout=said)
        call_command("resend", order.reference, stdout=said)
        with pytest.raises(CommandError, match=r"\(open\) gives access to nothing"):
            call_command("resend", OrderFactory().reference)
        assert translation.get_language() == "de"
    assert f"order and its files to {GUEST}: no answer yet, 10 tries" in said.getvalue()
    assert "open, and no sweep has asked Stripe since" in said.getvalue()
    assert f"written: order and its files to {GUEST}, number 2" in said.getvalue()


def differs() -> Difference:
    found: Difference = Difference.objects.create(
        kind="amount", subject="ORDER", livemode=False, at_stripe="$1.00", here="$2.00", mend="person"
    )
    return found


def test_alert_is_mailed_in_english_by_a_german_process(world: World) -> None:
    differs()
    mail.outbox.clear()
    with translation.override("de"):
        assert alerts.check() == 1
    assert mail.outbox[0].subject.startswith("[Paper Lantern] books differ: amounts differ: ORDER, since ")


def test_log_of_what_was_mended_names_it_in_english(world: World, admin_client: Client) -> None:
    row = differs()
    admin_client.cookies["language"] = "de"
    admin_client.post(f"/admin/fulfillment/difference/{row.pk}/mend/")
    assert LogEntry.objects.get().change_message.startswith("amounts differ: ")


def test_mail_is_named_in_the_readers_language_on_a_page() -> None:
    mail_ = Delivery(kind="order", recipient=GUEST)
    assert str(mail_) == f"order and its files to {GUEST}"
    with translation.override("de"):
        assert str(mail_) == f"Bestellung und ihre Dateien an {GUEST}"
