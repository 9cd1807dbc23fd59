"""Signs of life: who gave none for a while is told to people by whoever is still alive.

Each part writes when it was last at work, and the times are the database's. `sweep` is the loop of `sweep --watch`;
`worker` and `mail` are Celery's two queues; `beat` is a task that beat sends to them, so it stands for beat, the broker
and a worker together. What was never seen is not missed: a shop may run without Celery, or sweep by cron.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import Error, connection
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from fulfillment.models import Heartbeat

log = logging.getLogger(__name__)

EVERY = 10  # seconds between two signs of one part, as beat's schedule has it
# Three signs missed, and a second look: a person hears within a minute. After a stop of the whole shop, or of the
# database, all are late at once; the second look leaves them the time to come back.
LATE = timedelta(seconds=30)
CONFIRM = timedelta(seconds=15)
SILENT = LATE + CONFIRM
GIVEN_UP = timedelta(days=7)  # told every day until then; who lives without it for a week means to

WHAT = {
    "sweep": "the sweep (`sweep --watch`)",
    "worker": "the worker of the queue `celery`",
    "mail": "the worker of the queue `mail`",
    "beat": "what beat sends: beat, the broker or all workers",
}

_signed: dict[str, float] = {}  # by name, when this process last wrote; monotonic seconds


@dataclass(frozen=True)
class Pulse:
    """One part of the shop: its last sign, how long ago that was, and how long somebody has missed it."""

    name: str
    at: datetime
    age: timedelta
    missed: timedelta | None

    @property
    def what(self) -> str:
        return WHAT.get(self.name, self.name)


def alive(*names: str) -> None:
    """Give a sign of life, unless this process did within seconds. Costs one statement, and never an error."""
    now = time.monotonic()
    due = [name for name in names if now - _signed.get(name, float("-inf")) >= EVERY / 2]
    if not due:
        return
    _signed.update(dict.fromkeys(due, now))
    try:
        _write(due)
    except Error as error:
        log.warning("no sign of life could be given: %s", error)


def _write(names: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO fulfillment_heartbeat (name, at) SELECT unnest(%s::text[]), clock_timestamp()
               ON CONFLICT (name) DO UPDATE SET at = EXCLUDED.at, missed_at = NULL""",
            [sorted(names)],
        )


def pulses() -> list[Pulse]:
    """Every part that was ever seen, by name: one query over a handful of rows."""
    rows = Heartbeat.objects.annotate(
        age=ExpressionWrapper(Now() - F("at"), output_field=DurationField()),
        missed=ExpressionWrapper(Now() - F("missed_at"), output_field=DurationField()),
    ).values_list("name", "at", "age", "missed")
    return [Pulse(*row) for row in rows.order_by("name")]


def silent(*, longer_than: timedelta = SILENT) -> list[Pulse]:
    """Those that gave no sign for so long; one query, nothing is written."""
    return [pulse for pulse in pulses() if pulse.age > longer_than]


def missed() -> list[Pulse]:
    """Those that are silent at this look and were at one some seconds ago. One query where all are well."""
    late = [pulse for pulse in pulses() if pulse.age > LATE]
    if any(pulse.age > GIVEN_UP for pulse in late):
        Heartbeat.objects.filter(at__lt=Now() - GIVEN_UP).delete()
    if any(pulse.missed is None for pulse in late):
        Heartbeat.objects.filter(missed_at=None, at__lt=Now() - LATE).update(missed_at=Now())
    return [pulse for pulse in late if pulse.missed is not None and pulse.missed >= CONFIRM and pulse.age <= GIVEN_UP]
