"""What is killed: for each flow the rows it begins with, the act of one process, and how the order has to end."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import stripe
from django.test import Client, RequestFactory
from django.utils import timezone

from fulfillment import inbox, outbox
from fulfillment.models import Delivery
from fulfillment.reconcile import reconcile
from fulfillment.replay import Selection, replay
from fulfillment.sweep import Swept, sweep, sweep_mail, sweep_money
from orders import checkout
from orders.models import Order
from sandbox.world.server import World
from storefront.wsgi import application
from tests.factories import OrderFactory, ProductFactory
from tests.proof.kill_lab import Tell
from tests.steps import buy, events, pay, pay_by_link, report, signed

Ends = tuple[str, list[str], list[str]]  # as `tests.steps.states` tells: the order, its entitlements, its mails
DELIVERED: Ends = ("paid", ["active"], ["sent"])


@dataclass(frozen=True)
class Stage:
    """A flow about to begin. `act` is what the process does that is going to die; it tells the ids of events that it
    has acknowledged. `silent`: no webhook ever comes. `beat`: what the shop does from time to time besides sweeping."""

    session_id: str
    act: Callable[[Tell], Any]
    silent: bool = False
    beat: Callable[[], Any] = int


@dataclass(frozen=True)
class Flow:
    name: str
    prepare: Callable[[World], Stage]
    ends: Ends = DELIVERED


def webhook(world: World) -> Stage:
    order = bought(world)
    event = events(world, "checkout.session.completed")[0]
    return stage(order, partial(post, event))


def one_off(world: World) -> Stage:
    return handling(world, bought(world), "checkout.session.completed")


def payment_link(world: World) -> Stage:
    product = ProductFactory(cover_failed=True)
    session_id = pay_by_link(world, slug=product.slug)
    report(world, Client())
    event = events(world, "checkout.session.completed")[0]
    return Stage(session_id, quietly(inbox.handle, event["id"]))


def delayed(world: World, *, result: str) -> Stage:
    order = bought(world, method="bank_debit")
    catch_up(world)
    world.control(f"settle/{order.stripe_session_id}", {"result": result})
    return handling(world, order, f"checkout.session.async_payment_{result}")


def refund(world: World) -> Stage:
    order = delivered(world, bought(world))
    world.control("refund", {"session": order.stripe_session_id})
    return handling(world, order, "charge.refunded")


def refund_of_a_line(world: World) -> Stage:
    order = OrderFactory(product=ProductFactory(cover_failed=True), email="guest@example.com")
    dearer = ProductFactory(price=2000, cover_failed=True)
    line = checkout.add_line(order, dearer, dearer.editions.get())
    checkout.ensure_session(order)
    pay(world, order)
    delivered(world, order)
    order.refresh_from_db()
    client = stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url})
    client.v1.refunds.create(
        params={
            "payment_intent": str(order.stripe_payment_intent_id),
            "amount": line.amount,
            "metadata": {"order_line": str(line.pk)},
        }
    )
    return handling(world, order, "refund.created")


def dispute(world: World) -> Stage:
    order = delivered(world, bought(world))
    world.control("dispute", {"session": order.stripe_session_id})
    return handling(world, order, "charge.dispute.created")


def dispute_won(world: World) -> Stage:
    order = delivered(world, bought(world))
    opened = world.control("dispute", {"session": order.stripe_session_id})
    catch_up(world)
    world.control(f"dispute/{opened['id']}/close", {"status": "won"})
    return handling(world, order, "charge.dispute.closed")


def mail(world: World) -> Stage:
    order = bought(world)
    report(world, Client())
    sweep_money(Swept())
    return stage(order, quietly(outbox.send, Delivery.objects.get().pk))


def success_page(world: World) -> Stage:
    buyer = Client()
    order = buy(world, buyer, ProductFactory(cover_failed=True))
    path = f"/checkout/done/?session_id={order.stripe_session_id}"
    cookies = buyer.cookies.output(header="", sep=";")
    return stage(order, lambda _tell: ask("GET", path, cookies=cookies), silent=True)


def sweeping(world: World) -> Stage:
    order = bought(world)
    report(world, Client())
    return stage(order, quietly(sweep))


def reconciling(world: World) -> Stage:
    """A Payment Link was paid and no webhook came, so nothing of ours knows of it."""
    session_id = pay_by_link(world, slug=ProductFactory(cover_failed=True).slug)
    look = partial(reconcile, since=timezone.now() - timedelta(hours=1), say=ignore)
    return Stage(session_id, quietly(look), silent=True, beat=look)


def replaying(world: World) -> Stage:
    order = bought(world)
    report(world, Client())
    return stage(order, quietly(replay, Selection(orders=(order.reference,)), say=ignore))


FLOWS = (
    Flow("webhook", webhook),
    Flow("one-off", one_off),
    Flow("payment link", payment_link),
    Flow("delayed, succeeds", partial(delayed, result="succeeded")),
    Flow("delayed, fails", partial(delayed, result="failed"), ("failed", [], [])),
    Flow("refund", refund, ("paid", ["revoked"], ["sent"])),
    Flow("refund of a line", refund_of_a_line, ("paid", ["active", "revoked"], ["sent"])),
    Flow("dispute", dispute, ("paid", ["suspended"], ["sent"])),
    Flow("dispute, won", dispute_won),
    Flow("mail", mail),
    Flow("success page", success_page),
    Flow("sweep", sweeping),
    Flow("reconcile", reconciling),
    Flow("replay", replaying),
)


# What flows are made of


def bought(world: World, **payer: Any) -> Order:
    return buy(world, Client(), ProductFactory(cover_failed=True), **payer)


def catch_up(world: World) -> None:
    """Stripe reports all that has happened, and the shop takes care of it."""
    report(world, Client())
    sweep_money(Swept())
    sweep_mail(Swept())


def delivered(world: World, order: Order) -> Order:
    catch_up(world)
    return order


def stage(order: Order, act: Callable[[Tell], Any], *, silent: bool = False) -> Stage:
    return Stage(str(order.stripe_session_id), act, silent)


def quietly(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[Tell], Any]:
    """An act that acknowledges nothing."""
    return lambda _tell: work(*args, **kwargs)


def handling(world: World, order: Order, kind: str) -> Stage:
    """Everything is in the inbox, and a worker takes up the newest event of this type."""
    report(world, Client())
    return stage(order, quietly(inbox.handle, events(world, kind)[-1]["id"]))


def ignore(_text: str) -> None:
    """Nobody reads what the command says."""


def post(event: dict[str, Any], tell: Tell) -> None:
    """Stripe posts an event to the WSGI application; its id is told as soon as it has been acknowledged."""
    body = json.dumps(event).encode()

    def acknowledge(status: int) -> None:
        if 200 <= status < 300:
            tell(event["id"])

    ask("POST", "/webhooks/stripe/", body, signature=signed(body), answered=acknowledge)


def ask(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    signature: str = "",
    cookies: str = "",
    answered: Callable[[int], Any] = int,
) -> None:
    """One request as a web server makes it. `answered` is called when the answer has left, before it is closed."""
    headers = {"Stripe-Signature": signature, "Cookie": cookies}
    request = RequestFactory(headers={name: text for name, text in headers.items() if text}).generic(
        method, path, body, content_type="application/json"
    )
    statuses: list[int] = []

    def start_response(line: str, _headers: Any, _failure: Any = None, /) -> Callable[[bytes], object]:
        statuses.append(int(line.split(maxsplit=1)[0]))
        return len

    answer = application(request.environ, start_response)
    b"".join(answer)
    answered(statuses[0])
    answer.close()
