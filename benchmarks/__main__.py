"""`make bench`: how fast it is, measured on this machine. `make bench ARGS="webhook orders --json figures.json"`."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from sandbox.parts import PROJECT

SECTIONS = ("webhook", "orders", "burst", "rows")
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
    for name in [*NOT_OURS.split(), "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"]:
        os.environ[name] = ""  # empty counts as not set, and keeps a .env out
    found = []
    for name in given.sections or SECTIONS:
        print(f"measuring: {name} ...", flush=True)
        measure: Callable[[], report.Section] = importlib.import_module(f"benchmarks.{name}").run
        found.append(measure())
        print(report.table(found[-1]), flush=True)
        report.write(given.json, found[-1:])
    missed = [figure.name for section in found for figure in section.missed]
    print(f"\nfigures in {given.json}; " + (f"missed: {'; '.join(missed)}" if missed else "every target is met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
