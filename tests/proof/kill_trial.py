"""One trial: from the same rows each time, a process dies at one point, the shop goes on, and the order is checked."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from django.db import connection

from fulfillment.delivery_models import Delivery
from fulfillment.models import StripeEvent
from fulfillment.news_models import Announcement, News
from fulfillment.replay import Selection, replay
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.proof.invariants import changes, snapshot, violations
from tests.proof.kill_flows import Ends, Flow, Stage, ignore, post
from tests.proof.kill_lab import Lab, Tell, in_child, let_go
from tests.proof.kill_points import Kind, passed
from tests.servers import ENVIRONMENT
from tests.steps import events, states

PASSES = 8  # of the sweep, until everything must be done
TIME_PASSES = """
    UPDATE fulfillment_stripeevent SET next_attempt_at = next_attempt_at - interval '16 minutes';
    UPDATE fulfillment_delivery SET next_attempt_at = next_attempt_at - interval '16 minutes';
    UPDATE orders_order SET next_check_at = next_check_at - interval '16 minutes';
"""


@dataclass(frozen=True)
class Trial:
    """`violations` is empty when the order ended as it has to."""

    point: str
    killed: bool
    violations: tuple[str, ...]


class Sweeper:
    """The trials of one flow. Making one runs the flow once in this process, so that its forks have all they need.

    At every `look_again`-th point all is looked at once more after the end, which must change nothing (I20).
    """

    def __init__(self, lab: Lab, flow: Flow, *, look_again: int = 1) -> None:
        self.lab, self.flow, self.look_again = lab, flow, look_again
        lab.clear()
        self.stage = flow.prepare(lab.world)
        lab.keep()
        self.acked = set(StripeEvent.objects.values_list("event_id", flat=True))
        self.mails = lab.world.mails()
        self.stage.act(ignore)
        recover(lab.world, self.stage, self.acked, ignore)
        another_look(self.stage)
        let_go()

    def restore(self) -> None:
        self.lab.restore()
        if self.stage.buyer:  # the only one who changes what Stripe knows, and it knew nothing before
            self.lab.world.control("reset", {})

    def points(self, kind: Kind) -> list[str]:
        """What a run that nobody disturbs comes by."""
        self.restore()
        fate = in_child(lambda tell: passed(kind, partial(self.stage.act, tell)))
        return list(fate.result)

    def trial(self, kind: Kind, number: int, name: str) -> Trial:
        """Die at the point of this number, from 1. A run that comes by fewer points ends by itself; it counts too."""
        self.restore()
        dying = in_child(lambda tell: passed(kind, partial(self.stage.act, tell), deadly=number))
        cut_off = self.may_be_out()
        acked = self.acked.union(dying.told)
        next_one = in_child(lambda tell: recover(self.lab.world, self.stage, acked, tell))
        ends, letters, wrong = next_one.result
        wrong += self.violations(acked.union(next_one.told), cut_off=cut_off)
        if ends != [self.flow.ends]:
            wrong.append(f"it ended as {ends}")
        if letters != list(self.flow.letters):
            wrong.append(f"the letters ended as {letters}")
        if number % self.look_again == 0:
            wrong += in_child(lambda _tell: another_look(self.stage)).result
        return Trial(point=name, killed=not dying.lived, violations=tuple(wrong))

    def violations(self, acked: set[str], *, cut_off: bool) -> list[str]:
        return violations(
            self.lab.database,
            ledger=self.lab.world.control("ledger")["sessions"],
            acked=acked,
            mails=[*self.mails, *self.lab.world.mails()],
            staff=[ENVIRONMENT["ADMINS"]],
            cut_off=cut_off,
        )

    def may_be_out(self) -> bool:
        """Whether the process died between saying that a mail's text leaves and noting the reply (F31)."""
        query = "SELECT FROM fulfillment_deliveryattempt WHERE phase = 'body' AND finished_at IS NULL"
        return self.lab.database.execute(query).fetchone() is not None


def recover(world: World, stage: Stage, acked: set[str], tell: Tell) -> tuple[list[Ends], list[str], list[str]]:
    """What people, Stripe and the shop do after a crash: what was not acknowledged is posted again, the rest is swept.

    Leases and waits are over at once. Tells the events that were acknowledged; returns how the orders ended, of which
    there has to be one, how the letters did, and the errors on the way.
    """
    with collected_errors() as errors:
        if stage.buyer:
            stage.buyer()
        for event in () if stage.silent else events(world):
            if event["id"] not in acked:
                post(event, tell)
        for _ in range(PASSES):
            go_on(stage)
            if is_quiet():
                break
    ends = [states(order) for order in Order.objects.all()]
    letters = list(Delivery.objects.filter(order=None).order_by("pk").values_list("state", flat=True))
    return [(state, sorted(access), sorted(mails)) for state, access, mails in ends], letters, errors


def another_look(stage: Stage) -> list[str]:
    """What changes when everything is looked at once more; nothing may (I20)."""
    before = snapshot(connection)
    go_on(stage)
    replay(Selection(orders=tuple(Order.objects.values_list("reference", flat=True))), say=ignore)
    return changes(before, snapshot(connection))


def go_on(stage: Stage) -> None:
    """A quarter of an hour later."""
    with connection.cursor() as cursor:
        cursor.execute(TIME_PASSES)
    sweep()
    stage.beat()


def is_quiet() -> bool:
    waiting = (
        StripeEvent.objects.filter(state=StripeEvent.State.RECEIVED),
        Delivery.objects.filter(state__in=Delivery.DUE_STATES),
        News.objects.filter(delivery=None),
        Announcement.objects.filter(done_at=None),
    )
    return not any(rows.exists() for rows in waiting)


@contextmanager
def collected_errors() -> Iterator[list[str]]:
    """I19: what is logged as an error, tracebacks too, while nothing is broken."""
    found: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: found.append(f"I19 quiet: {handler.format(record)}")  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield found
    finally:
        root.removeHandler(handler)
