"""What was sold on each day, counted from the orders: copies that `orders.summarize` can make anew at any time.

A day is one of the shop's time zone, and an order belongs to the day on which it was paid (`Order.paid_at`).
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Product


class DailySales(models.Model):
    """The paid orders of one day, currency and source. Test orders have rows of their own.

    What went back counts on the day of its order's payment, not on the day on which it went back: of what this day
    earned, so much is gone. So a refund changes a day long past, and a refund that fails changes it back.
    Amounts are minor units.
    """

    day = models.DateField()
    livemode = models.BooleanField()
    currency = models.CharField(max_length=3)
    source = models.CharField(max_length=12)
    orders = models.PositiveIntegerField(help_text="Orders that were paid, those that cost nothing among them.")
    sales = models.PositiveIntegerField(help_text="Orders that cost something: a copy for nothing is no sale.")
    revenue = models.BigIntegerField(help_text="What these cost, taxes included and discounts taken off.")
    refunds = models.PositiveIntegerField(help_text="Orders of which anything was given back.")
    refunded = models.BigIntegerField(help_text="What was given back of these orders until now.")
    disputes = models.PositiveIntegerField(help_text="Orders that a bank disputed, however it ended.")
    lost = models.BigIntegerField(help_text="What a lost dispute took, beyond what was refunded.")

    class Meta:
        verbose_name_plural = "daily sales"
        constraints = (
            models.UniqueConstraint(fields=("day", "livemode", "currency", "source"), name="daily_sales_once"),
        )

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.currency} {self.source}"


class DailyProductSales(models.Model):
    """One product in the sales of one day and currency: lines that cost something, in orders that did.

    `revenue` is the lines' part of what was paid: their prices, or less by an order's discount. Tax is no line's. What
    was given back is not taken off. Amounts are minor units.
    """

    day = models.DateField()
    livemode = models.BooleanField()
    currency = models.CharField(max_length=3)
    product = models.ForeignKey(Product, models.CASCADE, related_name="+", db_index=False)
    units = models.BigIntegerField(help_text="Copies.")
    revenue = models.BigIntegerField()
    bought = models.PositiveIntegerField(help_text="Orders with it that began on the shop's own pages.")

    class Meta:
        verbose_name = _("sales of a product on a day")
        verbose_name_plural = _("sales of products by day")
        constraints = (
            models.UniqueConstraint(fields=("day", "livemode", "currency", "product"), name="daily_product_once"),
        )
        indexes = (models.Index("product", name="daily_product_of_product"),)  # for the product's deletion

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.currency} product {self.product_id}"


class Uncounted(models.Model):
    """Something about an order that was paid at this moment changed since its day was counted last.

    Written by triggers, in the transaction that changes the order: no door can forget it, and nobody waits for anybody,
    as every change has a row of its own. Days with such a row are read from the orders themselves.
    """

    paid_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "uncounted"

    def __str__(self) -> str:
        return f"{self.paid_at:%Y-%m-%d %H:%M:%S}"


class CountedZone(models.Model):
    """The time zone of the days that are counted, one row. None, or another one than the shop's: nothing is counted
    yet, or everything must be anew."""

    zone = models.CharField(max_length=64)

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(pk=1), name="counted_zone_is_one"),)

    def __str__(self) -> str:
        return self.zone
