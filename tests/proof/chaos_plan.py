"""What happens in a chaos run, and when: who buys what, and what is broken. The same seed gives the same plan."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

# What buyers do, and how often.
BUYERS = {
    "card": 32, "member": 12, "double click": 6, "link": 7, "free link": 3, "free": 7, "debit": 8, "failed debit": 4,
    "declined": 4, "declined and left": 2, "expired": 3, "abandoned": 3, "refunded": 5, "partly refunded": 4,
    "refund fails": 3, "dispute won": 3, "dispute lost": 2, "dispute open": 2,
}  # fmt: skip

# What breaks, which part of it, and how often.
FAULTS = {
    ("kill", "web worker"): 3, ("kill", "web"): 1, ("kill", "worker"): 2, ("kill", "worker child"): 2,
    ("kill", "mail"): 1, ("kill", "mail child"): 2, ("kill", "sweep1"): 1, ("kill", "sweep2"): 1, ("kill", "beat"): 1,
    ("stop", "web worker"): 2, ("stop", "web"): 1, ("stop", "worker"): 2, ("stop", "mail"): 1, ("stop", "sweep1"): 1,
    ("stop", "beat"): 1,
    ("broker", "refused"): 2, ("broker", "frozen"): 2, ("broker", "flushed"): 2, ("broker", "restarted"): 2,
    ("postgres", "restarted"): 3, ("postgres", "cut before commit"): 3, ("postgres", "cut after commit"): 3,
    ("smtp", "refused"): 2, ("smtp", "hang before dot"): 2, ("smtp", "hang after dot"): 2,
    ("smtp", "drop after dot"): 2, ("smtp", "4xx at recipient"): 2, ("smtp", "5xx at recipient"): 1,
    ("stripe", "429"): 2, ("stripe", "500"): 2, ("stripe", "timeout"): 2, ("stripe", "dropped"): 2,
    ("stripe", "stale"): 2, ("web", "answers lost"): 2,
}  # fmt: skip

EVERY = (2.0, 3.0)  # seconds between two faults
LONGEST = 10.0  # seconds that one lasts
# Nothing breaks at the start, nor in the last part of each minute: how quick the shop is otherwise is measured there.
CALM_START, MINUTE, CALM_FROM = 6.0, 60.0, 46.0


@dataclass(frozen=True)
class Buyer:
    """`seed` decides everything else about this one."""

    number: int
    at: float
    kind: str
    seed: int


@dataclass(frozen=True)
class Fault:
    """`at` and `seconds` of its life; `count` is how many calls, mails or commits it strikes, where that counts."""

    at: float
    kind: str
    target: str
    seconds: float
    count: int
    seed: int


@dataclass(frozen=True)
class Plan:
    seed: int
    seconds: float
    buyers: list[Buyer] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def make_plan(seed: int, seconds: float, *, rate: float) -> Plan:
    """`rate`: orders begun each second."""
    chance = random.Random(seed)
    return Plan(seed, seconds, list(_buyers(chance, seconds, rate)), list(_faults(chance, seconds)))


def _buyers(chance: random.Random, seconds: float, rate: float) -> Iterator[Buyer]:
    kinds = _each_once(chance, BUYERS)
    at = 0.0
    for number in range(int(seconds * rate)):
        kind = kinds.pop() if kinds else chance.choices(list(BUYERS), list(BUYERS.values()))[0]
        yield Buyer(number, at, kind, chance.getrandbits(32))
        at += seconds / int(seconds * rate)


def _faults(chance: random.Random, seconds: float) -> Iterator[Fault]:
    kinds = _each_once(chance, FAULTS)
    at = CALM_START
    while (at := at + chance.uniform(*EVERY)) < seconds:
        if at % MINUTE >= CALM_FROM:
            continue
        kind, target = kinds.pop() if kinds else chance.choices(list(FAULTS), list(FAULTS.values()))[0]
        yield Fault(at, kind, target, chance.uniform(1, LONGEST), chance.randint(1, 8), chance.getrandbits(32))


def _each_once(chance: random.Random, weights: dict) -> list:
    """Every kind in some order, so that even a short run meets as many of them as it has room for."""
    kinds = list(weights)
    chance.shuffle(kinds)
    return kinds
