"""Who is turned away within the admin sees the admin, the roles that may, whom to ask, and a way back."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.models import User
from tests.desk.test_customer_pages import ANN, LIST
from tests.factories import OrderFactory, UserFactory

pytestmark = pytest.mark.django_db

BACK = '<a href="/admin/">Back to the start of the admin</a>'


def text_of(client: Client, path: str, status: int) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


@pytest.fixture
def refunder(db: None) -> Group:
    group: Group = Group.objects.create(name="Refunder")
    group.permissions.add(Permission.objects.get(codename="refund_order"))
    return group


def test_act_that_one_may_not_do_names_the_roles_and_whom_to_ask(
    person_who: Callable[..., Client], owner: User, refunder: Group
) -> None:
    text = text_of(person_who("view_order"), f"/admin/orders/order/{OrderFactory().pk}/refund/", 403)
    roles = Group.objects.filter(permissions__codename="refund_order").order_by("name").values_list("name", flat=True)
    assert "Refunder" in roles
    assert f"may: {', '.join(roles)}." in text
    assert "Roles are given by: owner@example.com." in text
    assert BACK in text
    assert 'id="site-name"' in text


def test_list_that_one_may_not_see_names_the_roles(person_who: Callable[..., Client]) -> None:
    group = Group.objects.create(name="Looker")
    group.permissions.add(Permission.objects.get(codename="view_signin"))
    assert "Looker" in text_of(person_who(), "/admin/accounts/signin/", 403)


def test_what_no_role_may_says_so(person_who: Callable[..., Client]) -> None:
    assert "None of the shop’s roles may." in text_of(person_who(), "/admin/auth/group/add/", 403)


def test_what_is_not_there_leads_back_into_the_admin(desk: Client) -> None:
    for path in ("/admin/nowhere/", f"{LIST}person/?email=nobody"):
        text = text_of(desk, path, 404)
        assert BACK in text
        assert 'id="site-name"' in text


def test_customers_and_the_shops_pages_see_the_shop(client: Client, desk: Client) -> None:
    client.force_login(UserFactory(email=ANN))
    for answer in (client.get("/admin/", follow=True), desk.get("/nowhere/")):
        text = answer.content.decode()
        assert BACK not in text
        assert "See the catalog" in text


def test_looking_at_a_row_asks_for_less_than_changing_it(person_who: Callable[..., Client]) -> None:
    group = Group.objects.create(name="Looker")
    group.permissions.add(Permission.objects.get(codename="view_order"))
    assert "Looker" in text_of(person_who(), f"/admin/orders/order/{OrderFactory().pk}/change/", 403)


def test_page_whose_permission_is_not_known_names_no_role(person_who: Callable[..., Client]) -> None:
    text = text_of(person_who("view_product"), "/admin/catalog/product/bulk/", 403)
    assert BACK in text
    assert "that may:" not in text
    assert "None of the shop’s roles may." not in text
