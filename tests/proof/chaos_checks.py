"""After a chaos run: wait until all is done, hold it against the sandbox's ledger, read the logs, take the times."""

import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.proof.chaos_faults import Injected
from tests.proof.chaos_traffic import Crowd, Purchase, Refused
from tests.proof.invariants import acknowledged, changes, snapshot, violations
from tests.proof.stack import STAFF, Stack

DRAIN = 120.0  # seconds after the healing
SOON = re.compile(r"I(2|3|4|5|9|11|12)\b")  # what a look or a mail to come may still put right; the rest is history
SETTLED = 12.0  # seconds after which no sender can be alive that waited for something broken
IN_LIBRARY, IN_MAIL = 2.0, 5.0  # seconds, at the 99th percentile
MAIL_LIMIT = 1_000_000

WAITING = """
    SELECT (SELECT count(*) FROM fulfillment_stripeevent WHERE state = 'received'),
        (SELECT count(*) FROM fulfillment_delivery WHERE state IN ('pending', 'sending', 'unconfirmed'))"""
# Time that a test does not wait for: leases of the dead, back-offs, the next look at an order, the quarter of an hour
# before an unconfirmed mail is repeated. A lease that was taken since the healing is left alone: its holder lives.
BROUGHT_FORWARD = (
    """UPDATE fulfillment_stripeevent SET next_attempt_at = now() WHERE state = 'received'
        AND next_attempt_at > now() AND (claim IS NULL OR next_attempt_at < %(held)s)""",
    """UPDATE fulfillment_delivery SET next_attempt_at = now() WHERE state IN ('pending', 'sending', 'unconfirmed')
        AND next_attempt_at > now() AND (claim IS NULL OR next_attempt_at < %(held)s)""",
    "UPDATE orders_order SET next_check_at = now() WHERE next_check_at > now()",
)
LEASE = 60.0
TIMES = """
    SELECT o.stripe_session_id, min(e.created_at), max(d.sent_at)
    FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id
    LEFT JOIN fulfillment_entitlement e ON e.order_line_id = l.id
    LEFT JOIN fulfillment_delivery d ON d.order_id = o.id AND d.kind = 'order' AND d.seq = 1
    GROUP BY o.id"""

FINE = ("200", "503", "None")  # None: no answer arrived

# How a traceback in a log may end: what we broke, told by whoever met it. Anything else is a finding.
ALLOWED = {
    "the database went away": r"(psycopg|django\.db\.utils|psycopg_pool)[\w.]*\."
    r"(OperationalError|InterfaceError|AdminShutdown|CrashShutdown|CannotConnectNow|PoolTimeout)\b",
    "the broker went away": r"(redis|kombu|amqp|celery|billiard)\.[\w.]*(ConnectionError|OperationalError|TimeoutError"
    r"|ConnectionForced|RecoverableConnectionError|ConnectionDoesNotExistError|WorkerLostError)\b",
    "beat could wake nobody": r"celery\.beat\.SchedulingError: Couldn't apply scheduled task .*"
    r"(Timeout|timed out|Error while reading|Error \d+|Connection|connection|socket)",
    "a connection broke": r"(ConnectionResetError|ConnectionRefusedError|BrokenPipeError|ConnectionAbortedError"
    r"|TimeoutError)\b",
    # kombu 5.7.0 trips over its own closed connection; Celery's worker ends, and is started again.
    "the worker lost the broker": r"AttributeError: 'NoneType' object has no attribute 'hostname'",
    "Stripe did not answer": r"orders\.stripe_api\.(StripeUnavailable|StripeBroken)\b",
}
LED_TO = re.compile(r"The above exception was the direct cause|During handling of the above exception")
STAMP = re.compile(r"\[?\d{4}-\d\d-\d\d ")


