"""One line for each request and each task, with ids that lead from one to the other, and nothing that is secret."""

import json
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from kombu import Queue
from pytest_django import Settings

from fulfillment import links, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import StripeEvent
from sandbox.world.server import World
from storefront import trace
from storefront.celery import app, enqueue, wakeups
from storefront.lines import Json, Text, harmless
from storefront.request_line import HEADER
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.fulfillment.test_processes import celery
from tests.fulfillment.test_sweep import ROOT, process_environment, wait_until
from tests.steps import GUEST, buy, post_event, report

EVENT = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs_test_1"}}}


class Lines(logging.Handler):
    """Keeps every line as JSON, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(Json())
        self.raw: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.raw.append(self.format(record))

    def of(self, logger: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.raw) if line["logger"] == logger]


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("shop").makeRecord("shop", logging.INFO, "", 1, message, args, None, extra=extra)


@pytest.mark.django_db
def test_request_has_one_line_and_its_id_is_told(client: Client, lines: Lines) -> None:
    user = UserFactory()
    client.force_login(user)
    answer = client.get("/library/?email=reader@example.com")
    [line] = lines.of("storefront.request_line")
    assert {name: line[name] for name in ("level", "message", "method", "path", "status", "user")} == {
        "level": "info",
        "message": "GET /library/ 200",
        "method": "GET",
        "path": "/library/",
        "status": 200,
        "user": user.pk,
    }
    assert line["request_id"] == answer[HEADER]
    assert uuid.UUID(hex=answer[HEADER]).version == 4
    assert 0 < line["ms"] < 60_000
    assert user.email not in "".join(lines.raw)


@pytest.mark.django_db
def test_order_of_a_page_and_event_of_a_webhook_are_named(client: Client, lines: Lines) -> None:
    order = OrderFactory()
    client.get(f"/orders/{order.reference}/")
    post_event(client, EVENT)
    page, webhook = lines.of("storefront.request_line")
    assert (page["status"], page["order"], "event" in page) == (404, order.reference, False)
    assert (webhook["status"], webhook["event"], "order" in webhook) == (200, "evt_1", False)


@pytest.mark.django_db
def test_i17_token_of_a_link_is_in_no_line(client: Client, lines: Lines) -> None:
    token = links.token(OrderFactory(state="paid", email=GUEST))
    paths = [f"/links/{token}/", f"/links/{token}", f"/links/{token}/nowhere/", f"//links/{token}/"]
    paths += [f"/accounts/password/reset/key/1-{token}/", f"/accounts/confirm-email/{token}/"]
    for path in paths:
        client.get(path)
    assert len(lines.of("storefront.request_line")) == len(paths)
    assert token not in "".join(lines.raw)
    assert lines.of("storefront.request_line")[0]["path"] == "/links/[token]/"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "given, believed",
    [("0123456789abcdef", True), ("a" * 64, True), ("a" * 65, False), ("short", False), ('a"b\ncdefgh', False)],
)
def test_id_of_our_own_proxy_is_kept_when_well_formed_and_a_strangers_is_not(
    client: Client, settings: Settings, given: str, believed: bool
) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    assert (client.get("/healthz", headers={HEADER: given})[HEADER] == given) is believed
    settings.TRUSTED_PROXY_COUNT = 0
    assert client.get("/healthz", headers={HEADER: given})[HEADER] != given


@pytest.mark.django_db
def test_line_costs_no_query(client: Client, lines: Lines, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        client.get("/healthz")
    assert "user" not in lines.of("storefront.request_line")[0]


@pytest.mark.parametrize("path", ["/a%0aGET%20/admin/%20200", "/a%00b", "/%ff%fe", "/a%e2%80%a8b", "/" + "x" * 5000])
@pytest.mark.django_db
def test_no_path_forges_a_line(client: Client, lines: Lines, path: str) -> None:
    client.get(path)
    assert len(lines.raw) == 1
    assert len(lines.raw[0].splitlines()) == 1
    assert len(lines.raw[0]) < 1000


@pytest.mark.parametrize(
    "text, shown",
    [
        ("to Reader.One+x@shop.example.com: 550", "to R…@shop.example.com: 550"),
        ("whsec_abcDEF123 at /links/abc.def/", "whsec_[secret] at /links/[token]/"),
        ("postgres://shop:pa55@db.example.com/shop", "postgres://shop:[secret]@db.example.com/shop"),
        ("a\rb\x00c\u2028d\ud800e", "a\\x0db\\x00c\\x2028d\\xd800e"),
        ("order ABCDEFGHJKMNPQRS, evt_1, cs_test_1", "order ABCDEFGHJKMNPQRS, evt_1, cs_test_1"),
    ],
)
def test_i17_address_is_masked_and_secret_is_gone(text: str, shown: str) -> None:
    assert harmless(text) == shown
    assert json.loads(Json().format(record("%s", text, fields={"reply": text}))) | {"time": ""} == {
        "time": "",
        "level": "info",
        "logger": "shop",
        "message": shown,
        "reply": shown,
    }


def test_text_is_for_people_and_bears_the_ids_too() -> None:
    formatter = Text("%(levelname)s %(name)s %(message)s")
    assert formatter.format(record("event %s\nwaits", "evt_1")) == "INFO shop event evt_1\\nwaits"
    with trace.about(request_id="abc", order="ABCD"):
        assert formatter.format(record("hello")) == "INFO shop hello request_id=abc order=ABCD"


def test_ids_end_with_the_work_that_they_are_of() -> None:
    trace.note(order="nobody asked")
    assert trace.current() == {}
    with trace.about(request_id="r"):
        with trace.about():
            trace.note(order="A")
            assert trace.current() == {"request_id": "r", "order": "A"}
        trace.note(user=1)
        assert trace.current() == {"request_id": "r", "user": 1}
    assert trace.current() == {}


@pytest.mark.django_db
def test_mail_names_its_order(smtp: World, lines: Lines) -> None:
    order = OrderFactory(state="paid", email=GUEST)
    delivery = Delivery.objects.create(order=order, kind="order", recipient=GUEST)
    with trace.about():
        outbox.send(delivery.pk)
    [line] = lines.of("fulfillment.outbox")
    assert (line["order"], line["delivery"], line["message"]) == (
        order.reference,
        delivery.pk,
        f"order {order.reference}: mail sent",
    )


def waiting(queue: str = "celery") -> list[tuple[str, object]]:
    """Task and request id of each message in the broker, taken out of it."""
    wakeups.settle()
    with app.connection_for_read() as connection:
        bound = Queue(queue)(connection.default_channel)
        found = list(iter(lambda: bound.get(no_ack=True), None))
    return [(message.headers["task"], message.headers.get("request_id")) for message in found]


@pytest.mark.django_db(transaction=True)
def test_message_carries_the_request_that_it_serves_unless_there_are_several(drain: Any) -> None:
    with trace.about(request_id="request-1"):
        enqueue("catalog.tasks.make_cover", 7)
        enqueue("fulfillment.tasks.handle_due_events")
    assert sorted(waiting(), key=str) == [
        ("catalog.tasks.make_cover", "request-1"),
        ("fulfillment.tasks.handle_due_events", "request-1"),
    ]
    with wakeups._changed:  # nothing is published meanwhile
        for number in range(3):
            wakeups._wanted["fulfillment.tasks.handle_due_events"] = f"request-{number}"
            wakeups.want("fulfillment.tasks.handle_due_events", f"request-{number}b")
        assert wakeups._wanted == {"fulfillment.tasks.handle_due_events": ""}
        wakeups._changed.notify_all()
    assert waiting() == [("fulfillment.tasks.handle_due_events", None)]


@contextmanager
def worker(world: World, log: Path, **environment: str) -> Iterator[None]:
    words = celery("worker", "--queues=celery,mail", "--concurrency=1", "--loglevel=INFO", "--without-gossip")
    env = process_environment(world) | {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"} | environment
    with log.open("w") as stream:
        started = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=env, stdout=stream, stderr=stream)
        try:
            yield
        finally:
            started.terminate()
            started.wait(20)


@pytest.mark.django_db(transaction=True)
def test_i17_request_is_followed_through_the_tasks_to_the_mail(
    smtp: World, client: Client, drain: Any, tmp_path: Path
) -> None:
    """Webhook, its task, the mail's task, in a real worker: each has its line, all bear the webhook's id."""
    log = tmp_path / "log"
    order = buy(smtp, client, ProductFactory())
    drain()
    with worker(smtp, log):
        with trace.about(request_id="followed-to-the-mail"):
            report(smtp, client, "checkout.session.completed")
        asked = {row.event_id for row in StripeEvent.objects.all()}
        wait_until(lambda: "mail sent" in log.read_text(), 30)
        wait_until(lambda: log.read_text().count('"outcome": "success"') >= 2, 10)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    tasks = {line["task"]: line for line in lines if "outcome" in line}
    handled, mailed = tasks["fulfillment.tasks.handle_due_events"], tasks["fulfillment.tasks.send_due_mails"]
    assert len(handled["request_id"]) == 32
    assert mailed["request_id"] == handled["request_id"]
    assert (handled["outcome"], handled["ms"] > 0, len(handled["task_id"])) == ("success", True, 36)
    [event] = [line for line in lines if line["logger"] == "fulfillment.inbox"]
    assert {event["event"]} == asked
    assert (event["order"], event["session"]) == (order.reference, order.stripe_session_id)
    assert event["request_id"] == handled["request_id"]
    [mail] = [line for line in lines if line["logger"] == "fulfillment.outbox"]
    assert (mail["order"], mail["request_id"]) == (order.reference, handled["request_id"])
    assert GUEST not in log.read_text()


@pytest.mark.parametrize("value, text", [("json", '"message": "hello"'), ("text", "INFO root hello")])
def test_format_is_a_setting(value: str, text: str) -> None:
    assert text in say_hello(LOG_FORMAT=value).stderr


def test_format_is_json_in_production_text_in_a_demo_and_nothing_else() -> None:
    assert '"message": "hello"' in say_hello().stderr
    assert "INFO root hello" in say_hello(DEBUG="true").stderr
    refused = say_hello(LOG_FORMAT="xml")
    assert refused.returncode != 0
    assert "LOG_FORMAT must be json or text, not 'xml'." in refused.stderr


def say_hello(**environment: str) -> subprocess.CompletedProcess[str]:
    source = "import django, logging; django.setup(); logging.info('hello')"
    env = {name: value for name, value in os.environ.items() if name != "LOG_FORMAT"} | environment
    return subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
