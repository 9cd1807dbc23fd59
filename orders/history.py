"""What people at the shop did about an order, in its timeline."""

from accounts.addresses import masked, without_addresses
from accounts.models import User
from orders.models import Order, TimelineEntry

DETAIL = 300  # characters


def who(by: User) -> str:
    """Enough to find the person, and no address: the timeline is kept for good."""
    return f"{masked(by.email)} (user {by.pk})"


def by_hand(order: Order, what: str, *, by: User | None, reason: str = "", door: str = "admin") -> None:
    """Note an act of a person. Who it was is never cut off, however long the reason is."""
    tail = f" – {who(by)}" if by else ""
    head = without_addresses(f"{what}: {reason}" if reason else what)
    detail = head.replace("\x00", "")[: DETAIL - len(tail)] + tail
    order.timeline.create(kind=TimelineEntry.Kind.BY_HAND, door=door, detail=detail)
