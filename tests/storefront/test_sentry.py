"""I17, S62: errors and alerts reach Sentry, really, over HTTP; addresses, keys, tokens and cookies do not."""

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from fulfillment import links
from fulfillment.models import Alert, StripeEvent
from sandbox.world.server import World
from storefront import sentry
from storefront.celery import app
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_processes import celery, process
from tests.fulfillment.test_sweep import ROOT, process_environment, wait_until, web_process
from tests.steps import GUEST, buy, report

TOKEN = "ABCDEFGHJKMNPQRS.1vNk2a.q7c0Zr3tVbXyLw5m9KfJ8hG6dS4aPoIuYtReWqAs2dE"
COOKIE = "abcdefghijklmnopqrstuvwxyz012345"


@dataclass
class Ingest:
    """Stands for Sentry: keeps the events of every envelope, and all that was sent as it came."""

    dsn: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    raw: str = ""

    def take(self, body: bytes) -> None:
        self.raw += body.decode()
        lines = body.split(b"\n")[1:]
        for header, payload in zip(lines[::2], lines[1::2], strict=False):
            if header and json.loads(header)["type"] == "event":
                self.events.append(json.loads(payload))

    def texts(self) -> list[str]:
        """What each event says: the message that was logged or sent, or the error that was raised."""
        return [text_of(event) for event in self.events]


def text_of(event: dict[str, Any]) -> str:
    thrown = (event.get("exception") or {}).get("values") or [{"type": ""}]
    logged = event.get("logentry") or {}
    return str(event.get("message") or logged.get("formatted") or logged.get("message") or thrown[-1]["type"])


@pytest.fixture
def ingest() -> Iterator[Ingest]:
    found = Ingest()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: Any) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.dsn = f"http://key@127.0.0.1:{server.server_address[1]}/1"
        yield found
        server.shutdown()


