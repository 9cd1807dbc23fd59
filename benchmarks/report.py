"""Figures, each with its target where it has one: a table for people, JSON for whoever writes the documentation."""

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured value. `at_least` or `at_most` is its target."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """None where there is no target."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def said(self) -> str:
        """The value with its target, and whether it was met, in one line."""
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        return " ".join(filter(None, [rounded(self.value), self.unit, self.target and f"({self.target}: {verdict})"]))

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g} {self.unit}".rstrip()
        return f"<= {self.at_most:g} {self.unit}".rstrip() if self.at_most is not None else ""


@dataclass
class Section:
    """What one section found. `notes` say how it was measured and where the time went."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.met is False]


def rounded(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def table(section: Section) -> str:
    lines = [f"\n{section.name}"]
    for figure in section.figures:
        verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
        value = f"{rounded(figure.value):>9} {figure.unit:<6}"
        lines.append(f"  {figure.name:<66} {value} {figure.target:<12} {verdict}".rstrip())
    return "\n".join([*lines, *(f"  . {note}" for note in section.notes)])


def write(path: Path, section: Section) -> None:
    """Keep the section's figures; the other sections' stay as they are."""
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"figures": {}}
    known |= {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **machine()}
    known["figures"][section.name] = {figure.name: figure.said for figure in section.figures}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2) + "\n")


def machine() -> dict[str, object]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "load_average": round(os.getloadavg()[0], 2)}


def percentile(values: list[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]
