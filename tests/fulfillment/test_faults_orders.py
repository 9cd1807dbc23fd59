"""Doors in every order, again and again, and shops whose goods change while somebody pays."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.db.models import ProtectedError
from django.test import Client
from django.utils import timezone

from catalog.models import Edition, File, Product
from fulfillment import inbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement, StripeEvent
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.factories import EditionFactory, FileFactory, ProductFactory
from tests.steps import GUEST, begin_checkout, body_of, buy, pay, report, states

pytestmark = pytest.mark.django_db

DONE = ("paid", ["active"], ["sent"])


def page(client: Client, order: Order) -> None:
    answer = client.get(f"/checkout/done/?session_id={order.stripe_session_id}")
    assert answer.status_code == 200


def webhook(world: World, client: Client) -> None:
    report(world, client)
    for event in StripeEvent.objects.all():
        inbox.handle(event.event_id)


@pytest.mark.parametrize("doors", ["pw", "wp", "pwp", "wpw", "sp", "ps", "wsp", "psw", "sw"])
def test_f35_doors_in_any_order_deliver_once(smtp: World, client: Client, doors: str) -> None:
    """p: success page, w: webhook, s: sweep."""
    order = buy(smtp, client, ProductFactory())
    acts: dict[str, Callable[[], object]] = {
        "p": lambda: page(client, order),
        "w": lambda: webhook(smtp, client),
        "s": lambda: Order.objects.update(next_check_at=timezone.now()) and sweep(),
    }
    for door in doors:
        acts[door]()
    sweep()
    assert states(order) == DONE
    assert (Order.objects.count(), Entitlement.objects.count(), Delivery.objects.count()) == (1, 1, 1)
    assert len(smtp.mails(to=GUEST)) == 1
    assert order.timeline.filter(kind="state").count() == 1


def test_f35_success_page_loaded_fifty_times_is_one_order_one_mail_and_few_questions(
    smtp: World, client: Client
) -> None:
    order = buy(smtp, client, ProductFactory())
    for _ in range(50):
        page(client, order)
        sweep()
    assert states(order) == DONE
    order.refresh_from_db()
    assert order.facts_version == 1  # asked once: what is settled is not asked about again
    assert len(smtp.mails(to=GUEST)) == 1


def withdraw(product: Product) -> None:
    product.status = Product.Status.ARCHIVED
    product.save()


def replace_by_a_new_edition(product: Product) -> None:
    FileFactory(edition=EditionFactory(product=product, number=2, published_at=timezone.now()), content=b"%PDF-1.7 new")


def rename_and_raise_the_price(product: Product) -> None:
    Product.objects.filter(pk=product.pk).update(name="Another name", price=9900, slug="another-slug")


def unpublish_the_edition(product: Product) -> None:
    replace_by_a_new_edition(product)
    Edition.objects.filter(product=product, number=1).update(published_at=None)


@pytest.mark.parametrize("act", [withdraw, replace_by_a_new_edition, rename_and_raise_the_price, unpublish_the_edition])
@pytest.mark.parametrize("when", ["before the payment", "before the webhook", "after the delivery"])
def test_f56_f57_buyer_gets_what_was_sold_for_what_it_cost(
    smtp: World, client: Client, act: Callable[[Product], None], when: str
) -> None:
    product = ProductFactory(content=b"%PDF-1.4 as sold", price=1250)
    sold = File.objects.get(edition__product=product)
    order = begin_checkout(client, product)
    if when == "before the payment":
        act(product)
    pay(smtp, order)
    if when == "before the webhook":
        act(product)
    webhook(smtp, Client())
    sweep()
    if when == "after the delivery":
        act(product)
    assert states(order) == DONE
    assert (order.total, order.attention, order.lines.get().unit_price) == (1250, "", 1250)
    assert body_of(client.get(f"/downloads/{sold.pk}/")) == b"%PDF-1.4 as sold"
    assert smtp.mails(to=GUEST)[0]["text"].count(order.lines.get().name) >= 1


def test_f56_what_somebody_is_paying_for_cannot_be_deleted(world: World, client: Client) -> None:
    product = ProductFactory()
    begin_checkout(client, product)
    edition, file = product.editions.get(), File.objects.get(edition__product=product)
    for row in (product, edition, file):
        with pytest.raises((ProtectedError, DatabaseError, ValidationError)), transaction.atomic():
            row.delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        File.objects.filter(pk=file.pk).update(key="another", sha256="0" * 64)


def test_f18_revoked_key_leaves_web_and_orders_and_mends_itself(smtp: World, client: Client) -> None:
    """Stripe answers 401: pages open, the event waits, and with a new key everything follows."""
    order = buy(smtp, client, ProductFactory())
    smtp.control("faults", {"area": "api", "kind": "error", "status": 401})
    webhook(smtp, client)
    page(client, order)
    assert client.get("/").status_code == 200
    assert states(order) == ("open", [], [])
    event = StripeEvent.objects.filter(type="checkout.session.completed").get()
    assert (event.state, event.note[:17]) == ("received", "StripeUnavailable")
    smtp.control("faults/clear", {})
    past = timezone.now() - timedelta(seconds=1)
    StripeEvent.objects.update(next_attempt_at=past)
    sweep()
    assert states(order) == DONE


def test_f37_order_that_nobody_reports_is_found_within_a_minute(smtp: World, client: Client) -> None:
    """No webhook, no success page; the sweep looks at an order that is a minute old."""
    order = buy(smtp, client, ProductFactory())
    due = order.next_check_at
    assert due is not None
    assert timedelta(seconds=50) < due - order.created_at <= timedelta(seconds=61)
    Order.objects.update(next_check_at=timezone.now())
    sweep()
    assert states(order) == DONE
