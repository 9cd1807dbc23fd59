"""A server that we start: what it is, how to start it so that it cannot outlive us, how to end it. Linux only."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # once, here: between fork and exec nothing may be imported
LOOK_EVERY = 0.02  # seconds

Child = subprocess.Popen[bytes]


class StartFailed(Exception):
    """A server ended, or did not become ready in time; the message carries its last lines."""


def at_once() -> bool:
    return True


def never() -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Process:
    """One server, or with `once` a step that must end with code 0 before the next one starts; then `after` is called.

    `env` comes on top of our own environment; `cwd` None is ours. `ready` is asked until it says True, for at most
    `patience` seconds. `end` is the signal that asks it to leave; `grace` seconds later its whole group is killed.
    The descriptors in `keep_open` are inherited by it and by its children.
    """

    name: str
    argv: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    once: bool = False
    after: Callable[[], None] | None = None
    ready: Callable[[], bool] = at_once
    patience: float = 60.0
    end: signal.Signals = signal.SIGTERM
    grace: float = 20.0
    restart: bool = False
    keep_open: Sequence[int] = ()


def spawn(process: Process, output: int) -> Child:
    """Start it in a session of its own: Ctrl-C then reaches only us, and we decide the order of leaving.

    The kernel sends it `process.end` when the *thread* that called this ends: call it from the main thread.
    """
    parent = os.getpid()

    def tie_to_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(process.end))
        if os.getppid() != parent:  # we died between fork and prctl: the signal would never come
            os._exit(1)

    return subprocess.Popen(
        [os.fspath(part) for part in process.argv],
        env={**os.environ, **process.env},
        cwd=process.cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=process.keep_open,
        preexec_fn=tie_to_parent,  # noqa: PLW1509 -- calls prctl and nothing else
    )


def has_ended(child: Child) -> bool:
    """Whether it has ended. It is not reaped, so its number stays its own until `stop` has killed its group."""
    if child.returncode is not None:
        return True
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ends_within(child: Child, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not has_ended(child):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY)
    return True


def wait_until_ready(process: Process, child: Child, *, give_up: Callable[[], bool] = never) -> None:
    """Return once it is ready (with `once`: over), or when told to give up.

    Raises StartFailed when it ended first, or badly, or takes longer than its patience.
    """
    deadline = time.monotonic() + process.patience
    while not give_up():
        if has_ended(child):
            code = stop(process, child)
            if process.once and code == 0:
                if process.after:
                    process.after()
                return
            raise StartFailed(f"{process.name} {describe_exit(code)}{'' if process.once else ' before it was ready'}")
        if not process.once and process.ready():
            return
        if time.monotonic() > deadline:
            raise StartFailed(f"{process.name} was not ready within {process.patience:g} s")
        time.sleep(LOOK_EVERY)


def stop(process: Process, child: Child) -> int:
    """Ask it to leave, wait for its grace, kill what is left of its group; give its return code. May be repeated."""
    if child.returncode is None:
        if not has_ended(child):
            os.kill(child.pid, process.end)
            ends_within(child, process.grace)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def describe_exit(code: int) -> str:
    """Say in words what a return code of subprocess means; a negative one is the signal that ended it."""
    return f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def last_lines(log: Path, count: int = 20) -> str:
    """The end of a log file, indented; empty when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-count:])


@contextmanager
def running(process: Process, log: Path) -> Iterator[Child]:
    """Have it ready inside the block and gone after it, its output in `log`."""
    with log.open("ab") as output:
        child = spawn(process, output.fileno())
    try:
        try:
            wait_until_ready(process, child)
        except StartFailed as failure:
            raise StartFailed(f"{failure}\n{last_lines(log)}") from None
        yield child
    finally:
        stop(process, child)
