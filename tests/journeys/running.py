"""`make run` for the journeys: the whole of it, from nothing, on ports and data of its own."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import environ
import psycopg
from django.core import signing

from catalog.demo_books import books
from fulfillment import links
from sandbox import plan
from sandbox.parts import PROJECT

Found = TypeVar("Found")

# What the tests' own plugin named is not for this run. Empty counts as not set, and keeps a developer's .env out.
EMPTY = (
    "ADMINS ALLOWED_HOSTS CELERY_BROKER_URL DATABASE_URL DEBUG DEFAULT_FROM_EMAIL EMAIL_URL SENTRY_DSN "
    "SITE_URL STORAGE_URL STRIPE_API_BASE STRIPE_SECRET_KEY STRIPE_WEBHOOK_SECRETS"
).split()
SECRET_KEY = "only-for-journeys-only-for-journeys-only-for-journeys-1234"
OPEN_ORDER_SECONDS = 2  # the sweep asks Stripe early
HELD_OFF = "update orders_order set next_check_at = now() + interval '1 hour' where stripe_session_id = %s"
DOORS = (
    "select distinct door from orders_timelineentry entry join orders_order on orders_order.id = order_id"
    " where stripe_session_id = %s and kind in ('state', 'access')"
)


@dataclass(frozen=True)
class Shop:
    """A running shop with its world: its address, and what a person at its controls could do."""

    url: str
    world_url: str
    var: Path
    given: Mapping[str, str] = field(default_factory=dict)  # settings that its runner was started with

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The sandbox's control API: gets without a body, else posts."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.world_url}/_control/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def mails(self, to: str) -> list[dict[str, Any]]:
        """Newest first."""
        found: list[dict[str, Any]] = self.control(f"mails?{urllib.parse.urlencode({'to': to})}")["mails"]
        return found

    def wait_mail(self, to: str, *, saying: str = "", count: int = 1) -> dict[str, Any]:
        """The newest mail whose text says this, once there are `count` of them."""

        def arrived() -> dict[str, Any] | None:
            found = [mail for mail in self.mails(to) if saying in mail["text"]]
            return found[0] if len(found) >= count else None

        return until(arrived, f"{count} mails to {to} saying {saying!r}")

    def settings(self) -> dict[str, str]:
        """What the runner chose and keeps for `make manage`."""
        lines = shlex.split((self.var / "environment").read_text())
        return dict(line.split("=", 1) for line in lines if line != "export")

    def manage(self, *arguments: str) -> str:
        """A management command on this shop; what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env={**surroundings(), **self.given, **self.settings()},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask, or change, the shop's own database."""
        named = environ.Env.db_url_config(self.settings()["DATABASE_URL"])
        address = {"host": named["HOST"], "dbname": named["NAME"], "user": named["USER"]}
        with psycopg.connect(**address, autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def hold_off_the_sweep(self, session_id: str) -> None:
        """The sweep does not ask about this order, so what happens is another door's work."""
        self.query(HELD_OFF, session_id)

    def doors(self, session_id: str) -> set[str]:
        """What brought the payment and the access of this session's order to the shop."""
        return {str(door) for (door,) in self.query(DOORS, session_id)}


def expired(address: str) -> str:
    """The same link as if it had been mailed three days ago."""
    page, _, token = address.rpartition("/links/")
    reference = token.strip("/").split(".")[0]
    when = signing.b62_encode(int(time.time()) - 3 * 24 * 3600)
    signer = signing.Signer(key=SECRET_KEY, salt=links.SIGNER.salt, sep=links.SIGNER.sep)
    return f"{page}/links/{signer.sign(f'{reference}{links.SIGNER.sep}{when}')}/"


def demo_sha256(slug: str, folder: Path) -> str:
    """Of the PDF that load_demo stored for this book: it is written with the same bytes each time."""
    path = folder / f"{slug}.pdf"
    next(book for book in books() if book.slug == slug).write_pdf(path)
    return sha256(path.read_bytes()).hexdigest()


def until(look: Callable[[], Found | None], what: str, seconds: float = 20) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"in {seconds} s there were not: {what}"
        time.sleep(0.05)
    return found


@contextmanager
def running_shop(folder: Path, **settings: str) -> Iterator[Shop]:
    """Start the runner as `make run` does, with these settings in its environment; at the end Ctrl-C must end it with
    0 and leave no process behind."""
    var, log, port = folder / "var", folder / "run.log", free_port()
    environment = {**surroundings(), "VAR": str(var), "PORT": str(port), **settings}
    command = [sys.executable, "-m", "sandbox.run"]
    with log.open("wb") as output:
        runner = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: "  ready in " in log.read_text() or runner.poll() is not None, "lines saying ready", seconds=120)
        assert runner.poll() is None, log.read_text()
        yield Shop(url=f"http://127.0.0.1:{port}", world_url=f"http://127.0.0.1:{port + 1}", var=var, given=settings)
        family = descendants(runner.pid)
    finally:
        runner.send_signal(signal.SIGINT)
        code = runner.wait(timeout=60)
    said = log.read_text()
    assert code == 0, said[-3000:]
    assert len(family) > 6, family
    assert [number for number in family if is_alive(number)] == []
    assert "Traceback" not in said, said[said.index("Traceback") - 500 :][:3000]


def surroundings() -> dict[str, str]:
    """The environment of a shell in which nothing of the shop is set."""
    return {
        **os.environ,
        **dict.fromkeys(EMPTY, ""),
        "SECRET_KEY": SECRET_KEY,
        "OPEN_ORDER_SECONDS": str(OPEN_ORDER_SECONDS),
    }


def free_port() -> int:
    """The first of three free ports, below those that the kernel gives to anybody who asks for any."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            plan.check_ports(plan.Ports(port, port + 1, port + 2), plan.parts_embedded({}))
        except plan.CannotRun:
            continue
        return port


def descendants(number: int) -> list[int]:
    """All processes below this one, whichever session they made for themselves."""
    children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return [each for child in children for each in (int(child), *descendants(int(child)))]


def is_alive(number: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
