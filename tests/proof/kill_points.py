"""Where a process can die: before each line of our own code that it executes, and around each statement it sends."""

import os
import re
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from django.db import connection

ROOT = Path(__file__).parents[2]
OURS = tuple(str(ROOT / name) for name in ("fulfillment/", "orders/", "storefront/celery.py"))


class Kind(StrEnum):
    LINES = "lines"
    STATEMENTS = "statements"


class Points:
    """The points that a run comes by, in order. At number `deadly`, from 1, the process kills itself: no handler, no
    `finally`, no goodbye to the database."""

    def __init__(self, deadly: int = 0) -> None:
        self.deadly = deadly
        self.passed: list[str] = []

    def reach(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def passed(kind: Kind, act: Callable[[], Any], *, deadly: int = 0) -> list[str]:
    """Run `act`; the points it came by, if it is let live."""
    points = Points(deadly)
    with (watch_lines if kind == Kind.LINES else watch_statements)(points.reach):
        act()
    return points.passed


@contextmanager
def watch_lines(reach: Callable[[str], None]) -> Generator[None]:
    def in_our_code(frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "line":
            file = frame.f_code.co_filename.removeprefix(f"{ROOT}/")
            reach(f"{file}:{frame.f_lineno} {frame.f_code.co_name}")
        return in_our_code

    def at_call(frame: FrameType, _event: str, _arg: Any) -> Any:
        return in_our_code if frame.f_code.co_filename.startswith(OURS) else None

    sys.settrace(at_call)
    try:
        yield
    finally:
        sys.settrace(None)


@contextmanager
def watch_statements(reach: Callable[[str], None]) -> Generator[None]:
    """Each statement of Django's, and each BEGIN, COMMIT and ROLLBACK, which psycopg sends by itself: after COMMIT
    means that the server has committed and nobody here knows it."""
    send = psycopg.Connection._exec_command

    def around(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        name = label(sql)
        reach(f"before {name}")
        try:
            return execute(sql, params, many, context)
        finally:
            reach(f"after {name}")

    def around_command(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        name = command.decode() if isinstance(command, bytes) else str(command)
        reach(f"before {name}")
        result = yield from send(self, command, *args, **kwargs)
        reach(f"after {name}")
        return result

    psycopg.Connection._exec_command = around_command  # type: ignore[method-assign]
    try:
        with connection.execute_wrapper(around):
            yield
    finally:
        psycopg.Connection._exec_command = send  # type: ignore[method-assign]


def label(sql: str) -> str:
    """What a statement does to which table, as `UPDATE orders_order`."""
    verb = sql.split(maxsplit=1)[0].upper()
    table = re.search(r'\b(?:FROM|INTO|UPDATE)\s+"?(\w+)', sql, re.IGNORECASE)
    return f"{verb} {table[1]}" if table else " ".join(sql.split())[:60]