@dataclass
class Outside:
    """What the sandbox knows at the end."""

    ledger: list[dict[str, Any]]
    events: list[dict[str, Any]]
    mails: list[dict[str, Any]]

    @classmethod
    def ask(cls, crowd: Crowd) -> "Outside":
        return cls(
            ledger=crowd.control("ledger")["sessions"],
            events=crowd.control("events?limit=1000000")["events"],
            mails=crowd.control(f"mails?limit={MAIL_LIMIT}")["mails"],
        )


@dataclass
class Verdict:
    """Everything that was found wrong, and how long the rest took."""

    violations: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def drain(stack: Stack, crowd: Crowd, healed_at: datetime) -> list[str]:
    """Wait until nothing waits any more and every invariant holds; what is still violated at the end.

    What nobody told the shop of and no row of its own leads to (a Payment Link whose events were never sent) is found
    by the reconcile that beat starts every ten minutes: it is run now, once it is all that is missing.
    """
    next_push, reconciled = SETTLED, False
    found = ["I9 drained: nothing was looked at"]
    with stack.connect() as connection:
        while (passed := time.time() - healed_at.timestamp()) < DRAIN:
            stack.tend()
            if passed >= next_push:
                next_push = passed + 6
                bring_forward(connection, healed_at)
                crowd.control("events/hurry", {})
            (waiting,) = connection.execute(WAITING).fetchall()
            if is_quiet(crowd) and not any(waiting):
                found = check(connection, Outside.ask(crowd), healed_at)
                if not any(map(SOON.match, found)):
                    return found
                if passed > SETTLED + 10 and not reconciled:
                    reconciled = True
                    stack.manage("reconcile", "--since", "3h")
                time.sleep(1)
            time.sleep(0.3)
        return [*found, *([f"I9 drained: {waiting} events and mails still wait"] if any(waiting) else [])]


def bring_forward(connection: Any, healed_at: datetime) -> None:
    held = datetime.fromtimestamp(healed_at.timestamp() + LEASE, UTC)
    for statement in BROUGHT_FORWARD:
        connection.execute(statement, {"held": held})


def is_quiet(crowd: Crowd) -> bool:
    try:
        crowd.control("quiet?seconds=0")
    except Refused:
        return False
    return True


def check(connection: Any, outside: Outside, healed_at: datetime | None) -> list[str]:
    return violations(
        connection,
        ledger=outside.ledger,
        acked=acknowledged(outside.events),
        mails=outside.mails,
        staff=[STAFF],
        healed_at=healed_at,
    )


def once_more(stack: Stack, crowd: Crowd) -> tuple[list[str], dict[str, str]]:
    """I20: reconcile once, as beat does; then sweeping, reconciling and replaying all of it must change nothing."""
    found: list[str] = []
    said: dict[str, str] = {}
    said["reconcile"] = run(stack, found, "reconcile", "--since", "3h")
    with stack.connect() as connection:
        before = snapshot(connection)
        said["sweep again"] = run(stack, found, "sweep")
        said["reconcile again"] = run(stack, found, "reconcile", "--since", "3h")
        said["replay"] = run(stack, found, "replay", "--since", "3h")
        found += changes(before, snapshot(connection))
    return found, said


def run(stack: Stack, found: list[str], *words: str) -> str:
    """The last line of a command that must end well."""
    code, said = stack.manage(*words)
    if code:
        found.append(f"I20 {' '.join(words)} ended with {code}: {said[-500:]}")
    return said.strip().rpartition("\n")[2]


# Logs


def tracebacks(folder: Path) -> Iterator[tuple[str, str]]:
    """The log and the last line of each traceback: of those that led to one another, the last one's."""
    for path in sorted(folder.glob("*.log")):
        inside, ended_with = False, ""
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("Traceback (most recent call last)"):
                inside = True
            elif inside and line and not line.startswith((" ", "\t", "|", "+")):
                inside, ended_with = False, line
            elif ended_with and LED_TO.match(line):
                ended_with = ""
            elif ended_with and STAMP.match(line):
                yield path.stem, ended_with
                ended_with = ""
        if ended_with:
            yield path.stem, ended_with


