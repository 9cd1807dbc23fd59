"""What processes cost: their processor time and their memory, read from /proc."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (found := _stat(int(entry.name))):
            parents.setdefault(int(found[1]), []).append(int(entry.name))
    found_pids, left = [], [pid]
    while left:
        one = left.pop()
        found_pids.append(one)
        left += parents.get(one, [])
    return found_pids


def cpu_seconds(pid: int) -> float:
    """Used so far by the process and all below it that live."""
    used = 0
    for one in family(pid):
        if found := _stat(one):
            used += int(found[11]) + int(found[12])
    return used / TICKS


def memory_mb(pid: int) -> float:
    """Their proportional share (PSS): pages that several share are counted once."""
    total = 0
    for one in family(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/…/stat from the third on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
