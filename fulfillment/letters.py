"""Mails that belong to an address and to no single order: what each kind tells, asked anew whenever it is tried."""

from collections.abc import Callable
from typing import Any

from django.db.models import Q

from accounts.models import proven_owners
from fulfillment import lost_link, news
from fulfillment.delivery_models import Delivery
from orders.models import Order

CONTENT: dict[str, Callable[[Delivery], dict[str, Any] | None]] = {
    Delivery.Kind.LOST: lost_link.content,
    Delivery.Kind.NEWS: news.content,
}
HEADERS: dict[str, Callable[[Delivery], dict[str, str]]] = {Delivery.Kind.NEWS: news.headers}


class NothingToTell(Exception):
    """What the letter was written for is no longer so."""


def is_wanted(letter: Delivery) -> bool:
    """Whether there is anything to tell its reader now."""
    return CONTENT[letter.kind](letter) is not None


def content(letter: Delivery) -> dict[str, Any]:
    """What its templates show. Raises NothingToTell."""
    found = CONTENT[letter.kind](letter)
    if found is None:
        raise NothingToTell
    return found


def language_of(letter: Delivery) -> str:
    """The one in which its reader bought last; "" where nobody knows."""
    email = letter.recipient
    orders = Order.objects.filter(Q(email=email) | Q(user_id__in=proven_owners(email))).exclude(language="")
    return orders.order_by("-created_at").values_list("language", flat=True).first() or ""


def headers(letter: Delivery) -> dict[str, str]:
    """Those of its kind alone."""
    find = HEADERS.get(letter.kind)
    return find(letter) if find else {}
