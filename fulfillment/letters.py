"""Mails that belong to an address and to no single order: what each kind tells, asked anew whenever it is tried."""

from collections.abc import Callable
from typing import Any

from fulfillment import lost_link, news
from fulfillment.models import Delivery

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


def headers(letter: Delivery) -> dict[str, str]:
    """Those of its kind alone."""
    find = HEADERS.get(letter.kind)
    return find(letter) if find else {}
