"""The endpoint at the sandbox: none, half of one, whole, and what --fix makes of each."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import stripe
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from fulfillment.event_types import TYPES
from fulfillment.models import StripeEvent, WebhookMinute
from orders import stripe_api
from sandbox.world.server import World
from storefront.production import stripe_endpoint
from storefront.production.lines import Line
from tests.steps import post_event
from tests.storefront.production.conftest import line

pytestmark = pytest.mark.django_db

ADDRESS = "http://localhost/webhooks/stripe/"


def endpoints(world: World) -> Any:
    return stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url}).v1.webhook_endpoints


@pytest.fixture(autouse=True)
def no_endpoints(world: World) -> Iterator[None]:
    yield
    for one in endpoints(world).list().data:
        endpoints(world).delete(one.id)


def register(world: World, **changes: Any) -> Any:
    params = {"url": ADDRESS, "enabled_events": sorted(TYPES), "api_version": stripe_api.API_VERSION} | changes
    return endpoints(world).create(params=params)


def found(name: str = "webhook") -> Line:
    return line(stripe_endpoint.check(), name)


def test_none_is_wrong_and_fixed(world: World) -> None:
    assert (found().state, found().found) == ("wrong", f"none for {ADDRESS}")
    assert found().do == "python manage.py check_production --only webhook --fix"
    fixed = stripe_endpoint.fix()
    [made] = endpoints(world).list().data
    assert (made.url, set(made.enabled_events), made.api_version) == (ADDRESS, set(TYPES), stripe_api.API_VERSION)
    assert fixed.secret == world.account.store.private(made.id)["secret"]
    assert (found().state, found().found) == ("ok", f"{made.id}: {len(TYPES)} types, version {made.api_version}")
    again = stripe_endpoint.fix()
    assert (again.said, again.secret) == (f"{made.id} was right already.", "")
    assert len(endpoints(world).list().data) == 1


def test_events_signed_with_the_new_secret_are_taken(world: World, settings: Settings, client: Client) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = [stripe_endpoint.fix().secret]
    assert found("webhook events").state == "warning"
    [event, *_] = world.control("trigger", {"type": "charge.refunded"})["events"]
    assert post_event(client, event).status_code == 200
    assert found("webhook events").state == "ok"
    assert found("webhook events").found.startswith("the last arrived 0 s ago")


def test_disabled_one_is_enabled(world: World) -> None:
    made = register(world)
    endpoints(world).update(made.id, params={"disabled": True})
    assert (found().state, found().found) == ("wrong", f"{made.id} is disabled")
    assert stripe_endpoint.fix().secret == ""
    assert found().state == "ok"


def test_missing_types_are_named_and_added_to_those_there(world: World) -> None:
    made = register(world, enabled_events=["charge.refunded", "invoice.paid"])
    assert found().found == (
        f"{made.id} does not get charge.dispute.closed, charge.dispute.created, charge.dispute.funds_reinstated"
        f" and {len(TYPES) - 4} more"
    )
    assert stripe_endpoint.fix().secret == ""
    [mended] = endpoints(world).list().data
    assert (mended.id, set(mended.enabled_events)) == (made.id, {*TYPES, "invoice.paid"})


def test_star_is_every_type(world: World) -> None:
    register(world, enabled_events=["*"])
    assert found().state == "ok"
    assert "was right already" in stripe_endpoint.fix().said


@pytest.mark.parametrize("version", ["2022-11-15", None])
def test_other_version_is_a_warning_and_gets_one_beside_it(world: World, version: str | None) -> None:
    old = register(world, **({"api_version": version} if version else {}))
    if version is None:
        world.account.store.change(world.account.store.need("webhook_endpoint", old.id), api_version=None)
    assert (found().state, f"version {version or 'of the account'}, not" in found().found) == ("warning", True)
    fixed = stripe_endpoint.fix()
    assert fixed.secret.startswith("whsec_")
    assert f"delete the one of another version, {old.id}" in fixed.said
    assert found().state == "ok"
    assert "was right already" in stripe_endpoint.fix().said
    assert len(endpoints(world).list().data) == 2


def test_address_without_its_slash_is_pointed_out(world: World) -> None:
    register(world, url=ADDRESS.rstrip("/"))
    assert found().found == f"Stripe posts to {ADDRESS.rstrip('/')} instead, where a redirect loses it"


def test_key_that_may_not_look_is_a_warning(world: World, settings: Settings) -> None:
    world.control("keys", {"key": "rk_test_blind", "permissions": []})
    settings.STRIPE_SECRET_KEY = "rk_test_blind"
    assert (found().state, found().found) == ("warning", "the key may not read it (rak_webhook_read)")


def test_stripe_that_does_not_answer_is_wrong(settings: Settings) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    assert (found().state, found().found) == ("wrong", "Stripe cannot be reached")


def test_refused_events_and_missing_secrets_are_told(world: World, settings: Settings) -> None:
    assert found("webhook events").found == "none has ever arrived"
    StripeEvent.objects.create(event_id="evt_1", type="x", body=b"{}", received_at=timezone.now() - timedelta(hours=3))
    assert found("webhook events").found == "the last arrived 3 hours ago, signed with a secret of ours"
    WebhookMinute.objects.create(minute=timezone.now().replace(second=0, microsecond=0), refused=4)
    assert found("webhook events").found == "4 were refused in 10 minutes, the last arrived 3 hours ago"
    settings.STRIPE_WEBHOOK_SECRETS = []
    assert found("webhook events").state == "wrong"
