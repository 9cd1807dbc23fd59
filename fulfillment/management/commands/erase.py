from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.addresses import normalize
from fulfillment.erase import EraseRefused, erase_address


class Command(BaseCommand):
    help = (
        "Forget a buyer who asked for it: the account that has proven this address, or a guest's orders under it. "
        "The rows of the money stay, naming nobody. It cannot be undone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="the buyer's address")
        parser.add_argument("--dry-run", action="store_true", help="print what would go, and change nothing")

    def handle(self, *args: Any, email: str, dry_run: bool, **options: Any) -> None:
        try:
            erased = erase_address(normalize(email), dry_run=dry_run)
        except ValidationError as error:
            raise CommandError(f"{email!r}: {' '.join(error.messages)}") from error
        except EraseRefused as refused:
            where = f": {', '.join(refused.orders)}" if refused.orders else ""
            raise CommandError(f"nothing was erased, {refused}{where}") from refused
        self.stdout.write(f"{'would erase' if dry_run else 'erased'}: {erased}")
        if erased.orders:
            self.stdout.write("Stripe keeps its own records of these payments: redact them in its dashboard.")
