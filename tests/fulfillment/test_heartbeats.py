"""F10, F68: whoever falls silent is missed within a minute; who was never there is not, and nobody for ever."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from fulfillment import alerts, heartbeats
from fulfillment.models import Alert, Heartbeat
from fulfillment.sweep import sweep
from storefront.celery import app

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Has given no sign yet."""
    heartbeats._signed.clear()
    yield
    heartbeats._signed.clear()


def later(**duration: float) -> None:
    """Let this much time pass for the signs of life and the alerts."""
    span = timedelta(**duration)
    Heartbeat.objects.update(at=F("at") - span, missed_at=F("missed_at") - span)
    Alert.objects.update(next_mail_at=F("next_mail_at") - span, last_sent_at=F("last_sent_at") - span)


def told(mailoutbox: list[Any]) -> list[str]:
    """Check, and the subjects of the mails that this sent."""
    mailoutbox.clear()
    alerts.check()
    return [str(message.subject).removeprefix("[Paper Lantern] a process is silent: ") for message in mailoutbox]


def test_f11_what_was_never_seen_is_not_missed(mailoutbox: list[Any]) -> None:
    heartbeats.alive("sweep")
    assert told(mailoutbox) == []
    heartbeats._signed.clear()
    later(seconds=20)
    heartbeats.alive("sweep")
    later(seconds=20)
    assert told(mailoutbox) == []
    assert [pulse.name for pulse in heartbeats.pulses()] == ["sweep"]


@pytest.mark.parametrize("name, what", sorted(heartbeats.WHAT.items()))
def test_f10_f68_silence_is_told_within_a_minute(mailoutbox: list[Any], name: str, what: str) -> None:
    """As both ask: the sweep every five seconds, beat every ten."""
    heartbeats.alive(name)
    at = Heartbeat.objects.get().at
    elapsed, told_after = 0, 0
    while elapsed < 60 and not told_after:
        later(seconds=10)
        elapsed += 10
        told_after = elapsed if told(mailoutbox) else 0
    assert told_after == 50
    last = at - timedelta(seconds=50)
    assert mailoutbox[0].subject.endswith(f"a process is silent: {what}, last heard of {last:%Y-%m-%d %H:%M} UTC")
    assert told(mailoutbox) == []


def test_one_look_alone_raises_no_alarm(mailoutbox: list[Any]) -> None:
    """The database was away, or the whole shop was stopped: all are late at once, and then come back."""
    heartbeats.alive("sweep", "worker", "beat")
    later(minutes=10)
    assert told(mailoutbox) == []
    assert [pulse.missed is not None for pulse in heartbeats.pulses()] == [True] * 3
    later(seconds=10)
    assert told(mailoutbox) == []
    heartbeats._signed.clear()
    heartbeats.alive("sweep", "worker", "beat")
    later(seconds=6)
    assert told(mailoutbox) == []
    assert [pulse.missed for pulse in heartbeats.pulses()] == [None] * 3


def test_who_comes_back_and_goes_again_is_told_again(mailoutbox: list[Any]) -> None:
    def go_silent() -> list[str]:
        later(seconds=40)
        alerts.check()
        later(seconds=20)
        return told(mailoutbox)

    heartbeats.alive("worker")
    assert len(go_silent()) == 1
    heartbeats._signed.clear()
    heartbeats.alive("worker")
    assert told(mailoutbox) == []
    assert Alert.objects.get().told == []
    later(minutes=20)
    heartbeats._signed.clear()
    heartbeats.alive("worker")
    assert len(go_silent()) == 1


def test_f11_celery_switched_off_for_good_is_told_daily_for_a_week_and_then_forgotten(mailoutbox: list[Any]) -> None:
    heartbeats.alive("sweep", "worker", "mail", "beat")
    mails = 0
    for _ in range(12 * 8):  # twelve days, a look every three hours
        later(hours=3)
        heartbeats._signed.clear()
        heartbeats.alive("sweep")
        mails += len(told(mailoutbox))
    assert mails == 7
    assert list(Heartbeat.objects.values_list("name", flat=True)) == ["sweep"]


def test_sign_costs_one_statement_and_not_each_time() -> None:
    with CaptureQueriesContext(connection) as captured:
        for _ in range(100):
            heartbeats.alive("beat", "worker")
    assert len(captured) == 1
    assert list(Heartbeat.objects.order_by("name").values_list("name", flat=True)) == ["beat", "worker"]


def test_look_costs_one_query_while_all_are_well() -> None:
    heartbeats.alive("sweep", "worker", "mail", "beat")
    with CaptureQueriesContext(connection) as captured:
        assert heartbeats.missed() == []
    assert len(captured) == 1


def test_f47_signs_are_dated_and_judged_by_the_clock_of_the_database() -> None:
    """Processes on machines whose clocks differ must not miss each other."""
    with CaptureQueriesContext(connection) as captured:
        heartbeats.alive("sweep")
    later(minutes=1)
    with CaptureQueriesContext(connection) as looked:
        heartbeats.missed()
        heartbeats.silent()
    statements = [query["sql"] for query in (*captured, *looked)]
    assert ["clock_timestamp()" in sql or "STATEMENT_TIMESTAMP()" in sql for sql in statements] == [True] * 4
    assert [sql for sql in statements if str(timezone.now().year) in sql] == []


@pytest.mark.django_db(transaction=True)
def test_f7_database_that_is_away_costs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    before = connection.settings_dict["HOST"]
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["HOST"] = "/nowhere"
    try:
        heartbeats.alive("sweep")
    finally:
        connection.close_pool()  # type: ignore[attr-defined]
        connection.settings_dict["HOST"] = before
    assert "no sign of life could be given" in caplog.text
    assert Heartbeat.objects.count() == 0


def test_sweep_by_hand_or_by_beat_is_no_sign_of_the_sweep() -> None:
    """It would hide that the loop is dead."""
    sweep()
    app.loader.import_default_modules()
    app.tasks["fulfillment.tasks.sweep"]()
    assert Heartbeat.objects.count() == 0


def test_beat_sends_signs_to_both_queues(settings: Settings) -> None:
    app.loader.import_default_modules()
    entries = [one for one in settings.CELERY_BEAT_SCHEDULE.values() if one["task"] == "fulfillment.tasks.give_sign"]
    assert [one["options"].get("queue", "celery") for one in entries] == ["celery", "mail"]
    assert {one["schedule"] for one in entries} == {heartbeats.EVERY}
    for entry in entries:
        heartbeats._signed.clear()
        app.tasks[entry["task"]](*entry["args"])
    assert sorted(Heartbeat.objects.values_list("name", flat=True)) == ["beat", "mail", "worker"]


def test_tasks_of_a_long_queue_are_signs_too() -> None:
    """Beat's own may wait behind five thousand events."""
    app.loader.import_default_modules()
    app.tasks["fulfillment.tasks.handle_event"]("evt_none")
    app.tasks["fulfillment.tasks.send_delivery"](0)
    assert sorted(Heartbeat.objects.values_list("name", flat=True)) == ["mail", "worker"]
