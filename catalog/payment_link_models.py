"""Payment Links of Stripe's that were made in the admin."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog import money


class PaymentLinkQuerySet(models.QuerySet["PaymentLink"]):
    def in_use(self) -> "PaymentLinkQuerySet":
        return self.filter(deactivated_at=None)


class PaymentLink(models.Model):
    """A Payment Link of Stripe's, made here: an address that sells one product at one price, wherever it is shown.

    The row comes first and Stripe is asked under its `key`, so a second click finds the same link. Without a `link_id`
    Stripe's answer never came.
    """

    product = models.ForeignKey(
        "catalog.Product", models.PROTECT, related_name="payment_links", verbose_name=_("product")
    )
    key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    price = models.IntegerField(help_text="Minor units.")
    currency = models.CharField(_("currency"), max_length=3, choices=money.choices)
    livemode = models.BooleanField(_("real money"), default=False)
    link_id = models.CharField(_("link in Stripe"), max_length=255, unique=True, null=True)  # noqa: DJ001 - none is not ""
    url = models.URLField(max_length=500, blank=True)
    created_at = models.DateTimeField(_("created on"), auto_now_add=True)
    deactivated_at = models.DateTimeField(_("deactivated on"), null=True)

    objects = PaymentLinkQuerySet.as_manager()

    class Meta:
        verbose_name = _("Payment Link")
        verbose_name_plural = _("Payment Links")
        default_permissions = ("view",)
        permissions = (("make_paymentlink", "Can make and deactivate Payment Links"),)
        constraints = (
            models.UniqueConstraint(
                "product", "price", "currency", "livemode",
                name="payment_link_once_for_its_terms",
                condition=Q(deactivated_at=None),
            ),
            models.CheckConstraint(condition=Q(price__gt=0), name="payment_link_price_positive"),
            models.CheckConstraint(
                condition=Q(link_id=None, url="")
                | Q(link_id__isnull=False, link_id__regex=r"^plink_[A-Za-z0-9]+$") & ~Q(url=""),
                name="payment_link_has_id_and_address",
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return self.link_id or f"Payment Link {self.pk}"

    @property
    def is_made(self) -> bool:
        """Whether Stripe has answered with an address."""
        return self.link_id is not None

    @property
    def is_active(self) -> bool:
        return self.deactivated_at is None

    @property
    def price_display(self) -> str:
        return money.display(self.price, self.currency)
