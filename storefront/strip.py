"""How the shop is, in one strip: what the alerts look at, by their own rules, each part with the list that shows more.

Nobody outside is asked: neither Stripe nor a bucket makes the admin's first page wait.
"""

from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import User
from catalog.storage_models import StorageLook
from fulfillment import heartbeats
from fulfillment.conditions import CONDITIONS, MOST, UNCHECKED, Case
from fulfillment.models import Alert, Cursor
from fulfillment.needs import orders_in_need
from fulfillment.reconcile import CURSOR
from storefront import health

Kind = Alert.Kind

GOOD, WATCH, BAD = "good", "watch", "bad"
LEVELS = {GOOD: gettext_lazy("fine"), WATCH: gettext_lazy("look at it"), BAD: gettext_lazy("act now")}

SCARCE, GONE = 0.10, 0.03  # of the disk
UNSEEN = timedelta(minutes=15)  # how old a look at the storage may be
OTHERS = (Kind.WEBHOOK, Kind.CLOCK, Kind.MODE, Kind.FRAUD)  # shown while there is something to tell


@dataclass(frozen=True)
class Part:
    """One thing that may be well or not. `address` is where more is told, "" where nowhere."""

    name: str
    level: str
    said: str
    address: str = ""

    @property
    def level_display(self) -> str:
        return str(LEVELS[self.level])


def strip(user: User | AnonymousUser, now: datetime) -> list[Part]:
    """What this person may see of it: each part belongs to a list of the admin. A constant number of statements."""
    return [part for permission, tell in PARTS if user.has_perm(permission) for part in tell(now)]


def _events(now: datetime) -> Iterator[Part]:
    name, cases = _("Events of Stripe"), _cases(Kind.EVENT, now)
    found = health.waiting(now)
    page = "fulfillment_stripeevent"
    if cases:
        failed = any(case.key.endswith(" given up") for case in cases)
        said = ngettext("%(n)s is not handled in time", "%(n)s are not handled in time", len(cases)) % _n(cases)
        oldest = found["oldest_event_seconds"]
        said += f", {_ago(oldest)}" if oldest and not failed else ""
        yield Part(name, BAD, said, _list(page, f"state__exact={'failed' if failed else 'received'}"))
    elif oldest := found["oldest_event_seconds"]:
        yield Part(name, GOOD, _("the oldest waits for %(time)s") % {"time": _span(oldest)}, _list(page))
    else:
        yield Part(name, GOOD, _("all handled"), _list(page))
    yield _mails(now, found)


def _mails(now: datetime, found: dict[str, int]) -> Part:
    name, page = _("Deliveries"), "fulfillment_delivery"
    if late := _cases(Kind.UNDELIVERED, now):
        said = ngettext("%(n)s order is not delivered in time", "%(n)s orders are not delivered in time", len(late))
        return Part(name, BAD, said % _n(late), _list(page, "state__exact=pending"))
    if refused := _cases(Kind.MAIL, now):
        said = ngettext("%(n)s mail could not be delivered", "%(n)s mails could not be delivered", len(refused))
        return Part(name, BAD, said % _n(refused), _list(page, "state__exact=gave_up"))
    if due := found["deliveries_due"]:
        return Part(name, GOOD, ngettext("%(n)s on its way", "%(n)s on their way", due) % {"n": due}, _list(page))
    return Part(name, GOOD, _("all sent"), _list(page))


def _orders(now: datetime) -> Iterator[Part]:
    page, disputes = "orders_order", _cases(Kind.DISPUTE, now)
    attention = list(orders_in_need().values_list("pk", flat=True)[:MOST])
    said = ngettext("%(n)s order needs a person", "%(n)s orders need a person", len(attention)) % _n(attention)
    yield Part(
        _("Attention"),
        BAD if attention else GOOD,
        said if attention else _("no order needs a person"),
        _list(page, "attention=yes"),
    )
    said = ngettext("%(n)s is open: answer it in time", "%(n)s are open: answer them in time", len(disputes))
    yield Part(
        _("Disputes"),
        WATCH if disputes else GOOD,
        said % _n(disputes) if disputes else _("none is open"),
        _list(page, "dispute__exact=open"),
    )


