"""The dashboard's figures in words: each beside what it was before, over as many whole days, weeks or months."""

from dataclasses import dataclass

from babel.numbers import format_decimal, format_percent
from django.utils.translation import get_language, ngettext, to_locale
from django.utils.translation import gettext as _

from catalog import money
from orders.figures import Figures, Looks, Sums


@dataclass(frozen=True)
class Tile:
    """`change` says how much more or less than before, "" where that cannot be said; `trend` is up, down or same."""

    name: str
    value: str
    note: str
    before: str
    change: str = ""
    trend: str = "same"


def tiles(found: Figures) -> list[Tile]:
    now, before, code = found.total, found.total_before, found.currency
    return [
        Tile(
            _("Revenue"),
            money.display(now.revenue, code),
            _("%(amount)s kept after refunds and disputes") % {"amount": money.display(now.kept, code)},
            money.display(before.revenue, code),
            *change(now.revenue, before.revenue),
        ),
        Tile(
            _("Orders"),
            number(now.sales),
            _("and %(number)s that cost nothing") % {"number": number(now.free)},
            number(before.sales),
            *change(now.sales, before.sales),
        ),
        Tile(
            _("Average order"),
            money.display(now.average, code),
            _("taxes included"),
            money.display(before.average, code),
            *change(now.average, before.average),
        ),
        Tile(
            _("Refunds"),
            money.display(now.refunded, code),
            _refunds(now),
            money.display(before.refunded, code),
            *change(now.refunded, before.refunded),
        ),
        Tile(
            _("Conversion"),
            rate(found.looks),
            f"{orders(found.looks.bought)}, {_views(found.looks.views)}",
            rate(found.looks_before),
            *_change_of_rate(found.looks, found.looks_before),
        ),
    ]


def orders(count: int) -> str:
    return ngettext("%(n)s order", "%(n)s orders", count) % {"n": number(count)}


def _views(count: int) -> str:
    return ngettext("%(n)s view", "%(n)s views", count) % {"n": number(count)}


def _refunds(now: Sums) -> str:
    share = percent(now.refunded / now.revenue) if now.revenue else percent(0)
    said = _("%(share)s of the revenue, %(orders)s") % {"share": share, "orders": orders(now.refunds)}
    disputed = _("disputed: %(orders)s") % {"orders": number(now.disputes)}
    return f"{said}; {disputed}" if now.disputes else said


def change(now: int, before: int) -> tuple[str, str]:
    """How much more or less than before, in percent, and its direction."""
    if not before:
        return "", "same"
    return _signed(now / before - 1), _trend(now - before)


def _change_of_rate(now: Looks, before: Looks) -> tuple[str, str]:
    if now.rate is None or not before.rate or max(now.rate, before.rate) > 1:
        return "", "same"
    return _signed(now.rate / before.rate - 1), _trend(now.rate - before.rate)


def _trend(difference: float) -> str:
    if not difference:
        return "same"
    return "up" if difference > 0 else "down"


def _signed(share: float) -> str:
    sign = "+" if share > 0 else "−" if share < 0 else "±"
    return f"{sign}{percent(abs(share), decimals=0)}"


def rate(looks: Looks) -> str:
    """ "–" where no share can be said: nobody looked, or more was bought than looked at, past the page that counts."""
    return "–" if looks.rate is None or looks.rate > 1 else percent(looks.rate)


def percent(share: float, *, decimals: int = 1) -> str:
    """A share in the form of the active language: "4.0 %" is "4.0%" in English."""
    pattern = {0: "#,##0%", 1: "#,##0.0%"}[decimals]
    locale = _locale()
    if locale.startswith("de"):
        pattern = pattern.replace("%", "\u00a0%")
    return format_percent(share, pattern, locale=locale)


def number(value: int) -> str:
    return format_decimal(value, locale=_locale())


def _locale() -> str:
    return to_locale(get_language() or "en")
