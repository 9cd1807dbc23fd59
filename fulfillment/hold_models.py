"""What people at the shop suspended by hand: a fact of our own, which no event of Stripe's ever lifts."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orders.models import Order, OrderLine


class HoldQuerySet(models.QuerySet["Hold"]):
    def open(self) -> "HoldQuerySet":
        return self.filter(lifted_at=None)


class Hold(models.Model):
    """The access that an order gave, or one line of it, is suspended until somebody lifts this.

    A row is never changed but once, when it is lifted: together they tell who stopped what, when and why.
    """

    order = models.ForeignKey(Order, models.PROTECT, related_name="holds")
    line = models.ForeignKey(OrderLine, models.PROTECT, null=True, blank=True, related_name="holds")
    placed_at = models.DateTimeField(default=timezone.now)
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=160)
    # One per form that was shown, so a form that is sent twice meets itself.
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    lifted_reason = models.CharField(max_length=160, blank=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("suspension by hand")
        verbose_name_plural = _("suspensions by hand")
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("order", "line"), name="hold_one_open", condition=Q(lifted_at=None), nulls_distinct=False
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="hold_has_reason"),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_reason="") | Q(lifted_at__isnull=False) & ~Q(lifted_reason=""),
                name="hold_lifted_has_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.order}: {self.line or 'all lines'}"


def held_lines(order: Order, lines: list[OrderLine]) -> set[int]:
    """The ids of those `lines` of the order that are suspended by hand. No query where the holds were fetched along."""
    held = {hold.line_id for hold in order.holds.all() if hold.lifted_at is None}
    return {line.pk for line in lines if None in held or line.pk in held}


def is_held(order: Order) -> bool:
    """Whether all that the order could give is suspended by hand, so that there is nothing to mail a link to."""
    held = {hold.line_id for hold in order.holds.all() if hold.lifted_at is None}
    return None in held or bool(held and held.issuperset(order.lines.values_list("pk", flat=True)))