def _books(now: datetime) -> Iterator[Part]:
    page = _list("fulfillment_difference")
    read_to = Cursor.objects.filter(name=CURSOR).values_list("at", flat=True).first()
    if read_to is None:
        yield Part(_("Compared with Stripe"), WATCH, _("never yet"), page)
    else:
        level = BAD if read_to < now - UNCHECKED else GOOD
        yield Part(_("Compared with Stripe"), level, _ago((now - read_to).total_seconds()), page)
    cases = _cases(Kind.BOOKS, now)
    unchecked = any(case.key == "unchecked" for case in cases)
    differ = len(cases) - unchecked
    said = [ngettext("%(n)s difference", "%(n)s differences", differ) % {"n": differ}] if differ else []
    said += [_("not compared lately")] if unchecked else []
    yield Part(_("Bookkeeping"), BAD if cases else GOOD, ", ".join(said) or _("no difference"), page)


def _processes(_now: datetime) -> Iterator[Part]:
    """Leads to what waits for them."""
    page = _list("fulfillment_stripeevent", "state__exact=received")
    pulses = heartbeats.pulses()
    silent = [pulse for pulse in pulses if pulse.age > heartbeats.SILENT]
    if not pulses:
        yield Part(_("Processes"), WATCH, _("no sign of life yet"), page)
    elif silent:
        told = ", ".join(f"{pulse.name} ({_span(pulse.age.total_seconds())})" for pulse in silent)
        yield Part(_("Processes"), BAD, _("silent: %(names)s") % {"names": told}, page)
    else:
        names = ", ".join(pulse.name for pulse in pulses)
        yield Part(_("Processes"), GOOD, _("all at work: %(names)s") % {"names": names}, page)


def _files(now: datetime) -> Iterator[Part]:
    """Leads to the products, each with its files: who may not see files in the admin may see those."""
    page, found = _list("catalog_product"), StorageLook.objects.first()
    if found is None:
        yield Part(_("Files"), WATCH, _("nobody has looked yet"), page)
    elif found.problem:
        yield Part(_("Files"), BAD, found.problem, page)
    elif found.at < now - UNSEEN:
        seen = _ago((now - found.at).total_seconds())
        yield Part(_("Files"), WATCH, _("last seen %(ago)s") % {"ago": seen}, page)
    elif found.free is None or not found.size:
        yield Part(_("Files"), GOOD, _("the storage answers"), page)
    else:
        left = found.free / found.size
        level = BAD if left < GONE else WATCH if left < SCARCE else GOOD
        yield Part(_("Files"), level, _("%(size)s free on the disk") % {"size": filesizeformat(found.free)}, page)


def _others(now: datetime) -> Iterator[Part]:
    for kind in OTHERS:
        if cases := _cases(kind, now):
            more = f" (+{len(cases) - 1})" if len(cases) > 1 else ""
            address = _list("fulfillment_stripeevent") if kind in (Kind.MODE, Kind.FRAUD) else ""
            yield Part(capfirst(str(kind.label)), BAD, cases[0].line + more, address)


PARTS: tuple[tuple[str, Callable[[datetime], Iterator[Part]]], ...] = (
    ("fulfillment.view_stripeevent", _events),
    ("orders.view_order", _orders),
    ("fulfillment.view_difference", _books),
    ("fulfillment.view_stripeevent", _processes),
    ("catalog.view_product", _files),
    ("fulfillment.view_stripeevent", _others),
)


def _cases(kind: Alert.Kind, now: datetime) -> list[Case]:
    return CONDITIONS[kind].find(now)


def _n(cases: Sized) -> dict[str, str]:
    return {"n": f"{len(cases)}+" if len(cases) >= MOST else str(len(cases))}


def _list(model: str, query: str = "") -> str:
    return reverse(f"admin:{model}_changelist") + (f"?{query}" if query else "")


def _ago(seconds: float) -> str:
    return _("%(time)s ago") % {"time": _span(seconds)}


def _span(seconds: float) -> str:
    """Seconds, and from a minute on the largest two units."""
    if seconds < 60:
        return ngettext("%(n)s second", "%(n)s seconds", int(seconds)) % {"n": int(seconds)}
    moment = datetime(2000, 1, 31)  # noqa: DTZ001 - only the difference counts
    return timesince(moment, moment + timedelta(seconds=seconds), depth=1)
