"""The shop with a Link header on every page: what HINT says. Only to be measured against the shop as it is."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from storefront.wsgi import application as shop

HINT = os.environ.get("HINT", "")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        if dict(headers).get("Content-Type", "").startswith("text/html"):
            headers.append(("Link", HINT))
        return start_response(status, headers, *rest)

    return shop(environ, start)
