"""S19, S38, S60: every page of the desk for every kind of person; no POST without a token, no change by GET."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from fulfillment.models import StripeEvent
from fulfillment.order_admin import ACTS
from orders.models import Order
from tests.desk.conftest import MAY_ACT
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

# Each page of an order, the permission it needs, and the methods it knows. A new one without a row fails below.
PAGES = {
    "mail/": ("mail_order", "GET POST"),
    "links/": ("mail_order", "GET POST"),
    "address/": ("mail_order", "GET POST"),
    "grant/": ("grant_order", "GET POST"),
    "suspend/": ("suspend_order", "GET POST"),
    "restore/": ("suspend_order", "GET POST"),
    "refund/": ("refund_order", "GET POST"),
    "evidence/": ("answer_dispute", "GET"),
    "evidence.txt": ("answer_dispute", "GET"),
    "evidence/save/": ("answer_dispute", "POST"),
    "evidence/submit/": ("answer_dispute", "POST"),
    "replay/": ("replay_order", "GET POST"),
}
EVENTS = "/admin/fulfillment/stripeevent/replay/"
GIVE = "/admin/orders/order/grant/"


def test_every_page_of_an_order_has_its_row() -> None:
    assert {act.path.removeprefix("<int:order_id>/"): act.permission for act in ACTS} == {
        page: f"orders.{permission}" for page, (permission, _methods) in PAGES.items()
    }


def addresses(order: Order) -> list[tuple[str, str, str]]:
    """Page, permission and method, those without an order included."""
    event = StripeEvent.objects.create(event_id="evt_1", type="charge.refunded", object_id="ch_1", body=b"{}")
    pages = [
        (f"/admin/orders/order/{order.pk}/{page}", permission, method)
        for page, (permission, methods) in PAGES.items()
        for method in methods.split()
    ]
    return [
        *pages,
        *((f"{EVENTS}?ids={event.pk}", "replay_order", method) for method in ("GET", "POST")),
        *((GIVE, "grant_order", method) for method in ("GET", "POST")),
    ]


def call(client: Client, method: str, address: str) -> int:
    return int(client.generic(method, address).status_code)


def dump() -> str:
    """All rows of orders and fulfillment, and of the admin's log."""
    models: list[Any] = [
        *apps.get_app_config("orders").get_models(),
        *apps.get_app_config("fulfillment").get_models(),
        LogEntry,
    ]
    return str([list(model.objects.order_by("pk").values()) for model in models])


def test_s19_s60_strangers_and_buyers_get_nowhere(paid: Callable[..., Order]) -> None:
    """Anonymous, the buyer in the browser that bought, and another buyer: sent to sign in, where no right is gained."""
    buyer, other = Client(), Client()
    user = UserFactory()
    buyer.force_login(user)
    other.force_login(UserFactory())
    order = paid(client=buyer)
    rows = addresses(order)
    before = dump()
    for client in (Client(), buyer, other):
        for address, _permission, method in rows:
            answer = client.generic(method, address)
            assert answer.status_code == 302, address
            assert answer["Location"].startswith("/admin/login/?next=/admin/"), address
    assert dump() == before


def test_s60_staff_without_the_permission_get_403_and_with_it_the_page(
    paid: Callable[..., Order], staff: Callable[..., Client]
) -> None:
    order = paid()
    rows = addresses(order)
    every = {permission for _address, permission, _method in rows}
    before = dump()
    for address, permission, method in rows:
        without = staff(*(every - {permission}))
        assert call(without, method, address) == 403, address
        if method == "GET":
            assert call(staff(permission), "GET", address) == 200, address
    assert dump() == before


def test_s60_permission_without_the_right_to_see_orders_is_not_enough(paid: Callable[..., Order]) -> None:
    order = paid()
    rows = addresses(order)
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=MAY_ACT))
    client = Client()
    client.force_login(user)
    for address, _permission, method in rows:
        assert call(client, method, address) == 403, address


def test_order_that_does_not_exist_is_404(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    for page, (_permission, methods) in PAGES.items():
        for method in methods.split():
            assert call(desk, method, f"/admin/orders/order/{order.pk + 1}/{page}") == 404, page


def test_other_methods_are_refused(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    for page, (_permission, methods) in PAGES.items():
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - set(methods.split()):
            assert call(desk, method, f"/admin/orders/order/{order.pk}/{page}") == 405, (page, method)


def test_s38_no_post_is_taken_without_its_token(owner: Any, paid: Callable[..., Order]) -> None:
    order = paid()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    rows = [row for row in addresses(order) if row[2] == "POST"]
    before = dump()
    for address, _permission, _method in rows:
        form = {"what": "all", "reason": "duplicate", "note": "n", "key": str(uuid.uuid4()), "email": "a@example.com"}
        assert strict.post(address, form).status_code == 403, address
    assert (len(rows), dump()) == (12, before)


def test_s38_looking_changes_nothing(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    rows = [address for address, _permission, method in addresses(order) if method == "GET"]
    before = dump()
    for address in [*rows, f"/admin/orders/order/{order.pk}/change/", "/admin/orders/order/", *rows]:
        assert desk.get(address).status_code == 200, address
    assert dump() == before
