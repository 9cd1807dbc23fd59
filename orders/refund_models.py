"""What people at the shop want to give back: asked for here, made by Stripe."""

import uuid
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog import money


class RefundRequestQuerySet(models.QuerySet["RefundRequest"]):
    def unsettled(self) -> "RefundRequestQuerySet":
        """Those whose money may be on its way back already, while the order does not know of it yet."""
        return self.filter(state__in=(RefundRequest.State.WAITING, RefundRequest.State.ACCEPTED))

    def due(self, now: datetime | Now) -> "RefundRequestQuerySet":
        """Those to go on with by now, including those whose asker died. By the database's clock: pass Now()."""
        return self.unsettled().filter(next_attempt_at__lte=now)


class RefundRequest(models.Model):
    """Money that somebody at the shop wants to give back, written before Stripe is asked.

    The order's refunds are what Stripe says: this row only says who asked for one, why, and what the answer was.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting for Stripe")
        ACCEPTED = "accepted", _("accepted by Stripe")  # and not entered into the order yet
        MADE = "made", _("Made")
        REFUSED = "refused", _("Refused")

    class Reason(models.TextChoices):
        """Stripe's own. https://docs.stripe.com/api/refunds/create#create_refund-reason"""

        REQUESTED = "requested_by_customer", _("the customer asked for it")
        DUPLICATE = "duplicate", _("paid twice")
        FRAUDULENT = "fraudulent", _("the payment is a fraud")

    order = models.ForeignKey("orders.Order", models.PROTECT, related_name="refund_requests")
    line = models.ForeignKey(
        "orders.OrderLine",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="refund_requests",
        verbose_name=_("line"),
    )
    amount = models.BigIntegerField(help_text="Minor units of the order's currency.")
    reason = models.CharField(_("reason"), max_length=24, choices=Reason)
    note = models.CharField(_("note"), max_length=500)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("asked by")
    )
    asked_at = models.DateTimeField(default=timezone.now)
    # One per form that was shown, so a form that is sent twice meets itself.
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    answer = models.CharField(max_length=300, blank=True, help_text="What Stripe said.")
    stripe_refund_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # While somebody asks Stripe this is the end of their lease.
    next_attempt_at = models.DateTimeField(db_default=Now())

    objects = RefundRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("refund asked for")
        verbose_name_plural = _("refunds asked for")
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(fields=("key", "line"), name="refund_request_once_per_form", nulls_distinct=False),
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_request_amount_positive"),
            models.CheckConstraint(
                condition=Q(state__in=("accepted", "made"), stripe_refund_id__isnull=False)
                | Q(state__in=("waiting", "refused"), stripe_refund_id__isnull=True),
                name="refund_request_made_has_id",
            ),
        )
        indexes = (
            models.Index("next_attempt_at", name="refund_request_due", condition=Q(state__in=("waiting", "accepted"))),
        )

    def __str__(self) -> str:
        return f"{self.amount_display}, {self.get_state_display()}"

    @property
    def amount_display(self) -> str:
        return money.display(self.amount, self.order.currency)

    @property
    def idempotency_key(self) -> str:
        """The same each time this row is asked about, and no other row's."""
        return f"refund-{self.key}-{self.line_id or 'order'}"
