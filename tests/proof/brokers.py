"""The brokers that the shop runs on: Valkey from the wheel, Redis and RabbitMQ where they are installed."""

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from sandbox.folders import private_folder
from sandbox.plan import HOST
from sandbox.process import Process
from sandbox.valkey import Valkey
from sandbox.world.server import free_port

HOW_TO_GET = "apt-get install --no-install-recommends {package}"


class BrokerMissing(Exception):
    """It is not installed here; the message says how to get it."""


class Broker(Protocol):
    """A broker that can be started, flushed, and killed; `target` is where it listens."""

    @property
    def target(self) -> int | Path: ...

    def prepare(self) -> Process: ...

    def url(self, port: int) -> str: ...

    def flush(self) -> None: ...

    def release(self) -> None: ...


@dataclass
class RedisLike:
    """Valkey, or a Redis in its place: the same protocol, the same options."""

    folder: Path
    program: str = ""

    def prepare(self) -> Process:
        self.server = Valkey(self.folder)
        process = self.server.prepare()
        return replace(process, argv=[self.program, *process.argv[1:]]) if self.program else process

    @property
    def target(self) -> Path:
        return self.server.socket

    def url(self, port: int) -> str:
        return f"redis://{HOST}:{port}/0"

    def flush(self) -> None:
        """Everything is gone: messages, queues, and what Celery keeps about them."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.target))
            client.sendall(b"FLUSHALL\r\n")
            client.recv(64)

    def release(self) -> None:
        if hasattr(self, "server"):
            self.server.release()


@dataclass
class RabbitMQ:
    """One node with its own Erlang port mapper, all of it on loopback and in `folder`."""

    folder: Path
    server: Path
    port: int = field(default_factory=free_port)
    mapper_port: int = field(default_factory=free_port)

    def prepare(self) -> Process:
        home = private_folder(self.folder)
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{self.port}\nloopback_users = none\nlog.console = false\n"
        )
        (home / "enabled_plugins").write_text("[].\n")
        self.environment = {
            "HOME": str(home),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self.mapper_port),
            "RABBITMQ_NODENAME": f"chaos{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        }
        return Process(
            name="rabbitmq", argv=[self.server], env=self.environment, ready=self.answers, patience=120, grace=5
        )

    @property
    def target(self) -> int:
        return self.port

    def url(self, port: int) -> str:
        return f"amqp://guest:guest@{HOST}:{port}//"

    def answers(self) -> bool:
        """It starts listening last; a wrong greeting is answered with the right one."""
        try:
            with socket.create_connection((HOST, self.port), 2) as client:
                client.settimeout(2)
                client.sendall(b"AMQP\x00\x00\x00\x00")
                return client.recv(8).startswith(b"AMQP")
        except OSError:
            return False

    def flush(self) -> None:
        for queue in ("celery", "mail"):
            self._ctl("purge_queue", queue)

    def release(self) -> None:
        """Its port mapper is a daemon that outlives the node."""
        if hasattr(self, "environment"):
            mapper = shutil.which("epmd") or "epmd"
            kill = [mapper, "-port", str(self.mapper_port), "-kill"]
            subprocess.run(kill, env={**os.environ, **self.environment}, capture_output=True, check=False)

    def _ctl(self, *words: str) -> None:
        command: list[str | Path] = [self.server.with_name("rabbitmqctl"), *words]
        subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, check=False, timeout=60)


def find_broker(kind: str, folder: Path) -> Broker:
    """The broker of this name in `folder`. Raises BrokerMissing with the command that installs it."""
    if kind == "valkey":
        return RedisLike(folder)
    if kind == "redis":
        if program := shutil.which("redis-server"):
            return RedisLike(folder, program)
    elif found := sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")):
        # Debian's /usr/sbin/rabbitmq-server insists on a system user of its own.
        return RabbitMQ(folder, found[-1])
    raise BrokerMissing(f"{kind} is not installed here: {HOW_TO_GET.format(package=f'{kind}-server')}")
