"""Who stands behind an address, and what they have: by the same rule that opens files."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Count, Max, Sum

from accounts import mail_choices
from accounts.models import User, proven_emails, proven_owners
from catalog import money
from fulfillment.access import Actor, held, held_by_guest
from fulfillment.delivery_models import Delivery
from fulfillment.erase import orders_of
from fulfillment.models import Download, Entitlement, EntitlementQuerySet
from orders import stripe_api
from orders.models import NOBODY, Order, OrderQuerySet

SHORTEST = 3  # letters of an address: fewer would find everybody
FOUND = 20  # addresses in the list
LATEST = 100  # orders among which the newest buyers are looked for
ROWS = 50  # of orders, mails and downloads on a page
MOST = 500  # rights, and orders whose mails are looked for: the newest


@dataclass(frozen=True)
class Person:
    """Whoever has shown that the mailbox is theirs, with all their addresses; else a guest with this one."""

    email: str
    emails: tuple[str, ...]
    user: User | None
    claimed_by: User | None = None  # an account under this address that has not proven it, and so holds nothing by it

    @property
    def orders(self) -> OrderQuerySet:
        return orders_of(self.user, list(self.emails))

    @property
    def rights(self) -> EntitlementQuerySet:
        return held(Actor(user=self.user)) if self.user else held_by_guest(self.email)


@dataclass(frozen=True)
class Paid:
    """What came in by paid orders of one currency, less what went back."""

    orders: int
    paid: str
    refunded: str
    kept: str
    is_of_other_mode: bool


def person(email: str) -> Person:
    owner = User.objects.filter(pk__in=proven_owners(email)).order_by("pk").first()
    if owner:
        return Person(email, tuple(sorted(proven_emails(owner))), owner)
    return Person(email, (email,), None, claimed_by=User.objects.filter(email=email).first())


def find(words: str) -> list[str]:
    """Addresses that begin so, of buyers and of accounts; FOUND at most, by the alphabet."""
    begins = {"email__startswith": words}
    bought = Order.objects.filter(**begins).exclude(email__endswith=NOBODY).order_by("email")
    accounts, proven = (model.objects.filter(**begins).order_by("email") for model in (User, EmailAddress))
    found = {email for rows in (bought, accounts, proven) for email in _emails(rows)}
    return sorted(found)[:FOUND]


def _emails(rows: Any) -> list[str]:
    return list(rows.values_list("email", flat=True).distinct()[:FOUND])


def latest() -> list[str]:
    """The addresses that bought last."""
    orders = Order.objects.confirmed().exclude(email="").order_by("-created_at", "-pk")
    emails = orders.values_list("email", flat=True)[:LATEST]
    return [email for email in dict.fromkeys(emails) if not email.endswith(NOBODY)][:FOUND]


def with_accounts(emails: Iterable[str]) -> list[tuple[str, bool]]:
    """Each address, and whether an account has proven it."""
    wanted = list(emails)
    proven = set(EmailAddress.objects.filter(email__in=wanted, verified=True).values_list("email", flat=True))
    return [(email, email in proven) for email in wanted]


def paid(orders: OrderQuerySet) -> list[Paid]:
    """Sums by currency, made by the database; test payments beside those with money."""
    rows = orders.filter(state=Order.State.PAID).order_by("-livemode", "currency").values("livemode", "currency")
    return [
        Paid(
            orders=row["number"],
            paid=money.display(row["total"], row["currency"]),
            refunded=money.display(row["back"], row["currency"]) if row["back"] else "",
            kept=money.display(row["total"] - row["back"], row["currency"]),
            is_of_other_mode=row["livemode"] != stripe_api.is_live(),
        )
        for row in rows.annotate(number=Count("pk"), total=Sum("total"), back=Sum("refunded"))
    ]


def page_of_orders(orders: OrderQuerySet, *, before: int | None) -> tuple[list[Order], int | None]:
    """The newest orders that came before the one with this id, and where the next page goes on, if there is one."""
    rows = orders.order_by("-pk")
    rows = rows.filter(pk__lt=before) if before else rows
    found = list(rows[: ROWS + 1])
    return found[:ROWS], (found[ROWS - 1].pk if len(found) > ROWS else None)


def mails(someone: Person) -> list[Delivery]:
    """The newest mails about their orders and to their addresses."""
    ids = list(someone.orders.order_by("-pk").values_list("pk", flat=True)[:MOST])
    rows = Delivery.objects.select_related("order").order_by("-pk")
    of_orders = list(rows.filter(order__in=ids)[:ROWS])
    letters = list(rows.filter(order=None, recipient__in=someone.emails)[:ROWS])
    return sorted([*of_orders, *letters], key=lambda mail: mail.pk, reverse=True)[:ROWS]


def notes(shown: list[Delivery]) -> list[LogEntry]:
    """What people of the shop did about these mails, and why."""
    of_mails = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Delivery))
    ids = [str(mail.pk) for mail in shown]
    return list(of_mails.filter(object_id__in=ids).select_related("user").order_by("-pk")[:ROWS])


def newest_rights(someone: Person) -> list[Entitlement]:
    rows = someone.rights.select_related("product", "order_line__order")
    return list(rows.order_by("-created_at", "-pk")[:MOST])


def downloads(rights: list[int]) -> list[Download]:
    rows = Download.objects.filter(entitlement__in=rights).select_related("file", "entitlement__product")
    return list(rows.order_by("-started_at", "-pk")[:ROWS])


def refused_news(someone: Person) -> set[str]:
    """Their addresses that want to hear nothing of new editions."""
    return mail_choices.refusers(someone.emails)


def others_with(someone: Person) -> list[User]:
    """Accounts that bought and gave this address for it, and are not this person: what they hold is theirs."""
    rows = User.objects.filter(orders__email=someone.email).exclude(pk=someone.user.pk if someone.user else 0)
    return list(rows.order_by("pk").distinct()[:5])


def last_seen(someone: Person) -> datetime | None:
    """When the account was last signed in to."""
    if someone.user is None:
        return None
    seen: datetime | None = someone.user.sign_ins.aggregate(at=Max("at"))["at"]
    return seen
