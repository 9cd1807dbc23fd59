"""The whole shop as in production, in a folder of its own, each dependency behind a proxy that can spoil it.

The commands are those of the Procfile. Start and tend it from one thread: its processes end with that thread.
"""

import os
import re
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from sandbox import parts
from sandbox.plan import HOST, Ports
from sandbox.postgres import Postgres, remove_stale_pid_file
from sandbox.process import Child, Process, StartFailed, has_ended, last_lines, spawn, stop, wait_until_ready
from sandbox.world.server import free_port
from tests.proof.brokers import Broker
from tests.proof.proxy import Proxy

DATABASE = "shop"
PAUSE = 1.0  # seconds between an end and the new start, as a supervisor has it
OUTSIDE = ("postgres", "broker", "sandbox")
STAFF = "operator@shop.example"
OPEN_ORDER_SECONDS = 5  # when the sweep first asks about an order; 60 in production, and every wait of ours is longer
SWEEPS = 2
WEB_WORKERS = 3


@dataclass(eq=False)
class Part:
    """A process that is started again whenever it ends. `down_until`: not before then (monotonic seconds)."""

    process: Process
    child: Child
    starts: int = 1
    down_until: float | None = None

    @property
    def pids(self) -> list[int]:
        """Its processes: the main one first, then those it started."""
        return family(self.child.pid)


