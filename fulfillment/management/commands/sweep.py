import logging
import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from fulfillment import alerts, heartbeats, sweep

log = logging.getLogger(__name__)


def tell_people(swept: sweep.Swept) -> None:
    """The alerts, in a lane of their own: they go through a mail server that may hang."""
    alerts.check()


LANES = (
    sweep.sweep_money,
    sweep.sweep_mail,
    sweep.sweep_covers,
    sweep.sweep_uploads,
    sweep.sweep_news,
    tell_people,
)


class Command(BaseCommand):
    help = "Do what is due: events not handled, orders not settled, mails not sent. Needs no Celery."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--watch", type=float, metavar="S", help="go on for ever, with S seconds between passes")

    def handle(self, *args: Any, watch: float | None, **options: Any) -> None:
        if watch is None:
            self._once()
            return
        if not 0.1 <= watch <= 3600:
            raise CommandError("--watch is a number of seconds from 0.1 to 3600")
        self._watch(watch)

    def _once(self) -> None:
        """All that is due, pass after pass, as long as one brings something about."""
        failed, more = 0, True
        while more:
            swept = sweep.sweep()
            sweep.sweep_uploads(swept)
            self.stdout.write(f"swept: {swept}")
            failed, more = failed + swept.failed, swept.more and swept.work > swept.failed
        if failed:
            raise SystemExit(1)

    def _watch(self, seconds: float) -> None:
        """Each lane in a thread of its own: a slow mail server must not keep paid orders waiting."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        lanes = [threading.Thread(target=self._lane, args=(lane, seconds, stop), name=lane.__name__) for lane in LANES]
        self.stdout.write(f"sweeping every {seconds:g} s")
        for thread in lanes:
            thread.start()
        # Not one join without an end: a signal that another thread took, or that came just before the wait, does
        # not wake it, and this thread alone runs the handler.
        while any(thread.is_alive() for thread in lanes):
            time.sleep(0.2)

    def _lane(self, lane: Callable[[sweep.Swept], None], seconds: float, stop: threading.Event) -> None:
        # The lane that paid orders depend on says that the sweep is alive.
        at_work = partial(heartbeats.alive, "sweep") if lane is sweep.sweep_money else lambda: None
        while not stop.is_set():
            swept = sweep.Swept(stopping=stop.is_set, at_work=at_work)
            close_old_connections()
            try:
                swept.at_work()
                lane(swept)
            except DatabaseError as error:  # it may be away: the next pass finds out
                self.stderr.write(f"{lane.__name__}: {error}")
            except Exception:
                log.exception("%s failed", lane.__name__)
            if swept.work:
                self.stdout.write(f"swept: {swept}")
            self._rest(seconds, stop, at_work)

    def _rest(self, seconds: float, stop: threading.Event, at_work: Callable[[], None]) -> None:
        """Wait, and go on giving signs of life where the passes are far apart."""
        while seconds > 0 and not stop.wait(min(seconds, heartbeats.EVERY)):
            seconds -= heartbeats.EVERY
            at_work()
