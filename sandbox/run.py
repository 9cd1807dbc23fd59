"""`make run`: the shop and the world around it on this machine, until Ctrl-C.

    python -m sandbox.run        PORT=8000 VAR=var by default; see .env.example for what else may be set

Whatever the environment or .env names (DATABASE_URL, CELERY_BROKER_URL, STRIPE_SECRET_KEY, EMAIL_URL) is used and not
started here. The exit code is 0 after Ctrl-C or SIGTERM, 1 when something could not start or died.
"""

import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import environ

from sandbox import parts, plan
from sandbox.folders import FolderHeld, hold, private_folder
from sandbox.postgres import Postgres
from sandbox.process import Process, StartFailed
from sandbox.supervise import Died, Supervisor
from sandbox.unprivileged import CannotStart
from sandbox.valkey import Valkey

DATABASE = "shop"


def main() -> int:
    started = time.monotonic()
    environ.Env.read_env(parts.PROJECT / ".env")  # the real environment wins over the file
    try:
        ports = plan.ports_from(os.environ)
        plan.check_ports(ports, plan.parts_embedded(os.environ))
        var = private_folder(Path(os.environ.get("VAR") or parts.PROJECT / "var"))
        hold(var, "run")
        print(f"\n{plan.banner(os.environ, ports, var)}\n\n  Ctrl-C ends everything.\n", flush=True)
        return supervise(var, ports, started)
    except (plan.CannotRun, FolderHeld, CannotStart, StartFailed, Died, PermissionError) as problem:
        print(f"\n{problem}\n", file=sys.stderr, flush=True)
        return 1


def supervise(var: Path, ports: plan.Ports, started: float) -> int:
    """Run everything until told to stop; whatever happens, nothing that was started stays."""
    supervisor = Supervisor(var / "log")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.quit())
    try:
        supervisor.start(processes(os.environ, ports, var))
        if not supervisor.quitting:
            supervisor.say(f"\n  ready in {time.monotonic() - started:.1f} s: http://{plan.HOST}:{ports.shop}/\n")
        supervisor.watch()
    finally:
        supervisor.say("stopping")
        supervisor.stop()
    return 0


def processes(environment: Mapping[str, str], ports: plan.Ports, var: Path) -> list[Process]:
    """Everything to start, in order. Makes the clusters, folders and secrets that `var` does not have yet."""
    embedded = plan.parts_embedded(environment)
    settings = plan.settings_for(environment, ports, var)
    servers: list[Process] = []
    prepared = None
    if embedded.postgres:
        postgres = Postgres(var / "postgres")
        servers.append(replace(postgres.prepare(), ready=lambda: postgres.answers() and bool(postgres.url(DATABASE))))
        settings["DATABASE_URL"] = postgres.address(DATABASE)
        prepared = postgres.pid_file.with_name("storefront-prepared")
    if embedded.valkey:
        valkey = Valkey(var / "valkey")
        servers.append(valkey.prepare())
        settings["CELERY_BROKER_URL"] = valkey.url
    if embedded.world:
        servers.append(parts.world({**environment, **settings}, ports, var))
    write_environment(var / "environment", settings)
    demo = plan.wants_demo(environment)
    return [
        *servers,
        *parts.database_steps(settings, demo=demo, prepared=prepared),
        *parts.shop(settings, ports, var),
    ]


def write_environment(path: Path, settings: Mapping[str, str]) -> None:
    """Keep the settings for `make manage`, which runs management commands on the demo. Holds secrets: mode 0600."""
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))


if __name__ == "__main__":
    sys.exit(main())
