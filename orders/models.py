"""What was bought, and what Stripe says about the money."""

import secrets
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from catalog import money
from catalog.models import Edition, Product
from orders.billing_models import Billing  # noqa: F401 - Django looks for models here
from orders.daily_models import CountedZone, DailyProductSales, DailySales, Uncounted  # noqa: F401 - the same
from orders.refund_models import RefundRequest  # noqa: F401 - the same

if TYPE_CHECKING:
    from accounts.models import User

REFERENCE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that is read aloud as something else

# What stands for the address of a buyer who was forgotten: a name of its own for each order, in a domain that has no
# mailbox and never will. RFC 2606, section 2.
NOBODY = "@invalid"


def new_nobody() -> str:
    return f"erased-{secrets.token_hex(8)}{NOBODY}"


def new_reference() -> str:
    """A public order number nobody can guess: 16 of 30 characters, 78 bits."""
    return "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(16))


def reference_of(key: uuid.UUID) -> str:
    """The same reference for the same key, so that whatever is made under it is made once; no easier to guess."""
    number = int.from_bytes(salted_hmac("orders.reference", str(key), algorithm="sha256").digest())
    letters = []
    for __ in range(16):
        number, letter = divmod(number, len(REFERENCE_ALPHABET))
        letters.append(REFERENCE_ALPHABET[letter])
    return "".join(letters)


def is_reference(text: str) -> bool:
    return len(text) == 16 and set(text) <= set(REFERENCE_ALPHABET)


class OrderQuerySet(models.QuerySet["Order"]):
    def owned_by(self, user: "User", emails: list[str]) -> "OrderQuerySet":
        """Orders this user made, or made as a guest under one of `emails`, which must be proven to be theirs."""
        return self.filter(Q(user=user) | Q(user=None, email__in=emails))

    def confirmed(self) -> "OrderQuerySet":
        """Orders that got as far as a payment; an abandoned checkout is not one to show."""
        return self.filter(state__in=(Order.State.PAID, Order.State.PROCESSING, Order.State.FAILED))

    def unsettled(self, now: datetime | Now) -> "OrderQuerySet":
        """Orders whose Checkout Session must be asked about again by now."""
        return self.filter(next_check_at__lte=now).order_by("next_check_at")

    def facts_version(self, session_id: str) -> int:
        """How many times facts were absorbed for this session; 0 where no order knows it yet."""
        version = self.filter(stripe_session_id=session_id).values_list("facts_version", flat=True).first()
        return version or 0


