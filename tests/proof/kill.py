"""Kill the shop's processes everywhere and see that nothing is lost: `python -m tests.proof.kill`.

For each flow a real process dies by SIGKILL before every line of ours that it executes, and before and after every SQL
statement; each time Stripe and the sweep go on as they would, and the order has to end as if nothing had happened.
Prints how many points were tried, and for each violation the command that repeats it. Ends with 1 if there is one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.proof.figures import keep
from tests.proof.kill_lab import Lab, laboratory
from tests.servers import ignore_dotenv, make_folder, start_servers

if TYPE_CHECKING:  # for real only once the laboratory has set the environment
    from tests.proof.kill_flows import Flow

KINDS = ("lines", "statements")
QUICK_STATEMENTS = ("webhook", "one-off", "mail")  # the flows whose every statement is tried in a quick run
QUICK_LINES = 2  # and of each flow so many lines
FIGURES = Path("docs/figures/kill.json")


@dataclass
class Swept:
    """What came of one flow. `points`: how many of each kind a run comes by and how many a process was killed at."""

    flow: str
    points: dict[str, int] = field(default_factory=dict)
    killed: dict[str, int] = field(default_factory=dict)
    violations: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "tests.proof.kill", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--flow", action="append", choices=flow_names(), help="only this flow; may be given often")
    parser.add_argument("--kind", choices=KINDS, help="only lines, or only statements")
    parser.add_argument("--point", type=int, help="only the point of this number")
    parser.add_argument("--every", type=int, default=1, help="every n-th point")
    parser.add_argument("--quick", action="store_true", help="a few lines of each flow, the statements of three")
    parser.add_argument("--first", action="store_true", help="end at the first violation")
    parser.add_argument("--jobs", type=int, default=1, help="so many flows at once")
    parser.add_argument("--json", type=Path, help=f"write the figures here; those of a whole run go to {FIGURES}")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    given = options(arguments)
    began = time.monotonic()
    swept = list(spread(given) if given.jobs > 1 else sweep_flows(given))
    seconds = time.monotonic() - began
    print(table(swept, seconds))
    for found in swept:
        for violation in found.violations:
            print(f"\n{found.flow}, killed {violation['point']}")
            print("\n".join(f"    {sentence}" for sentence in violation["violations"]))
            print(f"    again: {again(found.flow, violation)}")
    partial_run = given.flow or given.kind or given.point or given.quick or given.first or given.every > 1
    if file := given.json or (None if partial_run else FIGURES):
        keep(file, figures(swept, seconds))
    return 1 if any(found.violations for found in swept) else 0


def sweep_flows(given: argparse.Namespace) -> Iterator[Swept]:
    with laboratory() as lab:
        from tests.proof.kill_flows import FLOWS

        for flow in FLOWS:
            if not given.flow or flow.name in given.flow:
                yield sweep_flow(lab, flow, given)


def sweep_flow(lab: Lab, flow: "Flow", given: argparse.Namespace) -> Swept:
    from tests.proof.kill_points import Kind
    from tests.proof.kill_trial import Sweeper

    began, swept, sweeper = time.monotonic(), Swept(flow.name), Sweeper(lab, flow, look_again=4 if given.quick else 1)
    for kind in kinds(flow.name, given):
        names = sweeper.points(Kind(kind))
        swept.points[kind], swept.killed[kind] = len(names), 0
        for number in chosen(len(names), kind, given):
            trial = sweeper.trial(Kind(kind), number, names[number - 1])
            swept.killed[kind] += trial.killed
            if trial.violations:
                swept.violations.append({"kind": kind, "number": number, **asdict(trial)})
                if given.first:
                    return swept
        print(f"{flow.name}: {swept.killed[kind]} of {len(names)} {kind}", file=sys.stderr, flush=True)
    swept.seconds = round(time.monotonic() - began, 1)
    return swept


def kinds(flow: str, given: argparse.Namespace) -> list[str]:
    if given.kind:
        return [given.kind]
    return ["lines"] if given.quick and flow not in QUICK_STATEMENTS else list(KINDS)


def chosen(count: int, kind: str, given: argparse.Namespace) -> Iterable[int]:
    if given.point:
        return [given.point] if given.point <= count else []
    if given.quick and kind == "lines":
        return [count * number // QUICK_LINES for number in range(1, QUICK_LINES + 1)]
    return range(1, count + 1, given.every)


def spread(given: argparse.Namespace) -> list[Swept]:
    """Each flow by a process of its own with its own database and world, some at a time, on the same two servers."""
    with ExitStack() as stack:
        ignore_dotenv()
        folder = make_folder(stack)
        start_servers(folder, stack)
        names = given.flow or flow_names()
        pool = stack.enter_context(ThreadPoolExecutor(given.jobs))
        return list(pool.map(partial(sweep_apart, given), names))


def flow_names() -> list[str]:
    """Without loading the shop, which wants its environment first."""
    source = (Path(__file__).parent / "kill_flows.py").read_text()
    return [line.split('"')[1] for line in source.splitlines() if line.startswith('    Flow("')]


def sweep_apart(given: argparse.Namespace, name: str) -> Swept:
    with tempfile.TemporaryDirectory() as folder:
        figures_file = Path(folder) / "figures.json"
        words = ["--flow", name, "--every", str(given.every), "--json", str(figures_file)]
        words += ["--kind", given.kind] if given.kind else []
        words += ["--quick"] if given.quick else []
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        subprocess.run(
            [sys.executable, "-m", __spec__.name, *words], env=environment, stdout=subprocess.DEVNULL, check=False
        )
        return Swept(**json.loads(figures_file.read_text())["flows"][0])


def figures(swept: list[Swept], seconds: float) -> dict[str, Any]:
    return {
        "killed": sum(sum(found.killed.values()) for found in swept),
        "violations": sum(len(found.violations) for found in swept),
        "seconds": round(seconds, 1),
        "killed_in": {found.flow: sum(found.killed.values()) for found in swept},
        "flows": [asdict(found) for found in swept],
    }


def table(swept: list[Swept], seconds: float) -> str:
    rows = [(found.flow, *(of(found, kind) for kind in KINDS), len(found.violations), found.seconds) for found in swept]
    total = figures(swept, seconds)
    rows.append(
        ("all", *(sum(f.killed.get(kind, 0) for f in swept) for kind in KINDS), total["violations"], total["seconds"])
    )
    head = f"{'flow':20} {'lines':>12} {'statements':>12} {'violations':>12} {'seconds':>9}"
    return "\n".join((head, *(f"{row[0]:20} {row[1]!s:>12} {row[2]!s:>12} {row[3]:12} {row[4]:9}" for row in rows)))


def of(found: Swept, kind: str) -> str:
    killed, points = found.killed.get(kind, 0), found.points.get(kind, 0)
    return str(killed) if killed == points else f"{killed} of {points}"


def again(flow: str, violation: dict[str, Any]) -> str:
    return f"python -m tests.proof.kill --flow '{flow}' --kind {violation['kind']} --point {violation['number']}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
