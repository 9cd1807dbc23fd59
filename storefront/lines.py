"""How a line of the log is written: as text for a person, or as one JSON object for machines (LOG_FORMAT)."""

import json
import logging
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from storefront import trace
from storefront.scrub import EMAIL, without_secrets

SHORT = 300
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # but not tab and newline


class Text(logging.Formatter):
    """A line as ever, its traceback included, with the ids of what is being worked on behind its first line."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        ids = "".join(f" {name}={value}" for name, value in trace.current().items())
        return super().formatMessage(record).replace("\n", "\\n") + ids


class Json(logging.Formatter):
    """One JSON object in one line: time, level, logger, message, the ids of what is being worked on, and fields that
    whoever logs has given as `extra={"fields": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": harmless(record.getMessage()),
            **trace.current(),
        }
        for name, value in getattr(record, "fields", {}).items():
            line[name] = harmless(value) if isinstance(value, str) else value
        if record.exc_info:
            line["traceback"] = harmless(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def harmless(text: str) -> str:
    """Without secrets, with addresses that only their owner knows again, and in no way to forge a line of its own."""
    return _remembered(text) if len(text) < SHORT else _cleaned(text)


@lru_cache(maxsize=512)
def _remembered(text: str) -> str:
    """Most lines are of requests, and most of those are alike: the webhook's, the front page's."""
    return _cleaned(text)


def _cleaned(text: str) -> str:
    masked = EMAIL.sub(lambda found: f"{found[0][0]}…@{found[0].rpartition('@')[2]}", without_secrets(text))
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", masked)
