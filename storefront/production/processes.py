"""The processes of the Procfile: who answers a ping, and who gave a sign of life."""

from collections.abc import Iterator

from django.db import DatabaseError

from fulfillment import heartbeats
from fulfillment.heartbeats import Pulse
from storefront.celery import app
from storefront.production.lines import Line, brief, ok, wrong

WAIT = 1.5  # seconds for answers to a ping
START = {
    "worker": "celery -A storefront worker --queues celery",
    "mail": "celery -A storefront worker --queues mail",
    "beat": "celery -A storefront beat",
    "sweep": "python manage.py sweep --watch 5",
}
QUEUE = {"worker": "celery", "mail": "mail"}
NAME = {"worker": "worker", "mail": "mail worker", "beat": "beat", "sweep": "sweep"}


def check() -> Iterator[Line]:
    answering = _answering()
    try:
        pulses = {pulse.name: pulse for pulse in heartbeats.pulses()}
    except DatabaseError as error:
        yield wrong("processes", f"signs of life cannot be read: {brief(error)}", "Mend the database first.")
        return
    for part, command in START.items():
        yield _line(part, pulses.get(part), answering, f"Start it, as the Procfile does: {command}")


def _answering() -> dict[str, int] | None:
    """How many workers answer for each queue; None where the broker cannot be asked."""
    try:
        answers = app.control.inspect(timeout=WAIT).active_queues() or {}
    except Exception:  # noqa: BLE001 - each transport has errors of its own, and the broker has lines of its own
        return None
    names = [queue["name"] for queues in answers.values() for queue in queues]
    return {name: names.count(name) for name in set(names)}


def _line(part: str, pulse: Pulse | None, answering: dict[str, int] | None, do: str) -> Line:
    """Well is who was heard of lately; a worker must answer a ping too, unless the broker is down."""
    name, queue = NAME[part], QUEUE.get(part)
    sign = f"last sign of life {int(pulse.age.total_seconds())} s ago" if pulse else "never seen"
    if pulse is None or pulse.age > heartbeats.SILENT:
        return wrong(name, sign, do)
    if queue is None or answering is None:
        return ok(name, sign)
    count = answering.get(queue, 0)
    if not count:
        return wrong(name, f"{sign}, but nobody answers a ping for the queue {queue}", do)
    return ok(name, f"{count} {'answers' if count == 1 else 'answer'} a ping, {sign}")
