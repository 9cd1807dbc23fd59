"""How many webhooks a second, beside the least that has to be done for one, and beside the usual tutorial's handler.

All run behind the same web server on the same database, and take turns: whatever else the machine does meets all of
them. The limit is measured behind gunicorn, too, which most shops run behind: that one is what the target was set
against. Ours lets a bare loop run away further than the shop, whose time goes to Django and psycopg.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks import stand
from benchmarks.processes import cpu_seconds
from benchmarks.report import Figure, Section

ROUNDS, SECONDS, CONNECTIONS = 7, 4.0, 16
MOST = 8000  # events a second that are prepared
TABLES = (
    "CREATE TABLE bench_limit (LIKE fulfillment_stripeevent INCLUDING ALL)",
    "CREATE TABLE bench_tutorial (id bigserial PRIMARY KEY, event_id text UNIQUE, type text, payload bytea)",
)
OURS = "the shop, wake-ups included"
LIMIT = "limit: WSGI, HMAC, one INSERT"
USUAL = "the same limit behind gunicorn"
TUTORIAL = "tutorial: Flask, construct_event"
APPLICATIONS = {
    OURS: "storefront.wsgi:application",
    LIMIT: "benchmarks.peers.limit:application",
    USUAL: "benchmarks.peers.limit:application",
    TUTORIAL: "benchmarks.peers.tutorial:application",
}


@dataclass
class Runner:
    """One of them, and what its rounds gave."""

    port: int
    pid: int
    rounds: list[dict[str, Any]] = field(default_factory=list)

    def median(self, key: str) -> float:
        return float(median(each[key] for each in self.rounds))


def run() -> Section:
    with ExitStack() as stack:
        servers = stack.enter_context(stand.servers())
        database = stack.enter_context(servers.connect())
        for table in TABLES:
            database.execute(table)
        environment = {**servers.environment, "PEER_DATABASE": servers.address}
        runners = {
            name: Runner(*stack.enter_context(stand.web(application, environment, usual=name == USUAL)))
            for name, application in APPLICATIONS.items()
        }
        body = stand.template()
        for number in range(ROUNDS + 1):
            for name in [*runners][number % 4 :] + [*runners][: number % 4]:
                database.execute("TRUNCATE fulfillment_stripeevent, bench_limit, bench_tutorial")
                found = measure(servers, runners[name], body, number)
                if number:  # the first round warms up
                    runners[name].rounds.append(found)
    return section(runners)


def measure(servers: stand.Servers, runner: Runner, body: str, number: int) -> dict[str, Any]:
    web, postgres = cpu_seconds(runner.pid), cpu_seconds(servers.postgres_pid)
    seconds = SECONDS if number else 1.0
    found = stand.load(
        runner.port,
        template=body, prefix=f"{number}x", events=int(seconds * MOST), connections=CONNECTIONS, seconds=seconds,
    )  # fmt: skip
    assert set(found["statuses"]) == {"200"}, found
    found["web_us"] = (cpu_seconds(runner.pid) - web) / found["answers"] * 1e6
    found["postgres_us"] = (cpu_seconds(servers.postgres_pid) - postgres) / found["answers"] * 1e6
    found["generator_us"] = found["generator_cpu"] * found["seconds"] / found["answers"] * 1e6
    return found


def section(runners: dict[str, Runner]) -> Section:
    found = Section("webhook")
    for name, runner in runners.items():
        found.figures.append(Figure(f"{name}: acknowledged", runner.median("rate"), "/s"))
        found.figures.append(Figure(f"{name}: p50", runner.median("p50_ms"), "ms"))
        found.figures.append(Figure(f"{name}: p99", runner.median("p99_ms"), "ms"))
    found.figures.append(Figure("of the limit's rate behind gunicorn", ratio(runners, USUAL), at_least=0.7))
    found.figures.append(Figure("of the limit's rate behind the same web server", ratio(runners, LIMIT)))
    found.figures.append(Figure("of the tutorial's rate", ratio(runners, TUTORIAL), at_least=1.3))
    for name, runner in runners.items():
        costs = ", ".join(f"{part} {runner.median(f'{part}_us'):.0f}" for part in ("web", "postgres", "generator"))
        found.notes.append(f"{name}: microseconds of processor time for one: {costs}")
    found.notes.append(
        f"{ROUNDS} rounds of {SECONDS:g} s each in turn, {CONNECTIONS} connections, two web processes; medians"
    )
    return found


def ratio(runners: dict[str, Runner], other: str) -> float:
    """The median of the ratios within each round, so that a round in which the machine was busy counts for both."""
    pairs = zip(runners[OURS].rounds, runners[other].rounds, strict=True)
    return float(median(ours["rate"] / theirs["rate"] for ours, theirs in pairs))
