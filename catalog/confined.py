"""Runs a parser of strangers' files in a child process that may fail, without harm to the web process.

Measured: a drawing of 200,000² pixels aborts resvg, 20,000 nested groups crash it, a 1 MB PDF can ask for 2 GB. Both
sides live here: `run` in the parent, `confine` and `seal` in the child. Imports no Django, so a child starts quickly.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

MEMORY = 512 << 20  # bytes of address space
CPU_SECONDS = 5
WALL_SECONDS = 15  # for a child that waits; on a busy machine the CPU limit alone must not be cut short
ROOT = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """The child crashed, or met one of its limits."""


def run(module: str, *arguments: str, memory: int, cpu: int = 0, data: bytes = b"") -> bytes:
    """The standard output of `python -m module memory cpu arguments…` fed with `data`. Raises Failed.

    `cpu` is in seconds, CPU_SECONDS where it is not given; WALL_SECONDS grows with it.
    The child gets none of our environment: a parser that is taken over must not find the Stripe key there.
    """
    cpu = cpu or CPU_SECONDS
    seconds = WALL_SECONDS * cpu / CPU_SECONDS
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        child = subprocess.run(  # noqa: S603 - a module of ours, without a shell
            [sys.executable, "-m", module, str(memory), str(cpu), *arguments],
            check=False,
            input=data,
            capture_output=True,
            timeout=seconds,
            cwd=ROOT,
            # glibc reserves 64 MB of address space for each thread's arena, which would eat up the limit.
            env={**kept, "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{module} did not end within {seconds:g} s") from None
    if child.returncode:
        raise Failed(f"{module} ended with {child.returncode}: {child.stderr[-300:].decode(errors='replace')}")
    return child.stdout


def confine(memory: str, cpu: str) -> None:
    """Limit this process: bytes of address space, seconds of CPU, and no core dump with somebody's file in it."""
    if sys.platform != "darwin":  # which has no such limit, and fails to set one
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu), int(cpu) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def seal() -> None:
    """From here on this process can open no file and no socket. Whatever it imports must be imported before."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