class Order(models.Model):
    class State(models.TextChoices):
        """How far the payment is. Computed from Stripe's facts; refunds and disputes are facts of their own."""

        OPEN = "open", _("open")
        PROCESSING = "processing", _("payment on its way")
        PAID = "paid", _("paid")
        FAILED = "failed", _("payment failed")
        EXPIRED = "expired", _("expired")

    class Source(models.TextChoices):
        CHECKOUT = "checkout", _("Bought in the shop")
        PAYMENT_LINK = "payment_link", _("Payment Link")
        FREE = "free", _("Free")
        MANUAL = "manual", _("Given by hand")

    class Dispute(models.TextChoices):
        NONE = "", _("none")
        OPEN = "open", _("Open")
        WON = "won", _("Won")
        LOST = "lost", _("Lost")

    UNSETTLED: ClassVar = (State.OPEN, State.PROCESSING)

    reference = models.CharField(_("order number"), max_length=16, unique=True, default=new_reference, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name=_("account"),
    )
    email = models.CharField(_("e-mail address"), max_length=254, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    source = models.CharField(_("source"), max_length=12, choices=Source)
    total = models.BigIntegerField(default=0, help_text="Minor units.")
    refunded = models.BigIntegerField(default=0, help_text="Minor units.")
    currency = models.CharField(max_length=3)
    dispute = models.CharField(_("dispute"), max_length=4, choices=Dispute, default=Dispute.NONE, blank=True)
    livemode = models.BooleanField(_("real money"))
    stripe_session_id = models.CharField(
        _("Checkout Session at Stripe"), max_length=255, null=True, blank=True, unique=True
    )
    stripe_payment_intent_id = models.CharField(
        _("payment at Stripe"), max_length=255, null=True, blank=True, unique=True
    )
    stripe_customer_id = models.CharField(_("customer at Stripe"), max_length=255, blank=True)
    stripe_charge_id = models.CharField(
        _("charge at Stripe"), max_length=255, blank=True, default="", db_default="", editable=False
    )
    # How it was paid, for whoever asks about a line on their bank statement: card, paypal, …; the digits are personal.
    paid_by = models.CharField(max_length=40, blank=True, default="", db_default="", editable=False)
    paid_brand = models.CharField(max_length=30, blank=True, default="", db_default="", editable=False)
    paid_last4 = models.CharField(max_length=4, blank=True, default="", db_default="", editable=False)
    # Same buyer, same product, same terms: one open order, so a double click meets itself. Empty once it is settled.
    checkout_key = models.CharField(max_length=64, blank=True, editable=False)
    checkout_url = models.TextField(blank=True, editable=False)
    facts_version = models.PositiveIntegerField(_("answers taken from Stripe"), default=0, editable=False)
    facts_digest = models.CharField(max_length=64, blank=True, editable=False)
    attention = models.CharField(
        _("attention"), max_length=300, blank=True, help_text=_("Why a person must look at this order.")
    )
    created_at = models.DateTimeField(_("created on"), default=timezone.now, editable=False)
    paid_at = models.DateTimeField(_("paid on"), null=True, blank=True, editable=False)
    next_check_at = models.DateTimeField(_("Stripe is asked again"), null=True, blank=True, editable=False)
    asked_at = models.DateTimeField(null=True, blank=True, editable=False)  # when a page last asked Stripe
    # Links that were signed before this open nothing any more: whole seconds, as in their tokens.
    links_void_before = models.DateTimeField(_("links from before are invalid"), null=True, blank=True, editable=False)
    # What its buyer reads, for the mails that follow; "" is the shop's own language.
    language = models.CharField(max_length=10, blank=True, default="", db_default="", editable=False)
    # Where "Buy" was pressed last, for the bank should it ask; emptied after `retention.KEEP_VISITORS`.
    buyer_address = models.GenericIPAddressField(_("IP address of the buyer"), null=True, blank=True, editable=False)
    buyer_agent = models.CharField(
        _("browser of the buyer"), max_length=200, blank=True, default="", db_default="", editable=False
    )
    # When the page behind the mailed link was first asked for, by its reader or by something that looks into mails.
    link_opened_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When its buyer was forgotten. The money's rows stay; who paid is gone, and must not come back from Stripe.
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OrderQuerySet.as_manager()

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ("-created_at", "-pk")
        permissions = (
            ("refund_order", "Can refund orders"),
            ("mail_order", "Can send orders' mails again, correct addresses and void links"),
            ("replay_order", "Can ask Stripe about orders again"),
            ("answer_dispute", "Can see and submit evidence in disputes"),
            ("grant_order", "Can give products away"),
            ("suspend_order", "Can suspend and restore access"),
            ("view_figures", "Can see the shop's figures"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded__lte=F("total")), name="order_refunded_within_total"
            ),
            models.CheckConstraint(condition=~Q(state="paid") | Q(paid_at__isnull=False), name="order_paid_has_time"),
            models.CheckConstraint(
                condition=Q(erased_at=None) | Q(user=None, email__endswith=NOBODY, buyer_address=None, buyer_agent=""),
                name="order_erased_names_nobody",
            ),
            models.UniqueConstraint(
                "checkout_key",
                name="order_one_open_checkout",
                condition=Q(state="open") & ~Q(checkout_key=""),
            ),
        )
        indexes = (
            models.Index("next_check_at", name="order_unsettled", condition=Q(next_check_at__isnull=False)),
            # For whole addresses and for their beginnings, whatever the database's collation.
            models.Index(fields=("email",), name="order_email_prefix", opclasses=("varchar_pattern_ops",)),
            models.Index("stripe_charge_id", name="order_charge", condition=~Q(stripe_charge_id="")),
            models.Index("stripe_customer_id", name="order_customer", condition=~Q(stripe_customer_id="")),
            models.Index(fields=("paid_last4", "-created_at", "-id"), name="order_last4", condition=~Q(paid_last4="")),
            models.Index(fields=("-created_at", "-id"), name="order_newest"),
            models.Index("created_at", name="order_attention", condition=~Q(attention="")),
            # For the lists of those few.
            models.Index(fields=("-created_at", "-id"), name="order_disputed", condition=~Q(dispute="")),
            models.Index(fields=("-created_at", "-id"), name="order_refunded", condition=Q(refunded__gt=0)),
            models.Index("paid_at", name="order_paid_at", condition=Q(state="paid")),
        )

    def __str__(self) -> str:
        return self.reference

    def get_absolute_url(self) -> str:
        return reverse("order", args=[self.reference])

    @property
    def is_paid(self) -> bool:
        return self.state == self.State.PAID

    @property
    def is_refunded(self) -> bool:
        return self.is_paid and self.refunded == self.total > 0

    @property
    def gives_access(self) -> bool:
        """Whether its money is here to stay as far as anybody knows, so that what was bought may be read."""
        taken_back = self.dispute in (self.Dispute.OPEN, self.Dispute.LOST)
        return self.is_paid and not self.is_refunded and not taken_back

    @property
    @admin.display(description=_("paid with"))
    def paid_with(self) -> str:
        """Such as "Visa •••• 4242", as the buyer's bank statement would have it; "" where nobody knows."""
        name = (self.paid_brand or self.paid_by).replace("_", " ").capitalize()
        return f"{name} •••• {self.paid_last4}" if self.paid_last4 else name

    @property
    def total_display(self) -> str:
        return money.display(self.total, self.currency)

    @property
    def refunded_display(self) -> str:
        return money.display(self.refunded, self.currency)


