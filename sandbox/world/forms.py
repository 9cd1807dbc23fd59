"""Form encoding as Stripe's clients send it: `line_items[0][price_data][currency]=usd`, `expand[]=customer`.

A decoded form is a dict of text or further dicts; a list is a dict whose keys are digits, because only the reader
knows whether `metadata[1]` is a key or an index.
"""

import re
from collections.abc import Iterable
from typing import Any

from sandbox.world.errors import ApiError, invalid, required

Form = dict[str, Any]
Names = dict[str, Any]  # allowed names; the value is None for anything, a Names for an object, [Names] for a list

PART = re.compile(r"\[([^\[\]]*)\]")


def decode(pairs: Iterable[tuple[str, str]]) -> Form:
    form: Form = {}
    for key, value in pairs:
        head, _, _ = key.partition("[")
        place(form, [head, *PART.findall(key[len(head) :])], value)
    return form


def place(form: Form, path: list[str], value: str) -> None:
    for part in path[:-1]:
        inner = form.setdefault(part or str(len(form)), {})
        if not isinstance(inner, dict):
            raise ApiError("Invalid form encoding: a name is used both as a value and as an object.")
        form = inner
    form[path[-1] or str(len(form))] = value


def check_names(form: Form, names: Names, where: str = "") -> None:
    """Refuse the first parameter that the operation does not know."""
    for key, value in form.items():
        param = f"{where}[{key}]" if where else key
        if key not in names:
            raise ApiError(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
        inner = names[key]
        if isinstance(inner, dict) and isinstance(value, dict):
            check_names(value, inner, param)
        elif isinstance(inner, list) and isinstance(value, dict):
            for index, item in value.items():
                if isinstance(item, dict):
                    check_names(item, inner[0], f"{param}[{index}]")


def text(form: Form, key: str, *, param: str = "") -> str | None:
    """The text under `key`; None where it is absent or empty, which is how a form unsets a value."""
    value = form.get(key)
    if isinstance(value, dict):
        raise invalid(f"Invalid string: {value}", param or key)
    return value or None


def needed(form: Form, key: str, *, param: str = "") -> str:
    value = text(form, key, param=param)
    if value is None:
        raise required(param or key)
    return value


def integer(form: Form, key: str, *, param: str = "") -> int | None:
    value = text(form, key, param=param)
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,15}", value):
        raise invalid(f"Invalid integer: {value}", param or key, "parameter_invalid_integer")
    return int(value)


def boolean(form: Form, key: str, default: bool) -> bool:
    value = text(form, key)
    if value is None:
        return default
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", key)
    return value == "true"


def choice(form: Form, key: str, allowed: tuple[str, ...], default: str | None = None) -> str | None:
    value = text(form, key)
    if value is not None and value not in allowed:
        raise invalid(f"Invalid {key}: must be one of {', '.join(allowed)}", key)
    return value or default


def inner(form: Form, key: str, *, param: str = "") -> Form:
    """The object under `key`, empty where it is absent."""
    value = form.get(key) or {}
    if not isinstance(value, dict):
        raise invalid("Invalid object", param or key)
    return value


def items(form: Form, key: str, *, param: str = "") -> list[Any]:
    """The list under `key` in the order of its indexes, empty where it is absent."""
    value = form.get(key) or {}
    if not isinstance(value, dict) or not all(index.isdigit() for index in value):
        raise invalid("Invalid array", param or key)
    return [value[index] for index in sorted(value, key=int)]


def metadata(form: Form, key: str = "metadata", *, param: str = "") -> dict[str, str]:
    """https://docs.stripe.com/api/metadata: 50 keys of 40 characters, values of 500."""
    param = param or key
    found = {name: str(value) for name, value in inner(form, key, param=param).items() if value != ""}
    if len(found) > 50:
        raise invalid("Metadata can have at most 50 keys", param)
    for name, value in found.items():
        if len(name) > 40 or len(value) > 500:
            raise invalid("Metadata keys have up to 40 characters, values up to 500", f"{param}[{name}]")
    return found


def merged(old: dict[str, str], form: Form) -> dict[str, str]:
    """Metadata after an update: named keys change, an empty value removes its key, an empty `metadata` removes all."""
    if form.get("metadata") == "":
        return {}
    gone = {name for name, value in inner(form, "metadata").items() if value == ""}
    return {name: value for name, value in (old | metadata(form)).items() if name not in gone}


def web_address(value: str | None, param: str) -> str | None:
    if value is not None and not re.match(r"https?://[^/\s]+", value):
        raise invalid("Not a valid URL", param, "url_invalid")
    return value
