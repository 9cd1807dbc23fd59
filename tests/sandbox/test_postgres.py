"""PostgreSQL from the wheel, really started."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import environ
import psycopg
import pytest

from sandbox.folders import SOCKET_PATH_BYTES, FolderHeld, private_folder, socket_folder
from sandbox.postgres import Postgres, find_programs, remove_stale_pid_file, running_postgres
from sandbox.process import running
from sandbox.unprivileged import CannotStart

# Starts a server, says where, and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from sandbox.postgres import running_postgres
with running_postgres(Path(sys.argv[1])) as server:
    print(server.url("shop"), flush=True)
    time.sleep(60)
"""


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    found = environ.Env.db_url_config(url)
    return psycopg.connect(
        host=found["HOST"], user=found["USER"], dbname=found["NAME"], autocommit=True, connect_timeout=5
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with running_postgres(tmp_path_factory.mktemp("a folder + more") / "postgres", throwaway=True) as postgres:
        yield postgres


def test_url_is_what_django_environ_reads(server: Postgres) -> None:
    found = environ.Env.db_url_config(server.url("shop"))

    assert (found["HOST"], found["NAME"], found["USER"]) == (str(server.sockets), "shop", "shop")
    assert found["ENGINE"] == "django.db.backends.postgresql"


def test_url_makes_the_database_once(server: Postgres) -> None:
    with connect(server.url("a-shop")) as connection:
        connection.execute("CREATE TABLE kept (number int)")
    with connect(server.url("a-shop")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_the_extensions_and_letters_that_the_shop_needs(server: Postgres) -> None:
    with connect(server.url("shop")) as connection:
        for name in ("pg_trgm", "unaccent", "citext"):
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
        assert connection.execute("SELECT lower('ÄÉ'), to_tsvector('simple', 'ÄRGER')").fetchone() == (
            "äé",
            "'ärger':1",
        )


def test_nobody_else_can_reach_it(server: Postgres) -> None:
    for folder in (server.folder, server.sockets, server.pid_file.parent):
        assert folder.stat().st_mode & 0o077 == 0
    with connect(server.url("shop")) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_takes_two_hundred_connections(server: Postgres) -> None:
    with connect(server.url("shop")) as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("200",)


def test_a_second_runner_is_told_who_has_the_folder(server: Postgres) -> None:
    with pytest.raises(FolderHeld, match=f"in use by process {os.getpid()}"):
        Postgres(server.folder).prepare()


def test_data_survives_a_restart_and_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 10)
    with running_postgres(folder) as server, connect(server.url("shop")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        assert len(os.fsencode(server.sockets)) < SOCKET_PATH_BYTES
        assert not server.sockets.is_relative_to(folder)
    with running_postgres(folder) as server, connect(server.url("shop")) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    shutil.rmtree(server.sockets)


def test_killed_runner_takes_the_server_along_and_the_next_one_starts_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "postgres")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        with connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
            found = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
        number = int((tmp_path / "postgres/data/postmaster.pid").read_text().split()[0])
        holder.kill()

    with running_postgres(tmp_path / "postgres") as server, connect(server.url("shop")) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
        assert connection.execute("SELECT pg_postmaster_start_time()").fetchone() != found
        assert is_gone(number)
    assert unquote(url).split("//", 2)[-1] == f"{tmp_path / 'postgres'}/shop".lstrip("/")


def is_gone(number: int) -> bool:
    """Gone, or a zombie that whoever inherited it has not buried yet."""
    try:
        return "State:\tZ" in Path(f"/proc/{number}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_killed_server_recovers(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres")
    with running(server.prepare(), server.folder / "postgres.log") as child:
        with connect(server.url("shop")) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        os.killpg(child.pid, signal.SIGKILL)
        time.sleep(0.05)
    server.release()

    with running_postgres(tmp_path / "postgres") as again, connect(again.url("shop")) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_without_user_namespaces_it_runs_as_nobody(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", throwaway=True, as_nobody=True)
    try:
        with running(server.prepare(), tmp_path / "log"), connect(server.url("shop")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert server.pid_file.owner() == "nobody"
    finally:
        server.release()
    assert not server.sockets.exists()
    assert not server.folder.exists()


def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    private_folder(tmp_path / "postgres/data-partial")
    (tmp_path / "postgres/data-partial/PG_VERSION").write_text("18")

    with running_postgres(tmp_path / "postgres", throwaway=True) as server:
        assert server.answers()
        assert not (server.folder / "data-partial").exists()


@pytest.mark.parametrize("number", [str(os.getpid()), "1"], ids=["ours", "init"])
def test_pid_file_of_another_program_is_removed(tmp_path: Path, number: str) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{number}\n/somewhere\n")

    remove_stale_pid_file(tmp_path / "postmaster.pid")

    assert not (tmp_path / "postmaster.pid").exists()


def test_pid_file_of_a_living_server_stays(server: Postgres) -> None:
    remove_stale_pid_file(server.pid_file)

    assert server.pid_file.exists()


def test_programs_are_taken_from_the_environment_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))

    with pytest.raises(CannotStart, match="POSTGRES_BIN"):
        find_programs()


def test_a_planted_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")

    with pytest.raises(PermissionError):
        private_folder(tmp_path / "link")


def test_socket_folder_is_the_same_one_each_time(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)

    assert socket_folder(deep, "socket") == socket_folder(deep, "socket") != socket_folder(deep / "y", "socket")
    for made in (deep, deep / "y"):
        socket_folder(made, "socket").rmdir()
