"""What is killed: for each flow the rows it begins with, the act of one process, and how the order has to end."""

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import stripe
from django.test import Client, RequestFactory
from django.utils import timezone

from fulfillment import giving, holds, inbox, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.lost_link import ask as ask_for_all
from fulfillment.news_models import Announcement
from fulfillment.reconcile import reconcile
from fulfillment.replay import Selection, replay
from fulfillment.sweep import Swept, sweep, sweep_mail, sweep_money
from orders import checkout
from orders.models import Order
from sandbox.world.server import World
from storefront.wsgi import application
from tests.factories import FileFactory, OrderFactory, ProductFactory, UserFactory
from tests.proof.kill_lab import Tell
from tests.steps import buy, events, pay, pay_by_link, report, signed

Ends = tuple[str, list[str], list[str]]  # the state of an order, of its entitlements, of its mails; both sorted
DELIVERED: Ends = ("paid", ["active"], ["sent"])
TWO_MAILS: Ends = ("paid", ["active"], ["sent", "sent"])  # that the payment is on its way, then the files


@dataclass(frozen=True)
class Stage:
    """A flow about to begin: there is one order, or there will be.

    `act` is what the process does that is going to die; it tells the ids of events that it has acknowledged.
    `silent`: no webhook ever comes. `beat`: what the shop does from time to time besides sweeping. `buyer`: what the
    buyer does after the crash, where the payment is still to come.
    """

    act: Callable[[Tell], Any]
    silent: bool = False
    beat: Callable[[], Any] = int
    buyer: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Flow:
    name: str
    prepare: Callable[[World], Stage]
    ends: Ends = DELIVERED
    letters: tuple[str, ...] = ()  # the states of the mails that belong to an address instead of the order


def begin(world: World) -> Stage:
    """A click on "Buy". Whoever got no answer clicks again, and pays."""
    product, buyer = ProductFactory(cover_failed=True), Client()
    buyer.get(product.get_absolute_url())
    path, cookies, token = f"/products/{product.slug}/buy/", cookies_of(buyer), buyer.cookies["csrf"].value
    return Stage(
        lambda _tell: ask("POST", path, cookies=cookies, token=token), buyer=lambda: buy(world, buyer, product)
    )


def webhook(world: World) -> Stage:
    bought(world)
    return Stage(partial(post, events(world, "checkout.session.completed")[0]))


def one_off(world: World) -> Stage:
    bought(world)
    return handling(world, "checkout.session.completed")


def payment_link(world: World) -> Stage:
    pay_by_link(world, slug=ProductFactory(cover_failed=True).slug)
    return handling(world, "checkout.session.completed")


def delayed(world: World, *, result: str) -> Stage:
    order = bought(world, method="bank_debit")
    catch_up(world)
    world.control(f"settle/{order.stripe_session_id}", {"result": result})
    return handling(world, f"checkout.session.async_payment_{result}")


def refund(world: World) -> Stage:
    order = delivered(world, bought(world))
    world.control("refund", {"session": order.stripe_session_id})
    return handling(world, "charge.refunded")


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
    return handling(world, "refund.created")


def dispute(world: World) -> Stage:
    order = delivered(world, bought(world))
    world.control("dispute", {"session": order.stripe_session_id})
    return handling(world, "charge.dispute.created")


def dispute_won(world: World) -> Stage:
    order = delivered(world, bought(world))
    opened = world.control("dispute", {"session": order.stripe_session_id})
    catch_up(world)
    world.control(f"dispute/{opened['id']}/close", {"status": "won"})
    return handling(world, "charge.dispute.closed")


def mail(world: World) -> Stage:
    bought(world)
    report(world, Client())
    sweep_money(Swept())
    return Stage(quietly(outbox.send, Delivery.objects.get().pk))


def success_page(world: World) -> Stage:
    buyer = Client()
    order = buy(world, buyer, ProductFactory(cover_failed=True))
    path = f"/checkout/done/?session_id={order.stripe_session_id}"
    cookies = cookies_of(buyer)
    return Stage(lambda _tell: ask("GET", path, cookies=cookies), silent=True)


def sweeping(world: World) -> Stage:
    bought(world)
    report(world, Client())
    return Stage(quietly(sweep))


