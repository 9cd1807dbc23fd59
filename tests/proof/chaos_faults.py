"""What breaks in a chaos run, really: processes are killed and stopped, servers go away, connections are cut."""

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.proof.chaos_plan import Fault
from tests.proof.chaos_traffic import Crowd
from tests.proof.stack import Stack

# How webhooks misbehave all the time: copies at once, late, in another order, and a few that are never sent.
WEBHOOKS: tuple[dict[str, Any], ...] = (
    {"kind": "duplicate", "times": 2, "chance": 0.25},
    {"kind": "duplicate", "times": 5, "chance": 0.10},
    {"kind": "duplicate", "times": 20, "chance": 0.02},
    {"kind": "delay", "seconds": 3, "chance": 0.06},
    {"kind": "delay", "seconds": 12, "chance": 0.03},
    {"kind": "reorder", "seconds": 4, "chance": 0.12},
    {"kind": "drop", "chance": 0.04},
)
MAILS: dict[str, dict[str, Any]] = {
    "hang before dot": {"kind": "hang_before", "seconds": 12},  # longer than the shop waits
    "hang after dot": {"kind": "hang_after", "seconds": 12, "keep": True},
    "drop after dot": {"kind": "drop_after", "keep": True},
    "4xx at recipient": {"kind": "refuse_recipient", "code": 451},
    "5xx at recipient": {"kind": "refuse_recipient", "code": 550},
}
CALLS: dict[str, dict[str, Any]] = {
    "429": {"kind": "error", "status": 429},
    "500": {"kind": "error", "status": 500},
    "timeout": {"kind": "timeout", "seconds": 7},
    "dropped": {"kind": "drop"},
    "stale": {"kind": "stale"},
}

End = Callable[[], object]


@dataclass
class Injected:
    """A fault as it happened: when it began and ended, in seconds since the run began."""

    at: float
    until: float
    kind: str
    target: str
    detail: str


@dataclass
class Breaker:
    """Breaks what the plan says and mends it in time. `log` is what was broken and when."""

    stack: Stack
    crowd: Crowd
    began: float = field(default_factory=time.monotonic)
    log: list[Injected] = field(default_factory=list)
    _ends: list[tuple[float, End, Injected]] = field(default_factory=list)

    def misbehave(self) -> None:
        for fault in WEBHOOKS:
            self.crowd.control("faults", {"area": "webhooks", **fault})

    def strike(self, fault: Fault) -> None:
        act = getattr(self, f"_{fault.kind}")
        now = time.monotonic() - self.began
        entry = Injected(now, now, fault.kind, fault.target, "")
        end = act(fault, entry)
        self.log.append(entry)
        if end is not None:
            entry.until = now + fault.seconds
            self._ends.append((self.began + entry.until, end, entry))

    def mend(self, *, everything: bool = False) -> None:
        """End the faults whose time is over."""
        now = time.monotonic()
        over = [one for one in self._ends if everything or one[0] <= now]
        self._ends = [one for one in self._ends if one not in over]
        for _, end, entry in over:
            end()
            entry.until = now - self.began

    # Each takes the fault and what is logged of it, and gives what ends it; None where it is over at once.

    def _kill(self, fault: Fault, entry: Injected) -> None:
        name, _, child = fault.target.partition(" ")
        pids = self.stack.parts[name].pids[1:] if child else []
        if child and not pids:
            entry.detail = "had none"
            return
        pid = random.Random(fault.seed).choice(pids) if child else None
        self.stack.kill(name, pid=pid)
        entry.until += 2  # until it is up again

    def _stop(self, fault: Fault, entry: Injected) -> End:
        name, _, child = fault.target.partition(" ")
        pids = self.stack.parts[name].pids
        if child:
            pids = [random.Random(fault.seed).choice(pids[1:] or pids)]
        entry.detail = f"{fault.seconds:.1f} s"
        self.stack.signal(name, signal.SIGSTOP, pids)
        return lambda: self.stack.signal(name, signal.SIGCONT, pids)

    def _broker(self, fault: Fault, entry: Injected) -> End | None:
        if fault.target == "flushed":
            threading.Thread(target=self.stack.broker.flush, daemon=True).start()
            return None
        if fault.target == "restarted":
            self.stack.kill("broker", down_for=fault.seconds / 3)
            entry.until += fault.seconds / 3
            return None
        return self._spoil("broker", fault.target)

    def _postgres(self, fault: Fault, entry: Injected) -> End | None:
        if fault.target == "restarted":
            self.stack.kill("postgres", number=signal.SIGQUIT)  # what pg_ctl stop -m immediate sends
            entry.until += 3
            return None
        entry.detail = f"{fault.count} commits"
        self.stack.proxies["postgres"].cut_commits(fault.target.split()[1], fault.count)
        return None

    def _smtp(self, fault: Fault, entry: Injected) -> End | None:
        if fault.target == "refused":
            return self._spoil("smtp", "refused")
        entry.detail = f"{fault.count} mails"
        return self._ask_world({"area": "mail", "count": fault.count, **MAILS[fault.target]})

    def _stripe(self, fault: Fault, entry: Injected) -> End:
        what = dict(CALLS[fault.target])
        count = fault.count * 3
        if fault.target == "stale":
            what["seconds"] = fault.seconds
        elif fault.target in ("timeout", "dropped"):
            what["when"] = random.Random(fault.seed).choice(("before", "after"))
        entry.detail = f"{count} calls {what.get('when', '')}".strip()
        return self._ask_world({"area": "api", "count": count, **what})

    def _web(self, fault: Fault, entry: Injected) -> End:
        """Requests arrive and are worked on, and the first bytes of each answer are lost."""
        self.stack.proxies["web"].reset_after(0)
        return self.stack.proxies["web"].heal

    def _spoil(self, name: str, how: str) -> End:
        proxy = self.stack.proxies[name]
        if how == "refused":
            proxy.refuse()
        else:
            proxy.freeze()
        return proxy.heal

    def _ask_world(self, what: dict[str, Any]) -> End:
        number = self.crowd.control("faults", what)["id"]
        return lambda: self.crowd.control("faults/clear", {"id": number})

    def report(self) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self.log]
