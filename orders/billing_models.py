"""What buyers write about themselves for their receipts."""

from django.db import models
from django.utils import timezone


class Billing(models.Model):
    """What the buyer wants to read about themselves on the receipt. Their own words: nobody has checked them."""

    order = models.OneToOneField("orders.Order", models.PROTECT, related_name="billing")
    name = models.CharField(max_length=120, blank=True)
    address = models.CharField(max_length=400, blank=True)
    vat_number = models.CharField(max_length=30, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"details of {self.order}"
