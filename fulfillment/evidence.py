"""What the shop can tell a bank about a disputed order: plain English, from our own rows, ready to paste or submit.

Banks read sections in the order of time. https://docs.stripe.com/disputes/best-practices
"""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings

from accounts.models import SignIn, proven_owners
from catalog import money
from fulfillment.delivery_models import Delivery, DeliveryAttempt
from fulfillment.models import Download
from orders.disputes import FIELD_LIMIT
from orders.history import recorded
from orders.models import Order, OrderLine, TimelineEntry

SIGN_INS_BEFORE = timedelta(days=30)  # how long before the purchase sign-ins are told
MOST_ROWS = 500  # of each kind: a bank reads a few pages
LONGEST_LINE = 2000  # characters
DESCRIPTION = 3000  # characters of a product's own description

Section = tuple[str, list[str]]  # heading, lines


def fields(order: Order) -> dict[str, str]:
    """The evidence by Stripe's field names, each within its limit, none empty.

    `receipt`, `refund_policy` and `service_documentation` take uploaded files only, so their texts stand in
    `uncategorized_text`. https://docs.stripe.com/api/disputes/evidence_object
    """
    found = {
        "product_description": _fitting(list(_products(order))),
        "customer_email_address": order.email,
        "customer_purchase_ip": order.buyer_address or "",
        "service_date": _service_date(order),
        "access_activity_log": _fitting(_written([("Sign-ins", _sign_ins(order)), ("Downloads", _downloads(order))])),
        "uncategorized_text": _fitting(_written(_told(order))),
    }
    return {name: text for name, text in found.items() if text}


def text(order: Order) -> str:
    """All of it as one text: what Stripe would get, and what a person can paste or read."""
    sections: list[Section] = [
        ("Product", list(_products(order))),
        *_told(order),
        ("Sign-ins", _sign_ins(order)),
        ("Downloads", _downloads(order)),
    ]
    return "\n".join(_written(sections)) + "\n"


def _told(order: Order) -> list[Section]:
    return [
        ("Order and receipt", list(_receipt(order))),
        ("Mails sent", list(_mails(order))),
        ("What happened to the order", list(_history(order))),
        ("Policy", settings.REFUND_POLICY.splitlines()),
    ]


def _written(sections: Sequence[Section]) -> list[str]:
    """The lines of all sections that have any, under their headings."""
    written: list[str] = []
    for heading, lines in sections:
        if lines:
            written += [*([""] if written else []), heading.upper(), *lines]
    return written


def _fitting(lines: list[str]) -> str:
    """As many lines as Stripe's field takes, from both ends: how it began and how it went on count most."""
    whole = "\n".join(lines)
    if len(whole) <= FIELD_LIMIT:
        return whole
    head: list[str] = []
    tail: list[str] = []
    left = FIELD_LIMIT - 60  # what is said about the rest takes some, too
    rest = deque(lines)
    while rest:
        from_head = len(head) <= len(tail)
        line = (rest[0] if from_head else rest[-1])[:LONGEST_LINE]
        left -= len(line) + 1
        if left < 0:
            break
        (head if from_head else tail).append(line)
        (rest.popleft if from_head else rest.pop)()
    return "\n".join([*head, f"[{len(rest)} lines left out]", *reversed(tail)])


def _products(order: Order) -> Iterator[str]:
    for line in order.lines.select_related("product", "edition").prefetch_related("edition__files"):
        yield f"{line.name} (digital goods, delivered by download)"
        yield from filter(None, [line.product.summary, *line.product.description[:DESCRIPTION].splitlines()])
        yield from _files(line)


def _files(line: OrderLine) -> Iterator[str]:
    for file in line.edition.files.all():
        pages = f", {file.pages} pages" if file.pages else ""
        yield f"File: {file.name}, {file.media_type}{pages}, {file.size:,} bytes, SHA-256 {file.sha256}"


def _receipt(order: Order) -> Iterator[str]:
    yield f"Shop: {settings.SITE_NAME}, {settings.SITE_URL}"
    yield f"Order: {order.reference}, made {_at(order.created_at)}"
    if order.paid_at:
        total = f"{money.recorded(order.total, order.currency)} ({order.currency.upper()})"
        yield f"Paid: {total}, {_at(order.paid_at)}, through Stripe Checkout"
    yield f"Payment: {order.stripe_payment_intent_id or '–'}"
    yield f"Customer's email address: {order.email or '–'}"
    if order.user:
        yield f"Customer's account: {order.user.email}, since {_at(order.user.date_joined)}"
    if order.buyer_address:
        yield f"Bought from address {order.buyer_address} with {order.buyer_agent or 'an unnamed browser'}"
    for line in order.lines.all():
        yield f"Item: {line.quantity} x {line.name}, {money.recorded(line.amount, order.currency)}"
    if order.refunded:
        yield f"Refunded: {money.recorded(order.refunded, order.currency)}"


def _mails(order: Order) -> Iterator[str]:
    for mail in order.deliveries.prefetch_related("attempt_log").order_by("pk")[:MOST_ROWS]:
        kind, state = recorded(Delivery.Kind(mail.kind)), recorded(Delivery.State(mail.state))
        yield f"{kind} to {mail.recipient}, Message-ID {mail.message_id}: {state}"
        for attempt in mail.attempt_log.all():
            outcome = recorded(DeliveryAttempt.Outcome(attempt.outcome))
            reply = "" if attempt.reply.lower() == outcome.lower() else f": {attempt.reply}"
            yield f"  {_at(attempt.started_at)} mail server: {outcome}{reply}"


def _history(order: Order) -> Iterator[str]:
    told = (
        TimelineEntry.Kind.STATE,
        TimelineEntry.Kind.REFUNDED,
        TimelineEntry.Kind.DISPUTE,
        TimelineEntry.Kind.ACCESS,
    )
    for entry in order.timeline.filter(kind__in=told)[:MOST_ROWS]:
        yield f"{_at(entry.at)} {recorded(TimelineEntry.Kind(entry.kind))}: {entry.detail}"


def _sign_ins(order: Order) -> list[str]:
    users = [order.user_id] if order.user_id else proven_owners(order.email)
    rows = SignIn.objects.filter(user__in=users, at__gte=order.created_at - SIGN_INS_BEFORE).order_by("at")
    return [_sign_in(row) for row in rows.select_related("user")[:MOST_ROWS]]


def _sign_in(row: SignIn) -> str:
    where = row.address or "an unknown address"
    return f"{_at(row.at)} {row.user.email} signed in from {where}, {row.agent or 'no agent'}"


def _downloads(order: Order) -> list[str]:
    rows = Download.objects.filter(entitlement__order_line__order=order).select_related("file").order_by("started_at")
    return [_download(row) for row in rows[:MOST_ROWS]]


def _download(row: Download) -> str:
    requests = f"{row.ranges} request{'' if row.ranges == 1 else 's'}"
    until = "" if _at(row.last_at) == _at(row.started_at) else f" until {_at(row.last_at)}"
    way = "by the link in the mail" if row.via == Download.Via.LINK else "from the customer's library"
    return (
        f"{_at(row.started_at)}{until} {row.file.name} {way} from {row.address or 'an unknown address'}, "
        f"{row.bytes:,} of {row.file.size:,} bytes in {requests}, {row.agent or 'no agent'}"
    )


def _service_date(order: Order) -> str:
    """When the customer could first read what they bought: paid orders are delivered at once."""
    first = order.timeline.filter(kind=TimelineEntry.Kind.ACCESS).values_list("at", flat=True).first()
    at = first or order.paid_at
    return f"{at:%B} {at.day}, {at.year}" if at else ""


def _at(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
