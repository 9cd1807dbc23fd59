"""Stripe's objects, each built in full as API version 2026-10-28.endive declares them.

Every builder returns a new dict and stores nothing. Amounts are minor units, times are Unix seconds.
"""

from typing import Any

Body = dict[str, Any]

API_VERSION = "2026-10-28.endive"
NO_ADDRESS: Body = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def page(url: str, data: list[Body], *, has_more: bool = False) -> Body:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def address(country: str | None = None) -> Body:
    return {**NO_ADDRESS, "country": country}
