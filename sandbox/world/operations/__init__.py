"""The operations of the API: for each method and path the parameters it takes and the function that does it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.world.account import Account
from sandbox.world.forms import Form, Names
from sandbox.world.store import Body, Stale


@dataclass(frozen=True)
class Call:
    """One API call: the decoded parameters, the ids in its path, and how stale its reads are."""

    account: Account
    form: Form
    ids: tuple[str, ...]
    url: str
    stale: Stale | None = None

    @property
    def id(self) -> str:
        return self.ids[0]

    def read(self, kind: str) -> Body:
        """The object that the path names, as old as the fault in force makes it."""
        found = self.account.need(kind, self.id)
        return self.account.store.before(found, self.stale) if self.stale else found


Function = Callable[[Call], Body]


@dataclass(frozen=True)
class Operation:
    method: str
    pattern: re.Pattern[str]
    names: Names
    function: Function


OPERATIONS: list[Operation] = []
PAGING: Names = dict.fromkeys(("limit", "starting_after", "ending_before"))


def names(text: str, **inner: Any) -> Names:
    """Parameter names from a text of words; `inner` gives the shape of those that are objects or lists."""
    return {**dict.fromkeys(text.split()), **inner}


def operation(method: str, path: str, allowed: Names | None = None) -> Callable[[Function], Function]:
    """Register an operation; all but deletions take `expand` too."""
    pattern = re.compile("/v1/" + re.sub(r"\{\w+\}", "([^/]+)", path))

    def register(function: Function) -> Function:
        expand: Names = {} if method == "DELETE" else {"expand": None}
        OPERATIONS.append(Operation(method, pattern, {**expand, **(allowed or {})}, function))
        return function

    return register
