"""Passkeys: what a browser does with them is a journey; here is what a stranger could send instead."""

import json
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.models import User
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

PAGE, ADD, LOGIN = "/accounts/2fa/", "/accounts/2fa/webauthn/add/", "/accounts/2fa/webauthn/login/"
NONSENSE: list[Any] = [
    "", "x", "{}", "[]", "null", "1", '"\\u0000"', '{"id": "\\u0000"}', '{"rawId": "é", "response": {}}',
    json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "AA"}}),
    json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": {
        "clientDataJSON": "AA", "attestationObject": "AA", "authenticatorData": "AA", "signature": "AA",
        "userHandle": "AA"}}),
    json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": {
        "clientDataJSON": "e30", "attestationObject": "oA", "authenticatorData": "", "signature": "",
        "userHandle": None}}),
]  # fmt: skip


@pytest.fixture
def bob(clean_rate_limits: None) -> User:
    user: User = UserFactory(email="bob@example.com")
    return user


def passkey(user: User, name: str = "Phone") -> Authenticator:
    return Authenticator.objects.create(user=user, type="webauthn", data={"name": name, "credential": {}})


@pytest.mark.parametrize("credential", NONSENSE)
def test_s61_nonsense_is_no_passkey_to_add(client: Client, bob: User, credential: str) -> None:
    client.force_login(bob)
    client.get(ADD)
    answer = client.post(ADD, {"name": "x", "credential": credential, "passwordless": "on"})
    assert answer.status_code == 200
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("credential", NONSENSE)
def test_s61_nonsense_signs_nobody_in(client: Client, clean_rate_limits: None, credential: str) -> None:
    client.get(LOGIN, headers={"accept": "application/json"})
    answer = client.post(LOGIN, {"credential": credential})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")
    assert "_auth_user_id" not in client.session


def test_passkey_of_somebody_else_is_not_there(client: Client, bob: User) -> None:
    hers = passkey(UserFactory())
    client.force_login(bob)
    for act in ("edit", "remove"):
        address = f"/accounts/2fa/webauthn/keys/{hers.pk}/{act}/"
        assert client.get(address).status_code == 404
        assert client.post(address, {"name": "mine"}).status_code == 404
    assert Authenticator.objects.filter(pk=hers.pk).exists()


def test_passkeys_are_listed_by_name(client: Client, bob: User) -> None:
    passkey(bob, "Phone <1>")
    client.force_login(bob)
    page = client.get(PAGE).content.decode()
    assert "Phone &lt;1&gt;" in page
    assert client.get("/accounts/2fa/webauthn/").content.decode().count("Phone &lt;1&gt;") == page.count(
        "Phone &lt;1&gt;"
    )


def test_lost_passkey_is_removed_after_a_code_by_mail(client: Client, bob: User) -> None:
    lost = passkey(bob)
    client.force_login(bob)
    answer = client.get(f"/accounts/2fa/webauthn/keys/{lost.pk}/remove/")
    assert answer["Location"].startswith("/accounts/2fa/webauthn/reauthenticate/")


def test_sign_in_page_offers_a_passkey_hidden_until_a_script_shows_it(client: Client) -> None:
    page = client.get("/accounts/login/").content.decode()
    assert 'src="/static/passkeys.js" defer' in page
    assert "Sign in with a passkey" in page
    button = page[page.index('id="passkey-button"') : page.index("Sign in with a passkey")]
    assert "hidden" in button
