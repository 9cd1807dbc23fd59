"""The backstop: find what is due in our own rows and do it, with no help from Celery. Any number may run at once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from catalog import covers, samples, upload_checks
from catalog.models import Product
from catalog.sample_models import Sample
from fulfillment import alerts, inbox, measures, news, outbox, refunding
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import StripeEvent
from orders import checkout, payments, refunds, stripe_api
from orders.models import Order
from orders.refund_models import RefundRequest
from storefront import trace

log = logging.getLogger(__name__)

Key = TypeVar("Key", int, str)

BATCH = 200  # rows of each kind in one pass, so that no kind keeps the others waiting
LETTERS = 20  # letters in one pass, where no mail about an order waits: the next one may


@dataclass
class Swept:
    """How many rows one pass took care of. `failed` were tried and are still wrong: tried again later, or given up."""

    events: int = 0
    orders: int = 0
    refunds: int = 0
    mails: int = 0
    covers: int = 0
    samples: int = 0
    news: int = 0  # editions whose owners were looked for
    uploads: int = 0
    failed: int = 0
    more: bool = False  # there may be more of a kind than one pass looks at
    stopping: Callable[[], bool] = lambda: False  # asked between two rows, so that a long pass ends when it is told to
    at_work: Callable[[], None] = lambda: None  # called before each row, so that a long pass does not look dead

    def __str__(self) -> str:
        return (
            f"{self.events} events, {self.orders} orders, {self.refunds} refunds, {self.mails} mails, "
            f"{self.covers} covers, {self.samples} samples, {self.news} news, {self.uploads} uploads; "
            f"{self.failed} to try again"
        )

    @property
    def work(self) -> int:
        done = self.events + self.orders + self.refunds + self.mails + self.covers + self.samples + self.news
        return done + self.uploads + self.failed


def sweep() -> Swept:
    """One pass over everything that is due. May be repeated and run many times at once: each row is claimed."""
    swept = Swept()
    sweep_money(swept)
    sweep_news(swept)
    sweep_mail(swept)
    sweep_covers(swept)
    alerts.check()
    return swept


def sweep_money(swept: Swept) -> None:
    """Events unhandled, refunds unanswered, then orders whose payment nobody told us about."""
    measures.swept("money")
    swept.events = _each(_events_due(), inbox.handle, _events_open, swept)
    swept.refunds = _each(refunds.due(), refunding.carry_out, _refunds_open, swept)
    swept.orders = _each(_orders_due(), check_order, _orders_in_need, swept)


def sweep_mail(swept: Swept) -> None:
    measures.swept("mail")
    swept.mails = _each(_deliveries_due(), outbox.send, _mails_open, swept)


def sweep_news(swept: Swept) -> None:
    """Owners who are to hear of a new edition, and the mails whose time has come."""
    measures.swept("news")
    swept.news = _each(news.due(), news.find_owners, lambda _: 0, swept)
    news.write_letters()


def sweep_covers(swept: Swept) -> None:
    """Covers, and what shows the inside. A file that cannot be drawn is marked so, and is nothing to try again."""
    measures.swept("covers")
    swept.covers = _each(_products_wanting_covers(), covers.from_first_page, lambda _: 0, swept)
    swept.samples = _each(_samples_due(), samples.make, lambda _: 0, swept)


def sweep_uploads(swept: Swept) -> None:
    """Files that wait to be looked into. A lane of its own: 5 GB take minutes, and no pass of beat's has them."""
    swept.uploads = _each(upload_checks.due(), upload_checks.inspect, lambda _: 0, swept)


def _each(keys: list[Key], act: Callable[[Key], bool], unsolved: Callable[[list[Key]], int], swept: Swept) -> int:
    """How many of `keys` were acted on. One that raises is logged and never stops the others; of the rest `unsolved`
    tells how many are still wrong."""
    done, tried = 0, []
    swept.more |= len(keys) == BATCH
    for key in keys:
        if swept.stopping():
            break
        swept.at_work()
        try:
            with trace.about():  # what is noted of this row is not said of the next
                done += bool(act(key))
            tried.append(key)
        except SoftTimeLimitExceeded:  # the task's time is over: what is left is due for the next pass
            raise
        except Exception:
            log.exception("%s(%r) failed", act.__name__, key)
            swept.failed += 1
    swept.failed += unsolved(tried) if tried else 0
    return done


# A row that somebody holds at this moment is being looked after.


def _events_open(event_ids: list[str]) -> int:
    tried = StripeEvent.objects.filter(event_id__in=event_ids, claim=None)
    return tried.exclude(state__in=StripeEvent.SETTLED).count()


def _mails_open(delivery_ids: list[int]) -> int:
    tried = Delivery.objects.filter(pk__in=delivery_ids, claim=None)
    return tried.exclude(state__in=(Delivery.State.SENT, Delivery.State.WITHDRAWN)).count()


def _refunds_open(request_ids: list[int]) -> int:
    return RefundRequest.objects.unsettled().filter(pk__in=request_ids).count()


def _orders_in_need(order_ids: list[int]) -> int:
    return Order.objects.filter(pk__in=order_ids).exclude(attention="").count()


def _events_due() -> list[str]:
    due = StripeEvent.objects.due(Now()).filter(received_at__lte=_grace())
    return list(due.order_by("next_attempt_at").values_list("event_id", flat=True)[:BATCH])


def _orders_due() -> list[int]:
    unsettled = Order.objects.unsettled(Now()).filter(livemode=stripe_api.is_live())
    return list(unsettled.values_list("pk", flat=True)[:BATCH])


def _deliveries_due() -> list[int]:
    due = Delivery.objects.due(Now()).filter(created_at__lte=_grace())
    due_ids = due.order_by("next_attempt_at").values_list("pk", flat=True)
    return list(due_ids.filter(order__isnull=False)[:BATCH]) or list(due_ids[:LETTERS])


def _products_wanting_covers() -> list[int]:
    return list(Product.objects.wanting_cover().values_list("pk", flat=True)[:BATCH])


def _samples_due() -> list[int]:
    return list(Sample.objects.due(_grace()).order_by("due_at").values_list("pk", flat=True)[:BATCH])


def _grace() -> CombinedExpression:
    """Younger rows are left to the worker that was just woken for them."""
    return Now() - timedelta(seconds=settings.SWEEP_GRACE_SECONDS)


def check_order(order_id: int) -> bool:
    """Ask Stripe about one unsettled order, unless another sweep has just taken it."""
    lease = Now() + timedelta(seconds=settings.OPEN_ORDER_SECONDS)
    if not Order.objects.unsettled(Now()).filter(pk=order_id).update(next_check_at=lease):
        return False
    order = Order.objects.get(pk=order_id)
    try:
        if not order.stripe_session_id:
            # The answer to our request never came: the same idempotency key finds the session.
            checkout.ensure_session(order)
        return not fulfill(str(order.stripe_session_id), door="sweep").stale
    except stripe_api.RequestChanged:
        log.warning("order %s is given up: its product changed before Stripe had answered", order.reference)
        return checkout.give_up(order, door="sweep")
    except stripe_api.StripeRefused as error:
        # Perhaps the key is the wrong one: ask again, rarely, and let a person know.
        log.error("order %s: Stripe refuses to speak of its session: %s", order.reference, error)  # noqa: TRY400
        Order.objects.filter(pk=order_id).update(
            next_check_at=Now() + payments.LONGEST_WAIT,
            attention=f"Stripe refuses to speak of its session: {error}"[:300],
        )
        return False
