"""Every check there is, run at once: one that hangs keeps neither the others nor the reader waiting."""

import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from django.db import connections

from storefront.production import (
    broker,
    clock,
    configuration,
    data,
    direct_uploads,
    files,
    https,
    mail_server,
    people,
    processes,
    sending_domain,
    stripe_account,
    stripe_endpoint,
)
from storefront.production.lines import Check, Line, brief, wrong
from storefront.scrub import without_secrets

CHECKS: dict[str, Check] = {
    "settings": configuration.check,
    "database": data.check,
    "broker": broker.check,
    "processes": processes.check,
    "storage": files.check,
    "uploads": direct_uploads.check,
    "smtp": mail_server.check,
    "dns": sending_domain.check,
    "stripe": stripe_account.check,
    "webhook": stripe_endpoint.check,
    "clock": clock.check,
    "https": https.check,
    "admins": people.check,
}
LIMIT = 30.0  # seconds for all together


def run(names: Iterable[str] = CHECKS, *, checks: dict[str, Check] | None = None, limit: float = LIMIT) -> list[Line]:
    """The lines of these checks, in the order of CHECKS, within `limit` seconds. Changes nothing, raises nothing."""
    checks = CHECKS if checks is None else checks
    chosen = [name for name in checks if name in set(names)]
    answers: dict[str, list[Line]] = {}
    threads = [
        threading.Thread(target=_ask, args=(name, checks[name], answers), name=f"check {name}", daemon=True)
        for name in chosen
    ]
    end = time.monotonic() + limit
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return [line for name in chosen for line in answers.get(name) or [_silent(name, limit)]]


def _ask(name: str, check: Check, answers: dict[str, list[Line]]) -> None:
    try:
        lines = list(check())
    except Exception as error:  # noqa: BLE001 - whatever is broken in the world, the other lines are wanted
        found = f"could not be checked: {type(error).__name__}: {brief(error)}"
        lines = [wrong(name, found, "Mend what the message names, then look again.")]
    finally:
        connections.close_all()
    answers[name] = [_clean(line) for line in lines]


def _clean(line: Line) -> Line:
    return replace(line, found=without_secrets(line.found), do=without_secrets(line.do))


def _silent(name: str, limit: float) -> Line:
    return wrong(
        name, f"no answer within {limit:g} seconds", "Look for a firewall that swallows what it should refuse."
    )
