"""Faults on demand: what goes wrong, how often, and for which calls, events or recipients."""

import itertools
import random
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.world.errors import invalid, required

# For each area: its kinds with the options they take and their defaults.
KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "webhooks": {
        "duplicate": {"times": 2},
        "delay": {"seconds": 5.0},
        "reorder": {"seconds": 1.0, "order": "shuffle"},
        "drop": {},
    },
    "api": {
        "error": {"status": 500, "when": "before", "error_code": ""},
        "timeout": {"seconds": 30.0, "when": "after"},
        "drop": {"when": "after"},
        "stale": {"seconds": None, "changes": None},
    },
    "mail": {
        "refuse_recipient": {"code": 550},
        "refuse_message": {"code": 554},
        "hang_before": {"seconds": 30.0},
        "hang_after": {"seconds": 30.0, "keep": True},
        "drop_after": {"keep": True},
        "slow": {"seconds": 2.0},
    },
}
# What a fault may be limited to, beside `count`.
LIMITS = {"webhooks": ("type",), "api": ("path", "method"), "mail": ("to",)}
RANGES: dict[str, tuple[float, float]] = {
    "chance": (0, 1),
    "changes": (1, 1000),
    "code": (400, 599),
    "count": (1, 1_000_000),
    "seconds": (0, 86_400),
    "status": (400, 599),
    "times": (1, 50),
}
CHOICES = {"when": ("before", "after"), "order": ("shuffle", "reverse")}


@dataclass
class Fault:
    """`remaining` counts down to 0 and then the fault is gone; None is until cleared. `chance`: of what fits, how much
    is struck."""

    id: int
    area: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    remaining: int | None = None
    used: int = 0
    chance: float = 1.0

    def fits(self, facts: dict[str, str]) -> bool:
        """A limit holds as a prefix (path, type) or, for an address and a method, regardless of case."""
        for name, wanted in self.limits.items():
            value = facts.get(name, "")
            if name in ("to", "method"):
                if value.lower() != wanted.lower():
                    return False
            elif not value.startswith(wanted):
                return False
        return self.chance >= 1 or random.random() < self.chance  # noqa: S311 - bad luck is no secret


class Faults:
    """The faults in force. Thread-safe; kept in memory, so a restart clears them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self.active: list[Fault] = []

    def add(self, spec: dict[str, Any]) -> Fault:
        """`{"area", "kind", "count"?, "chance"?, options…, limits…}`; raises ApiError for what no kind knows."""
        given = {key: value for key, value in spec.items() if value not in (None, "")}
        area, kind = str(given.pop("area", "")), str(given.pop("kind", ""))
        if kind not in KINDS.get(area, {}):
            raise invalid(f"No such fault: {area} {kind}. Known: {KINDS}", "kind")
        count, chance = given.pop("count", None), given.pop("chance", None)
        fault = Fault(next(self.numbers), area, kind, dict(KINDS[area][kind]), remaining=None)
        if chance is not None:
            fault.chance = number("chance", chance)
        if count is not None:
            fault.remaining = int(number("count", count))
        for name, value in given.items():
            place_option(fault, name, value)
        if kind == "stale" and not (fault.options["seconds"] or fault.options["changes"]):
            raise required("seconds")
        with self.lock:
            self.active.append(fault)
        return fault

    def take(self, area: str, *kinds: str, **facts: str) -> Fault | None:
        """The first fault of these kinds that fits, counted as used once."""
        with self.lock:
            for fault in self.active:
                if fault.area == area and fault.kind in kinds and fault.fits(facts):
                    fault.used += 1
                    if fault.remaining is not None:
                        fault.remaining -= 1
                        if fault.remaining <= 0:
                            self.active.remove(fault)
                    return fault
        return None

    def clear(self, *, area: str | None = None, number: int | None = None) -> int:
        """End the faults of an area, one by its id, or all; how many ended."""
        with self.lock:
            kept = [
                fault
                for fault in self.active
                if (area is not None and fault.area != area) or (number is not None and fault.id != number)
            ]
            ended = len(self.active) - len(kept)
            self.active = kept
        return ended

    def describe(self) -> list[dict[str, Any]]:
        with self.lock:
            return [asdict(fault) for fault in self.active]


def place_option(fault: Fault, name: str, value: Any) -> None:
    """Set an option or a limit, read from JSON or from a form."""
    if name in LIMITS[fault.area]:
        fault.limits[name] = str(value)
    elif name not in fault.options:
        raise invalid(f"{fault.area} {fault.kind} takes no {name}", name)
    elif name in CHOICES:
        if value not in CHOICES[name]:
            raise invalid(f"{name} is one of {CHOICES[name]}", name)
        fault.options[name] = value
    elif name == "error_code":
        fault.options[name] = str(value)
    elif name == "keep":
        fault.options[name] = value in (True, "true", "on", "1")
    else:
        fault.options[name] = float(number(name, value)) if name == "seconds" else int(number(name, value))


def number(name: str, value: Any) -> float:
    """A number within what makes sense for the option; raises ApiError."""
    least, most = RANGES[name]
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise invalid(f"{name} is a number, not {value!r}", name) from None
    if not least <= found <= most:
        raise invalid(f"{name} is between {least} and {most}", name)
    return found
