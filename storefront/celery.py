"""The Celery app, and the one way to start a task. A leaf: imports no app of the shop, so every app may use it."""

import logging
import os
from functools import partial

from celery import Celery
from django.db import transaction

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "storefront.settings")

log = logging.getLogger(__name__)

app = Celery("storefront")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def enqueue(task: str, *args: int | str) -> None:
    """Wake a worker for the task of this name once the current transaction has committed (at once outside of one).

    A wake-up, not a promise: an unreachable broker is logged and swallowed within a fraction of a second, and the
    sweep finds the row. So a task takes ids, and its row must already say that work is due. It is named by its path,
    because tasks call the functions that enqueue.
    """
    transaction.on_commit(partial(_publish, task, args))


def _publish(task: str, args: tuple[int | str, ...]) -> None:
    try:
        app.send_task(task, args)
    except Exception as error:  # noqa: BLE001 - refused, silent, full or misconfigured: the row is safe in any case
        log.warning("broker unreachable, the sweep will run %s%r: %s", task, args, error)
