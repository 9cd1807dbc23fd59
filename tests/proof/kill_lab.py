"""Where processes are killed: a database and an outside world of their own, and children that are forked to die.

Everything is real: PostgreSQL, the broker, the local Stripe and the mail server run as processes; a child is a fork of
this one with the shop loaded, opens connections of its own, and ends by SIGKILL or by itself. Nothing of the shop may
be imported before `laboratory` has set the environment.
"""

import gc
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import environ
import psycopg

from sandbox import parts
from sandbox.plan import HOST
from sandbox.process import Process, running
from sandbox.world.server import World, free_port
from tests.servers import ENVIRONMENT, ignore_dotenv, make_folder, start_servers

Tell = Callable[[str], None]

WRITTEN = ("orders_%", "fulfillment_%", "accounts_session")  # the tables that a flow writes to


class RemoteWorld(World):
    """The world as a process of its own; `control` reaches it."""

    def __init__(self, *, port: int, smtp_port: int, secret_key: str) -> None:
        self.base_url, self.smtp_port, self.secret_key = f"http://{HOST}:{port}", smtp_port, secret_key

    def mails(self, to: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control(f"mails?to={to or ''}")["mails"]
        return found


@dataclass
class Lab:
    """`database` is this process's own connection, beside Django's, which only children use."""

    world: World
    database: psycopg.Connection[tuple[Any, ...]]
    back: tuple[str, ...] = ()

    def clear(self) -> None:
        """No rows but those of the migrations, nothing at Stripe, no mail."""
        self._run(f"TRUNCATE {', '.join(self._tables(*WRITTEN, 'catalog_%', 'accounts_%'))} CASCADE")
        self.world.control("reset", {})

    def keep(self) -> None:
        """Remember the rows as they are."""
        self._run("DROP SCHEMA IF EXISTS kept CASCADE", "CREATE SCHEMA kept")
        tables = self._tables(*WRITTEN)
        self._run(*(f"CREATE TABLE kept.{table} AS TABLE {table}" for table in tables))
        back = [f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept.{table}" for table in tables]  # noqa: S608
        # Without triggers, because the timeline is append-only.
        self.back = ("SET session_replication_role = replica", *back, "RESET session_replication_role")

    def restore(self) -> None:
        """Have the rows that were kept, and no mail. Takes a few milliseconds, where a new database takes a second."""
        self._run(*self.back)
        self.world.control("mails/clear", {})

    def _run(self, *statements: str) -> None:
        self.database.execute("; ".join(statements).encode())

    def _tables(self, *patterns: str) -> list[str]:
        found = self.database.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE ANY (%s) ORDER BY 1",
            [list(patterns)],
        )
        return [str(name) for (name,) in found]


@contextmanager
def laboratory() -> Iterator[Lab]:
    """The servers that the environment does not name, a database and a world of our own; then Django is set up."""
    with ExitStack() as stack:
        ignore_dotenv()
        folder = make_folder(stack)
        start_servers(folder, stack)
        database = stack.enter_context(own_database())
        world = stack.enter_context(own_world(folder))
        os.environ.update(
            ENVIRONMENT
            | {
                "STORAGE_URL": f"file://{folder}/files",
                "STRIPE_API_BASE": world.base_url,
                "EMAIL_URL": f"smtp://{HOST}:{world.smtp_port}",
                "SWEEP_GRACE_SECONDS": "0",
                "LOG_LEVEL": "ERROR",  # the table of the figures is what is read
                "DJANGO_SETTINGS_MODULE": "storefront.settings",
            }
        )
        set_up_django()
        yield Lab(world=world, database=database)


@contextmanager
def own_world(folder: Path) -> Generator[RemoteWorld]:
    """Stripe and the mail server. It posts no webhooks: which process gets one, and when, is ours to say."""
    port, smtp_port, key = free_port(), free_port(), ENVIRONMENT["STRIPE_SECRET_KEY"]
    options = {"--port": port, "--smtp-port": smtp_port, "--data": folder / "world", "--secret-key": key}
    process = Process(
        name="sandbox",
        argv=[sys.executable, "-m", "sandbox.world", *(str(word) for option in options.items() for word in option)],
        cwd=parts.PROJECT,
        ready=lambda: parts.answers(port, "/") and parts.listens(smtp_port),
    )
    with running(process, folder / "world.log"):
        yield RemoteWorld(port=port, smtp_port=smtp_port, secret_key=key)


@contextmanager
def own_database() -> Generator[psycopg.Connection[tuple[Any, ...]]]:
    """A new database beside the one that DATABASE_URL names, which it names from now on."""
    url = os.environ["DATABASE_URL"]
    named, name = environ.Env.db_url_config(url), f"kill_{os.getpid()}"
    server = {
        "host": named["HOST"],
        "port": named["PORT"] or None,
        "user": named["USER"],
        "password": named["PASSWORD"],
    }
    with psycopg.connect(**server, dbname="postgres", autocommit=True) as beside:
        beside.execute(f"CREATE DATABASE {name}".encode())
        os.environ["DATABASE_URL"] = f"{url.rpartition('/')[0]}/{name}"
        try:
            with psycopg.connect(**server, dbname=name, autocommit=True) as connection:
                yield connection
        finally:
            os.environ["DATABASE_URL"] = url
            beside.execute(f"DROP DATABASE {name} (FORCE)".encode())


def set_up_django() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.WHITENOISE_AUTOREFRESH = True
    call_command("migrate", "--noinput", "--verbosity=0")


@dataclass
class Fate:
    """What became of a child: what it told while it lived, and what its act returned, unless it was killed."""

    lived: bool = False
    told: list[str] = field(default_factory=list)
    result: Any = None


def in_child(act: Callable[[Tell], Any]) -> Fate:
    """Run `act` in a fork of this process. It is given a function that tells us something at once: a kill cannot take
    that back.

    What else than SIGKILL may end a child is an error of the harness. Before it forks, this process must have let go of
    all that cannot be shared.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _live(act, writing)
    os.close(writing)
    fate = _listen(reading)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if killed is fate.lived or (not killed and status):
        raise RuntimeError(f"a child ended with status {os.waitstatus_to_exitcode(status)}")
    return fate


def _live(act: Callable[[Tell], Any], writing: int) -> NoReturn:
    gc.disable()  # a collection would touch, and so copy, all that parent and child share
    status = 1
    try:
        with open(writing, "wb", buffering=0) as pipe:
            result = act(lambda text: pickle.dump(text, pipe))
            pickle.dump(Fate(lived=True, result=result), pipe)
        status = 0
    except BaseException:  # noqa: BLE001 - the parent sees the status
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _listen(reading: int) -> Fate:
    told: list[str] = []
    with open(reading, "rb") as pipe:
        while True:
            try:
                said = pickle.load(pipe)  # noqa: S301 - from our own child
            except EOFError:
                return Fate(told=told)
            if isinstance(said, Fate):
                return Fate(lived=True, told=told, result=said.result)
            told.append(said)


def let_go() -> None:
    """Close what a fork must not share with this process: connections to PostgreSQL, the broker and Stripe."""
    import kombu
    from django.db import connection

    from orders import stripe_api
    from storefront.celery import app, wakeups

    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    kombu.pools.reset()
    app._after_fork()
    stripe_api._client.cache_clear()
    wakeups.settle()  # its thread waits for the next call, and a forked child starts one of its own
    own = (threading.main_thread(), wakeups._thread)
    left = [thread.name for thread in threading.enumerate() if thread not in own]
    if left:
        raise RuntimeError(f"these threads would not survive a fork: {left}")
