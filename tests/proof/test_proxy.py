"""The proxy spoils conversations as it is told, and nothing else: what the chaos run proves hangs on it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from tests.proof.proxy import HOST, Proxy, running_proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says everything back."""

    def answer(client: socket.socket) -> None:
        with client, suppress(ConnectionError):
            while data := client.recv(1000):
                client.sendall(data)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with running_proxy("echo", echo) as proxy:
        yield proxy


def call(proxy: Proxy, seconds: float = 2) -> socket.socket:
    client = socket.create_connection((HOST, proxy.port), 2)
    client.settimeout(seconds)
    return client


def test_everything_passes(proxy: Proxy) -> None:
    sent = bytes(range(256)) * 4000
    with call(proxy) as client:
        threading.Thread(target=client.sendall, args=(sent,)).start()
        back = b""
        while len(back) < len(sent):
            back += client.recv(65536)
    assert back == sent


def test_refused_breaks_who_is_connected_and_lets_nobody_in(proxy: Proxy) -> None:
    with call(proxy) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            client.recv(10)
    with pytest.raises(ConnectionRefusedError):
        call(proxy)
    port = proxy.port
    proxy.heal()
    assert proxy.port == port
    with call(proxy) as client:
        client.sendall(b"two")
        assert client.recv(10) == b"two"


def test_frozen_holds_everything_and_loses_nothing(proxy: Proxy) -> None:
    with call(proxy, 0.3) as old:
        old.sendall(b"one")
        assert old.recv(10) == b"one"
        proxy.freeze()
        with call(proxy, 0.3) as new:
            for client in (old, new):
                client.sendall(b"two")
                with pytest.raises(TimeoutError):
                    client.recv(10)
            proxy.heal()
            assert (old.recv(10), new.recv(10)) == (b"two", b"two")


def test_slow_takes_its_time(proxy: Proxy) -> None:
    proxy.slow(0.2)
    with call(proxy) as client:
        began = time.monotonic()
        client.sendall(b"one")
        assert client.recv(10) == b"one"
    assert 0.4 <= time.monotonic() - began < 1.5


def test_answer_is_cut_after_so_many_bytes(proxy: Proxy) -> None:
    with call(proxy) as client:
        client.sendall(b"before")
        assert client.recv(10) == b"before"
        proxy.reset_after(3)
        client.sendall(b"answer")
        assert client.recv(10) == b"ans"
        with pytest.raises(ConnectionResetError):
            client.recv(10)
    assert proxy.cut == 1


# PostgreSQL: whether the server has committed, and what the client believes.


@pytest.fixture
def database(django_db_setup: None, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy in front of the tests' PostgreSQL, with a table to write to."""
    host = Path(settings.DATABASES["default"]["HOST"])
    if not host.is_absolute():
        pytest.skip("the database is not the tests' own")
    with running_proxy("postgres", host / ".s.PGSQL.5432", speaks_postgres=True) as proxy:
        with connect(host=str(host)) as direct:
            direct.execute("DROP TABLE IF EXISTS cut_here")
            direct.execute("CREATE TABLE cut_here (number int)")
        yield proxy
        with connect(host=str(host)) as direct:
            direct.execute("DROP TABLE cut_here")


def connect(*, port: int = 5432, host: str = HOST, autocommit: bool = True) -> psycopg.Connection[tuple[object, ...]]:
    named = settings.DATABASES["default"]
    return psycopg.connect(host=host, port=port, user=named["USER"], dbname=named["NAME"], autocommit=autocommit)


def kept() -> list[object]:
    with connect(host=settings.DATABASES["default"]["HOST"]) as direct:
        return [number for (number,) in direct.execute("SELECT number FROM cut_here ORDER BY 1").fetchall()]


def write(proxy: Proxy, number: int, how: str) -> None:
    """One row, in one of the ways in which a client can commit it."""
    statement = "INSERT INTO cut_here VALUES (%s)"
    with connect(port=proxy.port, autocommit=how != "transaction") as connection:
        if how == "simple":
            psycopg.ClientCursor(connection).execute(statement, [number])
        elif how == "pipeline":
            with connection.pipeline():
                connection.execute(statement, [number])
        else:
            connection.execute(statement, [number], prepare=how == "prepared")


WAYS = ["transaction", "simple", "extended", "prepared", "pipeline"]


@pytest.mark.parametrize("how", WAYS)
def test_f22_commit_is_cut_before_the_server_hears_of_it(database: Proxy, how: str) -> None:
    database.cut_commits("before", 1)
    with pytest.raises(psycopg.OperationalError):
        write(database, 1, how)
    write(database, 2, how)
    assert kept() == [2]


@pytest.mark.parametrize("how", WAYS)
def test_f22_commit_is_cut_after_the_server_has_done_it(database: Proxy, how: str) -> None:
    database.cut_commits("after", 1)
    with pytest.raises(psycopg.OperationalError):
        write(database, 1, how)
    write(database, 2, how)
    assert kept() == [1, 2]


def test_reading_is_no_commit(database: Proxy) -> None:
    database.cut_commits("before", 1)
    with connect(port=database.port, autocommit=False) as connection:
        assert connection.execute("SELECT count(*) FROM cut_here").fetchone() == (0,)
        connection.rollback()
    assert database.cut == 0
