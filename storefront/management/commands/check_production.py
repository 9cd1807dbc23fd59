import json
import logging
import textwrap
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from orders import stripe_api, stripe_setup
from storefront.production import direct_uploads, stripe_endpoint
from storefront.production.lines import Line, State
from storefront.production.run import CHECKS, run
from storefront.production.stripe_account import unanswered
from storefront.production.stripe_endpoint import Fixed
from storefront.scrub import without_secrets

WIDTH = 110
KEPT = (
    "STRIPE_WEBHOOK_SECRETS={}\n"
    "Put it there, after a comma if there is another, and restart web. Stripe does not show it again."
)


class Command(BaseCommand):
    help = (
        "Look at everything that a shop in production needs, from the settings to the sending domain: one table, green "
        "or with what to do. Changes nothing without --fix. Ends with 1 when something is wrong."
    )
    requires_system_checks = ()  # what they find stands in the table

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--only", action="append", choices=CHECKS, help="this check alone; may be repeated")
        parser.add_argument("--strict", action="store_true", help="end with 1 for warnings too")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
        parser.add_argument(
            "--fix",
            action="store_true",
            help="register or update the webhook endpoint, and print a new secret once; let the admin's pages send to "
            "the bucket; with --only, that alone",
        )

    def handle(self, *args: Any, only: list[str] | None, strict: bool, fix: bool, **options: Any) -> None:
        logging.disable(logging.CRITICAL)  # what is broken is told by the table
        try:
            fixed = _fixed(only or list(CHECKS)) if fix else None
            lines = run(only or CHECKS)
        finally:
            logging.disable(logging.NOTSET)
        bad = {State.WRONG, State.WARNING} if strict else {State.WRONG}
        failed = any(line.state in bad for line in lines)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(lines, fixed, failed=failed)))
        else:
            self._print(lines, fixed)
        if failed:
            raise SystemExit(1)

    def _print(self, lines: list[Line], fixed: Fixed | None) -> None:
        styles = {State.OK: self.style.SUCCESS, State.WARNING: self.style.WARNING, State.WRONG: self.style.ERROR}
        column = max((len(line.name) for line in lines), default=0)
        margin = " " * (len(State.WARNING) + column + 4)
        for line in lines:
            mark = styles[line.state](line.state.ljust(len(State.WARNING)))
            found, *rest = textwrap.wrap(line.found, WIDTH - len(margin)) or [""]
            self.stdout.write(f"{mark}  {line.name.ljust(column)}  {found}")
            more = [*rest, *_do(line, WIDTH - len(margin))]
            self.stdout.write("".join(f"{margin}{text}\n" for text in more), ending="")
        counts = {state: sum(line.state == state for line in lines) for state in State}
        self.stdout.write(f"{counts[State.OK]} ok, {counts[State.WARNING]} to look at, {counts[State.WRONG]} wrong")
        if fixed:
            self.stdout.write(fixed.said)
            if fixed.secret:
                self.stdout.write(KEPT.format(fixed.secret))


def _do(line: Line, width: int) -> list[str]:
    """Records, commands and addresses are for copying: their words are never broken."""
    return textwrap.wrap(f"→ {line.do}", width, break_long_words=False, break_on_hyphens=False) if line.do else []


def _fixed(names: list[str]) -> Fixed:
    done = [_fixed_webhook()] if "webhook" in names else []
    said = [one.said for one in done]
    if "uploads" in names:
        said.append(without_secrets(direct_uploads.fix()))
    return Fixed("\n".join(said) or "Nothing here can be fixed.", *(one.secret for one in done))


def _fixed_webhook() -> Fixed:
    try:
        return stripe_endpoint.fix()
    except stripe_setup.KeyRefused as error:
        missing = error.permission or "Webhook Endpoints: write"
        return Fixed(without_secrets(f"Nothing was fixed: the key may not. It needs {missing}."))
    except (stripe_api.StripeUnavailable, stripe_api.StripeRefused) as error:
        return Fixed(without_secrets(f"Nothing was fixed. {unanswered(error)}"))


def _as_json(lines: list[Line], fixed: Fixed | None, *, failed: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"ok": not failed, "lines": [asdict(line) for line in lines]}
    return found | ({"fixed": asdict(fixed)} if fixed else {})
