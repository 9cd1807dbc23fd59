"""The admin's first page: how the shop is, and what it earned, as far as whoever looks may see."""

from datetime import date
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from catalog import money
from orders import figures
from orders.figures import Figures, Seller
from orders.models import Order
from orders.spans import UNITS
from storefront import charts, tiles
from storefront.strip import strip

PERMISSION = "orders.view_figures"

# What a unit is called: its button, what is looked at, what it is compared with, the one that still runs, its bar.
WORDS = {
    "day": (
        gettext_lazy("Days"),
        gettext_lazy("The last 30 days"),
        gettext_lazy("the 30 days before"),
        gettext_lazy("Today so far"),
        gettext_lazy("today"),
    ),
    "week": (
        gettext_lazy("Weeks"),
        gettext_lazy("The last 12 weeks"),
        gettext_lazy("the 12 weeks before"),
        gettext_lazy("This week so far"),
        gettext_lazy("this week"),
    ),
    "month": (
        gettext_lazy("Months"),
        gettext_lazy("The last 12 months"),
        gettext_lazy("the 12 months before"),
        gettext_lazy("This month so far"),
        gettext_lazy("this month"),
    ),
}
SOURCES = {
    Order.Source.CHECKOUT.value: gettext_lazy("the shop’s pages"),
    Order.Source.PAYMENT_LINK.value: gettext_lazy("Payment Links"),
    Order.Source.FREE.value: gettext_lazy("free products"),
    Order.Source.MANUAL.value: gettext_lazy("given by hand"),
}


def dashboard(request: HttpRequest) -> dict[str, Any]:
    """What the template shows; parts that this person may not see are empty."""
    context: dict[str, Any] = {"strip": strip(request.user, timezone.now())}
    if request.user.has_perm(PERMISSION):
        unit = request.GET.get("period", "")
        found = figures.read(unit if unit in UNITS else "day", request.GET.get("currency", ""))
        context |= _figures(request, found)
    return context


def _figures(request: HttpRequest, found: Figures) -> dict[str, Any]:
    _button, title, before, so_far, running = WORDS[found.span.unit]
    code = found.currency
    return {
        "figures": found,
        "title": title,
        "before": before,
        "units": [(key, words[0], key == found.span.unit) for key, words in WORDS.items()],
        "currencies": [(each, each.upper(), each == code) for each in found.currencies],
        "days": _days(found),
        "zone": timezone.get_default_timezone_name(),
        "tiles": tiles.tiles(found),
        "so_far": so_far,
        "so_far_revenue": money.display(found.so_far.revenue, code),
        "so_far_orders": tiles.orders(found.so_far.sales),
        "so_far_refunded": money.display(found.so_far.refunded, code) if found.so_far.refunded else "",
        "charts": [_revenue(found, str(running)), _orders(found, str(running))],
        "best": [_seller(request, each, code) for each in found.best],
        "sources": [
            (SOURCES.get(source, source), tiles.number(one.orders), money.display(one.revenue, code))
            for source, one in sorted(found.sources.items(), key=lambda each: (-each[1].revenue, each[0]))
        ],
    }


def _days(found: Figures) -> str:
    """The first and the last of the days that are summed up."""
    last = date.fromordinal(found.span.running.toordinal() - 1)
    return f"{date_format(found.span.first_now, 'j M Y')} – {date_format(last, 'j M Y')}"


def _label(found: Figures, start: date) -> str:
    return date_format(start, "M Y" if found.span.unit == "month" else "j M")


def _labels(found: Figures, running: str) -> list[str]:
    return [*(_label(found, start) for start in found.span.now), running]


def _revenue(found: Figures, running: str) -> dict[str, Any]:
    code, before = found.currency, [one.revenue for one in found.bars_before]
    values = [
        charts.Value(label, one.revenue, one.kept, earlier)
        for label, one, earlier in zip(_labels(found, running), found.bars, [*before, None], strict=True)
    ]
    head = [_("Revenue"), _("Refunded"), _("Lost in disputes"), pgettext("revenue", "Before")]
    cells = [
        [money.display(amount, code) for amount in (one.revenue, one.refunded, one.lost)] + [_shown(earlier, code)]
        for one, earlier in zip(found.bars, [*before, None], strict=True)
    ]
    total = _("%(amount)s in all, before %(before)s.") % {
        "amount": money.display(found.total.revenue, code),
        "before": money.display(found.total_before.revenue, code),
    }
    drawn = charts.chart(values)
    return _chart(found, "revenue", _("Revenue"), total, drawn, head, cells) | {
        "top": money.display(drawn.top, code),
        "half": money.display(drawn.half, code),
        "has_gone": True,
    }


def _orders(found: Figures, running: str) -> dict[str, Any]:
    before = [one.sales for one in found.bars_before]
    values = [
        charts.Value(label, one.sales, one.sales, earlier)
        for label, one, earlier in zip(_labels(found, running), found.bars, [*before, None], strict=True)
    ]
    head = [_("Orders"), _("Free"), _("Refunded"), pgettext("orders", "Before")]
    cells = [
        [tiles.number(number) for number in (one.sales, one.free, one.refunds)]
        + [tiles.number(earlier) if earlier is not None else "–"]
        for one, earlier in zip(found.bars, [*before, None], strict=True)
    ]
    total = _("%(number)s in all, before %(before)s.") % {
        "number": tiles.number(found.total.sales),
        "before": tiles.number(found.total_before.sales),
    }
    drawn = charts.chart(values)
    return _chart(found, "orders", _("Orders"), total, drawn, head, cells) | {
        "top": tiles.number(drawn.top),
        "half": tiles.number(drawn.half),
    }


def _chart(
    found: Figures, key: str, name: str, total: str, drawn: charts.Chart, head: list[str], cells: list[list[str]]
) -> dict[str, Any]:
    labels = [bar.value.label for bar in drawn.bars]
    return {
        "key": key,
        "name": name,
        "total": total,
        "chart": drawn,
        "bars": drawn.bars[:-1],
        "running": drawn.bars[-1],
        "ends": [labels[0], labels[len(labels) // 2], labels[-1]],
        "head": [{"day": _("Day"), "week": _("Week from"), "month": _("Month")}[found.span.unit], *head],
        "rows": list(zip(labels, cells, strict=True)),
    }


def _shown(amount: int | None, code: str) -> str:
    return "–" if amount is None else money.display(amount, code)


def _seller(request: HttpRequest, seller: Seller, code: str) -> dict[str, Any]:
    return {
        "product_id": seller.product_id if request.user.has_perm("catalog.view_product") else None,
        "name": seller.name,
        "units": tiles.number(seller.units),
        "revenue": money.display(seller.revenue, code),
        "views": tiles.number(seller.looks.views),
        "rate": tiles.rate(seller.looks),
    }
