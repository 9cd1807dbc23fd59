"""Fulfill again what an operator names: the same act as every door's, so running it twice changes nothing."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from fulfillment import event_types, inbox, measures
from fulfillment.fulfill import fulfill
from fulfillment.models import StripeEvent
from fulfillment.preview import Preview, preview
from orders import stripe_api
from orders.models import Order

SHOW_EVERY = 100  # things replayed
LONGEST_NAME = 80  # of a thing, as it is shown
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to replay. Single things are named by id; `type`, `since` and `failed` narrow the inbox together.

    `since` alone takes the orders begun since then along, whose events may never have come.
    """

    events: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    type: str = ""
    since: datetime | None = None
    failed: bool = False


@dataclass
class Replayed:
    """How it went. `sessions`: each session of this run and why it is not ours, so that none is asked about twice.

    `previews` are those of a dry run that would change something, `left` the lines about what was skipped or failed.
    """

    sessions: dict[str, str] = field(default_factory=dict)
    previews: list[Preview] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return self.counts["failed"]

    def __str__(self) -> str:
        skipped, changed = self.counts["skipped"], self.counts["changed"]
        changes = f", {changed} would change" if changed else ""
        return f"{len(self.sessions)} sessions{changes}, {skipped} skipped, {self.failed} failed"


@dataclass(frozen=True)
class _Thing:
    """One thing to replay, and how to learn its session; `event` is the inbox row that is handled by it."""

    name: str
    session: Callable[[], str]
    event: StripeEvent | None = None


class _NotOurs(Exception):
    """It leads to no session that could be fulfilled; the message says why."""


def replay(selection: Selection, *, dry_run: bool = False, say: Say = print) -> Replayed:
    """Fulfill each distinct session of the selection, inline; an event is handled once its session is.

    `dry_run` says what would change and writes nothing. One that fails is said and counted, and never stops the
    others. May be stopped anywhere and run again.
    """
    replayed = Replayed()
    for number, thing in enumerate(_things(selection), 1):
        try:
            _replay_one(thing, replayed, dry_run=dry_run, say=say)
        except (_NotOurs, inbox.EventIgnored) as reason:
            replayed.counts["skipped"] += 1
            replayed.left.append(f"{thing.name}: skipped, {reason}")
            say(replayed.left[-1])
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:  # noqa: BLE001 - said and counted; the others go on
            replayed.counts["failed"] += 1
            replayed.left.append(f"{thing.name}: failed, {type(error).__name__}: {error}")
            say(replayed.left[-1])
        if number % SHOW_EVERY == 0:
            say(f"{number} so far: {replayed}")
    return replayed


def _replay_one(thing: _Thing, replayed: Replayed, *, dry_run: bool, say: Say) -> None:
    try:
        session_id = thing.session()
        if session_id not in replayed.sessions:
            replayed.sessions[session_id] = _preview(session_id, replayed, say) if dry_run else _fulfill(session_id)
        reason = replayed.sessions[session_id]
    except inbox.EventIgnored as ignored:
        reason = str(ignored)
    if thing.event and not dry_run:
        _settle(thing.event, reason)
    if reason:
        raise _NotOurs(reason)


def _fulfill(session_id: str) -> str:
    """Why it is not ours, or ""."""
    outcome = fulfill(session_id, door="replay")
    if outcome.stale:
        raise stripe_api.StripeUnavailable("others are changing the same order")
    return outcome.reason


def _preview(session_id: str, replayed: Replayed, say: Say) -> str:
    seen = preview(session_id, door="replay")
    if seen.changes:
        replayed.counts["changed"] += 1
        replayed.previews.append(seen)
        say(f"{seen.name}:")
    for change in seen.changes:
        say(f"    {change}")
    return seen.reason


def _settle(event: StripeEvent, reason: str) -> None:
    """A row that waited or had failed is done with. One that was settled before stays as it is, unless it was ignored
    and turned out to be ours."""
    states = StripeEvent.State
    open_states = [states.RECEIVED, states.FAILED] if reason else [states.RECEIVED, states.FAILED, states.IGNORED]
    state = states.IGNORED if reason else states.HANDLED
    settled = StripeEvent.objects.filter(pk=event.pk, state__in=open_states)
    if settled.update(state=state, handled_at=timezone.now(), note=reason, claim=None):
        measures.event_settled(event.type, state)


def _things(selection: Selection) -> Iterator[_Thing]:
    for session_id in selection.sessions:
        yield _Thing(_shown(session_id), partial(_session_named, session_id))
    for reference in selection.orders:
        yield _Thing(_shown(reference), partial(_session_of_order, reference))
    for event_id in selection.events:
        # Nothing else is asked of the database, which takes no NUL.
        known = StripeEvent.objects.filter(event_id=event_id) if inbox.EVENT_ID.fullmatch(event_id) else None
        event = known.first() if known is not None else None
        yield _Thing(_shown(event_id), partial(_session_of_event, event), event)
    if selection.type or selection.since or selection.failed:
        yield from _inbox(selection)
    if selection.since and not (selection.type or selection.failed):
        begun = Order.objects.filter(created_at__gte=selection.since, livemode=stripe_api.is_live())
        for session in begun.exclude(stripe_session_id=None).order_by("pk").values_list("stripe_session_id", flat=True):
            yield _Thing(str(session), partial(str, session))


def _inbox(selection: Selection) -> Iterator[_Thing]:
    """Events of the types that lead to a session, the oldest first."""
    events = StripeEvent.objects.filter(type__in=event_types.TYPES, livemode=stripe_api.is_live())
    if selection.type:
        events = events.filter(type=selection.type)
    if selection.since:
        events = events.filter(received_at__gte=selection.since)
    if selection.failed:
        events = events.filter(state=StripeEvent.State.FAILED)
    # Ids first: what is replayed must not depend on what replaying changes, nor fill the memory with bodies.
    for pk in list(events.order_by("received_at", "pk").values_list("pk", flat=True)):
        event = StripeEvent.objects.get(pk=pk)
        yield _Thing(event.event_id, partial(_session_of_event, event), event)


def _shown(typed: str) -> str:
    """What an operator typed, on one line and not endless."""
    return typed if typed.isprintable() and len(typed) <= LONGEST_NAME else f"{typed[:LONGEST_NAME]!r}…"


def _session_named(session_id: str) -> str:
    if not stripe_api.SESSION_ID.fullmatch(session_id):
        raise LookupError("that is not the id of a Checkout Session")
    return session_id


def _session_of_order(reference: str) -> str:
    wanted = reference.strip().upper()
    order = Order.objects.filter(reference=wanted).first() if wanted.isalnum() else None
    if order is None:
        raise LookupError("there is no such order")
    if not order.stripe_session_id:
        raise _NotOurs("it has no Checkout Session")
    return order.stripe_session_id


def _session_of_event(event: StripeEvent | None) -> str:
    if event is None:
        raise LookupError("there is no such event in the inbox: reconcile fetches what is missing")
    if event.livemode != stripe_api.is_live():
        raise _NotOurs("it belongs to the other mode than this shop's key")
    return inbox.session_of(event)
