"""What the check of our books remembers: each difference while it lasts and for a while after, and each check."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orders.models import Order


class DifferenceQuerySet(models.QuerySet["Difference"]):
    def open(self, *, livemode: bool) -> "DifferenceQuerySet":
        """What differs now, the oldest first. The other mode's orders cannot be asked about with this key."""
        return self.filter(resolved_at=None, livemode=livemode).order_by("first_seen", "pk")


class Difference(models.Model):
    """One thing in which our books do not agree with Stripe's, or with themselves."""

    class Kind(models.TextChoices):
        NO_ORDER = "no_order", _("paid at Stripe, no order here")
        UNPAID_HERE = "unpaid_here", _("paid at Stripe, not paid here")
        UNPAID_THERE = "unpaid_there", _("paid here, not paid at Stripe")
        UNKNOWN_THERE = "unknown_there", _("paid here, unknown at Stripe")
        OTHER_ORDER = "other_order", _("payment of another order")
        AMOUNT = "amount", _("amounts differ")
        WORTH = "worth", _("charged other than sold")
        INTENT = "intent", _("payment ids differ")
        REFUND = "refund", _("refunds differ")
        DISPUTE = "dispute", _("disputes differ")
        HELD = "held", _("paid, held for a person")
        NO_ACCESS = "no_access", _("paid, no access")
        FREE_ACCESS = "free_access", _("access without money")
        NO_MAIL = "no_mail", _("paid, no mail sent")

    class Mend(models.TextChoices):
        """The act that mends it."""

        REPLAY = "replay", _("Replay")
        SEND = "send", _("send what waits")
        RESEND = "resend", _("Send the mail again")
        PERSON = "person", _("only a person can")

    kind = models.CharField(_("type"), max_length=15, choices=Kind)
    # The order's reference, or the session's id where there is no order: what tells one difference from another.
    subject = models.CharField(_("about"), max_length=255)
    order = models.ForeignKey(
        Order, models.SET_NULL, null=True, blank=True, related_name="differences", verbose_name=_("order")
    )
    session_id = models.CharField(_("Checkout Session at Stripe"), max_length=255, blank=True)
    livemode = models.BooleanField(_("real money"))
    at_stripe = models.CharField(_("at Stripe"), max_length=300)
    here = models.CharField(_("here"), max_length=400)
    mend = models.CharField(_("what mends it"), max_length=8, choices=Mend)
    first_seen = models.DateTimeField(_("seen first"), default=timezone.now)
    last_seen = models.DateTimeField(_("seen last"), default=timezone.now)
    resolved_at = models.DateTimeField(_("gone since"), null=True, blank=True)

    objects = DifferenceQuerySet.as_manager()

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("bookkeeping")  # what the page of its admin is called
        constraints = (
            models.UniqueConstraint(
                fields=("kind", "subject"), name="difference_open_once", condition=Q(resolved_at__isnull=True)
            ),
            models.CheckConstraint(condition=Q(last_seen__gte=F("first_seen")), name="difference_seen_in_order"),
            models.CheckConstraint(condition=~Q(subject=""), name="difference_has_subject"),
        )
        indexes = (
            models.Index("first_seen", name="difference_open", condition=Q(resolved_at__isnull=True)),
            models.Index(fields=("-resolved_at",), name="difference_resolved", condition=Q(resolved_at__isnull=False)),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"


class BooksCheck(models.Model):
    """One run of the check over one period, and what both sides came to."""

    since = models.DateTimeField()
    livemode = models.BooleanField()
    began_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)  # empty while it runs, and for ever if it was killed
    sessions = models.PositiveIntegerField(default=0)
    foreign = models.PositiveIntegerField(default=0)
    in_flight = models.PositiveIntegerField(default=0)
    totals: Any = models.JSONField(default=dict, help_text="Minor units, for each currency.")
    failure = models.CharField(max_length=300, blank=True, help_text="Why Stripe could not be asked.")

    class Meta:
        ordering = ("-began_at", "-pk")
        indexes = (models.Index(fields=("-began_at",), name="books_check_newest"),)

    def __str__(self) -> str:
        return f"books since {self.since:%Y-%m-%d %H:%M}, checked {self.began_at:%Y-%m-%d %H:%M}"
