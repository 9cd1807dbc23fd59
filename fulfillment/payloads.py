"""An event's body for a person to read, whatever was signed: indented, and without what opens anything."""

import json
from typing import Any

HIDDEN = "(hidden)"
SECRETS = ("secret", "token", "password")  # how the names of such fields end: client_secret, access_token


def readable(body: bytes) -> str:
    """The JSON with two spaces of indent and its secrets hidden; what is no JSON, or nested too deep, as it came."""
    try:
        text = json.dumps(_without_secrets(json.loads(body)), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
    return text.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair is no text that can be sent


def ids_in(body: bytes) -> list[str]:
    """The ids by which an order may know the payment that an event is about."""
    try:
        event = json.loads(body)
        found = event["data"]["object"]
        intent = found.get("payment_intent")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return []
    named = [found.get("id"), intent.get("id") if isinstance(intent, dict) else intent]
    return [value for value in named if isinstance(value, str) and value and "\x00" not in value]


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: HIDDEN if _hides(name, inner) else _without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return value


def _hides(name: str, value: Any) -> bool:
    return isinstance(value, str) and bool(value) and name.lower().endswith(SECRETS)
