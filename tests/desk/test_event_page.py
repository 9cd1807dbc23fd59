"""The admin's page of an event: its payload for people, its tries, its order, and the way to a replay."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.paginator import Paginator
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fulfillment import inbox, long_lists, payloads, retention
from fulfillment.event_failures import EventFailure
from fulfillment.long_lists import UncountedPaginator
from fulfillment.models import StripeEvent
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory

pytestmark = pytest.mark.django_db

EVENTS = "/admin/fulfillment/stripeevent/"


def stored(**fields: object) -> StripeEvent:
    defaults = {"event_id": "evt_1", "type": "charge.refunded", "object_id": "ch_1", "body": b"{}"}
    return StripeEvent.objects.create(**defaults | fields)


def page_of(client: Client, event: StripeEvent) -> str:
    answer = client.get(f"{EVENTS}{event.pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def body(**found: object) -> bytes:
    return json.dumps({"id": "evt_1", "data": {"object": found}}).encode()


def test_payload_is_indented_and_keeps_long_texts() -> None:
    long = "x" * 20_000
    text = payloads.readable(body(id="ch_1", description=long))
    assert text.splitlines()[:4] == ["{", '  "id": "evt_1",', '  "data": {', '    "object": {']
    assert f'"description": "{long}"' in text


def test_what_opens_something_is_hidden() -> None:
    found = {"client_secret": "pi_1_secret_2", "list": [{"access_token": "t", "token": None}], "secret": {"a": "kept"}}
    assert json.loads(payloads.readable(json.dumps(found).encode())) == {
        "client_secret": "(hidden)",
        "list": [{"access_token": "(hidden)", "token": None}],
        "secret": {"a": "kept"},
    }


@pytest.mark.parametrize(
    "raw, shown",
    [
        (b"", ""),
        (b"\xff\xfe no JSON", "�� no JSON"),
        (b'"\\ud800"', '"\\ud800"'),
        (b'["<b>", "\\u0000", NaN]', '[\n  "<b>",\n  "\\u0000",\n  NaN\n]'),
        (b"[" * 100_000, "[" * 100_000),
    ],
    ids=["purged", "not UTF-8", "half a surrogate pair", "control characters", "too deep"],
)
def test_f48_whatever_was_signed_can_be_shown(desk: Client, raw: bytes, shown: str) -> None:
    assert payloads.readable(raw) == shown
    assert payloads.ids_in(raw) == []
    text = page_of(desk, stored(body=raw))
    assert ("No longer kept" in text) == (not raw)


def test_largest_payload_is_shown_whole(desk: Client) -> None:
    event = stored(body=body(id="ch_1", description="y" * 255_000))
    assert "y" * 255_000 in page_of(desk, event)


@pytest.mark.parametrize(
    "event",
    [
        {"object_id": "cs_test_1"},
        {"object_id": "pi_1"},
        {"object_id": "ch_1", "body": body(id="ch_1", payment_intent="pi_1")},
        {"object_id": "ch_1", "body": body(id="ch_1", payment_intent={"id": "pi_1"})},
    ],
    ids=["session", "intent", "names the intent", "has the intent in it"],
)
def test_page_leads_to_the_order_that_the_event_is_about(
    desk: Client, staff: Callable[..., Client], event: dict[str, object]
) -> None:
    order = OrderFactory(stripe_session_id="cs_test_1", stripe_payment_intent_id="pi_1")
    OrderFactory(stripe_session_id="cs_test_2")
    row = stored(**event)
    link = f'<a href="/admin/orders/order/{order.pk}/change/"><strong>{order.reference}</strong></a>'
    assert link in page_of(desk, row)


def test_event_of_no_order_leads_nowhere(desk: Client) -> None:
    OrderFactory(stripe_session_id=None)
    assert "About the order" not in page_of(desk, stored(object_id="", body=body(id="", payment_intent="")))


def test_tries_are_told_in_words(desk: Client) -> None:
    event = stored()
    assert "not tried yet, next at 20" in page_of(desk, event)
    at = timezone.now() + timedelta(minutes=10)
    StripeEvent.objects.update(attempts=3, next_attempt_at=at)
    assert f"tried 3 times, next at {timezone.localtime(at):%Y-%m-%d %H:%M:%S}" in page_of(desk, event)
    StripeEvent.objects.update(attempts=1, claim="6f1d9b1c-0000-4000-8000-000000000000")
    assert "tried once; a worker has it now, until" in page_of(desk, event)
    StripeEvent.objects.update(state="failed", attempts=10, claim=None)
    text = page_of(desk, event)
    assert "tried 10 times<" in text.replace("\n", "")
    assert "This event was given up after many tries." in text


def test_each_failure_is_kept_and_success_writes_none(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    event = stored(type="checkout.session.completed", object_id="cs_test_unknown")
    for _ in range(2):
        StripeEvent.objects.update(next_attempt_at=timezone.now())
        assert inbox.handle("evt_1") is False
    first, second = EventFailure.objects.all()
    assert (first.attempt, second.attempt, first.event) == (1, 2, event)
    event.refresh_from_db()
    assert second.error == event.note
    assert all(one.error.startswith("SessionUnknown: ") for one in (first, second))
    text = page_of(desk, event)
    assert (text.count("SessionUnknown: "), "Tries that failed" in text) == (3, True)
    StripeEvent.objects.update(next_attempt_at=timezone.now(), object_id=order.stripe_session_id)
    assert inbox.handle("evt_1") is True
    assert EventFailure.objects.count() == 2


def test_failures_go_with_their_event_and_are_not_counted_as_events() -> None:
    event = stored(state="ignored", received_at=timezone.now() - timedelta(days=500))
    for attempt in (1, 2):
        EventFailure.objects.create(event=event, attempt=attempt, error="e")
    assert retention.purge_events(older_than=timedelta(days=30)).rows == 1
    assert EventFailure.objects.count() == 0


def test_replay_is_offered_to_those_who_may(staff: Callable[..., Client]) -> None:
    event = stored()
    address = f"{EVENTS}replay/?ids={event.pk}"
    assert address in page_of(staff("replay_order"), event)
    assert address not in page_of(staff(), event)


def test_failures_and_orders_are_for_those_who_may_see_them(person_who: Callable[..., Client]) -> None:
    OrderFactory(stripe_session_id="cs_test_1")
    event = stored(object_id="cs_test_1")
    EventFailure.objects.create(event=event, attempt=1, error="broken")
    text = page_of(person_who("view_stripeevent"), event)
    assert ("About the order" in text, "Tries that failed" in text) == (False, False)


@pytest.mark.parametrize(
    "words, found",
    [("evt_1", ["evt_1"]), (" evt_2 ", ["evt_2"]), ("ch_1", ["evt_1"]), ("EVT_1", []), ("evt", []), ("\x00", None)],
)
def test_list_finds_whole_ids(desk: Client, words: str, found: list[str] | None) -> None:
    stored()
    stored(event_id="evt_2", object_id="ch_2")
    rows = desk.get(EVENTS, {"q": words}).context["cl"].result_list
    assert [row.event_id for row in rows] == (["evt_2", "evt_1"] if found is None else found)


def test_list_is_filtered_by_type_and_state(desk: Client) -> None:
    stored()
    stored(event_id="evt_2", type="refund.created", state="ignored")
    for query in ({"type": "refund.created"}, {"state__exact": "ignored"}):
        assert [row.event_id for row in desk.get(EVENTS, query).context["cl"].result_list] == ["evt_2"]


def test_list_counts_no_table_and_reads_no_body(desk: Client) -> None:
    for number in range(3):
        stored(event_id=f"evt_{number}", body=b'"secret"')
    with CaptureQueriesContext(
        connection,
    ) as queries:
        desk.get(EVENTS)
    about = [one["sql"] for one in queries if '"fulfillment_stripeevent"' in one["sql"]]
    assert not [sql for sql in about if '"body"' in sql or "DISTINCT" in sql]
    assert [sql for sql in about if "COUNT(" in sql and f"LIMIT {long_lists.MOST}" not in sql] == []


def test_pages_end_where_nobody_turns_them() -> None:
    for number in range(3):
        stored(event_id=f"evt_{number}")
    assert UncountedPaginator(StripeEvent.objects.order_by("pk"), 2).count == 3
    assert issubclass(UncountedPaginator, Paginator)
