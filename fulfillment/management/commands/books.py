import json
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, no_translations

from catalog import money
from fulfillment import books, mending, periods
from fulfillment.book_models import Difference
from fulfillment.differences import MEANINGS, Kind, by_hand, command
from orders import stripe_api
from orders.models import Order

DIFFER, UNKNOWN = 1, 2


class Command(BaseCommand):
    help = (
        "Compare our books with Stripe's and with themselves. Ends with 0 when they agree, 1 when they do not, "
        "2 when Stripe could not be asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", default="2d", metavar="WHEN", help="2h, 3d or an ISO date (2d)")
        parser.add_argument("--order", default="", metavar="REF", help="look at this order alone")
        parser.add_argument("--mend", action="store_true", help="run the command of each difference, and look again")
        parser.add_argument("--dry-run", action="store_true", help="print what differs; keep no rows, mend nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of sentences")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = self._find(options)
        except (stripe_api.StripeUnavailable, stripe_api.StripeRefused) as error:
            self.stderr.write(f"Stripe could not be asked, so nothing is known: {error}")
            raise SystemExit(UNKNOWN) from error
        if found:
            raise SystemExit(DIFFER)

    def _find(self, options: dict[str, Any]) -> list[Difference]:
        """What is open at the end."""
        say = self.stderr.write if options["json"] else self.stdout.write
        checked = self._check(options, say)
        found = checked.found if options["dry_run"] else _open(options["order"])
        if options["mend"] and not options["dry_run"]:
            for difference in [one for one in found if command(one)]:
                mended = mending.mend(difference)
                say(f"{difference}: {'mended' if mended.is_gone else 'still differs'}, {mended.said}")
            found = _open(options["order"])
        self._print(checked, found, as_json=options["json"])
        return found

    def _check(self, options: dict[str, Any], say: books.Say) -> books.Checked:
        keep = not options["dry_run"]
        if options["order"]:
            order = Order.objects.filter(reference=options["order"].strip().upper()).first()
            if order is None:
                raise CommandError(f"there is no order {options['order']}")
            return books.look_again(str(order.stripe_session_id or ""), order.pk, keep=keep)
        try:
            since = periods.since(options["since"])
        except periods.PeriodInvalid as error:
            raise CommandError(f"--since: {error}") from error
        return books.check(since=since, keep=keep, say=say)

    def _print(self, checked: books.Checked, found: list[Difference], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(_as_json(checked, found)))
            return
        for difference in found:
            self.stdout.write("\n".join(_lines_of(difference)))
        for currency, columns in checked.totals.items():
            self.stdout.write(_totals_line(currency, columns))
        self.stdout.write(f"{checked}; {len(found)} {'differs' if len(found) == 1 else 'differ'}")


def _open(reference: str) -> list[Difference]:
    rows = Difference.objects.open(livemode=stripe_api.is_live()).select_related("order")
    return list(rows.filter(order__reference=reference.strip().upper()) if reference else rows)


def _lines_of(difference: Difference) -> Iterable[str]:
    yield f"{difference} since {difference.first_seen:%Y-%m-%d %H:%M:%S}"
    yield f"    at Stripe: {difference.at_stripe}; here: {difference.here}"
    yield f"    {MEANINGS[Kind(difference.kind)]}"
    yield from (f"    {what}" for what in (by_hand(difference), command(difference)) if what)


def _totals_line(currency: str, columns: dict[str, int]) -> str:
    parts = []
    for what in ("paid", "refunded"):
        there, here = columns[f"stripe_{what}"], columns[f"here_{what}"]
        shown = [money.display(amount, currency) for amount in (there, here, here - there)]
        parts.append("{} {} at Stripe, {} here, difference {}".format(what, *shown))
    return f"{currency.upper()}: {'; '.join(parts)}"


def _as_json(checked: books.Checked, found: list[Difference]) -> dict[str, Any]:
    return {
        "since": checked.since.isoformat(),
        "agree": not found,
        "sessions": checked.sessions,
        "foreign": checked.foreign,
        "in_flight": checked.in_flight,
        "totals": checked.totals,
        "differences": [
            {
                "kind": one.kind,
                "subject": one.subject,
                "session": one.session_id,
                "at_stripe": one.at_stripe,
                "here": one.here,
                "meaning": MEANINGS[Kind(one.kind)],
                "by_hand": by_hand(one),
                "command": command(one),
                "first_seen": one.first_seen.isoformat(),
            }
            for one in found
        ],
    }
