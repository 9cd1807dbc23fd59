"""Refused webhooks and wrong clocks, counted per minute over all processes, for the alerts.

A flood must stay cheap: refusals are counted in memory and written at most once per second by each process, but for the
first few of a minute. Those are written one by one: after a short burst nobody may come to write the rest.
"""

import hashlib
import hmac
import logging
import re
import threading
import time
from collections import Counter
from datetime import UTC, datetime

from django.conf import settings
from django.db import DatabaseError, connection

log = logging.getLogger(__name__)

FLUSH_EVERY = 1.0  # seconds
AT_ONCE = 10  # writes in a minute that need not wait; no fewer than it takes refusals to raise the alarm
KEPT_MINUTES = 60  # in memory, while the database cannot take them
SKEW = 120  # seconds that Stripe's clock and ours may be apart before somebody is told

_lock = threading.Lock()
_refused: Counter[int] = Counter()  # by minute since the epoch, as the two below
_failed: Counter[int] = Counter()
_skew: dict[int, int] = {}
_flushed_at = float("-inf")
_writes: Counter[int] = Counter()


def answered(status: int) -> None:
    """Count an answer, and write what was counted so far, unless that was done often in this minute or just now.

    A 5xx is only counted: the database is likely to be why, and must not be waited for twice.
    """
    minute = _this_minute()
    with _lock:
        if 400 <= status < 500:
            _refused[minute] += 1
        elif status >= 500:
            _failed[minute] += 1
    if status < 500:
        _flush()


def compare_clocks(body: bytes, header: str) -> None:
    """Remember a timestamp far from our own time, if Stripe did sign it: strangers may write any they like.

    A signature is dated when the request is sent, repeats included.
    https://docs.stripe.com/webhooks#verify-manually
    """
    stamp = re.search(r"(?:^|,)t=(\d{1,12})(?=,|$)", header, re.ASCII)
    if stamp is None:
        return
    ahead = int(stamp[1]) - int(time.time())
    if abs(ahead) <= SKEW or not _signed(stamp[1], body, header):
        return
    # No error: every event that comes would be one more, and the alert tells of it once.
    log.warning("the clocks of Stripe and this machine are %s seconds apart", abs(ahead))
    with _lock:
        _skew[_this_minute()] = ahead


def _signed(stamp: str, body: bytes, header: str) -> bool:
    signatures = re.findall(r"(?:^|,)v1=([0-9a-f]{64})(?=,|$)", header, re.ASCII)[:10]
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        expected = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        if any(hmac.compare_digest(expected, one) for one in signatures):
            return True
    return False


def _this_minute() -> int:
    return int(time.time() // 60)


def _flush() -> None:
    global _flushed_at  # noqa: PLW0603 - one per process, guarded by the lock
    now, minute = time.monotonic(), _this_minute()
    with _lock:
        too_soon = _writes[minute] >= AT_ONCE and now - _flushed_at < FLUSH_EVERY
        if too_soon or not (_refused or _failed or _skew):
            return
        _flushed_at = now
        _writes[minute] += 1
        for past in [one for one in _writes if one < minute]:
            del _writes[past]
        rows = [
            (datetime.fromtimestamp(minute * 60, UTC), _refused[minute], _failed[minute], _skew.get(minute, 0))
            for minute in sorted({*_refused, *_failed, *_skew})[-KEPT_MINUTES:]
        ]
        _forget()
    try:
        _write(rows)
    except DatabaseError:
        log.warning("%s refused webhooks could not be counted", sum(row[1] + row[2] for row in rows))


def _forget() -> None:
    _refused.clear()
    _failed.clear()
    _skew.clear()


def _write(rows: list[tuple[datetime, int, int, int]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO fulfillment_webhookminute AS kept (minute, refused, failed, clock_skew)
               VALUES (%s, %s, %s, %s) ON CONFLICT (minute) DO UPDATE SET
                   refused = kept.refused + EXCLUDED.refused, failed = kept.failed + EXCLUDED.failed,
                   clock_skew = CASE EXCLUDED.clock_skew WHEN 0 THEN kept.clock_skew ELSE EXCLUDED.clock_skew END""",
            rows,
        )
