"""Start processes in order, keep them running, show what they say, stop them in reverse."""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from sandbox.folders import private_folder
from sandbox.process import (
    Child,
    Process,
    StartFailed,
    describe_exit,
    has_ended,
    last_lines,
    spawn,
    stop,
    wait_until_ready,
)

LOG_BYTES = 5_000_000
NAME_WIDTH = 10
COLORS = (36, 33, 32, 35, 34, 31, 96, 93)
RESTARTS_PER_MINUTE = 5
PAUSE_BEFORE_RESTART = 1.0  # seconds


class Died(Exception):
    """A process ended that may not, or too often; the message says which, how, and its last lines."""


@dataclass
class Running:
    """A started process. `ends` are the times (monotonic seconds) at which it ended before."""

    process: Process
    child: Child
    reader: threading.Thread
    ends: deque[float] = field(default_factory=deque)
    again_at: float | None = None


def finish(process: Process, child: Child, reader: threading.Thread) -> int:
    """Stop it, and wait until all it said is on the screen and in the log; give its return code."""
    code = stop(process, child)
    reader.join(1)
    return code


class Supervisor:
    """Runs processes for one person in front of one screen.

    `quit` may be called from a signal handler: everything that waits here looks at it, so no start is ever cut in
    half with a child that nobody knows of (an exception raised by the handler would do that).
    """

    def __init__(self, logs: Path, *, screen: TextIO | None = None) -> None:
        self.logs = private_folder(logs)
        self.screen = screen or sys.stdout
        self.colored = self.screen.isatty() and "NO_COLOR" not in os.environ
        # A plain flag: a signal handler that sets an Event hangs when it meets the main thread inside Event.wait, which
        # holds the same lock.
        self.quitting = False
        self._running: list[Running] = []
        self._writing = threading.Lock()

    def quit(self) -> None:
        self.quitting = True

    def start(self, processes: Iterable[Process]) -> None:
        """Start each one when the one before it is ready. Raises StartFailed with the last lines of the culprit."""
        for process in processes:
            if self.quitting:
                return
            child, reader = self._spawn(process)
            if not process.once:
                self._running.append(Running(process, child, reader))
            try:
                wait_until_ready(process, child, give_up=lambda: self.quitting)
            except StartFailed as failure:
                finish(process, child, reader)
                raise StartFailed(f"{failure}\n{last_lines(self.log(process))}") from None
            if process.once:
                finish(process, child, reader)

    def watch(self) -> None:
        """Return when told to quit. Restarts what may be restarted; raises Died when something is down for good."""
        while not self.quitting:
            for one in self._running:
                self._look_after(one)
            time.sleep(0.1)

    def stop(self) -> None:
        """End all of them in reverse order of their start, each before the next is asked. May be repeated."""
        while self._running:
            one = self._running[-1]
            finish(one.process, one.child, one.reader)
            self._running.pop()

    def say(self, text: str) -> None:
        """A line of our own. A screen that has gone away must not stop the shop from being stopped properly."""
        with self._writing:
            try:
                self.screen.write(text + "\n")
                self.screen.flush()
            except (OSError, ValueError):
                self.quitting = True

    def log(self, process: Process) -> Path:
        return self.logs / f"{process.name}.log"

    def _look_after(self, one: Running) -> None:
        now = time.monotonic()
        if one.again_at is not None:
            if now >= one.again_at:
                one.again_at = None
                one.child, one.reader = self._spawn(one.process)
        elif has_ended(one.child):
            # Its own children are ended with it: a new one would meet them on its port.
            self._plan_restart(one, finish(one.process, one.child, one.reader), now)

    def _plan_restart(self, one: Running, code: int, now: float) -> None:
        what = f"{one.process.name} {describe_exit(code)}"
        one.ends.append(now)
        while one.ends[0] < now - 60:
            one.ends.popleft()
        if not one.process.restart:
            raise Died(f"{what}\n{last_lines(self.log(one.process))}")
        if len(one.ends) > RESTARTS_PER_MINUTE:
            raise Died(f"{what}, {len(one.ends)} times in a minute\n{last_lines(self.log(one.process))}")
        self.say(f"{what}; starting it again")
        one.again_at = now + PAUSE_BEFORE_RESTART

    def _spawn(self, process: Process) -> tuple[Child, threading.Thread]:
        log = self.log(process)
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.unlink()
        read_end, write_end = os.pipe()
        try:
            child = spawn(process, write_end)
        except OSError as error:
            os.close(read_end)
            raise StartFailed(f"{process.name} cannot be started: {error}") from None
        finally:
            os.close(write_end)
        reader = threading.Thread(target=self._relay, args=(process, read_end), daemon=True)
        reader.start()
        return child, reader

    def _relay(self, process: Process, read_end: int) -> None:
        """Copy each line to the screen, behind the name, and to the log, until the last writer has gone."""
        prefix = self._prefix(process.name)
        with open(read_end, "rb") as lines, self.log(process).open("ab", buffering=0) as log:
            for line in lines:
                log.write(line)
                self.say(prefix + line.decode(errors="replace").rstrip("\r\n"))

    def _prefix(self, name: str) -> str:
        prefix = f"{name:<{NAME_WIDTH}}| "
        color = COLORS[sum(name.encode()) % len(COLORS)]
        return f"\x1b[{color}m{prefix}\x1b[0m" if self.colored else prefix
