"""What is being worked on in this moment: the request, the task, the event, the order. Every line of the log names it.

A leaf: imports no app of the shop, so every app may use it.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)

_ids: ContextVar[dict[str, str | int] | None] = ContextVar("ids", default=None)


@contextmanager
def about(**ids: str | int) -> Iterator[None]:
    """Work of its own: what is noted inside is forgotten after it, and what was known before is known inside."""
    before = _ids.set({**current(), **ids})
    try:
        yield
    finally:
        _ids.reset(before)


def note(**ids: str | int) -> None:
    """The innermost work is about these as well. Without any, as in a shell, nothing happens."""
    if (known := _ids.get()) is not None:
        known.update(ids)


def begin(**ids: str | int) -> None:
    """Like `about`, for whoever is told of the begin and the end by two calls: `end` is the other."""
    _ids.set(dict(ids))


def end() -> None:
    _ids.set(None)


def current() -> dict[str, str | int]:
    return dict(_ids.get() or {})


def request_id() -> str:
    """The request that all this is done for, "" where there is none or where there are many."""
    return str((_ids.get() or {}).get("request_id", ""))


def new_request_id() -> str:
    return uuid.uuid4().hex
