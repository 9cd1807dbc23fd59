"""How often a product's page was looked at: numbers per day, and nothing about who looked."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

SLOTS = 4  # rows of one product and day: who counts at the same moment seldom waits for the same row


class ProductViews(models.Model):
    """So many views of one product's page on one day of the shop's time zone: the sum of its slots."""

    product = models.ForeignKey("catalog.Product", models.CASCADE, related_name="views", db_index=False)
    day = models.DateField()
    slot = models.PositiveSmallIntegerField(default=0)
    count = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("views of a product")
        verbose_name_plural = _("views of products")
        constraints = (
            # The day first: what is asked for is a period, of all products.
            models.UniqueConstraint(fields=("day", "product", "slot"), name="product_views_once_a_day"),
            models.CheckConstraint(condition=Q(slot__lt=SLOTS), name="product_views_in_a_slot"),
            models.CheckConstraint(condition=Q(count__gte=0), name="product_views_not_negative"),
        )
        indexes = (models.Index("product", name="product_views_of_product"),)  # for the product's deletion

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}: {self.count}"
