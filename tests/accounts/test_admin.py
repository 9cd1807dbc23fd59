import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import SignIn, User
from tests.factories import OrderFactory, UserFactory

pytestmark = pytest.mark.django_db

USERS = "/admin/accounts/user/"


@pytest.fixture
def owner(client: Client) -> User:
    user = UserFactory(email="owner@example.com", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.mark.parametrize("path", ["", "accounts/user/", "accounts/user/add/", "catalog/product/add/", "nowhere/"])
def test_s60_admin_sends_strangers_to_the_one_page_to_sign_in(client: Client, path: str) -> None:
    answer = client.get(f"/admin/{path}", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/accounts/login/?next=")
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["", "accounts/user/", "catalog/product/add/"])
def test_s60_admin_is_closed_to_customers(client: Client, path: str) -> None:
    client.force_login(UserFactory())
    assert client.get(f"/admin/{path}", follow=True).status_code == 403


def test_s60_admins_own_login_page_takes_no_password(client: Client) -> None:
    UserFactory(email="owner@example.com", password="a good long password", is_staff=True)
    answer = client.post("/admin/login/", {"username": "owner@example.com", "password": "a good long password"})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=%2Fadmin%2Flogin%2F")
    assert "_auth_user_id" not in client.session


def test_s60_staff_without_permissions_see_nothing(client: Client) -> None:
    client.force_login(UserFactory(is_staff=True))
    assert client.get("/admin/").status_code == 200
    for page in ("accounts/user/", "accounts/user/add/", "catalog/product/", "catalog/product/add/", "catalog/file/"):
        assert client.get(f"/admin/{page}").status_code == 403, page


def test_user_added_in_the_admin_is_normal_and_unproven(client: Client, owner: User) -> None:
    new = {"email": "Bob@Example.com"}
    answer = client.post(f"{USERS}add/", {**new, **no_addresses()})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    bob = User.objects.get(email="bob@example.com")
    assert not bob.has_usable_password()
    assert not EmailAddress.objects.filter(user=bob).exists()


@pytest.mark.parametrize("email", ["mıke@b.co", "OWNER@example.com"])
def test_user_with_a_bad_or_taken_address_is_not_added(client: Client, owner: User, email: str) -> None:
    new = {"email": email}
    answer = client.post(f"{USERS}add/", {**new, **no_addresses()})
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["email"]
    assert User.objects.count() == 1


def test_user_changed_in_the_admin_keeps_the_normal_form(client: Client, owner: User) -> None:
    bob = UserFactory(email="bob@example.com")
    address = bob.emailaddress_set.get()
    inline = {
        **no_addresses(),
        "emailaddress_set-TOTAL_FORMS": "2",
        "emailaddress_set-INITIAL_FORMS": "1",
        "emailaddress_set-0-id": str(address.pk),
        "emailaddress_set-0-user": str(bob.pk),
        "emailaddress_set-0-email": "Bobby@Example.com",
        "emailaddress_set-0-verified": "on",
        "emailaddress_set-0-primary": "on",
        "emailaddress_set-1-user": str(bob.pk),
        "emailaddress_set-1-email": "bob@bücher.example",
    }
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on"}
    answer = client.post(f"{USERS}{bob.pk}/change/", {"email": "Bobby@Example.com", **dates, **inline})
    assert answer.status_code == 302, answer.context["errors"]
    bob.refresh_from_db()
    assert bob.email == "bobby@example.com"
    assert sorted(bob.emailaddress_set.values_list("email", flat=True)) == [
        "bob@xn--bcher-kva.example",
        "bobby@example.com",
    ]


def no_addresses() -> dict[str, str]:
    return {
        "emailaddress_set-TOTAL_FORMS": "0",
        "emailaddress_set-INITIAL_FORMS": "0",
        "emailaddress_set-MIN_NUM_FORMS": "0",
        "emailaddress_set-MAX_NUM_FORMS": "1000",
    }


def test_people_are_found_by_each_of_their_addresses(client: Client, owner: User) -> None:
    bob = UserFactory(email="bob@example.com")
    EmailAddress.objects.create(user=bob, email="robert@example.org", verified=True)
    UserFactory(email="alice@example.com")
    for words in ("bob@", "robert@"):
        answer = client.get(USERS, {"q": words})
        assert [found.email for found in answer.context["cl"].result_list] == ["bob@example.com"], words
    assert client.get("/admin/account/emailaddress/").status_code == 404


def test_adding_a_colleague_asks_for_the_address_alone(client: Client, owner: User) -> None:
    page = client.get(f"{USERS}add/")
    assert list(page.context["adminform"].form.fields) == ["email"]
    assert "LDAP" not in page.content.decode()
    assert "/accounts/login/ with a code" in page.content.decode()


def test_role_without_the_admin_is_refused(client: Client, owner: User) -> None:
    bob, editor = UserFactory(), Group.objects.create(name="Editors")
    sent = {
        "email": bob.email, "is_active": "on", "groups": [editor.pk], "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00", **no_addresses(),
    }  # fmt: skip
    answer = client.post(f"{USERS}{bob.pk}/change/", sent)
    assert answer.context["adminform"].form.errors["groups"] == ["Tick “may use the admin” too, or take the role away."]
    assert not bob.groups.exists()
    assert client.post(f"{USERS}{bob.pk}/change/", {**sent, "is_staff": "on"}).status_code == 302
    assert list(bob.groups.all()) == [editor]


def test_delete_is_offered_only_where_it_can_succeed(client: Client, owner: User) -> None:
    fresh, signed, bought, acted = UserFactory.create_batch(4)
    SignIn.objects.create(user=signed)
    OrderFactory(user=bought)
    LogEntry.objects.create(user=acted, action_flag=2, object_repr="x")
    for user, is_offered in ((fresh, True), (signed, False), (bought, False), (acted, False)):
        page = client.get(f"{USERS}{user.pk}/change/").content.decode()
        assert (f"{USERS}{user.pk}/delete/" in page) is is_offered
        assert "Take “active” away" in page
        assert "/admin/fulfillment/customer/erase/?email=" in page
    assert client.post(f"{USERS}{fresh.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=fresh.pk).exists()


def test_people_are_not_deleted_by_the_list(client: Client, owner: User) -> None:
    UserFactory()
    assert "delete_selected" not in client.get(USERS).content.decode()
