"""What is written down about an order, in its timeline: what people at the shop did, and in which words."""

import re
from collections.abc import Iterable

from django.db.models import Choices
from django.utils import translation

from accounts.addresses import masked, without_addresses
from accounts.models import User
from orders.models import Order, TimelineEntry

DETAIL = 300  # characters
WHO = re.compile(r"\S+ \(user ([0-9]{1,18})\)", re.ASCII)  # as `who` writes it


def recorded(choice: Choices) -> str:
    """The label in English, whoever's page asks: for what is written down, compared, or told to a bank, as
    `money.recorded` does it for amounts."""
    with translation.override("en"):
        return str(choice.label)


def who(by: User) -> str:
    """Enough to find the person, and no address: the timeline is kept for good."""
    return f"{masked(by.email)} (user {by.pk})"


def by_hand(order: Order, what: str, *, by: User | None, reason: str = "", door: str = "admin") -> None:
    """Note an act of a person. Who it was is never cut off, however long the reason is."""
    tail = f" – {who(by)}" if by else ""
    head = without_addresses(f"{what}: {reason}" if reason else what)
    detail = head.replace("\x00", "")[: DETAIL - len(tail)] + tail
    order.timeline.create(kind=TimelineEntry.Kind.BY_HAND, door=door, detail=detail)


def named_in_full(entries: Iterable[TimelineEntry]) -> list[TimelineEntry]:
    """The same entries, unsaved, with the addresses of the people who did something, as far as they still exist. One
    query, and none where nobody did anything."""
    found = list(entries)
    ids = {int(number) for entry in found for number in WHO.findall(entry.detail)}
    emails = dict(User.objects.filter(pk__in=ids).values_list("pk", "email")) if ids else {}
    for entry in found:
        entry.detail = WHO.sub(lambda match: emails.get(int(match[1]), match[0]), entry.detail)
    return found
