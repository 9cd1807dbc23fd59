"""Payment Links at Stripe: addresses that sell one thing at one price, wherever they are shown."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orders.stripe_api import Patience, RequestChanged, StripeUnavailable, ask
from orders.stripe_desk import refusal_code


@dataclass(frozen=True, kw_only=True)
class NewLink:
    """What a link sells. `unit_price` in minor units; `done_url` is where the buyer comes back to."""

    key: str
    name: str
    slug: str
    unit_price: int
    currency: str
    done_url: str
    mark: dict[str, str] = field(default_factory=dict)  # in the link's metadata: whose it is


@dataclass(frozen=True)
class MadeLink:
    id: str
    url: str
    price_id: str


def create_link(new: NewLink) -> MadeLink:
    """Make a price and a link that sells it once a time. May be repeated under the same `key` for a day.

    Price, Stripe's product and link all name the product's slug: whichever is read, the payment finds its product.
    Raises StripeRefused, RequestChanged among it; StripeUnavailable, after which nobody knows.
    https://docs.stripe.com/api/prices/create, https://docs.stripe.com/api/payment-link/create
    """
    named = {"product_slug": new.slug}
    price_params: Any = {
        "currency": new.currency,
        "unit_amount": new.unit_price,
        "metadata": named,
        "product_data": {"name": new.name, "metadata": named},
    }
    price = _once(
        lambda client: client.v1.prices.create(
            params=price_params, options={"idempotency_key": f"link-price-{new.key}"}
        )
    )
    link_params: Any = {
        "line_items": [{"price": price.id, "quantity": 1}],
        "metadata": {**named, **new.mark},
        "after_completion": {"type": "redirect", "redirect": {"url": new.done_url}},
    }
    link = _once(
        lambda client: client.v1.payment_links.create(
            params=link_params, options={"idempotency_key": f"link-{new.key}"}
        )
    )
    return MadeLink(id=link.id, url=link.url, price_id=price.id)


def deactivate_link(link_id: str) -> None:
    """Let the link sell nothing more. May be repeated. A checkout that it began can still be paid.

    Raises StripeRefused, SessionUnknown where this account has no such link; StripeUnavailable.
    https://docs.stripe.com/api/payment-link/update
    """
    ask(lambda client: client.v1.payment_links.update(link_id, params={"active": False}), Patience.CHECKOUT)


def _once(call: Callable[[Any], Any]) -> Any:
    try:
        return ask(call, Patience.CHECKOUT)
    except RequestChanged as refusal:
        if refusal_code(refusal) == "idempotency_key_in_use":  # the other click of two is under way
            raise StripeUnavailable(str(refusal)) from refusal
        raise
