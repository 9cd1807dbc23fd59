"""What the admin's first page shows above the list of apps, so that the admin's site stays Django's own."""

from typing import Any

from django import template
from django.template.context import Context

from storefront import dashboard as page

register = template.Library()


@register.inclusion_tag("admin/shop/dashboard.html", takes_context=True)
def dashboard(context: Context) -> dict[str, Any]:
    return page.dashboard(context["request"])
