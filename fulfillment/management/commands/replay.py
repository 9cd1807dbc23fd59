from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fulfillment.event_types import TYPES, WITHOUT_EFFECT
from fulfillment.periods import PeriodInvalid, since
from fulfillment.replay import Selection, replay


class Command(BaseCommand):
    help = "Fulfill again what is named, one or many; twice changes nothing. Ends with 1 when anything failed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--event", action="append", default=[], metavar="ID", help="may be repeated")
        parser.add_argument("--session", action="append", default=[], metavar="ID", help="may be repeated")
        parser.add_argument("--order", action="append", default=[], metavar="REF", help="may be repeated")
        parser.add_argument("--type", default="", help="events of this type")
        parser.add_argument("--since", default="", metavar="WHEN", help="2h, 3d or an ISO date: events and orders")
        parser.add_argument("--failed", action="store_true", help="events that were given up on")
        parser.add_argument("--dry-run", action="store_true", help="print what would change, and change nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        try:
            selection = Selection(
                events=tuple(options["event"]),
                sessions=tuple(options["session"]),
                orders=tuple(options["order"]),
                type=options["type"],
                since=since(options["since"]) if options["since"] else None,
                failed=options["failed"],
            )
        except PeriodInvalid as error:
            raise CommandError(f"--since: {error}") from error
        if selection.type and selection.type not in TYPES:
            why = WITHOUT_EFFECT.get(selection.type, "it is none of: " + ", ".join(sorted(TYPES)))
            raise CommandError(f"--type {selection.type[:80]!r} leads to no order: {why}")
        if selection == Selection():
            raise CommandError("say what to replay: --event, --session, --order, --type, --since or --failed")
        replayed = replay(selection, dry_run=dry_run, say=self.stdout.write)
        self.stdout.write(f"{'would replay' if dry_run else 'replayed'}: {replayed}")
        if replayed.failed:
            raise SystemExit(1)
