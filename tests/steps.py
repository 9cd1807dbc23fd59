"""What shoppers, Stripe and operators do, in one call each."""

import json
import time
import urllib.request
from typing import Any

import stripe
from django.conf import settings
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import Client

from catalog.models import Product
from fulfillment.models import Entitlement
from orders.models import Order
from sandbox.world.server import World

GUEST = "guest@example.com"
DELIVERED = ("paid", ["active"], ["pending"])  # what `states` says once all that is left is to send the mail


def begin_checkout(client: Client, product: Product) -> Order:
    """Click "Buy"; the order that now waits for its payment."""
    answer = client.post(f"/products/{product.slug}/buy/")
    assert answer.status_code == 303, answer.content[:300]
    return Order.objects.get(checkout_url=answer["Location"])


def pay(world: World, order: Order, **payer: Any) -> None:
    world.control(f"pay/{order.stripe_session_id}", {"email": GUEST, **payer})


def stamp_of(client: Client, product: Product) -> dict[str, str]:
    """What the product's form in the admin sends of itself when somebody opens it now."""
    page = client.get(f"/admin/catalog/product/{product.pk}/change/")
    return {"stamp": page.context["adminform"].form.initial["stamp"]}


def buy(world: World, client: Client, product: Product, **payer: Any) -> Order:
    """From the click to the payment; our side has not heard of it yet."""
    order = begin_checkout(client, product)
    pay(world, order, **payer)
    return order


def pay_by_link(world: World, *, slug: str | None, amount: int = 900, query: str = "", **payer: Any) -> str:
    """Pay a Payment Link made in Stripe's dashboard; the id of its session. `query` comes after the link's address."""
    metadata = {} if slug is None else {"product_slug": slug}
    client = stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url})
    price = client.v1.prices.create(
        params={"currency": "usd", "unit_amount": amount, "product_data": {"name": "By link"}}
    )
    link = client.v1.payment_links.create(
        params={"line_items": [{"price": price.id, "quantity": 1}], "metadata": metadata}
    )
    with urllib.request.urlopen(link.url + query) as page:  # the link opens a Checkout page of its own
        session_id = page.geturl().rpartition("/")[2]
    world.control(f"pay/{session_id}", {"email": GUEST, **payer})
    return str(session_id)


def events(world: World, *types: str) -> list[dict[str, Any]]:
    """The events that Stripe has made, oldest first, as they would be posted."""
    found = world.control("events?limit=1000")["events"][::-1]
    for event in found:
        event.pop("deliveries")
    return [event for event in found if not types or event["type"] in types]


def signed(body: bytes, *, secret: str = "", at: int | None = None) -> str:
    secret = secret or settings.STRIPE_WEBHOOK_SECRETS[0]
    return str(stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at or int(time.time())))


def post_event(client: Client, event: Any, *, secret: str = "", at: int | None = None) -> Any:
    """Post an event as Stripe does, really signed."""
    return post_bytes(client, json.dumps(event).encode(), secret=secret, at=at)


def post_bytes(client: Client, body: bytes, *, secret: str = "", at: int | None = None) -> Any:
    header = signed(body, secret=secret, at=at)
    return client.post("/webhooks/stripe/", body, content_type="application/json", headers={"Stripe-Signature": header})


def report(world: World, client: Client, *types: str) -> None:
    """Stripe posts what has happened, and the shop acknowledges each event."""
    for event in events(world, *types):
        assert post_event(client, event).status_code == 200


def body_of(answer: Any) -> bytes:
    """The bytes of an answer, streamed or not; then it is closed as a server would, but for the database."""
    body: bytes = b"".join(answer.streaming_content) if answer.streaming else answer.content
    request_finished.disconnect(close_old_connections)
    try:
        answer.close()
    finally:
        request_finished.connect(close_old_connections)
    return body


def states(order: Order) -> tuple[str, list[str], list[str]]:
    """Of an order, its entitlements and its mails, as they are in the database now."""
    order.refresh_from_db()
    entitlements = Entitlement.objects.filter(order_line__order=order).values_list("state", flat=True)
    return order.state, list(entitlements), list(order.deliveries.values_list("state", flat=True))
