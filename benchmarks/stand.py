"""What is measured, started for it and gone afterwards: servers of our own, web servers, the whole shop."""

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
import psycopg

from sandbox import plan
from sandbox.parts import PROJECT, answers, manage, web_command
from sandbox.postgres import Postgres
from sandbox.process import Process, running
from sandbox.run import processes
from sandbox.supervise import Supervisor
from sandbox.valkey import Valkey, running_valkey
from sandbox.world.server import free_port, running_world

SECRET = "whsec_for_the_benchmark"
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "storefront.settings",
    "SECRET_KEY": "only-for-the-benchmark-only-for-the-benchmark-only-for-it",
    "DEBUG": "false",  # Django keeps every query in memory when it is on
    "ALLOWED_HOSTS": "127.0.0.1,localhost",
    "SITE_URL": "http://127.0.0.1",
    "DEFAULT_FROM_EMAIL": "The Shop <orders@shop.example>",
    "STRIPE_WEBHOOK_SECRETS": SECRET,
    "LOG_LEVEL": "ERROR",
}


@dataclass(frozen=True)
class Servers:
    postgres: Postgres
    postgres_pid: int
    valkey: Valkey
    environment: dict[str, str]

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.address, autocommit=True)

    @property
    def address(self) -> str:
        return f"host={self.postgres.sockets} user=shop dbname=shop"


@contextmanager
def servers() -> Iterator[Servers]:
    """PostgreSQL with the shop's tables, and Valkey, both of this run alone. Nothing waits for a disk: the processor
    is the limit, for all that is compared alike."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storefront-bench-")))
        postgres = Postgres(folder / "postgres", throwaway=True)
        stack.callback(postgres.release)
        child = stack.enter_context(running(postgres.prepare(), folder / "postgres.log"))
        valkey = stack.enter_context(running_valkey(folder / "valkey", throwaway=True))
        environment = {
            **SETTINGS,
            "DATABASE_URL": postgres.url("shop"),
            "CELERY_BROKER_URL": valkey.url,
            "EMAIL_URL": "memorymail://",
            "STRIPE_SECRET_KEY": "sk_test_for_the_benchmark",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "STORAGE_URL": f"file://{folder}/files",
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        }
        with running(manage("migrate", "--noinput", "--verbosity=0", env=environment), folder / "migrate.log"):
            pass
        yield Servers(postgres, child.pid, valkey, environment)


@contextmanager
def web(application: str, environment: Mapping[str, str], *, usual: bool = False) -> Iterator[tuple[int, int]]:
    """A web server of two processes for this application, ours or the usual one; its port and its process."""
    port = free_port()
    gunicorn = [sys.executable, "-m", "gunicorn", application, f"--bind={plan.HOST}:{port}", "--worker-class=gthread"]
    gunicorn += ["--workers=2", "--threads=8", "--no-control-socket", "--log-level=error"]
    process = Process(
        name="web",
        argv=gunicorn if usual else web_command(application, port, workers=2),
        env={**environment, "PYTHONWARNINGS": "ignore"},
        cwd=PROJECT,
        ready=lambda: answers(port, "/healthz"),
    )
    with tempfile.NamedTemporaryFile() as log, running(process, Path(log.name)) as child:
        yield port, child.pid


@dataclass(frozen=True)
class Shop:
    """The whole shop as `make run` has it, but for DEBUG, with what it runs on."""

    environment: dict[str, str]
    ports: plan.Ports
    supervisor: Supervisor

    @property
    def pids(self) -> dict[str, int]:
        return {one.process.name: one.child.pid for one in self.supervisor._running}  # noqa: SLF001

    def connect(self) -> psycopg.Connection[Any]:
        named = environ.Env.db_url_config(self.environment["DATABASE_URL"])
        return psycopg.connect(host=named["HOST"], dbname=named["NAME"], user=named["USER"], autocommit=True)


@contextmanager
def shop() -> Iterator[Shop]:
    """Runs in a folder of its own with durable PostgreSQL and Valkey; this process gets the shop's settings, too."""
    with tempfile.TemporaryDirectory(prefix="storefront-bench-") as folder:
        var, ports = Path(folder), free_ports()
        given = {
            **SETTINGS,
            "SITE_URL": f"http://127.0.0.1:{ports.shop}",
            # Orders wait to be paid until the clock starts, longer than buyers take: nobody asks about them meanwhile.
            "OPEN_ORDER_SECONDS": "3600",
        }
        os.environ.update(given)
        supervisor = Supervisor(var / "log", screen=io.StringIO())
        try:
            planned = processes(os.environ, ports, var)
            environment = {**given, **plan.settings_for(os.environ, ports, var), **planned[-1].env}
            supervisor.start(planned)
            os.environ.update(environment)
            yield Shop(environment, ports, supervisor)
        finally:
            supervisor.stop()


def free_ports() -> plan.Ports:
    """Three in a row."""
    while True:
        ports = plan.Ports(first := free_port(), first + 1, first + 2)
        try:
            plan.check_ports(ports, plan.parts_embedded({}))
        except plan.CannotRun:
            continue
        return ports


def template() -> str:
    """An event as Stripe writes it, about four kilobytes, with the id evt_TEMPLATE."""
    with running_world() as world:
        world.control("trigger", {"type": "checkout.session.completed"})
        event = world.control("events?type=checkout.session.completed&limit=1")["events"][0]
    event.pop("deliveries")
    return json.dumps(event | {"id": "evt_TEMPLATE"}, indent=2)


def load(port: int, **order: Any) -> dict[str, Any]:
    """Post events from a process of its own; what it measured. Raises RuntimeError with what it said when it failed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps({"port": port, "secret": SECRET, **order}),
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
