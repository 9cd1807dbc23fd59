"""What Prometheus reads, and who may."""

import os
import platform
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from fulfillment import measures, outbox
from fulfillment.book_models import Difference
from fulfillment.converge import converge
from fulfillment.delivery_models import Delivery
from fulfillment.event_types import label
from fulfillment.models import Entitlement, Heartbeat, StripeEvent
from fulfillment.sweep import sweep
from orders import stripe_api
from orders.models import Order
from sandbox import parts
from sandbox.plan import Ports
from sandbox.world.server import World
from storefront.metrics import Backlog
from tests.factories import OrderFactory, ProductFactory
from tests.steps import GUEST, buy, post_event, report

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]

BACKLOG = {
    "shop_database_up": 1.0,
    "shop_events_unhandled": 0.0,
    "shop_events_oldest_unhandled_seconds": 0.0,
    "shop_events_failed": 0.0,
    'shop_deliveries_waiting{state="pending"}': 0.0,
    'shop_deliveries_waiting{state="sending"}': 0.0,
    'shop_deliveries_waiting{state="unconfirmed"}': 0.0,
    "shop_deliveries_oldest_seconds": 0.0,
    "shop_deliveries_given_up": 0.0,
    "shop_orders_attention": 0.0,
    "shop_orders_overdue": 0.0,
    "shop_orders_overdue_seconds": 0.0,
    "shop_orders_disputed": 0.0,
    "shop_books_differences": 0.0,
}


def read(client: Client, **extra: Any) -> dict[str, float]:
    answer = client.get("/metrics", **extra)
    assert answer.status_code == 200
    return parsed(answer.content.decode())


