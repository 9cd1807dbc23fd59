"""Prices in Stripe's dashboard that sell a product of ours."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class StripePrice(models.Model):
    """A price in Stripe's dashboard that sells a product: whatever pays it, such as a Payment Link, is delivered."""

    product = models.ForeignKey(
        "catalog.Product", models.CASCADE, related_name="stripe_prices", verbose_name=_("product")
    )
    price_id = models.CharField(
        _("price in Stripe"),
        max_length=255,
        unique=True,
        validators=[RegexValidator(r"\Aprice_[A-Za-z0-9]+\Z", _("Copy the ID from Stripe: it begins with price_."))],
        error_messages={"unique": _("This price already belongs to a product.")},
        help_text=_(
            "The ID of a price in Stripe’s dashboard, such as price_1QxA2bC3. A Payment Link with this price delivers "
            "this product."
        ),
    )

    class Meta:
        verbose_name = _("price in Stripe")
        verbose_name_plural = _("prices in Stripe, for Payment Links")
        constraints = (
            models.CheckConstraint(condition=Q(price_id__regex=r"^price_[A-Za-z0-9]+$"), name="stripe_price_is_an_id"),
        )

    def __str__(self) -> str:
        return self.price_id
