"""A short chaos run, and what holds whatever becomes of the broker. The long run is `make chaos`."""

import json
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kombu import Queue

from sandbox.parts import PROJECT
from sandbox.process import running
from storefront.celery import app
from tests.proof.brokers import BrokerMissing, find_broker
from tests.proof.chaos_plan import BUYERS, FAULTS, make_plan
from tests.proof.proxy import Proxy, running_proxy
from tests.proof.stack import procfile

SEED = 11
SECONDS, RATE = 30, 2
# Wakes a worker some times and says how long each took: what a webhook waits for besides its INSERT. The imports, which
# the first one in a process pays for, are done before.
PUBLISH = """
import time
from storefront.celery import app, enqueue
app.connection_for_write().transport, app.amqp
for number in range(5):
    began = time.perf_counter()
    enqueue("fulfillment.tasks.handle_event", "evt_1")
    print(time.perf_counter() - began)
"""


def test_f5_f8_f16_f17_f22_f24_f31_f35_f37_f45_i9_i18_i19_chaos_keeps_every_promise(tmp_path: Path) -> None:
    """Everything at once for half a minute; then I1 to I12 and I18 to I20 hold against the sandbox's own ledger."""
    figures = tmp_path / "chaos.json"
    options = {"--seed": SEED, "--minutes": SECONDS / 60, "--rate": RATE, "--json": figures, "--logs": tmp_path / "log"}
    words = [str(word) for option in options.items() for word in option]
    done = subprocess.run(
        [sys.executable, "-m", "tests.proof.chaos", *words],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout[-4000:] if done.returncode else "") == (0, "")
    found = json.loads(figures.read_text())
    assert found["violated"] == []
    assert len(found["injected"]) == len(make_plan(SEED, SECONDS, rate=RATE).faults) > 5
    assert found["webhooks"]["posts"] > found["webhooks"]["events"] > 100


def test_same_seed_gives_the_same_plan() -> None:
    assert make_plan(3, 60, rate=2) == make_plan(3, 60, rate=2) != make_plan(4, 60, rate=2)
    plan = make_plan(3, 300, rate=3)
    assert {one.kind for one in plan.buyers} == set(BUYERS)
    assert {(one.kind, one.target) for one in plan.faults} == set(FAULTS)


@pytest.fixture(scope="module", params=["valkey", "redis", "rabbitmq"])
def running_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker of each kind that is installed."""
    folder = tmp_path_factory.mktemp(request.param)
    try:
        found = find_broker(request.param, folder / "broker")
    except BrokerMissing as missing:
        pytest.skip(str(missing))
    try:
        with running(found.prepare(), folder / "broker.log"):
            yield found
    finally:
        found.release()


@pytest.fixture
def broker(running_broker: Any) -> Iterator[tuple[Any, Proxy]]:
    """The broker and the proxy in front of it."""
    with running_proxy("broker", running_broker.target) as proxy:
        yield running_broker, proxy


def publish(address: str) -> list[float]:
    """Seconds of each wake-up, in a process of its own: what it has learned of the broker is not to be reused."""
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH],
        cwd=PROJECT,
        env={**os.environ, "CELERY_BROKER_URL": address},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [float(line) for line in done.stdout.split()]


@pytest.mark.parametrize("how", ["well", "refused", "frozen"])
def test_f8_f38_wake_up_is_bounded_whatever_the_broker_does(broker: tuple[Any, Proxy], how: str) -> None:
    """The webhook answers within 1.5 s: it waits for this and one INSERT."""
    found, proxy = broker
    if how == "refused":
        proxy.refuse()
    elif how == "frozen":
        proxy.freeze()
    assert max(publish(found.url(proxy.port))) < 1.5


def test_f8_broker_that_freezes_under_an_open_connection(broker: tuple[Any, Proxy]) -> None:
    """The connection was fine a moment ago; the next wake-ups meet silence."""
    found, proxy = broker
    script = PUBLISH.replace("    began", "    if number == 2: print('freeze', flush=True); time.sleep(1)\n    began")
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, "CELERY_BROKER_URL": found.url(proxy.port)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            if line == "freeze\n":
                proxy.freeze()
            else:
                lines.append(line)
        process.wait(60)
    assert len(lines) == 5
    assert max(map(float, lines)) < 1.5


@pytest.mark.parametrize("settle", ["ack_log_error", "reject_log_error"])
def test_f8_worker_hears_again_after_an_acknowledgement_that_got_no_answer(
    broker: tuple[Any, Proxy], settle: str
) -> None:
    """It may hold one message at a time, and the broker fell silent while it had one."""
    found, proxy = broker
    heard: list[Any] = []
    with app.connection_for_read(found.url(proxy.port)) as connection:
        queue = Queue(f"deaf-{uuid.uuid4().hex}", auto_delete=True)
        publish = partial(connection.Producer().publish, routing_key=queue.name, declare=[queue])
        with connection.Consumer(queue, on_message=heard.append, prefetch_count=1):
            publish("first")
            connection.drain_events(timeout=10)
            proxy.freeze()
            getattr(heard[0], settle)(logging.getLogger(__name__), connection.connection_errors)
            proxy.heal()
            publish("second")
            connection.drain_events(timeout=10)
    assert [message.payload for message in heard] == ["first", "second"]


def test_procfile_is_what_the_run_starts() -> None:
    commands = procfile(Path("/somewhere"))
    assert {"web", "worker", "mail", "beat", "sweep"} <= set(commands)
    assert "--host 127.0.0.1 " in commands["web"]
    assert "--schedule /somewhere/" in commands["beat"]
