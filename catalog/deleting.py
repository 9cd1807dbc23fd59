"""What may be deleted of the catalog in the admin, and what is said of the rest: buyers keep what they bought."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.actions import delete_selected as django_s
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Edition, Product

NAMED = 300  # characters of names in one message


def why_edition_stays(edition: Edition) -> str:
    """Why an edition and its files cannot be deleted now, or ""."""
    if edition.order_lines.exists():
        return _("It was sold, so it stays for those who bought it.")
    if edition.product.is_on_sale:
        return _("It is on sale. Set the product to draft or archived first.")
    return ""


def why_product_stays(product: Product) -> str:
    """Why a product can never be deleted, or ""."""
    if product.order_lines.exists():
        return _("Sold products stay for their buyers. To take it out of the shop, set it to archived.")
    if product.payment_links.exists():
        return _(
            "It has Payment Links, and somebody may still pay by one. To take it out of the shop, set it to archived."
        )
    return ""


@admin.action(permissions=["delete"], description=gettext_lazy("Delete selected products"))
def delete_selected(model_admin: ModelAdmin, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse | None:
    """Django's own, for products that can be deleted: all that were chosen or none. It has the name of Django's, which
    it replaces and whose page sends it."""
    stay = Product.objects.filter(
        Q(order_lines__isnull=False) | Q(payment_links__isnull=False), pk__in=queryset.order_by().values("pk")
    ).distinct()
    if names := list(stay.order_by("name").values_list("name", flat=True)[:NAMED]):
        said = _(
            "Nothing was deleted. These were sold or have Payment Links, so they stay; set them to archived: %(names)s"
        )
        told = {"names": Truncator(", ".join(names)).chars(NAMED)}
        model_admin.message_user(request, said % told, messages.ERROR)
        return None
    return django_s(model_admin, request, queryset)


def going_along(products: Iterable[Product]) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
    """For Django's page that asks: the products, which may be deleted, with their editions and files. The permission
    to delete products is enough."""
    tree: list[Any] = []
    count = Counter[str]()
    for product in products:
        inside: list[Any] = []
        for edition in product.editions.all():
            names = [file.name for file in edition.files.all()]
            inside += [_("Edition %(number)s") % {"number": edition.number}, *([names] if names else [])]
            count += Counter({_("editions"): 1, _("files"): len(names)})
        tree += [product.name, *([inside] if inside else [])]
        count[_("products")] += 1
    return tree, dict(count), set(), []
