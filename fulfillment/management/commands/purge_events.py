from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fulfillment.retention import forget_visitors, purge_events


class Command(BaseCommand):
    help = "Empty the bodies of handled events after some days; after 400 days forget ids and visitors, too."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="how long bodies are kept (30)")
        parser.add_argument("--dry-run", action="store_true", help="count, and change nothing")

    def handle(self, *args: Any, days: int, dry_run: bool, **options: Any) -> None:
        if not 1 <= days <= 36500:
            raise CommandError("--days is a number from 1 to 36500")
        purged = purge_events(older_than=timedelta(days=days), dry_run=dry_run, say=self.stdout.write)
        self.stdout.write(f"{'would purge' if dry_run else 'purged'}: {purged}")
        forgotten = forget_visitors(dry_run=dry_run)
        self.stdout.write(f"{'would forget' if dry_run else 'forgot'}: {forgotten}")
