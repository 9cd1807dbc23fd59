"""The webhook behind the real web server: an outage of the database, and clients that dawdle."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from fulfillment.models import StripeEvent
from sandbox.parts import PROJECT, answers, web_command
from sandbox.world.server import free_port
from tests.steps import signed

pytestmark = pytest.mark.django_db(transaction=True)

EVENT = {"type": "checkout.session.completed", "data": {"object": {"id": "cs_test_1"}}}


@contextmanager
def serving(**environment: str) -> Iterator[int]:
    """The port of a web server on this test's database."""
    port = free_port()
    database = os.environ["DATABASE_URL"].rpartition("/")[0] + "/" + connection.settings_dict["NAME"]
    env = {**os.environ, "DATABASE_URL": database, "DEBUG": "true", "LOG_LEVEL": "CRITICAL", **environment}
    process = subprocess.Popen(web_command("storefront.wsgi:application", port), cwd=PROJECT, env=env)
    try:
        end = time.monotonic() + 20
        while not answers(port, "/healthz"):
            assert time.monotonic() < end, "the web server does not answer"
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def post(port: int, event_id: str) -> tuple[int, float]:
    """The status of the answer, and how many seconds it took."""
    body = json.dumps({"id": event_id, **EVENT}).encode()
    headers = {"Stripe-Signature": signed(body), "Content-Type": "application/json"}
    began = time.monotonic()
    try:
        address = f"http://127.0.0.1:{port}/webhooks/stripe/"
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=10) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            status = refusal.code
    return status, time.monotonic() - began


def stored() -> set[str]:
    return set(StripeEvent.objects.values_list("event_id", flat=True))


def test_f7_without_the_database_503_at_once_and_nothing_is_kept_in_memory(tmp_path: Path) -> None:
    database: Any = connection.settings_dict
    if not str(database["HOST"]).startswith("/"):
        pytest.skip("needs a database behind a Unix socket, to take it away")
    way = tmp_path / "database"
    way.symlink_to(database["HOST"])
    url = f"postgres://{database['USER']}@/{way}/{database['NAME']}"
    with serving(DATABASE_URL=url, PGAPPNAME="outage") as port:
        assert post(port, "evt_1")[0] == 200
        way.unlink()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'outage'"
            )
        for _ in range(3):
            status, seconds = post(port, "evt_2")
            assert status == 503
            assert seconds < 2.0
        way.symlink_to(database["HOST"])
        end = time.monotonic() + 10
        while post(port, "evt_3")[0] != 200:  # the pool finds its way back by itself
            assert time.monotonic() < end
        assert stored() == {"evt_1", "evt_3"}
        assert post(port, "evt_2")[0] == 200
    assert stored() == {"evt_1", "evt_2", "evt_3"}


HEAD = b"POST /webhooks/stripe/ HTTP/1.1\r\nHost: 127.0.0.1\r\nStripe-Signature: t=1,v1=a\r\n"


@pytest.mark.parametrize(
    "beginning",
    [b"", HEAD, HEAD + b"Content-Length: 5000\r\n\r\n{"],
    ids=["nothing", "half of the headers", "a bit of the body"],
)
def test_s12_a_hundred_slow_clients_hold_up_nobody(beginning: bytes) -> None:
    with serving() as port, ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(beginning)
        time.sleep(0.5)
        took = [post(port, f"evt_{number}") for number in range(20)]
        assert {status for status, _ in took} == {200}
        assert sorted(seconds for _, seconds in took)[18] < 0.5
