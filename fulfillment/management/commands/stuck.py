from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, no_translations

from fulfillment.stuck import find_stuck


class Command(BaseCommand):
    help = "List what should have happened by now, with the command that mends it; ends with 1 when anything is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--minutes", type=float, default=5, help="how long anything may take (5)")

    @no_translations
    def handle(self, *args: Any, minutes: float, **options: Any) -> None:
        if not 0 <= minutes <= 1e6:
            raise CommandError("--minutes is a number from 0 up")
        found = find_stuck(longer_than=timedelta(minutes=minutes))
        for row in found:
            self.stdout.write(str(row))
        self.stdout.write(f"{len(found)} stuck")
        if found:
            raise SystemExit(1)
