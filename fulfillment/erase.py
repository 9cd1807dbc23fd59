"""Forget a buyer: the account and everything that names them goes; the rows of the money stay, naming nobody."""

from dataclasses import dataclass
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import MailChoice, User, proven_emails, proven_owners
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download, Entitlement, StripeEvent
from fulfillment.news_models import News
from orders.billing_models import Billing
from orders.models import Order, OrderQuerySet, new_nobody
from orders.refund_models import RefundRequest


class EraseRefused(Exception):
    """Nothing was changed. `orders` are the references in whose way it is; the message says what is."""

    def __init__(self, why: str, orders: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.orders = orders


@dataclass(frozen=True)
class Erased:
    """What went: the account, if there was one, and from how many rows of each kind the person."""

    account: bool
    orders: int
    mails: int
    downloads: int

    def __str__(self) -> str:
        account = "the account, " if self.account else ""
        return f"{account}{self.orders} orders, {self.mails} mails, {self.downloads} downloads"


def orders_of(user: User | None, emails: list[str]) -> OrderQuerySet:
    if user is None:
        return Order.objects.filter(user=None, email__in=emails)
    return Order.objects.owned_by(user, emails)


def in_the_way(orders: OrderQuerySet) -> OrderQuerySet:
    """Those of which money may still move, so that somebody must remain who can be told."""
    asked = RefundRequest.objects.unsettled().filter(order=OuterRef("pk"))
    moving = Q(state__in=Order.UNSETTLED) | Q(dispute=Order.Dispute.OPEN) | Q(Exists(asked))
    return orders.filter(moving | Q(state=Order.State.PAID) & ~Q(attention=""))


def erase_account(user: User) -> Erased:
    """Erase an account, and what was bought with it or, as a guest, with an address that it has proven.

    All or nothing. Raises EraseRefused for people of the shop, and while money is in motion.
    """
    with transaction.atomic():
        # Nobody buys with this account meanwhile: a new order waits for this lock, and then finds no user.
        user = User.objects.select_for_update().get(pk=user.pk)
        # Their acts are in the admin's log under their name, for as long as the orders are.
        if user.is_staff or user.is_superuser or LogEntry.objects.filter(user=user).exists():
            raise EraseRefused("people of the shop are removed in the admin")
        emails = sorted({*proven_emails(user), user.email})
        erased = _erase(orders_of(user, proven_emails(user)))
        _forget_letters(emails)
        _forget_in_log(user)
        user.delete()
    return Erased(True, *erased)


def erase_address(email: str, *, dry_run: bool = False) -> Erased:
    """Erase whoever has this address, normalized: the account that has proven it, or a guest's orders under it."""
    with transaction.atomic():
        owner = User.objects.filter(pk__in=proven_owners(email)).first()
        if owner:
            erased = erase_account(owner)
        else:
            _forget_letters([email])
            erased = Erased(False, *_erase(orders_of(None, [email])))
        if dry_run:
            transaction.set_rollback(True)
    return erased


def _erase(orders: OrderQuerySet) -> tuple[int, int, int]:
    """How many orders, mails and downloads name nobody from now on."""
    # Not their keys: a sender that holds one of the mails writes to the timeline, and both would wait for ever.
    locked = list(orders.select_for_update(of=("self",), no_key=True).order_by("pk"))
    ids = [order.pk for order in locked]
    moving = tuple(in_the_way(Order.objects.filter(pk__in=ids)).values_list("reference", flat=True))
    if moving:
        raise EraseRefused("a payment, a refund or a dispute is still open", moving)
    now = timezone.now()
    for order in locked:
        order.user, order.email = None, new_nobody()
        order.buyer_address, order.buyer_agent, order.paid_last4 = None, "", ""
        order.erased_at = now
        # Two seconds on, as tokens count whole ones: nothing is ever mailed for this order again.
        order.links_void_before = now.replace(microsecond=0) + timedelta(seconds=2)
        order.save(
            update_fields=[
                "user", "email", "buyer_address", "buyer_agent", "paid_last4", "erased_at", "links_void_before",
            ]
        )  # fmt: skip
        # The rights follow their order, and are nobody's: their holder is asked for at read time.
        Entitlement.objects.filter(order_line__order=order).update(user=None, email=order.email)
        order.deliveries.update(recipient=order.email)
    Billing.objects.filter(order__in=ids).delete()
    mails = _forget_mails(ids)
    downloads = Download.objects.filter(entitlement__order_line__order__in=ids)
    count = downloads.exclude(address=None, agent="").update(address=None, agent="")
    _forget_in_texts(ids)
    _forget_notices(locked)
    return len(locked), mails, count


def _forget_mails(ids: list[int]) -> int:
    """What still waits must not arrive: a sender that holds a row loses its claim."""
    mails = Delivery.objects.filter(order__in=ids)
    unsent = mails.filter(state__in=(*Delivery.DUE_STATES, Delivery.State.GAVE_UP))
    unsent.update(state=Delivery.State.WITHDRAWN, claim=None)
    return mails.count()


def _forget_in_texts(ids: list[int]) -> None:
    """Addresses in texts that stay. The timeline's trigger lets this change through, and no other."""
    with connection.cursor() as cursor:
        for table, column, whose in (
            ("orders_timelineentry", "detail", "order_id = ANY(%s)"),
            ("orders_refundrequest", "note", "order_id = ANY(%s)"),
            ("fulfillment_hold", "reason", "order_id = ANY(%s)"),
            ("fulfillment_hold", "lifted_reason", "order_id = ANY(%s)"),
            (
                "fulfillment_deliveryattempt",
                "reply",
                "delivery_id IN (SELECT id FROM fulfillment_delivery WHERE order_id = ANY(%s))",
            ),
        ):
            cursor.execute(
                f"UPDATE {table} SET {column} = orders_without_addresses({column}) "  # noqa: S608 - names of ours
                f"WHERE {whose} AND {column} LIKE %s",
                [ids, "%@%"],
            )


def _forget_notices(orders: list[Order]) -> None:
    """Stripe's notices of these payments name the buyer. All others lose their text after 30 days: see retention."""
    about = [key for order in orders for key in (order.stripe_session_id, order.stripe_payment_intent_id) if key]
    StripeEvent.objects.filter(state__in=StripeEvent.SETTLED, object_id__in=about).exclude(body=b"").update(body=b"")


def _forget_letters(emails: list[str]) -> None:
    """Mails about no single order, and the choice of mails: kept by address, they do not go with the account."""
    MailChoice.objects.filter(email__in=emails).delete()
    News.objects.filter(email__in=emails).delete()
    letters = Delivery.objects.filter(order=None, recipient__in=emails)
    letters.filter(state__in=Delivery.DUE_STATES).update(state=Delivery.State.WITHDRAWN, claim=None)
    letters.update(recipient=new_nobody())


def _forget_in_log(user: User) -> None:
    """The admin's log of what people at the shop did to this account names its address."""
    addresses = [str(pk) for pk in EmailAddress.objects.filter(user=user).values_list("pk", flat=True)]
    for model, keys in ((User, [str(user.pk)]), (EmailAddress, addresses)):
        about = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model), object_id__in=keys)
        about.update(object_repr="erased", change_message="")
