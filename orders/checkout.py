"""From "Buy" to Stripe's page: the order row first, then the Checkout Session that belongs to it."""

import logging
from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import User
from catalog import covers
from catalog.models import Edition, Product
from orders import language, sites, stripe_api
from orders.facts import NewSession, SessionLine
from orders.history import recorded
from orders.models import Order, OrderLine, TimelineEntry
from storefront import trace

log = logging.getLogger(__name__)

# A session lives 24 hours at Stripe; one that is half over is not offered again.
REUSE_FOR = timedelta(hours=12)


def begin(product: Product, *, user: User | None, browser: str) -> tuple[Order, str]:
    """The open order of this buyer for this product and the address of its Checkout page.

    `browser` identifies a guest's browser. May be repeated: a double click gets the same order and the same session.
    Raises stripe_api.StripeUnavailable or StripeRefused; the order then stays open, and nothing was charged.
    """
    order = open_order(product, user=user, browser=browser)
    trace.note(order=order.reference)
    try:
        return order, ensure_session(order)
    except stripe_api.RequestChanged:
        # The cover moved between two clicks, so the old key no longer fits. Nobody saw the first session.
        log.warning("order %s is replaced: its product changed while checkout began", order.reference)
        release(order)
        order = open_order(product, user=user, browser=browser)
        return order, ensure_session(order)
    except stripe_api.StripeBroken:
        # Stripe repeats its answer to an idempotency key for a day, also this one: the next click needs another key.
        release(order)
        raise


def open_order(product: Product, *, user: User | None, browser: str) -> Order:
    """Find or make the open order. Name, price and edition come from the database and are kept as sold.

    Whoever has changed the language since gets another one: Stripe's page keeps the language it was made with.
    """
    edition = product.edition_on_sale()
    if edition is None:
        raise stripe_api.StripeRefused(f"{product} has no file to sell")
    key = _checkout_key(product, edition, user=user, browser=browser)
    same = Order.objects.filter(checkout_key=key, state=Order.State.OPEN)
    same.filter(created_at__lt=timezone.now() - REUSE_FOR).update(checkout_key="")
    try:
        with transaction.atomic():
            return _create_order(product, edition, user=user, key=key)
    except IntegrityError:
        if order := same.first():
            return order
    # It was settled between the two statements, so the way is free.
    with transaction.atomic():
        return _create_order(product, edition, user=user, key=key)


def _checkout_key(product: Product, edition: Edition, *, user: User | None, browser: str) -> str:
    buyer = f"user {user.pk}" if user else f"browser {browser}"
    price = f"{product.price} {product.currency}"
    terms = f"{buyer}: {product.pk} {edition.pk} {price} {language.of_reader()} {product.name}"
    return salted_hmac("orders.checkout", terms, algorithm="sha256").hexdigest()


def _create_order(product: Product, edition: Edition, *, user: User | None, key: str) -> Order:
    order = Order.objects.create(
        user=user,
        email=user.email if user else "",
        language=language.of_reader(),
        source=Order.Source.CHECKOUT,
        total=product.price,
        currency=product.currency,
        livemode=stripe_api.is_live(),
        checkout_key=key,
        next_check_at=timezone.now() + timedelta(seconds=settings.OPEN_ORDER_SECONDS),
    )
    add_line(order, product, edition)
    order.timeline.create(kind=TimelineEntry.Kind.CREATED, door="checkout", detail=product.name)
    return order


def add_line(
    order: Order, product: Product, edition: Edition, *, unit_price: int | None = None, quantity: int = 1
) -> OrderLine:
    """The product as it is sold now; `unit_price` (minor units) where somebody else than the product sets it."""
    return OrderLine.objects.create(
        order=order,
        product=product,
        edition=edition,
        name=product.name,
        unit_price=product.price if unit_price is None else unit_price,
        quantity=quantity,
    )


def ensure_session(order: Order) -> str:
    """The address of the order's Checkout page. May be repeated: a session whose answer got lost is found again."""
    if order.checkout_url:
        return order.checkout_url
    session = stripe_api.create_session(_new_session(order))
    first = Order.objects.filter(pk=order.pk, checkout_url="", state=Order.State.OPEN).update(
        stripe_session_id=session.id, checkout_url=session.url
    )
    if first:
        order.timeline.create(kind=TimelineEntry.Kind.CHECKOUT_STARTED, door="checkout", detail=session.id)
    order.stripe_session_id, order.checkout_url = session.id, session.url
    return session.url


def release(order: Order) -> None:
    """The next click makes an order of its own; nobody has seen this one's session."""
    Order.objects.filter(pk=order.pk).update(checkout_key="")


@transaction.atomic
def give_up(order: Order, *, door: str) -> bool:
    """Settle an open order whose request cannot be repeated, because its product has changed since; whether it was.

    Its answer never came, so nobody has seen the page of the session that Stripe may have made. Should it be paid all
    the same, its facts make the order a paid one.
    """
    unseen = Order.objects.filter(pk=order.pk, state=Order.State.OPEN, stripe_session_id=None)
    settled = unseen.update(state=Order.State.EXPIRED, checkout_key="", next_check_at=None)
    if settled:
        detail = f"{recorded(Order.State.OPEN)} → {recorded(Order.State.EXPIRED)}"
        order.timeline.create(kind=TimelineEntry.Kind.STATE, door=door, detail=detail)
    return bool(settled)


def _new_session(order: Order) -> NewSession:
    lines = order.lines.select_related("product")
    done, cancelled = reverse("checkout_done"), reverse("checkout_cancelled")
    slug = lines[0].product.slug
    return NewSession(
        reference=order.reference,
        mark=sites.mark(),
        currency=order.currency,
        email=order.email,
        language=order.language,
        # Stripe replaces the braces: they must not be encoded.
        success_url=f"{settings.SITE_URL}{done}?session_id={{CHECKOUT_SESSION_ID}}",
        cancel_url=f"{settings.SITE_URL}{cancelled}?{urlencode({'product': slug})}",
        lines=tuple(
            SessionLine(
                name=line.name,
                slug=line.product.slug,
                unit_price=line.unit_price,
                quantity=line.quantity,
                image_url=covers.public_url(line.product),
            )
            for line in lines
        ),
    )
