from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog import orphans


class Command(BaseCommand):
    help = "Delete uploads that nobody finished, and stored files and covers that nothing names any more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=7, help="how long an upload may rest (7)")
        parser.add_argument("--dry-run", action="store_true", help="count, and change nothing")

    def handle(self, *args: Any, days: int, dry_run: bool, **options: Any) -> None:
        if not 1 <= days <= 36500:
            raise CommandError("--days is a number from 1 to 36500")
        purged = orphans.purge(older_than=timedelta(days=days), dry_run=dry_run, say=self.stdout.write)
        self.stdout.write(f"{'would delete' if dry_run else 'deleted'}: {purged}")
        if purged.failed:
            raise SystemExit(1)