@contextmanager
def broken(table: str) -> Iterator[None]:
    """What no handler expects: the table is not there."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO gone")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE gone RENAME TO {table}")


def environment(world: World, ingest: Ingest) -> dict[str, str]:
    return process_environment(world) | {"SENTRY_DSN": ingest.dsn, "SWEEP_GRACE_SECONDS": "0"}


def manage(*words: str, env: dict[str, str]) -> int:
    ran = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    return ran.returncode


def secrets_in(text: str) -> list[str]:
    secrets = {
        GUEST, TOKEN, COOKIE, settings.SECRET_KEY, *settings.STRIPE_WEBHOOK_SECRETS, settings.STRIPE_SECRET_KEY,
        "whsec_only", "sk_test_sandbox",
    }  # fmt: skip
    return [secret for secret in secrets if secret in text]


@pytest.mark.django_db(transaction=True)
def test_i17_error_of_a_page_arrives_without_its_token_cookie_and_address(world: World, ingest: Ingest) -> None:
    token = links.token(OrderFactory(state="paid", email=GUEST))
    headers = {
        "Cookie": f"session={COOKIE}; csrf={COOKIE}",
        "Referer": f"http://localhost/links/{token}/",
        "X-Buyer": GUEST,
        "Stripe-Signature": "t=1,v1=" + "a" * 64,
    }
    with web_process(environment(world, ingest)) as address, broken("orders_order"):
        wanted = urllib.request.Request(
            f"{address}/links/{token}/?email={GUEST}&X-Amz-Signature=abc123", headers=headers
        )
        with pytest.raises(urllib.error.HTTPError, match="500"):
            urllib.request.urlopen(wanted)
        wait_until(lambda: ingest.events)
    [event] = [event for event in ingest.events if event.get("exception")]
    assert event["exception"]["values"][-1]["type"] == "ProgrammingError"
    assert event["request"]["url"] == f"{address}/links/[token]/"
    assert event["request"]["query_string"] == "email=[e-mail]&X-Amz-Signature=[secret]"
    crumbs = [crumb["category"] for crumb in event["breadcrumbs"]["values"]]
    assert [category for category in crumbs if category == "query"] == []
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert [frame for frame in frames if "vars" in frame] == []
    assert ("user" in event, "cookies" in event["request"], event["request"]["data"]) == (False, False, "")
    assert [secret for secret in (token, "abc123", "a" * 64) if secret in ingest.raw] == []
    assert secrets_in(ingest.raw) == []


@pytest.mark.django_db(transaction=True)
def test_i17_error_of_a_command_arrives_without_what_was_typed(world: World, ingest: Ingest) -> None:
    with broken("orders_order"):
        assert manage("resend", "ABCDEFGHJKMNPQRS", "--to", GUEST, env=environment(world, ingest)) == 1
    [event] = ingest.events
    assert event["exception"]["values"][-1]["type"] == "ProgrammingError"
    assert event["extra"]["sys.argv"][-2:] == ["--to", "[e-mail]"]
    assert secrets_in(ingest.raw) == []


@pytest.mark.django_db(transaction=True)
def test_i17_error_of_a_task_arrives(world: World, ingest: Ingest) -> None:
    worker = celery("worker", "--pool=solo", "--queues=celery", "--without-gossip", "--without-mingle")
    with broken("fulfillment_stripeevent"), process(*worker, environment=environment(world, ingest)):
        app.send_task("fulfillment.tasks.handle_due_events")
        wait_until(lambda: ingest.events, 30)
    event = ingest.events[0]
    assert event["exception"]["values"][-1]["type"] == "ProgrammingError"
    assert event["transaction"] == "fulfillment.tasks.handle_due_events"
    assert secrets_in(ingest.raw) == []


@pytest.mark.django_db(transaction=True)
def test_i17_handler_that_fails_and_mail_that_is_refused_arrive(smtp: World, client: Client, ingest: Ingest) -> None:
    """Nothing is raised there: the row is put off and the others go on."""
    buy(smtp, client, ProductFactory())
    report(smtp, client, "checkout.session.completed")
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "code": 550, "to": GUEST})
    StripeEvent.objects.create(event_id="evt_poison", type="charge.refunded", body=b"no json")
    assert manage("sweep", env=environment(smtp, ingest)) == 1
    texts = ingest.texts()
    assert [text for text in texts if text == "event evt_poison of type charge.refunded failed"] != []
    [refused] = [text for text in texts if text.startswith("order ")]
    assert GUEST not in refused
    assert secrets_in(ingest.raw) == []


@pytest.mark.django_db(transaction=True)
def test_f70_alert_arrives_as_one_issue_per_kind_and_no_more_often_than_mail(smtp: World, ingest: Ingest) -> None:
    order = OrderFactory(state="paid", email=GUEST, attention=f"{GUEST} whsec_only_for_tests")
    env = environment(smtp, ingest)
    smtp.control("faults", {"area": "mail", "kind": "refuse_message", "code": 451})
    manage("sweep", env=env)
    Alert.objects.update(next_mail_at="2026-01-01T00:00:00Z")  # a minute later: the mail is tried again
    smtp.control("faults/clear", {})
    manage("sweep", env=env)
    [mail] = smtp.mails(to="operator@shop.example")
    [event] = ingest.events
    assert text_of(event) == mail["subject"]
    assert (event["level"], event["fingerprint"], event["tags"]["alert"]) == (
        "error",
        ["alert", "attention"],
        "attention",
    )
    assert order.reference in event["contexts"]["alert"]["text"]
    assert secrets_in(ingest.raw) == []


SETUP = "import django, logging, sys; django.setup()\n"


def python(source: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", SETUP + source], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


def test_same_error_a_hundred_times_is_sent_ten_times(ingest: Ingest) -> None:
    """An outage must not fill the quota: each of its errors is about another event."""
    loop = "for n in range(100): logging.getLogger('shop').error('event %s failed', n)\nlogging.error('another')"
    ran = python("import sentry_sdk\n" + loop + "\nsentry_sdk.flush(5)", SENTRY_DSN=ingest.dsn)
    assert ran.returncode == 0, ran.stderr
    assert ingest.texts() == [*(f"event {n} failed" for n in range(10)), "another"]


def test_without_the_variable_the_library_is_not_even_imported() -> None:
    ran = python("print([name for name in sys.modules if name.startswith('sentry')])", SENTRY_DSN="")
    assert ran.stdout == "[]\n", ran.stderr


def test_sentry_that_is_away_costs_no_work() -> None:
    ran = python("logging.error('nobody hears this'); print('done')", SENTRY_DSN="http://key@127.0.0.1:9/1")
    assert (ran.returncode, ran.stdout) == (0, "done\n")


def test_address_that_is_none_stops_the_start_with_its_name() -> None:
    ran = python("", SENTRY_DSN="sentry.example.com")
    assert ran.returncode == 1
    assert "ImproperlyConfigured: SENTRY_DSN is not the address of a project in Sentry" in ran.stderr


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("mail to Bob.O'Neil+x@shop.example.co.uk bounced", "mail to [e-mail] bounced"),
        ("https://shop.example/links/abc.def/files/3/", "https://shop.example/links/[token]/files/3/"),
        (f"the token {TOKEN} is old", "the token [token] is old"),
        ("whsec_abcDEF123 sk_live_51abc rk_test_9", "whsec_[secret] sk_[secret] rk_[secret]"),
        ("__Host-session=abc123; __Host-csrf=def; a=1", "__Host-session=[secret]; __Host-csrf=[secret]; a=1"),
        ("postgres://shop:pa55w0rd@db.example/shop", "postgres://shop:[secret]@db.example/shop"),
        (
            "https://s3/b/k?X-Amz-Credential=AK%2F1&X-Amz-Signature=0f&X-Amz-Expires=60",
            "https://s3/b/k?X-Amz-Credential=[secret]&X-Amz-Signature=[secret]&X-Amz-Expires=60",
        ),
        ("t=1700000000,v1=" + "0a" * 32, "t=1700000000,v1=[signature]"),
        ("order ABCDEFGHJKMNPQRS, evt_1, cs_test_1", "order ABCDEFGHJKMNPQRS, evt_1, cs_test_1"),
    ],
)
def test_i17_secrets_are_known_by_their_shape(text: str, cleaned: str) -> None:
    assert sentry.clean({"a": [(text,), {text: 1}], "n": 3}) == {"a": [[cleaned], {cleaned: 1}], "n": 3}


def test_i17_secrets_of_the_settings_are_known_whatever_their_shape() -> None:
    assert sentry.clean(f"key {settings.SECRET_KEY}.") == "key [secret]."


def test_i17_log_holds_no_token_of_a_page_that_failed() -> None:
    """Django logs the path of a request that ended with a 500."""
    source = f"""
try:
    raise ValueError("whsec_abc")
except ValueError:
    logging.getLogger("django.request").exception("Internal Server Error: %s", "/links/{TOKEN}/")
"""
    ran = python(source, SENTRY_DSN="", LOG_FORMAT="text")
    first, *_, last = ran.stderr.splitlines()
    assert first.endswith("ERROR django.request Internal Server Error: /links/[token]/")
    assert last == "ValueError: whsec_[secret]"
