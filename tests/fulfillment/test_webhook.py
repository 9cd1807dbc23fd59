"""The door that Stripe knocks at. S and F numbers are those of the fault matrix."""

import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement, StripeEvent
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.steps import buy, events, pay_by_link, post_bytes, post_event, report, signed

pytestmark = pytest.mark.django_db

EVENT: dict[str, Any] = {
    "id": "evt_1",
    "type": "checkout.session.completed",
    "livemode": False,
    "api_version": "2026-10-28.endive",
    "data": {"object": {"id": "cs_test_1", "object": "checkout.session"}},
}


def post(client: Client, body: bytes, header: str, **environ: Any) -> int:
    return client.post(
        "/webhooks/stripe/", body, content_type="application/json", headers={"Stripe-Signature": header}, **environ
    ).status_code


def test_f1_i1_signed_event_is_stored_raw_before_it_is_acknowledged(client: Client) -> None:
    body = json.dumps(EVENT, indent=1).encode()
    assert post_bytes(client, body).status_code == 200
    event = StripeEvent.objects.get()
    assert bytes(event.body) == body
    assert (event.event_id, event.type, event.object_id) == ("evt_1", "checkout.session.completed", "cs_test_1")
    assert (event.state, event.attempts) == ("received", 0)


def test_f3_s5_duplicate_is_acknowledged_and_stored_once(client: Client) -> None:
    for _ in range(20):
        assert post_event(client, EVENT).status_code == 200
    assert StripeEvent.objects.count() == 1


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1",
        "v1=abc",
        "v0=abc",
        "t={now},v1=é",
        "t={now},v1=zz",
        "t=" + "9" * 5000 + ",v1=ab",
        "t=nan,v1=ab",
        "t={now},t={now},v1=ab",
        "t=-1,v1=ab",
        "x" * 8192,
        ",,,===",
        "t={now},v1=" + "a" * 64,
    ],
)
def test_f6_s1_s2_bad_signature_header_is_400_and_stores_nothing(client: Client, header: str) -> None:
    assert post(client, json.dumps(EVENT).encode(), header.replace("{now}", str(int(time.time())))) == 400
    assert StripeEvent.objects.count() == 0


@pytest.mark.parametrize("age, status", [(299, 200), (302, 400), (-290, 200), (-310, 400), (-3600, 400)], ids=str)
def test_f46_s5_s6_timestamp_must_be_within_five_minutes(client: Client, age: int, status: int) -> None:
    """Stripe's library alone accepts any time in the future."""
    assert post_event(client, EVENT, at=int(time.time()) - age).status_code == status


def test_f44_s4_each_configured_secret_is_accepted_and_no_other(client: Client, settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_old_old_old_old", "whsec_new_new_new_new"]
    assert post_event(client, EVENT, secret="whsec_old_old_old_old").status_code == 200
    assert post_event(client, EVENT, secret="whsec_new_new_new_new").status_code == 200
    assert post_event(client, EVENT, secret="whsec_other_other_other").status_code == 400
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new_new_new_new"]
    assert post_event(client, EVENT, secret="whsec_old_old_old_old").status_code == 400


def test_s3_endpoint_without_secret_does_not_exist(client: Client, settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = []
    assert post_bytes(client, b"{}", secret="x").status_code == 404


def test_s7_body_that_was_changed_is_400(client: Client) -> None:
    body = json.dumps(EVENT).encode()
    header = signed(body)
    for changed in (body + b" ", body[:-1], b"\xef\xbb\xbf" + body, gzip.compress(body), b"\xff\xfe", b""):
        assert post(client, changed, header) == 400
    assert StripeEvent.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "null",
        "1",
        "{}",
        '"evt_1"',
        "not json",
        '{"id": 1}',
        '{"id": "evt_"}',
        '{"id": "evt_1\\u0000"}',
        '{"id": "evt_1\' or 1=1"}',
        '{"id": "../evt_1"}',
        '{"id": "evt_' + "a" * 10_000 + '"}',
        "[" * 100_000,
        '{"id": ' + "9" * 5000 + "}",
    ],
    ids=lambda body: body[:20],
)
def test_s8_s14_signed_nonsense_is_400(client: Client, body: str) -> None:
    assert post_bytes(client, body.encode()).status_code == 400
    assert StripeEvent.objects.count() == 0


@pytest.mark.parametrize(
    "text", ['"\\u0000"', '"\\ud800"', "NaN", "[]", '{"object": null}', '"' + "x" * 500 + '"'], ids=lambda t: t[:12]
)
def test_s9_strange_values_beside_the_id_are_stored_raw(client: Client, text: str) -> None:
    """Neither jsonb nor text takes them; bytes do."""
    body = f'{{"id": "evt_1", "type": {text}, "account": {text}, "data": {text}, "x": {text}}}'.encode()
    assert post_bytes(client, body).status_code == 200
    assert bytes(StripeEvent.objects.get().body) == body


def test_s11_oversized_body_is_413(client: Client) -> None:
    assert post_bytes(client, b" " * (256 * 1024 + 1)).status_code == 413


@pytest.mark.parametrize("declared", ["-1", "1e3", "٣", "9" * 13, "9" * 5000])
def test_s11_length_that_is_no_number_is_413(client: Client, declared: str) -> None:
    header = signed(b"{}")
    assert post(client, b"{}", header, CONTENT_LENGTH=declared) == 413