def parsed(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def ago(**duration: float) -> Any:
    return timezone.now() - timedelta(**duration)


def fill(number: int) -> None:
    """A shop in trouble: `number` rows of everything that waits."""
    for n in range(number):
        StripeEvent.objects.create(event_id=f"evt_r{n}", type="x", received_at=ago(minutes=10))
        StripeEvent.objects.create(event_id=f"evt_f{n}", type="x", state="failed")
        Difference.objects.get_or_create(kind="amount", subject=f"order {n}", livemode=False, mend="replay")
        order = OrderFactory(
            state="paid", email=GUEST, attention=f"write to {GUEST}", dispute="open", next_check_at=ago(minutes=3)
        )
        Entitlement.objects.create(
            order_line=order.lines.get(),
            product=order.lines.get().product,
            email=GUEST,
            state="suspended",
            reason="disputed",
        )
        for seq, state in enumerate(("pending", "sending", "unconfirmed", "gave_up"), start=1):
            Delivery.objects.create(
                order=order, kind="order", seq=seq, recipient=GUEST, state=state, created_at=ago(minutes=7)
            )


def test_idle_shop_has_no_backlog(client: Client) -> None:
    found = read(client)
    assert {name: value for name, value in found.items() if name in BACKLOG} == BACKLOG


def test_backlog_is_counted_by_state_and_age(client: Client) -> None:
    fill(2)
    found = read(client)
    ages = {name: found.pop(name) for name in list(found) if name in BACKLOG and name.endswith("_seconds")}
    assert {name: value for name, value in found.items() if name in BACKLOG} == {
        name: 1.0 if name == "shop_database_up" else 2.0 for name in BACKLOG if name not in ages
    }
    assert {name: round(value, -1) for name, value in ages.items()} == {
        "shop_events_oldest_unhandled_seconds": 600,
        "shop_deliveries_oldest_seconds": 420,
        "shop_orders_overdue_seconds": 180,
    }


def test_events_that_wait_are_told_by_type_and_state_and_unknown_types_share_a_name(client: Client) -> None:
    fill(2)
    StripeEvent.objects.create(event_id="evt_1", type="checkout.session.completed")
    StripeEvent.objects.create(event_id="evt_2", type="made.up.by.somebody")
    found = read(client)
    assert {name: value for name, value in found.items() if name.startswith("shop_events_waiting")} == {
        'shop_events_waiting{state="received",type="checkout.session.completed"}': 1,
        'shop_events_waiting{state="received",type="other"}': 3,
        'shop_events_waiting{state="failed",type="other"}': 2,
    }
    assert (found["shop_events_unhandled"], found["shop_events_failed"]) == (4, 2)


def test_names_of_types_are_bounded() -> None:
    kinds = ["refund.created", "charge.succeeded", "", "x" * 100, *(f"type.{n}" for n in range(50))]
    assert {label(kind) for kind in kinds} == {"refund.created", "charge.succeeded", "other"}


def test_events_are_counted_when_they_are_settled(world: World, client: Client) -> None:
    def counted() -> list[float]:
        kinds = {"state": "handled", "type": "checkout.session.completed"}, {"state": "ignored", "type": "other"}
        return [count("shop_events_settled_total", **labels) for labels in kinds]

    before = counted()
    buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    for n in range(2):
        StripeEvent.objects.create(event_id=f"evt_{n}", type="made.up")
    sweep()
    sweep()
    assert [after - was for after, was in zip(counted(), before, strict=True)] == [1, 2]


def test_passes_of_the_sweep_and_alerts_are_counted(client: Client) -> None:
    names = ['shop_sweep_passes_total{lane="money"}', 'shop_sweep_passes_total{lane="mail"}']
    names += ['shop_alerts_total{kind="attention"}', 'shop_alerts_total{kind="event"}']
    before = read(client)
    fill(3)
    sweep()
    sweep()
    after = read(client)
    assert [after[name] - before.get(name, 0) for name in names] == [2, 2, 1, 1]


def test_f10_age_of_each_sign_of_life_is_told(client: Client) -> None:
    Heartbeat.objects.create(name="sweep")
    Heartbeat.objects.create(name="beat", at=ago(seconds=100))
    found = read(client)
    ages = {name: round(value, -1) for name, value in found.items() if name.startswith("shop_heartbeat")}
    assert ages == {
        'shop_heartbeat_age_seconds{name="beat"}': 100,
        'shop_heartbeat_age_seconds{name="sweep"}': 0,
    }


def test_queries_are_the_same_however_much_waits(client: Client) -> None:
    counts = []
    for number in (1, 5):
        StripeEvent.objects.all().delete()
        fill(number)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            read(client)
        counts.append(len(captured))
    assert counts == [9, 9]


def test_each_figure_comes_from_an_index_of_what_waits() -> None:
    """No scan over everything that was ever sold."""
    with CaptureQueriesContext(connection) as captured:
        list(Backlog().collect())
    used = []
    with connection.cursor() as cursor:
        # As new: the planner goes by what earlier tests left in the files.
        cursor.execute("TRUNCATE orders_order, fulfillment_stripeevent, fulfillment_heartbeat CASCADE")
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in captured:
            cursor.execute("EXPLAIN " + query["sql"])
            plan = "\n".join(row[0] for row in cursor.fetchall())
            used.append([name for name in INDEXES if f" on {name}" in plan or f"using {name}" in plan])
    assert used == [[name] for name in INDEXES]


INDEXES = [
    "event_unhandled",
    "event_failed",
    "delivery_due",
    "delivery_given_up",
    "order_attention",
    "order_unsettled",
    "entitlement_disputed",
    "difference_open",
    "fulfillment_heartbeat_pkey",  # a handful of rows, one for each kind of process
]


def test_s62_i17_nothing_personal_is_told(client: Client) -> None:
    fill(1)
    text = client.get("/metrics").content.decode()
    secrets = [
        configured.SECRET_KEY, configured.STRIPE_SECRET_KEY, *configured.STRIPE_WEBHOOK_SECRETS,
        Order.objects.get().reference, "@", "evt_", "write to",
    ]  # fmt: skip
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "::ffff:10.0.0.1", "fd00::1"]
)
def test_near_scrapers_may_read(client: Client, address: str) -> None:
    assert read(client, REMOTE_ADDR=address)["shop_database_up"] == 1


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "::ffff:8.8.8.8", "2a00:1450::1", "172.32.0.1", "", "unix:", "localhost"]
)
def test_s62_for_others_there_is_no_such_page(client: Client, address: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via", "X-Forwarded-Proto"])
def test_what_a_proxy_forwards_is_not_near(client: Client, header: str) -> None:
    """The proxy's own address is 127.0.0.1, whoever asked."""
    assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 404


def test_token_opens_from_anywhere_and_no_other_does(client: Client, settings: Settings) -> None:
    def status(authorization: str) -> int:
        headers = {"Authorization": authorization, "X-Forwarded-For": "8.8.8.8"}
        return client.get("/metrics", headers=headers, REMOTE_ADDR="8.8.8.8").status_code

    settings.METRICS_TOKEN = "a-long-token"
    assert [status(text) for text in ("Bearer a-long-token", "bearer a-long-token")] == [200, 200]
    wrong = ["", "Bearer", "Bearer ", "Bearer a-long-toke", "Basic a-long-token", "a-long-token", "Bearer é"]
    assert {status(text) for text in wrong} == {404}
    settings.METRICS_TOKEN = ""
    assert {status(text) for text in [*wrong, "Bearer a-long-token"]} == {404}


def test_only_get_and_nothing_is_cached(client: Client) -> None:
    assert client.post("/metrics").status_code == 405
    assert "no-store" in client.get("/metrics")["Cache-Control"]


def count(name: str, **labels: str) -> float:
    return measures.REGISTRY.get_sample_value(name, labels) or 0.0


def test_webhook_answers_are_counted_by_status(client: Client) -> None:
    before = {status: count("shop_webhook_answers_total", status=status) for status in ("200", "400", "413")}
    event = {"id": "evt_1", "type": "checkout.session.completed", "livemode": False}
    post_event(client, event)
    post_event(client, event, secret="whsec_somebody_else")
    post_event(client, event, secret="whsec_somebody_else")
    client.post("/webhooks/stripe/", b" " * 300_000, content_type="application/json")
    after = {status: count("shop_webhook_answers_total", status=status) for status in before}
    assert {status: after[status] - before[status] for status in before} == {"200": 1, "400": 2, "413": 1}
    assert read(client)['shop_webhook_answers_total{status="400"}'] == after["400"]


@pytest.mark.django_db(transaction=True)
def test_seconds_to_library_and_to_mail_are_measured_once_per_order(world: World, client: Client) -> None:
    names = ("shop_paid_to_library_seconds", "shop_paid_to_mail_seconds")
    before = [count(f"{name}_count") for name in names]
    sums = [count(f"{name}_sum") for name in names]
    order = buy(world, client, ProductFactory())
    facts = stripe_api.fetch_facts(str(order.stripe_session_id))
    for seen in range(3):
        converge(facts, seen=seen, door="webhook")
    assert [count(f"{name}_count") for name in names] == [before[0] + 1, before[1]]
    delivery = Delivery.objects.get()
    Order.objects.update(paid_at=ago(seconds=40))
    assert [outbox.send(delivery.pk), outbox.send(delivery.pk)] == [True, False]
    assert [count(f"{name}_count") for name in names] == [before[0] + 1, before[1] + 1]
    to_library, to_mail = (count(f"{name}_sum") - was for name, was in zip(names, sums, strict=True))
    assert 0 <= to_library < 30
    assert 40 <= to_mail < 70


@pytest.mark.django_db(transaction=True)
def test_database_that_is_away_is_told_and_the_counters_still_are(client: Client) -> None:
    before = connection.settings_dict["HOST"]
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["HOST"] = "/nowhere"
    try:
        found = read(client)
    finally:
        connection.close_pool()  # type: ignore[attr-defined]
        connection.settings_dict["HOST"] = before
    assert {name: found[name] for name in found if name in BACKLOG} == {"shop_database_up": 0}
    assert "shop_paid_to_mail_seconds_count" in found


PROCESS = """
import os, django
django.setup()
from fulfillment import measures
for _ in range(3): measures.webhook_answered(200)
measures.PAID_TO_MAIL.observe(1.5)
if os.fork() == 0:
    measures.webhook_answered(200)
    os._exit(0)
os.wait()
os.kill(os.getpid(), 9)
"""
DELETED = """
import os, shutil, django
django.setup()
from fulfillment import measures
shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
measures.webhook_answered(200)
print("answered")
"""
READER = """
import django
django.setup()
from prometheus_client import CollectorRegistry, generate_latest
from storefront.metrics import Processes
registry = CollectorRegistry(); registry.register(Processes())
print(generate_latest(registry).decode())
"""


def test_processes_are_summed_also_those_that_were_killed(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "by the settings"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}

    def python(source: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", source], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    assert [python(PROCESS).returncode for _ in range(2)] == [-9, -9]
    # Containers number their processes alike, so the name of the machine stands in that of the file.
    assert [path.name for path in folder.iterdir() if f"_{platform.node()}-" not in path.name] == []
    (folder / "counter_999999.db").touch()  # killed while it started
    found = parsed(python(READER).stdout)
    assert found['shop_webhook_answers_total{status="200"}'] == 8
    assert found["shop_paid_to_mail_seconds_count"] == 2
    assert found['shop_paid_to_mail_seconds_bucket{le="1.0"}'] == 0
    assert found['shop_paid_to_mail_seconds_bucket{le="2.0"}'] == 2


def test_folder_that_was_deleted_costs_no_answer(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    ran = subprocess.run(
        [sys.executable, "-c", DELETED], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.stdout == "answered\n", ran.stderr
    assert "could not be counted" in ran.stderr


def test_processes_of_the_demo_share_a_folder_that_is_empty_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_text("of the last run")
    planned = parts.shop({}, Ports(shop=1, world=2, smtp=3), tmp_path)
    assert {process.env["PROMETHEUS_MULTIPROC_DIR"] for process in planned} == {str(folder)}
    assert list(folder.iterdir()) == []
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/srv/other")
    planned = parts.shop({}, Ports(shop=1, world=2, smtp=3), tmp_path)
    assert not any("PROMETHEUS_MULTIPROC_DIR" in process.env for process in planned)