def reconciling(world: World) -> Stage:
    """A Payment Link was paid and no webhook came, so nothing of ours knows of it."""
    pay_by_link(world, slug=ProductFactory(cover_failed=True).slug)
    look = partial(reconcile, since=timezone.now() - timedelta(hours=1), say=ignore)
    return Stage(quietly(look), silent=True, beat=look)


def replaying(world: World) -> Stage:
    order = bought(world)
    report(world, Client())
    return Stage(quietly(replay, Selection(orders=(order.reference,)), say=ignore))


def lost_link(world: World) -> Stage:
    """A buyer asked for everything they bought."""
    order = delivered(world, bought(world))
    order.refresh_from_db()
    ask_for_all(order.email)
    return Stage(quietly(outbox.send, Delivery.objects.get(order=None).pk))


def new_edition(world: World) -> Stage:
    """The owners of the first edition are to hear of the second."""
    order = delivered(world, bought(world))
    edition = order.lines.get().product.editions.create(number=2, notes="Maps are drawn anew.")
    FileFactory(edition=edition)
    Announcement.objects.create(edition=edition, mail_at=timezone.now())
    return Stage(quietly(sweep))


def holding(world: World) -> Stage:
    """Whoever got no answer sends the form again."""
    order = delivered(world, bought(world))
    press = partial(holds.place, order.pk, key=uuid.uuid4(), by=UserFactory(is_staff=True), reason="stolen card")
    return Stage(quietly(press), beat=press)


def restoring(world: World) -> Stage:
    """Suspended before the mail went out, so one more follows. The form that is sent twice finds nothing to do."""
    order, by = bought(world), UserFactory(is_staff=True)
    hold = holds.place(order.pk, key=uuid.uuid4(), by=by, reason="stolen card")
    catch_up(world)

    def again() -> None:
        with suppress(holds.HoldRefused):
            holds.lift(order.pk, [hold.pk], by=by, reason="it was theirs")

    return Stage(quietly(again), beat=again)


def giving_away(_world: World) -> Stage:
    book, by = ProductFactory(cover_failed=True), UserFactory(is_staff=True)
    press = partial(giving.give, book, to="critic@example.com", key=uuid.uuid4(), by=by, reason="for a review")
    return Stage(quietly(press), silent=True, beat=press)


FLOWS = (
    Flow("checkout", begin),
    Flow("webhook", webhook),
    Flow("one-off", one_off),
    Flow("payment link", payment_link),
    Flow("delayed, succeeds", partial(delayed, result="succeeded"), TWO_MAILS),
    Flow("delayed, fails", partial(delayed, result="failed"), ("failed", [], ["sent", "sent"])),
    Flow("refund", refund, ("paid", ["revoked"], ["sent", "sent"])),
    Flow("refund of a line", refund_of_a_line, ("paid", ["active", "revoked"], ["sent", "sent"])),
    Flow("dispute", dispute, ("paid", ["suspended"], ["sent"])),
    Flow("dispute, won", dispute_won),
    Flow("hold", holding, ("paid", ["suspended"], ["sent"])),
    Flow("restore", restoring, ("paid", ["active"], ["sent", "withdrawn"])),
    Flow("free copy", giving_away),
    Flow("mail", mail),
    Flow("success page", success_page),
    Flow("sweep", sweeping),
    Flow("reconcile", reconciling),
    Flow("replay", replaying),
    Flow("lost link", lost_link, letters=("sent",)),
    Flow("new edition", new_edition, letters=("sent",)),
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


def quietly(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[Tell], Any]:
    """An act that acknowledges nothing."""
    return lambda _tell: work(*args, **kwargs)


def handling(world: World, kind: str) -> Stage:
    """Everything is in the inbox, and a worker takes up the newest event of this type."""
    report(world, Client())
    return Stage(quietly(inbox.handle, events(world, kind)[-1]["id"]))


def cookies_of(client: Client) -> str:
    return "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())


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
    token: str = "",
    answered: Callable[[int], Any] = int,
) -> None:
    """One request as a web server makes it. `answered` is called when the answer has left, before it is closed."""
    headers = {"Stripe-Signature": signature, "Cookie": cookies, "X-CSRFToken": token}
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
