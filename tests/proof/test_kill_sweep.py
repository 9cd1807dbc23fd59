"""The kill sweep in short: every SQL statement of three flows, some lines of each. `make prove` runs the long one."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_f2_f3_f14_f21_f26_f27_f31_f64_killed_anywhere_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """As a process of its own, on the servers of this run."""
    file = tmp_path / "figures.json"
    ended = kill("--quick", "--json", str(file))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads(file.read_text())
    killed = {flow["flow"]: flow["killed"] for flow in figures["flows"]}
    points = {flow["flow"]: flow["points"] for flow in figures["flows"]}
    assert figures["violations"] == 0
    assert len(killed) == 20
    assert {each["lines"] for each in killed.values()} == {2}
    for name, at_least in {"webhook": 2, "one-off": 30, "mail": 28}.items():
        assert killed[name]["statements"] == points[name]["statements"] >= at_least


def kill(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.proof.kill", *words]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)


def test_flow_that_does_not_exist_is_refused() -> None:
    ended = kill("--flow", "nothing")
    assert ended.returncode == 2
    assert "invalid choice: 'nothing'" in ended.stderr
