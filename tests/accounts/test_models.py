import io
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from accounts.models import User, proven_emails
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_user_is_known_by_the_normal_form_of_the_address() -> None:
    user = User.objects.create_user("Bob@Example.com", "a good password")
    assert (user.email, str(user), user.check_password("a good password")) == (
        "bob@example.com",
        "bob@example.com",
        True,
    )
    assert User.objects.get_by_natural_key("BOB@example.com") == user


def test_user_without_password_cannot_use_one() -> None:
    assert not User.objects.create_user("bob@example.com").has_usable_password()


def test_s31_same_address_in_another_case_makes_no_second_user() -> None:
    UserFactory(email="bob@example.com")
    with pytest.raises(IntegrityError, match="accounts_user_email_key"):
        User.objects.create_user("BOB@example.com")


def test_s31_capitals_never_reach_the_table() -> None:
    user = UserFactory()
    with pytest.raises(IntegrityError, match="user_email_lower"):
        User.objects.filter(pk=user.pk).update(email="Bob@example.com")


def test_address_of_a_user_is_checked_before_it_is_saved() -> None:
    user = User(email="mıke@b.co")
    with pytest.raises(ValidationError) as caught:
        user.full_clean(exclude=["password"])
    assert caught.value.message_dict == {"email": ["Enter one e-mail address, such as name@example.com."]}


def test_proven_addresses_are_the_verified_ones_of_this_user() -> None:
    user = UserFactory(email="bob@example.com")
    user.emailaddress_set.create(email="bob@work.example", verified=True)
    user.emailaddress_set.create(email="alice@example.com", verified=False)
    UserFactory(email="carol@example.com")
    assert sorted(proven_emails(user)) == ["bob@example.com", "bob@work.example"]
    assert proven_emails(UserFactory(proven=False)) == []


def test_s29_s31_address_is_proven_by_one_user_only() -> None:
    UserFactory(email="bob@example.com")
    with pytest.raises(IntegrityError, match="unique_verified_email"):
        UserFactory().emailaddress_set.create(email="bob@example.com", verified=True)


def createsuperuser(email: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "owner of the shop")
    call_command("createsuperuser", email=email, interactive=False, stdout=io.StringIO())


def test_owner_made_by_createsuperuser_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    createsuperuser("Owner@Example.com", monkeypatch)
    owner = User.objects.get()
    assert (owner.email, owner.is_staff, owner.is_superuser) == ("owner@example.com", True, True)
    assert proven_emails(owner) == ["owner@example.com"]
    assert EmailAddress.objects.get().primary


@pytest.mark.parametrize("email", ["owner@EXAMPLE.com", "öwner@example.com"])
def test_createsuperuser_says_what_is_wrong_with_an_address(email: str, monkeypatch: pytest.MonkeyPatch) -> None:
    createsuperuser("owner@example.com", monkeypatch)
    with pytest.raises(CommandError):
        createsuperuser(email, monkeypatch)
    assert User.objects.count() == 1


def test_owner_made_by_createsuperuser_signs_in(client: Any, mailed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    createsuperuser("owner@example.com", monkeypatch)
    answer = client.post(
        "/accounts/login/?next=/admin/", {"login": "owner@example.com", "password": "owner of the shop"}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert mailed() == []
