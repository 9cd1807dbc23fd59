"""This machine's clock, beside Stripe's and the database's."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from django.conf import settings
from django.db import DatabaseError, connection

from storefront.production import web
from storefront.production.lines import Line, brief, ok, warning, wrong

NOTICED, TOO_MUCH = 5.0, 60.0  # seconds; at 300 the shop refuses every webhook
SET = "Let NTP set it: timedatectl set-ntp true"


def check() -> Iterator[Line]:
    yield _beside_stripe()
    yield _beside_database()


def _beside_stripe() -> Line:
    """By the Date header, which any answer has: no key is sent."""
    name = "clock and Stripe's"
    before = time.time()
    try:
        answer = web.get(settings.STRIPE_API_BASE)
        there = parsedate_to_datetime(answer.headers.get("Date") or "").timestamp()
    except web.NoAnswer as error:
        return warning(name, f"not compared: {error}", "May this machine reach api.stripe.com, port 443?")
    except (TypeError, ValueError):
        return warning(name, "not compared: the answer bears no date", "Is there a proxy between here and Stripe?")
    # The header counts whole seconds.
    return _line(name, there + 0.5, before, time.time())


def _beside_database() -> Line:
    name = "clock and the database's"
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            before = time.time()
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            there, after = cursor.fetchone()[0], time.time()
    except DatabaseError as error:
        return warning(name, f"not compared: {brief(error)}", "Mend the database first.")
    return _line(name, there, before, after)


def _line(name: str, there: float, before: float, after: float) -> Line:
    """The moment in between is ours; half the time that the answer took cannot be told from a wrong clock."""
    apart = (before + after) / 2 - there
    doubt = (after - before) / 2
    surely = max(0.0, abs(apart) - doubt)
    side = "ahead" if apart > 0 else "behind"
    if surely > TOO_MUCH:
        return wrong(name, f"{abs(apart):.0f} seconds {side}: beyond 300 every webhook is refused", SET)
    if surely > NOTICED:
        return warning(name, f"{abs(apart):.0f} seconds {side}", SET)
    return ok(name, "agree within seconds")
