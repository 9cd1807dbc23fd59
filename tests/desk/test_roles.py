"""Every page of the admin × every role, by looking and by sending: a page without a row in the table fails here."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.test import Client

from accounts.models import User
from catalog.models import Product
from tests.desk.test_who_may import dump
from tests.factories import UserFactory
from tests.storefront.addresses import Address, Shop, every_address

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("roles_are_there")]

# Who may: E an editor, S support, O an owner, each by the role alone; a superuser may whatever anybody may, and A is
# for superusers alone. "" is for what nobody does there, "405" for what the page does not know.
# Of each model: look, add, change, delete.
MODELS = {
    "auth_group": ("A", "A", "A", "A"),
    "mfa_authenticator": ("A", "A", "A", "A"),
    "accounts_user": ("O", "O", "O", ""),  # nobody who bought something is deleted: see tests/accounts/test_admin.py
    "accounts_signin": ("O", "", "", ""),
    "accounts_mailchoice": ("SO", "SO", "SO", "SO"),
    "catalog_category": ("ESO", "EO", "EO", "EO"),
    "catalog_tag": ("ESO", "EO", "EO", "EO"),
    "catalog_file": ("EO", "", "EO", ""),
    "catalog_product": ("ESO", "EO", "EO", ""),  # the one there was sold; tests/catalog/test_deleting.py has the others
    "catalog_edition": ("ESO", "", "EO", ""),
    "catalog_paymentlink": ("ESO", "", "", ""),
    "orders_order": ("SO", "", "", ""),
    "fulfillment_delivery": ("SO", "", "", ""),
    "fulfillment_difference": ("O", "", "", ""),
    "fulfillment_download": ("SO", "", "", ""),
    "fulfillment_entitlement": ("SO", "", "", ""),
    "fulfillment_stripeevent": ("SO", "", "", ""),
}
# Of each page beside those: look, send.
PAGES = {
    "app_list": ("SO", "SO"),  # the start page, with one app alone
    "auth_user_password_change": ("O", "O"),
    "catalog_upload_start": ("405", "EO"),
    # Somebody else's upload is not there for anybody.
    **dict.fromkeys(
        ("catalog_upload", *(f"catalog_upload_{act}" for act in ("parts", "part", "complete", "abandon"))), ("", "")
    ),
    "catalog_product_bulk": ("EO", "EO"),
    "catalog_product_preview": ("ESO", "405"),
    "catalog_product_duplicate": ("EO", "EO"),
    "catalog_paymentlink_product": ("ESO", "EO"),
    "catalog_paymentlink_qr": ("ESO", "405"),
    "catalog_paymentlink_deactivate": ("405", "EO"),
    "orders_order_mail": ("SO", "SO"),
    "orders_order_links": ("SO", "SO"),
    "orders_order_refund": ("O", "O"),
    "orders_order_evidence": ("O", "405"),
    "orders_order_evidence_text": ("O", "405"),
    "orders_order_evidence_save": ("405", "O"),
    "orders_order_evidence_submit": ("405", "O"),
    "orders_order_replay": ("SO", "SO"),
    "orders_order_give": ("SO", "SO"),
    "orders_order_grant": ("SO", "SO"),
    "orders_order_address": ("SO", "SO"),
    "orders_order_suspend": ("SO", "SO"),
    "orders_order_restore": ("SO", "SO"),
    "fulfillment_customer_changelist": ("SO", "SO"),
    "fulfillment_customer_person": ("SO", "SO"),
    "fulfillment_customer_mail": ("SO", "SO"),
    "fulfillment_customer_erase": ("O", "O"),
    "fulfillment_delivery_html": ("SO", "405"),
    "fulfillment_delivery_try": ("SO", "SO"),
    "fulfillment_difference_mend": ("405", "O"),
    "fulfillment_difference_check": ("405", "O"),
    "fulfillment_stripeevent_replay": ("SO", "SO"),
}
# For whoever is let into the admin at all; they show nothing of the shop's.
ANYBODY = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n"}
# These only lead on to pages that ask, or to nowhere.
LEADING_ON = {"view_on_site", "autocomplete", "unnamed"}

OPENED, CLOSED = {200, 302, 303, 400}, {403, 404, 405}  # 400: let in, and what was sent is nothing
LETTERS = {"E": "Editor", "S": "Support", "O": "Owner"}
ADMIN_S = [address for address in every_address() if address.name.startswith("admin:")]


def name_of(address: Address) -> str:
    return address.name.removeprefix("admin:") or "unnamed"


def row_of(name: str) -> tuple[str, str]:
    """Who may look at a page, and who may send to it."""
    if name in PAGES:
        return PAGES[name]
    model, _, page = name.rpartition("_")
    look, add, change, delete = MODELS[model]
    pages = {"changelist": (look, look), "history": (look, look), "change": (look, change)}
    return {**pages, "add": (add, add), "delete": (delete, delete)}[page]


@pytest.fixture
def person(db: None) -> Callable[..., Client]:
    """The browser of somebody with this role and nothing else."""

    def make(role: str = "", **fields: Any) -> Client:
        user = UserFactory(is_staff=True, **fields)
        user.groups.set(Group.objects.filter(name=role))
        assert user.groups.count() == bool(role)
        client = Client(raise_request_exception=False)
        client.force_login(user)
        return client

    return make


@pytest.fixture
def everybody(walked: Shop, person: Callable[..., Client]) -> dict[str, Client]:
    anonymous, customer = walked.client("anonymous"), walked.client("buyer")
    roles = {letter: person(role) for letter, role in LETTERS.items()}
    return {"": anonymous, "customer": customer, "nothing": person(), **roles, "A": walked.client("owner")}


def test_every_page_of_the_admin_has_its_row() -> None:
    names = {name_of(address) for address in ADMIN_S} - ANYBODY - LEADING_ON
    pages = ("changelist", "add", "history", "delete", "change")
    assert names == {*PAGES, *(f"{model}_{page}" for model in MODELS for page in pages)}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_s60_each_role_gets_where_its_row_says_and_nowhere_else(
    walked: Shop, everybody: dict[str, Client], method: str
) -> None:
    rows = [address for address in ADMIN_S if name_of(address) not in ANYBODY | LEADING_ON]
    wrong = [
        f"{who or 'anonymous'}: {answer} {method} {path}"
        for address in rows
        for path in [walked.path(address)]
        for who, client in everybody.items()
        for answer in [answered(client, method, path)]
        if answer not in wanted(who, row_of(name_of(address))[method == "POST"])
    ]
    assert wrong == []


def wanted(who: str, row: str) -> set[Any]:
    if who in ("", "customer"):
        return {"sign in"}
    may = who in row or (who == "A" and row)
    return OPENED if may and row != "405" else CLOSED


def answered(client: Client, method: str, path: str) -> int | str:
    """The status, after which all is as it was before."""
    with transaction.atomic():
        answer = client.generic(method, path)
        transaction.set_rollback(True)
    to_sign_in = answer.status_code == 302 and answer["Location"].startswith(("/admin/login/", "/accounts/login/"))
    return "sign in" if to_sign_in else answer.status_code


def test_s38_no_page_takes_a_post_without_its_token(walked: Shop) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(walked.owner)
    before = dump()
    paths = [walked.path(address) for address in ADMIN_S if name_of(address) not in LEADING_ON]
    assert {path: strict.post(path).status_code for path in paths} == dict.fromkeys(paths, 403)
    assert dump() == before


def test_s38_looking_at_every_page_changes_nothing(walked: Shop) -> None:
    owner = walked.client("owner")
    before = dump()
    for address in ADMIN_S:
        owner.get(walked.path(address))
    assert dump() == before


@pytest.mark.parametrize(
    "who, shown",
    [
        ("nothing", set()),
        ("E", {"category", "tag", "product", "edition", "file", "paymentlink"}),
        (
            "S",
            {
                "category", "tag", "product", "edition", "paymentlink", "order", "customer", "delivery", "download",
                "entitlement", "stripeevent", "mailchoice",
            },
        ),
        (
            "O",
            {
                "category", "tag", "product", "edition", "file", "paymentlink", "order", "customer", "delivery",
                "download", "entitlement", "stripeevent", "difference", "mailchoice", "user", "signin",
            },
        ),
    ],
)  # fmt: skip
def test_start_page_shows_each_role_its_own_part(everybody: dict[str, Client], who: str, shown: set[str]) -> None:
    page = everybody[who].get("/admin/").content.decode()
    assert set(re.findall(r'href="/admin/\w+/(\w+)/"', page)) == shown


# The migration that gives the roles.


def may(role: str) -> set[str]:
    rows = Permission.objects.filter(group__name=role)
    return {f"{label}.{name}" for label, name in rows.values_list("content_type__app_label", "codename")}


def test_role_that_an_owner_changed_is_left_alone(give: Callable[[], None]) -> None:
    Group.objects.get(name="Support").permissions.set(Permission.objects.filter(codename="view_product"))
    Group.objects.get(name="Editor").delete()
    give()
    assert may("Support") == {"catalog.view_product"}
    assert {"catalog.add_product", "catalog.make_paymentlink", "catalog.delete_file"} < may("Editor")
    assert not {name for name in may("Editor") if not name.startswith("catalog.")}


@pytest.mark.parametrize(
    "model, act", [("orders.order", "refnd_order"), ("order.order", "refund_order"), ("orders.order", "edit")]
)
def test_name_that_no_permission_has_is_an_error(roles: Any, model: str, act: str) -> None:
    assert roles._permission(apps, "orders.order", "refund_order").codename == "refund_order"
    assert roles._permission(apps, "orders.order", "view").codename == "view_order"
    with pytest.raises(LookupError, match=f"0 permissions are called {act} of {re.escape(model)}"):
        roles._permission(apps, model, act)


def test_support_moves_no_money_and_changes_no_book(roles: Any) -> None:
    assert not may("Support") & {"orders.refund_order", "orders.answer_dispute", "catalog.view_file"}
    changing = {name for name in may("Support") if not name.split(".")[1].startswith("view_")}
    assert changing == {
        "orders.mail_order", "orders.replay_order", "orders.grant_order", "orders.suspend_order",
        "accounts.add_mailchoice", "accounts.change_mailchoice", "accounts.delete_mailchoice",
    }  # fmt: skip


def test_taking_the_roles_back_leaves_those_that_somebody_has(roles: Any, give: Callable[[], None]) -> None:
    user = UserFactory()
    user.groups.add(Group.objects.get(name="Support"))
    with connection.schema_editor(atomic=False) as editor:
        roles.take_roles(apps, editor)
    assert list(Group.objects.values_list("name", flat=True)) == ["Support"]
    give()
    assert sorted(Group.objects.values_list("name", flat=True)) == ["Editor", "Owner", "Support"]


# Who may change whom.


def change(client: Client, user: User, **fields: Any) -> int:
    """Send the form of a person's page."""
    formset = {"TOTAL_FORMS": "0", "INITIAL_FORMS": "0", "MIN_NUM_FORMS": "0", "MAX_NUM_FORMS": "1000"}
    form = {
        "email": user.email, "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on",
        **{f"emailaddress_set-{name}": value for name, value in formset.items()},
    }  # fmt: skip
    return client.post(f"/admin/accounts/user/{user.pk}/change/", {**form, **fields}).status_code


