"""What fulfilling again would change, in sentences for people of the shop."""

from collections.abc import Callable, Iterator

from django.utils.translation import gettext as _

from catalog import money
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from orders.models import Order

Fields = dict[str, str]
Snapshot = dict[str, Fields]  # row → field → value, as `preview` reads them


def sentences(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """Never empty where the two differ."""
    told = [
        said
        for row, fields in after.items()
        for kind, _space, name in [row.partition(" ")]
        if kind in TELLERS and fields != before.get(row)
        for said in TELLERS[kind](name, before.get(row, {}), fields, after)
    ]
    if not told and before != after:
        told = [_("Would change details of the order that no sentence tells: see the fields.")]
    return tuple(dict.fromkeys(told))


def _order(_name: str, old: Fields, new: Fields, _all: Snapshot) -> Iterator[str]:
    def differs(field: str) -> bool:
        return new[field] != old.get(field, "")

    if not old:
        yield _("Would record an order that the shop does not have.")
    if differs("state"):
        yield _("Would mark the order “%(state)s”.") % {"state": Order.State(new["state"]).label}
    if differs("total") and new["total"]:
        yield _("Would note %(amount)s as the total.") % {"amount": money.display(int(new["total"]), new["currency"])}
    if differs("refunded") and (old or new["refunded"] != "0"):
        amount = money.display(int(new["refunded"]), new["currency"])
        yield _("Would note that %(amount)s are refunded in all.") % {"amount": amount}
    if differs("dispute"):
        state = Order.Dispute(new["dispute"]).label
        yield _("Would note the dispute: %(state)s.") % {"state": state}
    if differs("email") and new["email"]:
        yield _("Would note %(email)s as the order’s address.") % {"email": new["email"]}
    if differs("attention"):
        yield (
            _("Would ask for a person: %(why)s") % {"why": new["attention"]}
            if new["attention"]
            else _("Would take back that the order needs a person.")
        )


def _line(name: str, old: Fields, new: Fields, every: Snapshot) -> Iterator[str]:
    if not old:
        yield _("Would add “%(product)s” to the order.") % {"product": name}
    elif new["refunded"] != old["refunded"]:
        amount = money.display(int(new["refunded"]), every["order"]["currency"])
        yield _("Would note that %(amount)s of “%(product)s” are refunded.") % {"amount": amount, "product": name}


def _entitlement(name: str, old: Fields, new: Fields, every: Snapshot) -> Iterator[str]:
    whose = {"product": name, "email": new["email"] or every["order"]["email"]}
    if new["state"] == old.get("state"):
        if new["email"] != old["email"]:
            yield _("Would make “%(product)s” belong to %(email)s.") % whose
    elif new["state"] == Entitlement.State.ACTIVE:
        yield _("Would give access to “%(product)s” to %(email)s.") % whose
    elif new["state"] == Entitlement.State.SUSPENDED:
        yield _("Would suspend the access of %(email)s to “%(product)s”.") % whose
    else:
        yield _("Would take access to “%(product)s” away from %(email)s.") % whose


def _delivery(name: str, old: Fields, new: Fields, _all: Snapshot) -> Iterator[str]:
    mail = {"mail": Delivery.Kind(name.split(" ", maxsplit=1)[0]).label, "email": new["recipient"]}
    if not old:
        yield _("Would write the mail “%(mail)s” to %(email)s.") % mail
    elif new["state"] != old["state"] and new["state"] == Delivery.State.WITHDRAWN:
        yield _("Would withdraw the mail “%(mail)s” to %(email)s.") % mail
    elif new["state"] != old["state"]:
        state = Delivery.State(new["state"]).label
        yield _("Would set the mail “%(mail)s” to %(email)s to “%(state)s”.") % {**mail, "state": state}


Tell = Callable[[str, Fields, Fields, Snapshot], Iterator[str]]
TELLERS: dict[str, Tell] = {"order": _order, "line": _line, "entitlement": _entitlement, "delivery": _delivery}
