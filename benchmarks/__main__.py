"""`make bench`: how fast it is, measured on this machine. `make bench ARGS="webhook orders --json figures.json"`."""

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from sandbox.parts import PROJECT

SECTIONS = ("webhook", "orders", "burst", "rows", "search", "figures", "vitals")
# Named for another shop than the one that is measured here.
NOT_OURS = (
    "ADMINS CELERY_BROKER_URL DATABASE_URL EMAIL_URL PROMETHEUS_MULTIPROC_DIR SITE_URL STORAGE_URL STRIPE_API_BASE"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--json", type=Path, default=PROJECT / "docs/figures/bench.json", metavar="FILE")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    sections = given.sections or list(SECTIONS)
    if len(sections) > 1:  # each in a process of its own: Django takes its settings once
        commands = [[sys.executable, "-m", "benchmarks", name, "--json", str(given.json)] for name in sections]
        return max(subprocess.run(command, check=False).returncode for command in commands)
    return run(sections[0], given.json)


def run(name: str, file: Path) -> int:
    for variable in NOT_OURS:
        os.environ[variable] = ""  # empty counts as not set, and keeps a .env out
    print(f"measuring: {name} ...", flush=True)
    measure: Callable[[], report.Section] = importlib.import_module(f"benchmarks.{name}").run
    section = measure()
    print(report.table(section), flush=True)
    report.write(file, section)
    return 1 if section.missed else 0


if __name__ == "__main__":
    sys.exit(main())