@dataclass
class Stack:
    folder: Path
    broker: Broker
    parts: dict[str, Part] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Everything, in order, each when the one before it is ready. Raises StartFailed."""
        (self.folder / "log").mkdir(parents=True)
        ports = Ports(shop=free_port(), world=free_port(), smtp=free_port())
        self.postgres = Postgres(self.folder / "postgres")
        database = self.postgres.prepare()
        self._keep(replace(database, ready=lambda: self.postgres.answers() and bool(self.postgres.url(DATABASE))))
        self._keep(replace(self.broker.prepare(), name="broker"))
        self._open("postgres", self.postgres.sockets / ".s.PGSQL.5432", speaks_postgres=True)
        self._open("broker", self.broker.target)
        self._open("stripe", ports.world)
        self._open("smtp", ports.smtp)
        self._open("web", ports.shop)
        self.environment = self._settings(ports)
        self.world_url = f"http://{HOST}:{ports.world}"
        self.site = self.environment["SITE_URL"]
        self._keep(parts.world(self.environment, replace(ports, shop=self.proxies["web"].port), self.folder))
        for command in (("migrate", "--noinput", "--verbosity=0"), ("collectstatic", "--noinput", "--verbosity=0")):
            self.run(parts.manage(*command, env=self.environment))
        self._start_shop(ports.shop)

    def _settings(self, ports: Ports) -> dict[str, str]:
        """What production sets. Only OPEN_ORDER_SECONDS is short, so that the sweep's looks fall into the run."""
        ports_of = {name: proxy.port for name, proxy in self.proxies.items()}
        return {
            **dict.fromkeys(UNSET, ""),
            "SECRET_KEY": "only-for-the-chaos-run-only-for-the-chaos-run-0123456789",
            "DEBUG": "false",
            "SITE_URL": f"http://{HOST}:{ports_of['web']}",
            "DATABASE_URL": f"postgres://shop@{HOST}:{ports_of['postgres']}/{DATABASE}",
            "CELERY_BROKER_URL": self.broker.url(ports_of["broker"]),
            "EMAIL_URL": f"smtp://{HOST}:{ports_of['smtp']}",
            "DEFAULT_FROM_EMAIL": "The Shop <orders@shop.example>",
            "ADMINS": STAFF,
            "STRIPE_SECRET_KEY": "sk_test_only_for_the_chaos_run",
            "STRIPE_WEBHOOK_SECRETS": "whsec_only_for_the_chaos_run_0123456789",
            "STRIPE_API_BASE": f"http://{HOST}:{ports_of['stripe']}",
            "STORAGE_URL": f"file://{self.folder}/files",
            "LOG_FORMAT": "text",  # tracebacks are looked for in it, line by line
            "PROMETHEUS_MULTIPROC_DIR": str(parts.emptied(self.folder / "metrics")),
            "OPEN_ORDER_SECONDS": str(OPEN_ORDER_SECONDS),
            "CHECKOUTS_PER_NETWORK": "1000000",  # all buyers come from one address
            "CHECKOUTS_PER_PRODUCT": "1000000",
            "PORT": str(ports.shop),
            "WEB_CONCURRENCY": str(WEB_WORKERS),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # As root Celery warns at length of untrusted pickles, which this broker does not have.
            "PYTHONWARNINGS": "ignore:::celery.platforms",
        }

    def _start_shop(self, port: int) -> None:
        for name, command in procfile(self.folder).items():
            ready = (lambda: parts.answers(port, "/healthz")) if name == "web" else always
            for number in range(1, SWEEPS + 1) if name == "sweep" else [0]:
                self._keep(
                    Process(
                        name=f"{name}{number or ''}",
                        argv=["sh", "-c", f"exec env {command}"],
                        env=self.environment,
                        cwd=parts.PROJECT,
                        ready=ready,
                    )
                )

    # Keeping it up.

    def tend(self) -> None:
        """Start again what has ended, after a pause, as a supervisor would. Never waits."""
        now = time.monotonic()
        for part in self.parts.values():
            if part.down_until is None and has_ended(part.child):
                # Its own children are ended with it: a new one would meet them on its port.
                stop(part.process, part.child)
                part.down_until = now + PAUSE
            if part.down_until is not None and now >= part.down_until:
                self._start_again(part)

    def _start_again(self, part: Part) -> None:
        if part.process.name == "postgres":
            remove_stale_pid_file(self.postgres.pid_file)
        part.child, part.down_until = self._spawn(part.process), None
        part.starts += 1

    def kill(self, name: str, *, pid: int | None = None, number: int = signal.SIGKILL, down_for: float = PAUSE) -> None:
        """End one process of a part, or by default the main one with all that it started; it stays down so long."""
        part = self.parts[name]
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            return
        if part.down_until is not None:
            return
        with suppress(ProcessLookupError):
            os.kill(part.child.pid, number)
        if number == signal.SIGKILL:
            stop(part.process, part.child)
            part.down_until = time.monotonic() + down_for

    def signal(self, name: str, number: signal.Signals, pids: list[int] | None = None) -> None:
        """SIGSTOP and SIGCONT, to every process of a part or to these of them."""
        for pid in self.parts[name].pids if pids is None else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def deploy(self, **changes: str) -> None:
        """Other settings for the shop, as a deployment brings them: its processes are asked to end, and start with
        these. Returns when all of them are ready."""
        self.environment = {**self.environment, **changes}
        shop = [part for name, part in self.parts.items() if name not in OUTSIDE]
        for part in shop:
            os.kill(part.child.pid, part.process.end)
        for part in shop:
            stop(part.process, part.child)
            part.process = replace(part.process, env=self.environment)
            self._start_again(part)
        for part in shop:
            wait_until_ready(part.process, part.child)

    def heal(self) -> None:
        """Nothing is spoiled any more; what is down starts now. Returns when all of it is ready."""
        for proxy in self.proxies.values():
            proxy.heal()
        for name, part in self.parts.items():
            self.signal(name, signal.SIGCONT)
            if part.down_until is None and has_ended(part.child):
                stop(part.process, part.child)
                part.down_until = 0.0
        for part in self.parts.values():
            if part.down_until is not None:
                self._start_again(part)
        for part in self.parts.values():
            wait_until_ready(part.process, part.child)

    def stop(self) -> None:
        """End everything, in reverse order of the start. The shop itself is killed: it is made for that, and Celery
        would take its time. May be repeated."""
        for name, part in reversed(self.parts.items()):
            self.signal(name, signal.SIGCONT if name in OUTSIDE else signal.SIGKILL)
            stop(part.process, part.child)
        self.parts.clear()
        for proxy in self.proxies.values():
            proxy.stop()
        self.proxies.clear()
        if hasattr(self, "postgres"):
            self.postgres.release()
        self.broker.release()

    def run(self, process: Process) -> str:
        """A command that must succeed; what it said."""
        child = self._spawn(process)
        try:
            wait_until_ready(process, child)
        except StartFailed as failure:
            raise StartFailed(f"{failure}\n{last_lines(self.log(process.name))}") from None
        finally:
            stop(process, child)
        return self.log(process.name).read_text(errors="replace")

    def manage(self, *words: str) -> tuple[int, str]:
        """A management command, with the shop's own settings: its exit code and what it said."""
        process = replace(parts.manage(*words, env=self.environment), name=f"{words[0]}-once", after=None)
        self.log(process.name).unlink(missing_ok=True)
        child = self._spawn(process)
        code = child.wait(timeout=300)
        stop(process, child)
        return code, self.log(process.name).read_text(errors="replace")

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """To the database itself, past the proxy."""
        return psycopg.connect(
            host=str(self.postgres.sockets), user="shop", dbname=DATABASE, autocommit=True, connect_timeout=5
        )

    def log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def _open(self, name: str, target: int | Path, *, speaks_postgres: bool = False) -> None:
        self.proxies[name] = Proxy(name, target, speaks_postgres=speaks_postgres)
        self.proxies[name].start()

    def _keep(self, process: Process) -> None:
        child = self._spawn(process)
        self.parts[process.name] = Part(process, child)
        try:
            wait_until_ready(process, child)
        except StartFailed as failure:
            raise StartFailed(f"{failure}\n{last_lines(self.log(process.name))}") from None

    def _spawn(self, process: Process) -> Child:
        with self.log(process.name).open("ab") as output:
            return spawn(process, output.fileno())


# What the surroundings may name and the shop of this run must not.
UNSET = ("SENTRY_DSN", "METRICS_TOKEN", "ALLOWED_HOSTS", "X_ACCEL_REDIRECT", "TRUSTED_PROXY_COUNT", "LOG_LEVEL")


def procfile(folder: Path) -> dict[str, str]:
    """Production's commands by process, on this machine alone and with their files in `folder`."""
    text = (parts.PROJECT / "Procfile").read_text().replace("0.0.0.0", HOST).replace("/tmp/", f"{folder}/")  # noqa: S104, S108
    return dict(re.findall(r"^(\w+): (.*)$", text, re.MULTILINE))


def family(pid: int) -> list[int]:
    """The process and all below it, whichever session they made for themselves."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


def always() -> bool:
    return True
