"""The limit: WSGI, the signature, the id, one prepared INSERT of the same row. No framework, no checks, no wake-up."""

import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg

SECRET = os.environ["STRIPE_WEBHOOK_SECRETS"].encode()
ADDRESS = os.environ["PEER_DATABASE"]
INSERT = """INSERT INTO bench_limit (event_id, type, object_id, livemode, account, api_version, body, received_at,
    state, attempts, next_attempt_at, note) VALUES (%s, %s, %s, false, '', '', %s, %s, 'received', 0, %s, '')
    ON CONFLICT (event_id) DO NOTHING"""

_thread = threading.local()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    parts = dict(part.split("=", 1) for part in environ.get("HTTP_STRIPE_SIGNATURE", "t=,v1=").split(","))
    expected = hmac.new(SECRET, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, parts["v1"]):
        start_response("400 Bad Request", [("Content-Length", "0")])
        return [b""]
    event = orjson.loads(body)
    now = datetime.now(UTC)
    values = (event["id"], event["type"], event["data"]["object"]["id"], body, now, now)
    connection().execute(INSERT, values, prepare=True)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"stored"]


def connection() -> psycopg.Connection[Any]:
    if not hasattr(_thread, "connection"):
        _thread.connection = psycopg.connect(ADDRESS, autocommit=True)
    found: psycopg.Connection[Any] = _thread.connection
    return found