def group(name: str) -> Group:
    return Group.objects.get(name=name)


def test_owner_gives_a_role(person: Callable[..., Client]) -> None:
    new = UserFactory()
    assert change(person("Owner"), new, is_staff="on", groups=[group("Editor").pk]) == 302
    new.refresh_from_db()
    assert (new.is_staff, list(new.groups.all())) == (True, [group("Editor")])


@pytest.mark.parametrize("fields", [{}, {"is_superuser": True}])
def test_nobody_shuts_themselves_out(person: Callable[..., Client], fields: dict[str, bool]) -> None:
    client = person("Owner", **fields)
    me = User.objects.get(pk=client.session["_auth_user_id"])
    assert change(client, me, is_active="", is_staff="", groups=[]) == 302
    assert client.post(f"/admin/accounts/user/{me.pk}/delete/", {"post": "yes"}).status_code == 403
    me.refresh_from_db()
    assert (me.is_active, me.is_staff, list(me.groups.all())) == (True, True, [group("Owner")])


def test_s60_owner_makes_nobody_a_superuser(person: Callable[..., Client]) -> None:
    new = UserFactory()
    page = person("Owner").get(f"/admin/accounts/user/{new.pk}/change/")
    assert not {"is_superuser", "user_permissions"} & set(page.context["adminform"].form.fields)
    every = [one.pk for one in Permission.objects.all()[:3]]
    assert change(person("Owner"), new, is_superuser="on", user_permissions=every) == 302
    new.refresh_from_db()
    assert (new.is_superuser, new.user_permissions.count()) == (False, 0)


