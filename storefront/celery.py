"""The Celery app, and the one way to start a task. A leaf: imports no app of the shop, so every app may use it."""

import logging
import os
import threading
import time
from functools import partial
from typing import Any

from celery import Celery, signals
from django.db import close_old_connections, transaction

from storefront import broker, trace

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "storefront.settings")

log = logging.getLogger(__name__)

WAKE_EVERY = 0.1  # seconds between the wake-ups of one process; one serves all rows that came in between

broker.install_qos()
app = Celery("storefront")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def give_connections_back(**kwargs: Any) -> None:
    """What Django does around a request: into the pool, which looks at their health when it hands them out."""
    close_old_connections()


# Every ten seconds for ever: a line for each that went well would bury all others.
ROUTINE = ("fulfillment.tasks.give_sign", "fulfillment.tasks.check_alerts")

_began: dict[str, float] = {}  # by the ids of the tasks that run in this process, monotonic seconds


def begin_task(*, task: Any, task_id: str, **kwargs: Any) -> None:
    """From here on each line names the task, and the request that it is done for."""
    _began[task_id] = time.monotonic()
    request_id = getattr(task.request, "request_id", None)
    trace.begin(task=task.name, task_id=task_id, **({"request_id": str(request_id)} if request_id else {}))


def end_task(*, task: Any, task_id: str, state: str | None = None, **kwargs: Any) -> None:
    """One line for each task, as each request has one."""
    seconds = time.monotonic() - _began.pop(task_id, time.monotonic())
    fields = {"outcome": (state or "unknown").lower(), "ms": round(seconds * 1000, 1)}
    level = logging.DEBUG if task.name in ROUTINE and state == "SUCCESS" else logging.INFO
    log.log(level, "task %(outcome)s in %(ms)s ms", fields, extra={"fields": fields})
    trace.end()


signals.task_prerun.connect(give_connections_back)
signals.task_prerun.connect(begin_task)
signals.task_postrun.connect(end_task)
signals.task_postrun.connect(give_connections_back)


def enqueue(task: str, *args: int | str) -> None:
    """Wake a worker for the task of this name once the current transaction has committed (at once outside of one).

    A wake-up, not a promise: an unreachable broker is logged and swallowed within a fraction of a second, and the
    sweep finds the row. So a task takes ids, and its row must already say that work is due. It is named by its path,
    because tasks call the functions that enqueue.

    A task without arguments looks for due rows itself, so one message does for many calls: it is published by a
    thread, soon after the first and again after the last, and nobody waits for the broker. The message carries the id
    of the request that it serves, unless it serves several.
    """
    request_id = trace.request_id()
    publish = partial(_publish, task, args, request_id) if args else partial(wakeups.want, task, request_id)
    transaction.on_commit(publish)


def _publish(task: str, args: tuple[int | str, ...], request_id: str) -> None:
    try:
        app.send_task(task, args, headers={"request_id": request_id} if request_id else None)
    except Exception as error:  # noqa: BLE001 - refused, silent, full or misconfigured: the row is safe in any case
        log.warning("broker unreachable, the sweep will run %s%r: %s", task, args, error)


class Wakeups:
    """The wake-ups of this process that are still to be published, and the thread that does it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted: dict[str, str] = {}  # by task, the id of the one request that wants it, else ""
        self._publishing = False
        self._thread: threading.Thread | None = None

    def want(self, task: str, request_id: str = "") -> None:
        """Have the task published soon. One that is wanted already will be published after this call, and is enough."""
        wanted = self._wanted
        if task in wanted:
            wanted[task] = ""
            return
        with self._changed:
            self._wanted[task] = "" if task in self._wanted else request_id
            if self._thread is None or not self._thread.is_alive():  # the first call, or the first in a forked child
                self._thread = threading.Thread(target=self._run, name="wake-ups", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def settle(self, seconds: float = 5.0) -> bool:
        """Wait until nothing is left to be published; whether that came true in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._wanted and not self._publishing, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted)
                # Taken before it is published: a row that comes from now on wants a wake-up of its own.
                wanted, self._wanted = self._wanted, {}
                self._publishing = True
            for task, request_id in list(wanted.items()):
                _publish(task, (), request_id)
            with self._changed:
                self._publishing = False
                self._changed.notify_all()
            time.sleep(WAKE_EVERY)


wakeups = Wakeups()
