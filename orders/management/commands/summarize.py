from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date

from orders.summarize import summarize, summarize_all, summarize_since

EARLIEST = date(2010, 1, 1)  # before there was a Stripe: a slip of the finger


class Command(BaseCommand):
    help = "Count the dashboard's days anew on which something changed; may be repeated at any time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--since", metavar="DATE", help="every day from this one, such as 2026-01-31")
        which.add_argument("--all", action="store_true", help="every day there ever was")

    def handle(self, *args: Any, since: str | None, **options: Any) -> None:
        self.stdout.write(f"{self._count(since, options['all'])} days counted")

    def _count(self, since: str | None, every: bool) -> int:
        if every:
            return summarize_all()
        return summarize_since(self._day(since)) if since else summarize()

    def _day(self, text: str) -> date:
        try:
            day = parse_date(text)
        except ValueError:
            day = None
        if day is None or not EARLIEST <= day <= timezone.localdate():
            raise CommandError(f"--since is a date such as 2026-01-31, from {EARLIEST:%Y} to today, not {text[:40]!r}")
        return day
