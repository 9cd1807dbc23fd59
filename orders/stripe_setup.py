"""How a shop's account at Stripe is set up: whether it may charge, what the key may do, where events are sent.

All raise stripe_api.StripeUnavailable, and KeyRefused where Stripe says that the key may not.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from orders.stripe_api import API_VERSION, Patience, StripeRefused, StripeUnavailable, all_rows, ask, get


class KeyRefused(Exception):
    """Stripe takes no such key (401), or the key may not do this (403). `permission` is Stripe's name for what is
    missing, "" where it gives none; `is_known` is false for a key that it does not know, or has revoked."""

    def __init__(self, message: str, *, is_known: bool) -> None:
        super().__init__(message)
        self.is_known = is_known
        named = re.search(r"'(rak_[a-z_]+)' permission", message)
        self.permission = named[1] if named else ""


@dataclass(frozen=True, kw_only=True)
class Account:
    country: str
    may_charge: bool
    is_complete: bool


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`types` may hold "*" for all; `api_version` is "" where it follows the account's default."""

    id: str
    url: str
    is_enabled: bool
    types: frozenset[str]
    api_version: str


@dataclass(frozen=True)
class Scope:
    """One thing the key must be allowed: its name in Stripe's dashboard, and the request that shows whether it is.

    `writes` is asked of an object that cannot exist, so that nothing can change: who may not is told so before.
    """

    name: str
    path: str
    writes: bool = False

    @property
    def access(self) -> str:
        return "write" if self.writes else "read"


SCOPES = (
    Scope("Checkout Sessions", "/v1/checkout/sessions/cs_test_none/expire", writes=True),
    Scope("PaymentIntents", "/v1/payment_intents"),
    Scope("Charges and Refunds", "/v1/refunds/re_none", writes=True),
    Scope("Disputes", "/v1/disputes/du_none", writes=True),
    Scope("Events", "/v1/events"),
    Scope("Products", "/v1/products/prod_none", writes=True),
    Scope("Prices", "/v1/prices/price_none", writes=True),
    Scope("Payment Links", "/v1/payment_links/plink_none", writes=True),
)


def account() -> Account:
    """https://docs.stripe.com/api/accounts/retrieve"""
    row = _allowed(lambda: get("/v1/account", {}))
    return Account(
        country=row.get("country") or "",
        may_charge=bool(row.get("charges_enabled")),
        is_complete=bool(row.get("details_submitted")),
    )


def try_scope(scope: Scope) -> None:
    """Returns where the key has this permission; raises KeyRefused where not. Changes nothing."""
    if not scope.writes:
        _allowed(lambda: get(scope.path, {"limit": 1}))
        return
    try:
        _allowed(lambda: ask(lambda client: client.raw_request("post", scope.path), Patience.WORKER))
    except StripeRefused:
        return  # no such object: the door was open


def endpoints() -> list[Endpoint]:
    """https://docs.stripe.com/api/webhook_endpoints/list"""
    return [_endpoint(row) for row in _allowed(lambda: all_rows("/v1/webhook_endpoints", {}))]


def add_endpoint(url: str, types: Iterable[str]) -> tuple[Endpoint, str]:
    """A new endpoint for events of the version that we read, and its signing secret, which Stripe tells only now.

    https://docs.stripe.com/api/webhook_endpoints/create
    """
    params: Any = {"url": url, "enabled_events": sorted(types), "api_version": API_VERSION}
    made = _allowed(lambda: ask(lambda client: client.v1.webhook_endpoints.create(params=params), Patience.CHECKOUT))
    return _endpoint(made.to_dict()), str(made.secret)


def mend_endpoint(endpoint: Endpoint, types: Iterable[str]) -> None:
    """Enabled, and with these types beside those that it has. Its version and secret stay.

    https://docs.stripe.com/api/webhook_endpoints/update
    """
    wanted = ["*"] if "*" in endpoint.types else sorted(endpoint.types | set(types))
    params: Any = {"enabled_events": wanted, "disabled": False}
    _allowed(
        lambda: ask(lambda client: client.v1.webhook_endpoints.update(endpoint.id, params=params), Patience.CHECKOUT)
    )


def _endpoint(row: dict[str, Any]) -> Endpoint:
    return Endpoint(
        id=row["id"],
        url=row["url"],
        is_enabled=row["status"] == "enabled",
        types=frozenset(row["enabled_events"]),
        api_version=row.get("api_version") or "",
    )


def _allowed(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except StripeUnavailable as error:
        status = getattr(error.__cause__, "http_status", None)
        if status in (401, 403):
            raise KeyRefused(str(error), is_known=status == 403) from error
        raise