def test_s11_body_longer_than_its_length_is_400(client: Client) -> None:
    body = json.dumps(EVENT).encode()
    assert post(client, body, signed(body), CONTENT_LENGTH=str(len(body) - 1)) == 400
    assert post(client, body, signed(body), CONTENT_LENGTH="") == 400  # a chunked body comes without one
    assert StripeEvent.objects.count() == 0


def test_s8_number_beyond_every_limit_beside_the_id_is_no_error(client: Client) -> None:
    body = b'{"id": "evt_1", "type": "checkout.session.completed", "created": ' + b"9" * 5000 + b"}"
    assert post_bytes(client, body).status_code in (200, 400)


def test_s10_of_two_equal_keys_the_last_counts(client: Client) -> None:
    body = b'{"id": "evt_a", "id": "evt_b", "data": {"object": {"id": "cs_a", "id": "cs_b"}}}'
    assert post_bytes(client, body).status_code == 200
    event = StripeEvent.objects.get()
    assert (event.event_id, event.object_id, bytes(event.body)) == ("evt_b", "cs_b", body)


def test_s13_flood_of_unsigned_posts_stores_nothing_and_delays_nobody(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    body = json.dumps(EVENT).encode()
    with django_assert_max_num_queries(30):  # the counts of refusals, which are written now and then
        assert {post(client, body, "t=1,v1=" + "0" * 64) for _ in range(500)} == {400}
    began = time.perf_counter()
    assert post_event(client, EVENT).status_code == 200
    assert time.perf_counter() - began < 0.5
    assert StripeEvent.objects.count() == 1


def test_f44_event_carries_the_label_of_its_secret_and_never_the_secret(
    client: Client, admin_client: Client, settings: Settings
) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new_new_new_new", "whsec_old_old_old_old"]
    settings.STRIPE_WEBHOOK_LABELS = {"whsec_old_old_old_old": "before the move"}
    post_event(client, EVENT, secret="whsec_old_old_old_old")
    post_event(client, EVENT | {"id": "evt_2"}, secret="whsec_new_new_new_new")
    assert list(StripeEvent.objects.order_by("event_id").values_list("endpoint", flat=True)) == ["before the move", ""]
    event = StripeEvent.objects.get(event_id="evt_1")
    page = admin_client.get(f"/admin/fulfillment/stripeevent/{event.pk}/change/").content.decode()
    assert "before the move" in page
    assert "whsec_" not in page


def test_get_is_405(client: Client) -> None:
    assert client.get("/webhooks/stripe/").status_code == 405


def test_f48_i14_event_of_the_other_mode_is_kept_and_ignored(client: Client) -> None:
    assert post_event(client, EVENT | {"livemode": True}).status_code == 200
    event = StripeEvent.objects.get()
    assert (event.state, event.note) == ("ignored", "livemode is True, this shop's key is for test mode")


def test_f49_unknown_type_is_kept_and_ignored(client: Client) -> None:
    assert post_event(client, EVENT | {"type": "capability.updated"}).status_code == 200
    assert StripeEvent.objects.get().state == "ignored"


@pytest.mark.django_db(transaction=True)
def test_f1_f36_webhook_wakes_a_worker_that_delivers(world: World, client: Client, drain: Callable[[], int]) -> None:
    """The buyer never comes back from Stripe."""
    order = buy(world, client, ProductFactory())
    report(world, client)
    assert Order.objects.get(pk=order.pk).state == "open"
    drain()
    assert Order.objects.get(pk=order.pk).state == "paid"
    assert (Entitlement.objects.get().state, Delivery.objects.get().state) == ("active", "sent")
    handled = StripeEvent.objects.get(type="checkout.session.completed")
    assert (handled.state, handled.attempts) == ("handled", 1)


@pytest.mark.django_db(transaction=True)
def test_f1_burst_is_drained_by_few_wake_ups(world: World, client: Client, drain: Callable[[], int]) -> None:
    """Also the last event of a burst has one that was published after it."""
    for _ in range(12):
        buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    ran = drain()
    assert set(StripeEvent.objects.values_list("state", "attempts")) == {("handled", 1)}
    assert list(Order.objects.values_list("state", flat=True)) == ["paid"] * 12
    assert 2 <= ran <= 8, "far fewer messages than events and mails"


@pytest.mark.django_db(transaction=True)
def test_f3_f4_second_copy_wakes_the_worker_whose_first_call_was_lost(
    world: World, client: Client, drain: Callable[[], int]
) -> None:
    buy(world, client, ProductFactory())
    event = events(world, "checkout.session.completed")[0]
    StripeEvent.objects.create(event_id=event["id"], type=event["type"], object_id=event["data"]["object"]["id"])
    post_event(client, event)
    drain()
    assert StripeEvent.objects.get().state == "handled"


@pytest.mark.django_db(transaction=True)
def test_f19_f36_payment_link_is_delivered_by_webhook_alone(
    world: World, client: Client, drain: Callable[[], int]
) -> None:
    ProductFactory(slug="by-link")
    pay_by_link(world, slug="by-link")
    report(world, client)
    drain()
    assert (Entitlement.objects.get().email, Delivery.objects.get().state) == ("guest@example.com", "sent")
