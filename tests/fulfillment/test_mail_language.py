"""A buyer is written to in the language they bought in, whoever sends the mail, and amounts and dates follow it."""

from typing import Any

import pytest
import stripe
from django.core import mail
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from fulfillment import outbox
from fulfillment.converge import converge
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.resend import resend_order
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.fulfillment.test_converge import absorb, facts_of
from tests.steps import begin_checkout, buy, pay_by_link

pytestmark = pytest.mark.django_db

GERMAN = {"accept-language": "de-AT,de;q=0.9"}


def send_all() -> list[tuple[str, str]]:
    """Send what waits; subject and text of each mail."""
    mail.outbox.clear()
    for delivery in Delivery.objects.filter(state=Delivery.State.PENDING).order_by("pk"):
        outbox.send(delivery.pk)
    return [(str(message.subject), str(message.body)) for message in mail.outbox]


def locale_of(world: World, order: Order) -> str | None:
    client = stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url})
    return client.v1.checkout.sessions.retrieve(str(order.stripe_session_id)).locale


def test_german_buyer_gets_a_german_page_at_stripe_and_german_mails(world: World) -> None:
    client = Client(headers=GERMAN)
    order = buy(world, client, ProductFactory(name="Wellen", price=123_450, currency="eur"))
    assert (order.language, locale_of(world, order)) == ("de", "de")
    fulfill(str(order.stripe_session_id), door="test")
    Order.objects.update(paid_at="2026-03-01T12:00:00Z")
    with translation.override("en"):  # the worker's
        [(subject, text)] = send_all()
        assert translation.get_language() == "en"
    assert subject == "Ihr Download: Wellen"
    assert "Vielen Dank für Ihre Bestellung. Hier sind Ihre Dateien:" in text
    assert f"Bestellung {order.reference}, 1. März 2026" in text
    assert "Insgesamt bezahlt: 1.234,50\xa0€" in text


def test_english_buyer_gets_english_mails_from_a_german_process(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory(name="Waves", price=123_450))
    assert (order.language, locale_of(world, order)) == ("en", "en")
    with translation.override("de"):
        fulfill(str(order.stripe_session_id), door="test")
        [(subject, text)] = send_all()
    assert subject == "Your download: Waves"
    assert "Total paid: $1,234.50" in text


def test_later_mails_are_in_the_orders_language_whoever_asks(world: World) -> None:
    order = buy(world, Client(headers=GERMAN), ProductFactory(name="Wellen"))
    fulfill(str(order.stripe_session_id), door="test")
    send_all()
    order.deliveries.update(created_at="2026-01-01T00:00:00Z", sent_at="2026-01-01T00:00:00Z")
    resend_order(order.reference, door="test")
    world.control("refund", {"session": order.stripe_session_id, "amount": 250})
    fulfill(str(order.stripe_session_id), door="test")
    subjects = [subject for subject, _text in send_all()]
    assert subjects == ["Ihr Download: Wellen", f"Ihre Erstattung von 2,50 $: Bestellung {order.reference}"]


def test_free_product_is_mailed_in_the_language_of_the_page() -> None:
    user, client = UserFactory(), Client(headers=GERMAN)
    client.force_login(user)
    client.post(f"/products/{ProductFactory(name='Umsonst', price=0).slug}/buy/")
    assert [subject for subject, _text in send_all()] == ["Ihr Download: Umsonst"]


def test_changed_language_makes_another_session_and_the_same_one_does_not(world: World, client: Client) -> None:
    product = ProductFactory()
    first = begin_checkout(client, product)
    assert begin_checkout(client, product) == first
    client.post("/language/", {"language": "de"})
    second = begin_checkout(client, product)
    assert (second.language, locale_of(world, second), second == first) == ("de", "de", False)


@pytest.mark.parametrize("locale, kept, subject", [("de", "de", "Ihr Download"), ("fr", "", "Your download")])
def test_payment_link_tells_its_language(world: World, locale: str, kept: str, subject: str) -> None:
    product = ProductFactory(name="Wellen")
    session_id = pay_by_link(world, slug=product.slug, query=f"?locale={locale}")
    fulfill(session_id, door="test")
    assert Order.objects.get().language == kept
    assert [told for told, _text in send_all()] == [f"{subject}: Wellen"]


def test_payment_link_without_a_language_is_answered_in_the_shops(world: World, settings: Settings) -> None:
    settings.LANGUAGE_CODE = "de"
    fulfill(pay_by_link(world, slug=ProductFactory(name="Wellen").slug), door="test")
    assert Order.objects.get().language == ""
    assert [subject for subject, _text in send_all()] == ["Ihr Download: Wellen"]


def test_what_is_written_down_does_not_change_with_the_language_of_who_asks() -> None:
    """Or a reload of a German success page would seem to change the order, and alert a person each time."""

    def history(order: Order) -> list[Any]:
        return [order.attention, *order.timeline.values_list("detail", flat=True)]

    order = OrderFactory(stripe_session_id="cs_test_1")
    with translation.override("de"):
        absorb(order, amount_subtotal=999, amount_total=999)
    written = history(order)
    assert written[0] == "Stripe charged $9.99 for lines worth $12.50: nothing was delivered."
    converge(facts_of(order, amount_subtotal=999, amount_total=999), seen=1, door="test")
    order.refresh_from_db()
    assert history(order) == written
