"""A customer is whoever stands behind an address. There is no row of them: what is known is asked of their orders."""

from typing import ClassVar

from django.utils.translation import gettext_lazy as _

from orders.models import Order


class Customer(Order):
    """Gives the admin's pages about customers a name and a permission of their own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        permissions: ClassVar = ()
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
