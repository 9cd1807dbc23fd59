"""Does the proof bite? Break the shop on purpose, one accident at a time: `python -m tests.proof.mutants`.

Each mutant is a small replacement of text, or a constraint dropped, in a copy of the tree. The proof that is named for
it has to fail there, by what it asserts and not by an error; on an unchanged copy each proof has to hold. Prints what
caught which mutant and how fast. Ends with 1 if one survives or no longer fits the source.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.proof.figures import keep
from tests.proof.mutant_list import MUTANTS, Mutant, Proof
from tests.servers import ignore_dotenv, make_folder, start_servers

ROOT = Path(__file__).parents[2]
FIGURES = Path("docs/figures/mutants.json")  # of all of them
LEFT_OUT = shutil.ignore_patterns(
    ".*", "var", "__pycache__", "staticfiles", "screenshots", "node_modules"
)  # nothing of it is code
MOST = 900  # seconds that a proof may take


@dataclass(frozen=True)
class Result:
    """`caught`: what told, or "" where nobody noticed. `wrong`: why the trial does not count."""

    mutant: str
    proof: str
    caught: str = ""
    wrong: str = ""
    seconds: float = 0.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("tests.proof.mutants", description=__doc__)
    parser.add_argument("--mutant", action="append", choices=[one.name for one in MUTANTS], help="only this one")
    parser.add_argument("--jobs", type=int, default=1, help="so many at once")
    parser.add_argument("--json", type=Path, help=f"write the figures here, not to {FIGURES}")
    given = parser.parse_args(arguments)
    chosen = [one for one in MUTANTS if given.mutant is None or one.name in given.mutant]
    began = time.monotonic()
    results = try_all(chosen, jobs=given.jobs)
    print(table(results))
    survived = [one for one in results if one.wrong or bool(one.caught) != bool(one.mutant)]
    if file := given.json or (None if given.mutant else FIGURES):
        keep(file, figures(results, time.monotonic() - began))
    for one in survived:
        print(f"\n{one.mutant or 'the unchanged copy'}: {one.wrong or one.caught or 'nobody noticed'}")
    return 1 if survived else 0


def try_all(mutants: Iterable[Mutant], *, jobs: int) -> list[Result]:
    """Every mutant against its proof, and each of these proofs against an unchanged copy, named ""."""
    mutants = list(mutants)
    controls = [Mutant(name="", proof=proof) for proof in dict.fromkeys(one.proof for one in mutants)]
    with ExitStack() as stack:
        ignore_dotenv()
        folder = make_folder(stack)
        start_servers(folder, stack)
        places: SimpleQueue[int] = SimpleQueue()
        for number in range(jobs):
            places.put(number)

        def attempt(mutant: Mutant) -> Result:
            place = places.get()
            try:
                return one_trial(mutant, folder / f"copy{place}", place)
            finally:
                places.put(place)

        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        return list(pool.map(attempt, [*controls, *mutants]))


def one_trial(mutant: Mutant, copy: Path, place: int) -> Result:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    began = time.monotonic()
    try:
        mutate(copy, mutant)
        caught, wrong = run_proof(mutant.proof, copy, place)
    except (Stillborn, subprocess.TimeoutExpired) as reason:
        caught, wrong = "", str(reason)
    seconds = round(time.monotonic() - began, 1)
    print(
        f"{mutant.name or f'unchanged: {mutant.proof}'}: {wrong or caught or 'nothing noticed'} ({seconds} s)",
        file=sys.stderr,
        flush=True,
    )
    return Result(mutant.name, str(mutant.proof), caught, wrong, seconds)


class Stillborn(Exception):
    """The mutant cannot be made or tried, so whatever happens proves nothing; the message says why."""


def mutate(copy: Path, mutant: Mutant) -> None:
    for edit in mutant.edits:
        file = copy / edit.file
        text = file.read_text()
        if text.count(edit.old) != 1:
            raise Stillborn(f"{edit.file} has {text.count(edit.old)} times:\n{edit.old}")
        changed = text.replace(edit.old, edit.new)
        compile(changed, edit.file, "exec")
        file.write_text(changed)
    if mutant.sql:
        last = {app: max((copy / app / "migrations").glob("[0-9]*.py")).stem for app in ("orders", "fulfillment")}
        (copy / "fulfillment/migrations/9999_mutant.py").write_text(
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
            f"    dependencies = {sorted(last.items())}\n"
            f"    operations = [migrations.RunSQL({mutant.sql!r})]\n"
        )


def run_proof(proof: Proof, copy: Path, place: int) -> tuple[str, str]:
    """What the proof asserted against, or ""; and what went wrong beside that."""
    file = copy / "figures.json"
    environment = environment_of(copy, place)
    words = (
        ["--json", str(file), "--first"]
        if proof.module == "tests.proof.kill"
        else ["-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    )
    ended = subprocess.run(
        [sys.executable, "-m", proof.module, *proof.words, *words],
        cwd=copy, env=environment, capture_output=True, text=True, timeout=MOST, check=False,
    )  # fmt: skip
    told = ended.stdout + ended.stderr
    if ended.returncode == 0:
        return "", ""
    caught = by_kill(file) if proof.module == "tests.proof.kill" else by_test(ended.stdout)
    return caught, "" if caught else f"an error, not a finding:\n{told[-2000:]}"


def by_kill(file: Path) -> str:
    if not file.exists():
        return ""
    flow = json.loads(file.read_text())["flows"][-1]
    violation = flow["violations"][0]
    return f"{flow['flow']}, killed {violation['point']}: {violation['violations'][0]}"


def by_test(output: str) -> str:
    """The test that failed. One that could not be set up is an error."""
    failed = re.search(r"^FAILED \S+?::(\S+)", output, re.MULTILINE)
    return failed[1] if failed and not re.search(r"^ERROR \S+::", output, re.MULTILINE) else ""


def environment_of(copy: Path, place: int) -> dict[str, str]:
    """Our servers, with a database and a broker's database of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    broker = kept["CELERY_BROKER_URL"].partition("?")[0]
    if broker.startswith("redis+socket://"):
        kept["CELERY_BROKER_URL"] = f"{broker}?virtual_host={14 - place}"
    return {
        **kept,
        "DATABASE_URL": f"{kept['DATABASE_URL'].rpartition('/')[0]}/mutant{os.getpid()}_{place}",
        "PYTHONPATH": str(copy),
    }


def figures(results: list[Result], seconds: float) -> dict[str, Any]:
    tried = [one for one in results if one.mutant]
    return {
        "mutants": len(tried),
        "caught": sum(bool(one.caught) for one in tried),
        "seconds": round(seconds, 1),
        "caught_by": {one.mutant: one.proof if one.caught else "nothing" for one in tried},
        "results": [asdict(one) for one in results],
    }


def table(results: list[Result]) -> str:
    rows = [("mutant", "after", "caught by")]
    for one in results:
        told = one.wrong.partition("\n")[0] or one.caught or "-"
        rows.append((one.mutant or f"unchanged: {one.proof}", f"{one.seconds} s", told))
    caught = sum(bool(one.caught) for one in results if one.mutant)
    return "\n".join((*(f"{name:68} {after:>8}  {told}" for name, after, told in rows), f"{caught} caught"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
