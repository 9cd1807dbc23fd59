"""Valkey from the wheel, really started, reached the way Celery reaches it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kombu import Connection

from sandbox.folders import FolderHeld
from sandbox.valkey import Valkey, running_valkey

HOLDER = """
import sys, time
from pathlib import Path
from sandbox.valkey import running_valkey
with running_valkey(Path(sys.argv[1])) as server:
    print("ready", flush=True)
    time.sleep(60)
"""


def put(url: str, payload: str) -> None:
    with Connection(url) as connection, connection.SimpleQueue("queue") as queue:
        queue.put(payload)


def get(url: str) -> object:
    with Connection(url) as connection, connection.SimpleQueue("queue") as queue:
        message = queue.get(timeout=5)
        message.ack()
        return message.payload


def test_messages_survive_a_restart(tmp_path: Path) -> None:
    with running_valkey(tmp_path / "valkey") as server:
        put(server.url, "kept")
    with running_valkey(tmp_path / "valkey") as server:
        assert get(server.url) == "kept"


def test_throwaway_leaves_nothing(tmp_path: Path) -> None:
    with running_valkey(tmp_path / "a folder" / "valkey", throwaway=True) as server:
        put(server.url, "gone")
        assert get(server.url) == "gone"
        assert not list(server.folder.glob("appendonly*"))
    assert not (tmp_path / "a folder" / "valkey").exists()


def test_nobody_else_can_reach_it(tmp_path: Path) -> None:
    with running_valkey(tmp_path / "valkey", throwaway=True) as server:
        assert server.folder.stat().st_mode & 0o777 == 0o700
        assert server.socket.stat().st_mode & 0o777 == 0o700


def test_a_second_runner_is_told_who_has_the_folder(tmp_path: Path) -> None:
    with (
        running_valkey(tmp_path / "valkey", throwaway=True) as server,
        pytest.raises(FolderHeld, match=f"in use by process {os.getpid()}"),
    ):
        Valkey(server.folder).prepare()


def test_killed_runner_takes_the_server_along_and_the_next_one_starts_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "valkey")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        put(f"redis+socket://{tmp_path}/valkey/valkey.sock", "kept")
        holder.kill()

    with running_valkey(tmp_path / "valkey") as server:
        assert get(server.url) == "kept"
        assert server.socket.exists()
