"""Signs of life in the database, and pings to a real worker."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from fulfillment.heartbeats import _write
from fulfillment.models import Heartbeat
from sandbox.world.server import World
from storefront.celery import app
from storefront.production import processes
from tests.fulfillment.test_processes import celery, process
from tests.fulfillment.test_sweep import process_environment, wait_until
from tests.storefront.production.conftest import line, states

PARTS = ("worker", "mail worker", "beat", "sweep")


def age(seconds: int, *names: str) -> None:
    Heartbeat.objects.filter(name__in=names).update(at=F("at") - timedelta(seconds=seconds))


@pytest.mark.django_db
def test_nobody_was_ever_seen() -> None:
    lines = list(processes.check())
    assert states(lines) == dict.fromkeys(PARTS, "wrong")
    assert line(lines, "sweep").do == "Start it, as the Procfile does: python manage.py sweep --watch 5"


@pytest.mark.django_db
def test_who_fell_silent_is_told_apart() -> None:
    _write(["worker", "mail", "beat", "sweep"])
    age(50, "beat")
    lines = list(processes.check())
    assert states(lines) == {"worker": "wrong", "mail worker": "wrong", "beat": "wrong", "sweep": "ok"}
    assert re.fullmatch("last sign of life 5[0-9] s ago", line(lines, "beat").found)
    assert line(lines, "worker").found.endswith("but nobody answers a ping for the queue celery")


@pytest.mark.django_db
def test_without_a_broker_the_signs_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("refused")

    monkeypatch.setattr(app.control, "inspect", broken)
    _write(["worker", "mail"])
    assert states(processes.check()) == {"worker": "ok", "mail worker": "ok", "beat": "wrong", "sweep": "wrong"}


@pytest.mark.django_db(transaction=True)
def test_real_worker_answers(world: World, drain: Any) -> None:
    worker = celery("worker", "--queues=celery", "--pool=solo", "--without-gossip", "--without-mingle")
    _write(["worker", "mail", "beat", "sweep"])
    with process(*worker, environment=process_environment(world)):
        wait_until(lambda: bool(processes._answering()), 60)
        _write(["worker", "mail", "beat", "sweep"])
        lines = list(processes.check())
    assert states(lines) == {"worker": "ok", "mail worker": "wrong", "beat": "ok", "sweep": "ok"}
    assert line(lines, "worker").found.startswith("1 answers a ping, last sign of life ")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_database")
def test_without_a_database_nothing_is_known() -> None:
    assert states(processes.check()) == {"processes": "wrong"}
