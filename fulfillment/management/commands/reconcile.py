from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fulfillment import periods
from fulfillment.reconcile import reconcile


class Command(BaseCommand):
    help = "Compare with Stripe and mend what differs. Ends with 1 when something is still wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", default="24h", metavar="WHEN", help="2h, 3d or an ISO date (24h)")
        parser.add_argument("--dry-run", action="store_true", help="print what differs, and change nothing")

    def handle(self, *args: Any, since: str, dry_run: bool, **options: Any) -> None:
        try:
            start = periods.since(since)
        except periods.PeriodInvalid as error:
            raise CommandError(f"--since: {error}") from error
        found = reconcile(since=start, dry_run=dry_run, say=self.stdout.write)
        self.stdout.write(f"{'would reconcile' if dry_run else 'reconciled'}: {found}")
        if found.wrong:
            raise SystemExit(1)
