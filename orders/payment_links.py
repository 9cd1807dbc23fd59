"""Payment Links made here: the row first, then the link that belongs to it, as with a checkout."""

import logging

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog import money
from catalog.models import Product
from catalog.payment_link_models import PaymentLink
from catalog.stripe_price_models import StripePrice
from orders import sites, stripe_api, stripe_links

log = logging.getLogger(__name__)


class NothingToSell(Exception):
    """The product cannot be sold by a link as it is now; the message says why, for a person."""


def why_not(product: Product) -> str:
    """What keeps the product from being sold by a link, or ""."""
    if product.is_free:
        return _("This product is free: a Payment Link needs a price.")
    try:
        money.validate(product.price, product.currency)
    except ValidationError as error:
        return " ".join(error.messages)
    if product.edition_on_sale() is None:
        return _("This product has no published file, so a buyer would get nothing. Add one first.")
    return ""


def make(product: Product) -> PaymentLink:
    """The link that sells the product at its price of now. May be repeated: the same terms give the same link, until
    it is deactivated.

    Raises NothingToSell; stripe_api.StripeRefused; stripe_api.StripeUnavailable, after which the row stays, and the
    next call finds whatever Stripe has made.
    """
    if why := why_not(product):
        raise NothingToSell(why)
    link = _row(product)
    if link.is_made:
        return link
    try:
        return _ensure_made(link, product)
    except stripe_api.RequestChanged:
        # Name or slug moved while Stripe's answer was lost, so the old key no longer fits. Nobody saw that link.
        log.warning("%s is replaced: its product changed while it was made", link)
        forget(link)
        return _ensure_made(_row(product), product)
    except stripe_api.StripeBroken:
        # Stripe repeats its answer to an idempotency key for a day, also this one: the next click needs another key.
        forget(link)
        raise


def _row(product: Product) -> PaymentLink:
    """Find or make the one row in use for these terms."""
    terms = {
        "product": product,
        "price": product.price,
        "currency": product.currency,
        "livemode": stripe_api.is_live(),
    }
    try:
        with transaction.atomic():
            return PaymentLink.objects.create(**terms)
    except IntegrityError:
        if link := PaymentLink.objects.in_use().filter(**terms).first():
            return link
    # It was ended between the two statements, so the way is free.
    with transaction.atomic():
        return PaymentLink.objects.create(**terms)


def _ensure_made(link: PaymentLink, product: Product) -> PaymentLink:
    """Its price is known to the shop before anybody can see its address: what pays it is delivered by that."""
    done = reverse("checkout_done")
    made = stripe_links.create_link(
        stripe_links.NewLink(
            key=str(link.key),
            name=product.name,
            slug=product.slug,
            unit_price=link.price,
            currency=link.currency,
            mark=sites.mark(),
            # Stripe replaces the braces: they must not be encoded.
            done_url=f"{settings.SITE_URL}{done}?session_id={{CHECKOUT_SESSION_ID}}",
        )
    )
    with transaction.atomic():
        StripePrice.objects.get_or_create(price_id=made.price_id, defaults={"product": product})
        PaymentLink.objects.filter(pk=link.pk, link_id=None).update(link_id=made.id, url=made.url)
    link.link_id, link.url = made.id, made.url
    return link


def deactivate(link: PaymentLink) -> None:
    """Nobody can begin to pay by it any more. May be repeated. A row without a link is forgotten.

    Raises stripe_api.StripeRefused, stripe_api.StripeUnavailable: then it is as it was.
    """
    if link.link_id is None:
        forget(link)
        return
    stripe_links.deactivate_link(link.link_id)
    PaymentLink.objects.in_use().filter(pk=link.pk).update(deactivated_at=timezone.now())


def forget(link: PaymentLink) -> None:
    """Drop a row whose link nobody has seen, unless its answer has come meanwhile."""
    PaymentLink.objects.filter(pk=link.pk, link_id=None).delete()
