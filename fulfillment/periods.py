"""A point in the past as operators type it."""

import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

EARLIEST = datetime(2010, 1, 1, tzinfo=UTC)  # before there was a Stripe: a slip of the finger
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class PeriodInvalid(ValueError):
    """Not a period or a date; the message says what would be one."""


def since(text: str) -> datetime:
    """`30m`, `2h` or `3d` before now, or an ISO date or time, in the shop's time zone where it names none."""
    if ago := re.fullmatch(r"(\d{1,5})([mhd])", text, re.ASCII):
        return _plausible(timezone.now() - timedelta(**{UNITS[ago[2]]: int(ago[1])}), text)
    try:
        day = parse_date(text)
        moment = parse_datetime(text) or (datetime(day.year, day.month, day.day) if day else None)  # noqa: DTZ001
    except ValueError:
        moment = None
    if moment is None:
        raise PeriodInvalid(f"{text[:40]!r} is neither a period such as 2h or 3d nor a date such as 2026-01-31")
    return _plausible(timezone.make_aware(moment) if timezone.is_naive(moment) else moment, text)


def _plausible(moment: datetime, text: str) -> datetime:
    if moment < EARLIEST:
        raise PeriodInvalid(f"{text[:40]!r} lies before {EARLIEST:%Y}, when there was nothing to look at")
    return moment
