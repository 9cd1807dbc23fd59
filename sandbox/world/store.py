"""Every object of the local Stripe, in one SQLite file; what was committed survives a restart and `kill -9`."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Body = dict[str, Any]
Condition = tuple[str, str, Any]  # field, operator, value (a list with IN)

COLUMNS = {
    "seq": "seq",
    "created": "created",
    "undelivered": "EXISTS (SELECT 1 FROM deliveries WHERE event = objects.id AND state <> 'delivered')",
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, created INTEGER NOT NULL,
    body TEXT NOT NULL, private TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_created ON objects (kind, created);
CREATE INDEX IF NOT EXISTS objects_intent ON objects (kind, json_extract(body, '$.payment_intent'));
CREATE INDEX IF NOT EXISTS objects_charge ON objects (kind, json_extract(body, '$.charge'));
CREATE INDEX IF NOT EXISTS objects_type ON objects (kind, json_extract(body, '$.type'));
CREATE TABLE IF NOT EXISTS versions (id TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS versions_id ON versions (id);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, request_id TEXT);
CREATE TABLE IF NOT EXISTS timers (due REAL NOT NULL, act TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (act, id));
CREATE INDEX IF NOT EXISTS timers_due ON timers (due);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, endpoint TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, copies INTEGER NOT NULL DEFAULT 1, batch TEXT);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS attempts (
    delivery INTEGER NOT NULL, at REAL NOT NULL, status INTEGER, milliseconds REAL NOT NULL, error TEXT);
CREATE INDEX IF NOT EXISTS attempts_delivery ON attempts (delivery);
"""
TABLES = ("objects", "versions", "answers", "timers", "deliveries", "attempts")


@dataclass(frozen=True)
class Stale:
    """How far behind reads are: objects as they were `seconds` ago, or `changes` changes before now."""

    seconds: float | None = None
    changes: int | None = None


class Store:
    """Thread-safe. One connection under one lock: simple, and quicker than SQLite's own waiting on busy files."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA journal_mode=WAL")
        # A killed process loses nothing under NORMAL; only a power cut could, and this is a sandbox.
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.executescript(SCHEMA)
        self.lock = threading.RLock()
        self.depth = 0
        self.committed: Callable[[], None] = lambda: None

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, one at a time; blocks nest, the outermost commits and then tells `committed`."""
        with self.lock:
            if self.depth == 0:
                self.connection.execute("BEGIN IMMEDIATE")
            self.depth += 1
            try:
                yield
            except BaseException:
                self.depth -= 1
                if self.depth == 0:
                    self.connection.execute("ROLLBACK")
                raise
            self.depth -= 1
            outermost = self.depth == 0
            if outermost:
                self.connection.execute("COMMIT")
        if outermost:
            self.committed()

    def rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self.lock:
            return self.connection.execute(statement, values).fetchall()

    def run(self, statement: str, *values: Any) -> int:
        """Execute one writing statement; the number of rows it changed."""
        with self.lock:
            return self.connection.execute(statement, values).rowcount

    def insert(self, statement: str, *values: Any) -> int:
        with self.lock:
            return self.connection.execute(statement, values).lastrowid or 0

    def add(self, body: Body, **private: Any) -> Body:
        """Keep a new object. `private` is what Stripe knows of it and does not show."""
        text = json.dumps(body)
        with self.transaction():
            self.run(
                "INSERT INTO objects (id, kind, created, body, private) VALUES (?, ?, ?, ?, ?)",
                *(
                    body["id"],
                    body["object"],
                    body.get("created") or int(time.time()),
                    text,
                    json.dumps(private),
                ),
            )
            self.run("INSERT INTO versions VALUES (?, ?, ?)", body["id"], time.time(), text)
        return body

    def change(self, body: Body, **fields: Any) -> Body:
        """Write the object with these fields replaced; the versions before stay for stale reads."""
        body = {**body, **fields}
        text = json.dumps(body)
        with self.transaction():
            self.run("UPDATE objects SET body = ? WHERE id = ?", text, body["id"])
            self.run("INSERT INTO versions VALUES (?, ?, ?)", body["id"], time.time(), text)
        return body

    def remove(self, identifier: str) -> None:
        self.run("DELETE FROM objects WHERE id = ?", identifier)

    def get(self, kind: str, identifier: str, stale: Stale | None = None) -> Body | None:
        found = self.rows("SELECT body FROM objects WHERE id = ? AND kind = ?", identifier, kind)
        if not found:
            return None
        body: Body = json.loads(found[0]["body"])
        return self.before(body, stale) if stale else body

    def need(self, kind: str, identifier: str) -> Body:
        """The object, which the caller knows to exist; KeyError otherwise."""
        body = self.get(kind, identifier)
        if body is None:
            raise KeyError(identifier)
        return body

    def private(self, identifier: str) -> dict[str, Any]:
        found = self.rows("SELECT private FROM objects WHERE id = ?", identifier)
        return dict(json.loads(found[0]["private"])) if found else {}

    def set_private(self, identifier: str, **fields: Any) -> None:
        with self.transaction():
            values = json.dumps(self.private(identifier) | fields)
            self.run("UPDATE objects SET private = ? WHERE id = ?", values, identifier)

    def before(self, body: Body, stale: Stale) -> Body:
        """An earlier version of the object; its first one where it is younger than that."""
        rows = self.rows("SELECT at, body FROM versions WHERE id = ? ORDER BY rowid DESC", body["id"])
        if stale.changes is not None:
            rows = rows[stale.changes :] or rows[-1:]
        if stale.seconds is not None:
            rows = [row for row in rows if row["at"] <= time.time() - (stale.seconds or 0)] or rows[-1:]
        earlier: Body = json.loads(rows[0]["body"]) if rows else body
        return earlier

    def find(self, kind: str, *conditions: Condition, limit: int = 1_000_000, order: str = "DESC") -> list[Body]:
        """Objects of a kind, newest first unless `order` is ASC, that meet all conditions."""
        where, values = ["kind = ?"], [kind]
        for field, operator, value in conditions:
            column = COLUMNS.get(field) or f"json_extract(body, '$.{field}')"
            marks = f"({', '.join('?' * len(value))})" if isinstance(value, list) else "?"
            where.append(f"{column} {operator} {marks}")
            values += value if isinstance(value, list) else [value]
        # Fields, operators and the order are words of this package; values travel apart.
        statement = f"SELECT body FROM objects WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        return [json.loads(row["body"]) for row in self.rows(statement, *values, limit)]

    def seq(self, kind: str, identifier: str) -> int | None:
        found = self.rows("SELECT seq FROM objects WHERE id = ? AND kind = ?", identifier, kind)
        return found[0]["seq"] if found else None

    def clear(self) -> None:
        with self.transaction():
            for table in TABLES:
                self.run(f"DELETE FROM {table}")  # noqa: S608 - our own tables
