"""The outbox: every mail about an order or to an address, and each try at sending it."""

from datetime import datetime

from django.conf import settings
from django.contrib import admin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from orders.models import Order


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self, now: datetime | Now) -> "DeliveryQuerySet":
        """Mails to send by now, including those whose sender died holding them. By the database's clock: pass Now()."""
        return self.filter(state__in=Delivery.DUE_STATES, next_attempt_at__lte=now)


class Delivery(models.Model):
    """The outbox: one row per mail, written in the transaction that made it necessary.

    A letter belongs to an address instead of an order: it tells of everything that was bought with it.
    """

    class Kind(models.TextChoices):
        ORDER = "order", _("order and its files")
        LINK = "link", _("fresh link")
        WAITING = "waiting", _("payment on its way")
        FAILED = "failed", _("payment failed")
        REFUND = "refund", pgettext_lazy("mail", "Refund")
        REFUND_FAILED = "refund_failed", _("refund failed")
        LOST = "lost", _("everything bought")
        NEWS = "news", _("new editions")

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        SENDING = "sending", _("Sending")
        SENT = "sent", _("Sent")
        UNCONFIRMED = "unconfirmed", _("Unconfirmed")
        GAVE_UP = "gave_up", _("gave up")
        WITHDRAWN = "withdrawn", _("no longer needed")

    DUE_STATES = (State.PENDING, State.SENDING, State.UNCONFIRMED)

    LETTERS = (Kind.LOST, Kind.NEWS)

    order = models.ForeignKey(
        Order, models.PROTECT, null=True, blank=True, related_name="deliveries", verbose_name=_("order")
    )
    kind = models.CharField(_("type"), max_length=16, choices=Kind)
    seq = models.PositiveSmallIntegerField(default=1)
    recipient = models.CharField(_("recipient"), max_length=254)
    # Which of several happenings it tells of, by its id at Stripe, and the minor units that are its news. A letter's is
    # a random name.
    about = models.CharField(max_length=255, blank=True, default="", db_default="")
    amount = models.BigIntegerField(default=0, db_default=0)
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    # While a sender holds the row this is the end of its lease, by the database's clock.
    next_attempt_at = models.DateTimeField(db_default=Now())
    claim = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(_("written on"), db_default=Now())
    sent_at = models.DateTimeField(_("sent on"), null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        constraints = (
            models.UniqueConstraint("order", "kind", "seq", name="delivery_once"),
            models.UniqueConstraint(
                "order", "kind", "about", name="delivery_once_for_each_happening", condition=~Q(about="")
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=("refund", "refund_failed")) | ~Q(about=""), name="delivery_of_refund_names_it"
            ),
            models.CheckConstraint(
                condition=~Q(state="sent") | Q(sent_at__isnull=False), name="delivery_sent_has_time"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=("lost", "news"), order__isnull=True) & ~Q(about="")
                | ~Q(kind__in=("lost", "news")) & Q(order__isnull=False),
                name="delivery_of_order_or_letter",
            ),
            models.UniqueConstraint("about", name="delivery_letter_once", condition=Q(order__isnull=True)),
            # However often somebody asks for everything they bought, one mail at a time waits to be sent.
            models.UniqueConstraint(
                "recipient",
                name="delivery_one_lost_waits",
                condition=Q(kind="lost", state="pending", attempts=0),
            ),
        )
        indexes = (
            models.Index(
                "next_attempt_at",
                name="delivery_due",
                condition=Q(state__in=("pending", "sending", "unconfirmed")),
            ),
            models.Index("created_at", name="delivery_given_up", condition=Q(state="gave_up")),
            models.Index("about", name="delivery_about", condition=Q(order__isnull=False) & ~Q(about="")),
            models.Index("recipient", "id", name="delivery_letters_to", condition=Q(order=None)),
        )

    def __str__(self) -> str:
        return gettext("%(mail)s to %(email)s") % {"mail": self.get_kind_display(), "email": self.recipient}

    @property
    @admin.display(description=_("order or letter"))
    def name(self) -> str:
        """The order it is about, or a letter's own name: never an address."""
        return self.order.reference if self.order else self.about

    @property
    def message_id(self) -> str:
        """The same for every attempt at this row, so that a repeat can be recognized as one."""
        return f"<{self.name}.{self.kind}.{self.seq}@{settings.MAIL_DOMAIN}>"


class DeliveryAttempt(models.Model):
    """One try at sending a delivery, committed before the network is touched."""

    class Phase(models.TextChoices):
        STARTED = "started", _("Started")
        # From here on the server may have the mail even if it never says so.
        BODY = "body", _("body on its way")

    class Outcome(models.TextChoices):
        UNKNOWN = "", _("unknown")
        ACCEPTED = "accepted", _("Accepted")
        TEMPORARY = "temporary", _("try again")
        PERMANENT = "permanent", _("refused")
        UNCONFIRMED = "unconfirmed", _("Unconfirmed")

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempt_log")
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(_("how far"), max_length=8, choices=Phase, default=Phase.STARTED)
    outcome = models.CharField(_("outcome"), max_length=12, choices=Outcome, default=Outcome.UNKNOWN, blank=True)
    reply = models.CharField(
        _("reply"), max_length=300, blank=True, help_text=_("What the mail server said, or the error.")
    )

    class Meta:
        verbose_name = _("try to send a mail")
        verbose_name_plural = _("tries to send mails")
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint("delivery", name="delivery_accepted_once", condition=Q(outcome="accepted")),
        )

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S} {self.get_outcome_display()}"