class OrderLine(models.Model):
    """One product as it was sold: later changes of name, price or edition do not reach it."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT, related_name="order_lines", verbose_name=_("product"))
    edition = models.ForeignKey(Edition, models.PROTECT, related_name="order_lines", verbose_name=_("edition"))
    name = models.CharField(_("name"), max_length=120)
    unit_price = models.BigIntegerField(help_text="Minor units of the order's currency.")
    quantity = models.PositiveIntegerField(default=1)  # a Payment Link's buyer may ask for up to 999,999
    refunded = models.BigIntegerField(default=0, help_text="Minor units.")

    class Meta:
        verbose_name = _("line of an order")
        verbose_name_plural = _("lines of the order")
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint("order", "product", name="order_line_once_per_product"),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="order_line_price_not_negative"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="order_line_quantity_from_one"),
            models.CheckConstraint(condition=Q(refunded__gte=0), name="order_line_refunded_not_negative"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def amount(self) -> int:
        return self.unit_price * self.quantity

    @property
    def amount_display(self) -> str:
        return money.display(self.amount, self.order.currency)


class TimelineEntry(models.Model):
    """One thing that happened to an order. Written once: the database refuses to change or delete it, but for the
    addresses in the details of an order whose buyer was forgotten."""

    class Kind(models.TextChoices):
        CREATED = "created"
        CHECKOUT_STARTED = "checkout_started", "checkout started"
        STATE = "state", "payment state"
        REFUNDED = "refunded"
        DISPUTE = "dispute"
        ACCESS = "access"
        ATTENTION = "attention"
        MAIL = "mail"
        BY_HAND = "by_hand", "by hand"
        BILLING = "billing", "details for the receipt"

    order = models.ForeignKey(Order, models.PROTECT, related_name="timeline")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=20, choices=Kind)
    door = models.CharField(max_length=20, help_text="What learned of it: webhook, success page, sweep, checkout, …")
    detail = models.CharField(max_length=300, blank=True)
    event = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="The event of Stripe's that told of it."
    )

    class Meta:
        verbose_name_plural = "timeline entries"
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.get_kind_display()}"
