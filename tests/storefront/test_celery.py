"""Wake-ups: one message for many rows, none of them forgotten, and nobody waits for the broker."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery
from django.db import transaction
from kombu import Queue

from storefront.celery import WAKE_EVERY, app, enqueue, wakeups

ROOT = Path(__file__).parents[2]
TASK = "fulfillment.tasks.handle_due_events"


def waiting() -> list[str]:
    """The tasks of the messages in the broker, taken out of it."""
    wakeups.settle()
    with app.connection_for_read() as connection:
        queue = Queue("celery")(connection.default_channel)
        return [message.headers["task"] for message in iter(lambda: queue.get(no_ack=True), None)]


def test_many_wake_ups_become_few_messages(drain: Callable[[], int], transactional_db: None) -> None:
    for _ in range(1000):
        enqueue(TASK)
    assert 1 <= len(waiting()) <= 3


def test_wake_up_after_the_last_one_was_published_has_its_own(drain: Callable[[], int], transactional_db: None) -> None:
    for _ in range(3):
        enqueue(TASK)
        assert waiting() == [TASK]
        assert waiting() == []


def test_wake_up_waits_for_the_commit(drain: Callable[[], int], transactional_db: None) -> None:
    with transaction.atomic():
        enqueue(TASK)
        time.sleep(2 * WAKE_EVERY)
        assert waiting() == []
    assert waiting() == [TASK]


def test_wake_ups_of_a_forked_child_are_published(drain: Callable[[], int], transactional_db: None) -> None:
    """A prefork worker inherits the object, and no thread."""
    enqueue(TASK)
    assert waiting() == [TASK]
    script = """
import os, sys
from storefront.celery import wakeups
wakeups.want(sys.argv[1]); assert wakeups.settle()
child = os.fork()
if not child:
    wakeups.want(sys.argv[1])
    os._exit(0 if wakeups.settle() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, TASK], check=True, cwd=ROOT)
    assert waiting() == [TASK] * 2


@pytest.mark.parametrize("broker", ["silent", "refused"])
def test_f8_nobody_waits_for_a_broker_that_is_silent_or_gone(broker: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if broker == "refused":
            listener.close()
        script = f"""
import time
import django; django.setup()
from storefront.celery import enqueue, wakeups
enqueue("{TASK}")
slowest = 0.0
for _ in range(200):
    began = time.perf_counter()
    enqueue("{TASK}")
    slowest = max(slowest, time.perf_counter() - began)
    time.sleep(0.005)
print("slowest", slowest)
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0"},
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert "broker unreachable, the sweep will run" in done.stderr
    assert float(done.stdout.split()[1]) < 0.15


def test_connections_of_a_worker_outlive_its_tasks() -> None:
    """Celery would close the pool, or the connection, after each task: 11 ms for a new one."""
    worker = Celery("worker")
    worker.config_from_object("django.conf:settings", namespace="CELERY")
    assert worker.conf.get("CELERY_DB_REUSE_MAX") == sys.maxsize
