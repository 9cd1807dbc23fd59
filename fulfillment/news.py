"""A new edition reaches those who own an earlier one: found in batches, told once each, several in one mail."""

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from accounts import mail_choices
from accounts.models import User
from catalog.models import Edition
from fulfillment import links
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement, EntitlementQuerySet
from fulfillment.news_models import Announcement, News
from orders.models import new_reference
from storefront.celery import enqueue

BATCH = 500  # owners in one transaction
LETTERS = 200  # mails that may wait to be sent at a time: those about orders must never stand in a long line
PATIENCE = 5.0  # seconds after which others get their turn
TASK = "fulfillment.tasks.tell_owners"


def owners(edition: Edition) -> EntitlementQuerySet:
    """The live rights to earlier editions of the same product."""
    rights = Entitlement.objects.active(timezone.now())
    return rights.filter(product=edition.product_id, order_line__edition__number__lt=edition.number)


def tell(edition: Edition, *, by: User | None) -> bool:
    """Have the owners of earlier editions told of this one; False where that was asked for before.

    The mails go out after NEWS_WAIT_MINUTES, so that one can tell of several editions. May be repeated.
    """
    mail_at = timezone.now() + timedelta(minutes=settings.NEWS_WAIT_MINUTES)
    _, is_new = Announcement.objects.get_or_create(edition=edition, defaults={"asked_by": by, "mail_at": mail_at})
    enqueue(TASK)
    return is_new


def due() -> list[int]:
    """The announcements whose owners are not all written down yet."""
    return list(Announcement.objects.filter(done_at=None).order_by("pk").values_list("pk", flat=True))


def go_on() -> None:
    """A task's share of what is due; what is left gets a wake-up of its own, unless others are at it."""
    found = [find_owners(announcement_id) for announcement_id in due()]
    if any(found) and due():
        enqueue(TASK)


def find_owners(announcement_id: int) -> bool:
    """Write down who is to be told, for a few seconds at most; whether it came any further.

    May be repeated, killed at any line, and run many times at once: a batch and how far it came are one transaction.
    """
    end, found = time.monotonic() + PATIENCE, False
    while time.monotonic() < end and _find_some(announcement_id):
        found = True
    return found


@transaction.atomic
def _find_some(announcement_id: int) -> bool:
    """One batch of owners, by the id of their right. Those who want no such mail are left out."""
    rows = Announcement.objects.select_for_update(skip_locked=True, of=("self",)).select_related("edition")
    row = rows.filter(pk=announcement_id, done_at=None).first()
    if row is None:
        return False
    rights = owners(row.edition).filter(pk__gt=row.after).order_by("pk")
    batch = list(rights.values_list("pk", "email", "user_id", "user__email", "user__is_active")[:BATCH])
    emails = {
        (user_email if user_is_active else "") if user_id else email
        for _, email, user_id, user_email, user_is_active in batch
    }
    emails -= mail_choices.refusers(emails) | {""}
    News.objects.bulk_create(
        [News(edition=row.edition, email=email, due_at=row.mail_at) for email in sorted(emails)], ignore_conflicts=True
    )
    row.after = batch[-1][0] if batch else row.after
    row.done_at = timezone.now() if len(batch) < BATCH else None
    row.save(update_fields=["after", "done_at"])
    return True


@transaction.atomic
def write_letters() -> int:
    """Write the mails whose time has come, one for each address with all that is new for it; how many.

    Never more than a few wait to be sent. May run many times at once.
    """
    if Delivery.objects.due(Now()).filter(kind=Delivery.Kind.NEWS).count() >= LETTERS:
        return 0
    waiting = News.objects.select_for_update(skip_locked=True).filter(delivery=None)
    first = list(waiting.filter(due_at__lte=Now()).order_by("due_at", "pk")[:LETTERS])
    if not first:
        return 0
    rest = waiting.filter(email__in={one.email for one in first}).exclude(pk__in=[one.pk for one in first])
    letters: dict[str, Delivery] = {}
    news = [*first, *rest]
    for one in news:
        letters.setdefault(one.email, Delivery(kind=Delivery.Kind.NEWS, recipient=one.email, about=new_reference()))
    Delivery.objects.bulk_create(letters.values())
    for one in news:
        one.delivery = letters[one.email]
    News.objects.bulk_update(news, ["delivery"])
    enqueue("fulfillment.tasks.send_due_mails")
    return len(letters)


def content(letter: Delivery) -> dict[str, Any] | None:
    """What the mail tells, or None where it is no longer wanted, or nothing in it is so any more."""
    email = letter.recipient
    if mail_choices.refusers([email]):
        return None
    rows = News.objects.filter(delivery=letter, edition__published_at__isnull=False).select_related("edition__product")
    rights = _rights(email, [one.edition.product_id for one in rows])
    updates = [
        {"edition": one.edition, "product": one.edition.product, "address": _address(right)}
        for one in rows.order_by("pk")
        if (right := rights.get(one.edition.product_id)) is not None
    ]
    return {"updates": updates, "choice": mail_choices.address(email)} if updates else None


def headers(letter: Delivery) -> dict[str, str]:
    """One click in the mail program stops such mails. RFC 8058; the large mailbox providers ask for it."""
    return {
        "List-Unsubscribe": f"<{mail_choices.address(letter.recipient)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _rights(email: str, products: list[int]) -> dict[int, Entitlement]:
    """One live right of this address for each product: a guest's own, or that of the account whose address it is."""
    users = list(User.objects.filter(email=email, is_active=True).values_list("pk", flat=True))
    rights = Entitlement.objects.active(timezone.now()).filter(product__in=products)
    rights = rights.filter(Q(user=None, email=email) | Q(user__in=users))
    ordered = rights.select_related("order_line__order").order_by(F("user").asc(nulls_first=True), "pk")
    return {right.product_id: right for right in ordered}


def _address(right: Entitlement) -> str:
    """Where the new edition is: a guest gets a link that opens it, an account its library."""
    if right.user_id is None:
        return links.address(right.order_line.order)
    return settings.SITE_URL + reverse("library")