def test_s60_owner_gives_no_role_that_may_more(person: Callable[..., Client]) -> None:
    stronger = Group.objects.create(name="Stronger")
    stronger.permissions.add(Permission.objects.get(codename="change_group"))
    new, client = UserFactory(), person("Owner")
    page = client.get(f"/admin/accounts/user/{new.pk}/change/")
    offered = page.context["adminform"].form.fields["groups"].queryset
    assert [one.name for one in offered] == ["Editor", "Owner", "Support"]
    assert change(client, new, groups=[stronger.pk]) == 200  # the form again, with what is wrong
    assert not new.groups.exists()


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("kind", ["superuser", "more by a role", "more by itself"])
def test_s60_owner_touches_nobody_who_may_more(person: Callable[..., Client], kind: str, is_active: bool) -> None:
    boss = UserFactory(is_staff=True, is_superuser=kind == "superuser", is_active=is_active)
    permission = Permission.objects.get(codename="change_group")
    if kind == "more by a role":
        stronger = Group.objects.create(name="Stronger")
        stronger.permissions.add(permission)
        boss.groups.add(stronger)
    if kind == "more by itself":
        boss.user_permissions.add(permission)
    client = person("Owner")
    page = f"/admin/accounts/user/{boss.pk}"
    assert client.get(f"{page}/change/").status_code == 200  # to look at
    assert change(client, boss, is_active="on") == 403
    new = {"usable_password": "true", "password1": "a long new password", "password2": "a long new password"}
    assert client.post(f"{page}/password/", new).status_code == 403
    assert client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [boss.pk], "post": "yes"}
    client.post("/admin/accounts/user/", chosen)
    assert User.objects.filter(pk=boss.pk, is_active=is_active).exists()
    assert not LogEntry.objects.exists()


def test_s60_addresses_are_changed_where_the_account_is(person: Callable[..., Client], walked: Shop) -> None:
    """A proven address signs in, so a page of addresses alone would open the superuser's account to an owner."""
    address = EmailAddress.objects.get(user=walked.owner)
    assert person("Owner").get(f"/admin/account/emailaddress/{address.pk}/change/").status_code == 404
    assert person("Owner").get("/admin/account/emailaddress/").status_code == 404


def test_superuser_changes_everything(person: Callable[..., Client]) -> None:
    new, client = UserFactory(), person(is_superuser=True)
    assert change(client, new, is_staff="on", is_superuser="on", groups=[group("Owner").pk]) == 302
    new.refresh_from_db()
    assert (new.is_superuser, list(new.groups.all())) == (True, [group("Owner")])


def test_editor_puts_a_book_on_sale_and_cannot_reach_its_orders(walked: Shop, person: Callable[..., Client]) -> None:
    client = person("Editor")
    product = Product.objects.get(slug="loud-market")
    page = client.get(f"/admin/catalog/product/{product.pk}/change/")
    assert page.status_code == 200
    assert "new_files" in page.context["adminform"].form.fields
    assert client.get("/admin/orders/order/").status_code == 403