def quiet_logs(folder: Path) -> tuple[list[str], Counter[str]]:
    """I19: the tracebacks that nothing we broke explains, and how many each allowed reason explains."""
    found, explained = [], Counter[str]()
    for log, line in tracebacks(folder):
        for reason, pattern in ALLOWED.items():
            if re.match(pattern, line):
                explained[reason] += 1
                break
        else:
            found.append(f"I19 quiet: {log}: {line[:300]}")
    return found, explained


def answers_to_stripe(outside: Outside) -> list[str]:
    """F7: a signed event is stored or asked for again; whatever is broken, it is neither refused nor crashed upon."""
    given = Counter(str(one["status"]) for one in tries(outside))
    return [f"F7 {count} signed events were answered {status}" for status, count in given.items() if status not in FINE]


# Figures


def tries(outside: Outside) -> list[dict[str, Any]]:
    return [one for event in outside.events for delivery in event["deliveries"] for one in delivery["tries"]]


def webhook_figures(outside: Outside) -> dict[str, Any]:
    deliveries = [delivery for event in outside.events for delivery in event["deliveries"]]
    posts = tries(outside)
    took = [one["milliseconds"] for one in posts if one["status"] == 200]
    return {
        "events": len(outside.events),
        "posts": len(posts),
        "never sent": sum(1 for one in deliveries if one["state"] == "dropped"),
        "answers": dict(Counter(str(one["status"]) for one in posts)),
        "acknowledged ms": percentiles(took),
    }


def mail_figures(outside: Outside) -> dict[str, int]:
    by_id = Counter(mail["message_id"] for mail in outside.mails if STAFF not in mail["to"])
    return {
        "mails": sum(by_id.values()),
        "to staff": sum(1 for mail in outside.mails if STAFF in mail["to"]),
        "kept unconfirmed": sum(1 for mail in outside.mails if not mail["confirmed"]),
        "second copies": sum(count - 1 for count in by_id.values()),
    }


def timings(stack: Stack, crowd: Crowd, outside: Outside, faults: list[Injected], began: float) -> dict[str, Any]:
    """I18: seconds from the payment to the library and to the accepted mail, while nothing was broken. A figure, and no
    verdict: it says as much of the machine as of the shop.

    Counted are payments with no fault in force from five seconds before to five after, whose event Stripe sent at once.
    """
    prompt = promptly_told(outside)
    with stack.connect() as connection:
        rows: dict[str, tuple[Any, Any]] = {str(row[0]): (row[1], row[2]) for row in connection.execute(TIMES)}
    calm = [
        one
        for one in crowd.bought
        if one.session in prompt and is_calm(one.paid_at - began, faults) and one.session in rows
    ]
    library = [since(one, rows[one.session][0]) for one in calm if rows[one.session][0]]
    mail = [since(one, rows[one.session][1]) for one in calm if rows[one.session][1]]
    to_library, to_mail = percentiles(library), percentiles(mail)
    in_time = to_library.get("p99", 0) <= IN_LIBRARY and to_mail.get("p99", 0) <= IN_MAIL
    return {"orders": len(calm), "paid to library s": to_library, "paid to mail s": to_mail, "in time": in_time}


def promptly_told(outside: Outside) -> set[str]:
    """Sessions whose payment was told within a second of it, and heard."""
    found = set()
    for event in outside.events:
        if event["type"] in ("checkout.session.completed", "checkout.session.async_payment_succeeded"):
            first = [one for delivery in event["deliveries"] for one in delivery["tries"][:1]]
            if first and first[0]["status"] == 200 and first[0]["at"] - event["created"] < 2:
                found.add(str(event["data"]["object"]["id"]))
    return found


def is_calm(at: float, faults: Iterable[Injected], around: float = 5.0) -> bool:
    return not any(one.at - around < at < one.until + around for one in faults)


def since(purchase: Purchase, at: datetime) -> float:
    return max(0.0, at.timestamp() - purchase.paid_at)


def percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(values), 3)}
