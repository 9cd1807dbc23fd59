"""Against the sandbox, with restricted keys that may do more or less."""

from typing import Any

import pytest
from pytest_django import Settings

from orders import stripe_setup
from sandbox.world.restricted import EVERYTHING
from sandbox.world.server import World
from storefront.production import stripe_account
from tests.storefront.production.conftest import line, states

KEY = "rk_test_of_the_shop"
NEEDED = {
    "Checkout Sessions": "rak_checkout_session_write",
    "PaymentIntents": "rak_payment_intent_read",
    "Charges and Refunds": "rak_charge_write",
    "Disputes": "rak_dispute_write",
    "Events": "rak_event_read",
    "Products": "rak_product_write",
    "Prices": "rak_plan_write",
    "Payment Links": "rak_payment_links_write",
}


def use_key(world: World, settings: Settings, *permissions: str) -> None:
    world.control("keys", {"key": KEY, "permissions": permissions})
    settings.STRIPE_SECRET_KEY = KEY


def objects(world: World) -> Any:
    return world.control("events?limit=1000")["events"], world.control("ledger")


def test_secret_key_is_green(world: World) -> None:
    lines = list(stripe_account.check())
    assert states(lines) == {"stripe mode": "wrong", "stripe account": "ok", "stripe scopes": "ok"}
    assert line(lines, "stripe mode").do == "Remove STRIPE_API_BASE."  # the sandbox stands in for Stripe
    assert line(lines, "stripe account").found == "US, may charge"
    assert "a restricted one would limit" in line(lines, "stripe scopes").found


def test_restricted_key_with_what_is_needed_and_no_more_is_green(world: World, settings: Settings) -> None:
    use_key(world, settings, *NEEDED.values())
    before = objects(world)
    lines = list(stripe_account.check())
    assert line(lines, "stripe scopes").found == "the restricted key may do all 8 things that the shop needs"
    assert line(lines, "stripe account").state == "ok"
    assert objects(world) == before
    assert not any(KEY in one.found + one.do for one in lines)


@pytest.mark.parametrize("scope", stripe_setup.SCOPES, ids=lambda scope: scope.name)
def test_missing_scope_is_named(world: World, settings: Settings, scope: stripe_setup.Scope) -> None:
    permission = NEEDED[scope.name]
    readable = permission.replace("_write", "_read")
    use_key(world, settings, *(EVERYTHING - {permission, readable.replace("_read", "_write")}))
    [wrong] = [one for one in stripe_account.check() if one.name.startswith("stripe scope")]
    assert (wrong.name, wrong.state) == (f"stripe scope {scope.name}", "wrong")
    assert wrong.do.startswith(f"Give the restricted key “{scope.name}”: {scope.access} ({permission})")


def test_reading_is_not_enough_where_the_shop_writes(world: World, settings: Settings) -> None:
    use_key(world, settings, *(name.replace("_write", "_read") for name in EVERYTHING))
    lines = [one for one in stripe_account.check() if one.name.startswith("stripe scope")]
    assert [one.name.removeprefix("stripe scope ") for one in lines] == [
        scope.name for scope in stripe_setup.SCOPES if scope.writes
    ]


def test_every_scope_asks_for_what_does_not_exist(world: World) -> None:
    before = objects(world)
    for scope in stripe_setup.SCOPES:
        stripe_setup.try_scope(scope)
        assert scope.writes == ("none" in scope.path)
    assert objects(world) == before


def test_key_that_stripe_does_not_know_is_one_line(world: World, settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_revoked_long_ago"
    lines = list(stripe_account.check())
    assert [(one.name, one.state) for one in lines[1:]] == [("stripe key", "wrong")]
    assert "revoked_long_ago" not in lines[1].found


def test_stripe_that_does_not_answer_is_one_line(settings: Settings) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    assert [(one.name, one.found) for one in stripe_account.check()][1:] == [("stripe", "Stripe cannot be reached")]


def test_account_that_may_not_charge_is_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox.world.objects import account as build

    whole = build.account("Shop")
    for changes, found in (
        ({"charges_enabled": False, "details_submitted": False}, "US, may not charge: its details are incomplete"),
        ({"charges_enabled": False}, "US, may not charge"),
    ):
        monkeypatch.setattr(build, "account", lambda _name, changes=changes: whole | changes)
        assert line(stripe_account.check(), "stripe account").found == found


@pytest.mark.parametrize(
    "key, site, state, found",
    [
        ("sk_live_x", "https", "ok", "live"),
        ("rk_live_x", "https", "ok", "live"),
        ("sk_live_x", "http", "wrong", "a live key in a shop for development"),
        ("sk_test_x", "https", "warning", "test: no real money moves"),
        ("pk_live_x", "https", "wrong", "the key is no secret or restricted one"),
    ],
)
def test_mode_of_the_key(settings: Settings, key: str, site: str, state: str, found: str) -> None:
    settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = "https://api.stripe.com", key
    settings.HTTPS = site == "https"
    mode = next(iter(stripe_account.check()))
    assert (mode.state, mode.found) == (state, found)
