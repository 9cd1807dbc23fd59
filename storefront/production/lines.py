"""What a check answers with: lines that are green, or say what to do."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass


class State(enum.StrEnum):
    OK = "ok"
    WARNING = "warning"  # works today; somebody should know
    WRONG = "wrong"


@dataclass(frozen=True)
class Line:
    """What was asked, what was found, and, unless that is well, what to do. No secrets: it may be pasted anywhere."""

    name: str
    state: State
    found: str
    do: str = ""


Check = Callable[[], Iterable[Line]]


def ok(name: str, found: str) -> Line:
    return Line(name, State.OK, found)


def warning(name: str, found: str, do: str) -> Line:
    return Line(name, State.WARNING, found, do)


def wrong(name: str, found: str, do: str) -> Line:
    return Line(name, State.WRONG, found, do)


def brief(error: BaseException) -> str:
    """An error in one line of bearable length."""
    return " ".join(str(error).split())[:160] or type(error).__name__
