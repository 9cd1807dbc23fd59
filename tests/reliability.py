"""Writes docs/reliability.md: what the shop is held to, and which tests hold it. `python -m tests.reliability`.

The rows stand in reliability.toml beside this file; the tests are found by the numbers in their names; the figures were
written by the runs themselves, as JSON under docs/figures/. Nothing of it is typed by hand.
"""

import ast
import json
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "tests" / "reliability.toml"
FIGURES = ROOT / "docs" / "figures"
DOCUMENT = ROOT / "docs" / "reliability.md"

NUMBERS = re.compile(r"test_((?:[fis]\d{1,3}_)+)")
KINDS = {"F": "faults", "I": "invariants", "S": "abuse cases"}
RUNS = {  # file under docs/figures/ → what it measured, and the command that writes it
    "kill": ("Kill sweeps", "make prove"),
    "mutants": ("Does it bite? Mutants of the code", "make prove"),
    "chaos": ("Chaos run", "make chaos"),
    "bench": ("Load", "make bench"),
}
EVERY_NUMBER = {*(f"F{n}" for n in range(1, 73)), *(f"I{n}" for n in range(1, 21)), *(f"S{n}" for n in range(1, 67))}


@dataclass(frozen=True)
class Row:
    """One thing that may happen. `open`: why no test bears its number; `but`: what its tests do not reach."""

    number: str
    what: str
    open: str = ""
    but: str = ""


@dataclass(frozen=True)
class Part:
    title: str
    intro: str
    rows: tuple[Row, ...]


def read_parts() -> list[Part]:
    found = tomllib.loads(ROWS.read_text())["part"]
    return [
        Part(part["title"], part.get("intro", ""), tuple(Row(number, **row) for number, row in part["rows"].items()))
        for part in found
    ]


def numbers_in(name: str) -> list[str]:
    """`test_f5_f35_twenty_copies` → F5, F35."""
    match = NUMBERS.match(name)
    return match[1].rstrip("_").upper().split("_") if match else []


def numbered_tests() -> dict[str, list[str]]:
    """By number, the tests that bear it, as path::name."""
    found = defaultdict(list)
    for test in every_test():
        for number in numbers_in(test.rpartition("::")[2]):
            found[number].append(test)
    return dict(found)


def every_test() -> Iterator[str]:
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(ROOT)}::{node.name}"


def document() -> str:
    """The whole of docs/reliability.md as it should be now."""
    parts, tests = read_parts(), numbered_tests()
    return "\n".join([*_head(parts, tests), *_figures(), *_table(parts, tests)]) + "\n"


def _head(parts: list[Part], tests: dict[str, list[str]]) -> Iterator[str]:
    yield from (
        "# What it survives, and how we know",
        "",
        "Everything that may go wrong between a payment and its buyer has a number: **F** for faults, **I** for what",
        "must hold after any of them, **S** for abuse. A test that covers one bears its number in its name, and this",
        "page is written from those names by `make reliability`. A test fails when the page says anything else.",
        "",
        "| | rows | with a test | tests |",
        "|---|---:|---:|---:|",
    )
    for letter, kind in KINDS.items():
        rows = [row for part in parts for row in part.rows if row.number.startswith(letter)]
        covered = [row for row in rows if row.number in tests]
        own = {test for row in covered for test in tests[row.number]}
        yield f"| {letter}, {kind} | {len(rows)} | {len(covered)} | {len(own)} |"
    yield ""


def _figures() -> Iterator[str]:
    yield from ("## Measured", "", "By the last runs; each command writes its own figures.", "")
    for name, (title, command) in RUNS.items():
        path = FIGURES / f"{name}.json"
        if not path.exists():
            yield from (f"**{title}** (`{command}`): not measured.", "")
            continue
        figures = json.loads(path.read_text())
        yield from (f"**{title}** (`{command}`), {figures.pop('measured_at')}", "", "| | |", "|---|---:|")
        yield from (f"| {label} | {value} |" for label, value in _flat(figures))
        yield ""


def _flat(figures: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        label = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _flat(value, "" if name == "figures" else f"{label}: ")
        elif not isinstance(value, list):
            yield label, _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value).replace("|", "\\|")


def _table(parts: list[Part], tests: dict[str, list[str]]) -> Iterator[str]:
    for part in parts:
        yield from (f"## {part.title}", "")
        if part.intro:
            yield from (part.intro, "")
        for row in part.rows:
            yield f"- **{row.number}** {row.what}"
            yield from (f"  - `{test}`" for test in tests.get(row.number, ()))
            if row.number not in tests:
                yield f"  - *No test yet: {row.open}.*"
            if row.but:
                yield f"  - *Not tried: {row.but}.*"
        yield ""


if __name__ == "__main__":
    DOCUMENT.write_text(document())
    missing = [row.number for part in read_parts() for row in part.rows if row.number not in numbered_tests()]
    sys.stdout.write(f"{DOCUMENT.relative_to(ROOT)}: no test yet for {', '.join(missing) or 'nothing'}\n")
