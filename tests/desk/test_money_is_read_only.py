"""Money is what Stripe says: no form of the desk can type over any of it, whoever sends what."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from orders.models import Order, OrderLine, TimelineEntry
from orders.refund_models import RefundRequest

pytestmark = pytest.mark.django_db

# What somebody who made up a form would send: every column of the order and of its line, and the formsets' own names.
ORDER = {field.name: "1" for field in Order._meta.fields if field.name != "id"}
LINE = {f"lines-0-{field.name}": "1" for field in OrderLine._meta.fields}
MANAGEMENT = {f"lines-{name}_FORMS": number for name, number in (("TOTAL", "1"), ("INITIAL", "1"), ("MAX_NUM", "9"))}


def rows() -> list[Any]:
    models = (Order, OrderLine, Entitlement, Delivery, RefundRequest, TimelineEntry)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("page", ["{}/change/", "add/", "{}/delete/", ""])
def test_made_up_form_changes_nothing(desk: Client, paid: Callable[..., Order], page: str) -> None:
    order = paid()
    before = rows()
    form = {**ORDER, **LINE, **MANAGEMENT, "lines-0-id": str(order.lines.get().pk), "_save": "Save", "post": "yes"}
    answer = desk.post(f"/admin/orders/order/{page.format(order.pk)}", {**form, "action": "delete_selected"})
    assert answer.status_code == (200 if page == "" else 403)
    assert rows() == before


def test_no_page_of_an_order_has_a_field_of_its_money(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    for page in ("change", "mail", "links", "address", "grant", "suspend", "restore", "evidence", "replay"):
        answer = desk.get(f"/admin/orders/order/{order.pk}/{page}/")
        text = answer.content.decode()
        for name in ("total", "refunded", "currency", "state", "dispute", "unit_price", "quantity", "amount"):
            assert f'name="{name}"' not in text, (page, name)
            assert f"-{name}" not in "".join(part.split('"')[0] for part in text.split('name="')[1:]), (page, name)


def test_nobody_may_add_change_or_delete_an_order_or_a_line(rf: Any, owner: Any) -> None:
    request = rf.get("/")
    request.user = owner
    of_orders: Any = admin.site._registry[Order]
    for one in (of_orders, *of_orders.get_inline_instances(request)):
        may = (one.has_add_permission(request), one.has_change_permission(request), one.has_delete_permission(request))
        assert may == (False, False, False), one
    assert OrderLine not in admin.site._registry
