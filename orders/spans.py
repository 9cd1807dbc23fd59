"""Days, weeks and months to compare: so many whole ones, as many before them, and the one that still runs."""

from dataclasses import dataclass
from datetime import date, timedelta

UNITS = {"day": 30, "week": 12, "month": 12}  # how many whole ones are looked at


@dataclass(frozen=True)
class Span:
    """Every unit is named by its first day, the oldest first. `running` is not over yet, so it is never compared."""

    unit: str
    now: tuple[date, ...]
    before: tuple[date, ...]
    running: date

    @property
    def first(self) -> date:
        return self.before[0]

    @property
    def first_now(self) -> date:
        return self.now[0]


def span(unit: str, today: date) -> Span:
    """The last whole units before the one with `today` in it."""
    many = UNITS[unit]
    running = start(unit, today)
    starts = tuple(_back(unit, running, n) for n in range(2 * many, 0, -1))
    return Span(unit, starts[many:], starts[:many], running)


def start(unit: str, day: date) -> date:
    """The first day of the unit with `day` in it; a week begins on Monday (ISO 8601)."""
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def _back(unit: str, first: date, number: int) -> date:
    if unit == "month":
        months = first.year * 12 + first.month - 1 - number
        return date(months // 12, months % 12 + 1, 1)
    return first - timedelta(days=number * {"day": 1, "week": 7}[unit])
