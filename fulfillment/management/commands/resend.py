from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, no_translations

from fulfillment.resend import ResendRefused, resend_order


class Command(BaseCommand):
    help = "Send an order's mail again, if need be to a corrected address; at most one a minute."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("reference", help="the order's number")
        parser.add_argument("--to", metavar="ADDRESS", default="", help="correct the order's address first")
        parser.add_argument("--reason", default="", help="noted in the order's timeline")

    @no_translations
    def handle(self, *args: Any, reference: str, to: str, reason: str, **options: Any) -> None:
        try:
            resent = resend_order(reference, to=to, reason=reason, door="resend")
        except ResendRefused as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(f"{to!r}: {' '.join(error.messages)}") from error
        if resent.before is not None:
            self.stdout.write(f"corrected: {resent.before or 'none'} → {resent.delivery.recipient}")
        self.stdout.write(f"written: {resent.delivery}, number {resent.delivery.seq}; a sender was woken")
