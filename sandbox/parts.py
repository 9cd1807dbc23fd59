"""The processes of the demo, as data: the world, what prepares the database, and the shop itself."""

import hashlib
import http.client
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.plan import HOST, Ports
from sandbox.process import Process

PROJECT = Path(__file__).resolve().parent.parent


def world(settings: Mapping[str, str], ports: Ports, var: Path) -> Process:
    """The local Stripe and the mailbox."""
    options = {
        "--port": str(ports.world),
        "--smtp-port": str(ports.smtp),
        "--data": str(var / "world"),
        "--webhook-url": f"http://{HOST}:{ports.shop}/webhooks/stripe/",
        "--webhook-secret": first_secret(settings.get("STRIPE_WEBHOOK_SECRETS", "whsec_unused")),
        "--secret-key": settings.get("STRIPE_SECRET_KEY", "sk_test_unused"),
        "--shop-name": settings.get("SITE_NAME", "Paper Lantern"),
    }
    return Process(
        name="sandbox",
        argv=[
            sys.executable,
            "-m",
            "sandbox.world",
            *(word for option in options.items() for word in option),
        ],
        cwd=PROJECT,
        ready=lambda: answers(ports.world, "/") and listens(ports.smtp),
        restart=True,
    )


def first_secret(secrets: str) -> str:
    """The first of the shop's webhook secrets, without its label."""
    return re.sub(r"^[\w.-]+=(?=whsec_)", "", secrets.split(",", maxsplit=1)[0].strip())


def database_steps(settings: Mapping[str, str], *, demo: bool, prepared: Path | None) -> list[Process]:
    """Migrate, and load the demo. Nothing when the file `prepared` says that exactly this was done before.

    Two starts of Django are most of the time a second start takes. `prepared` lives inside the cluster, so it goes
    where the data goes; None means a database that others may change, too.
    """
    names = ["migrate", "load_demo"] if demo else ["migrate"]
    fingerprint = f"{migrations_fingerprint()} {' '.join(names)}"
    if prepared and prepared.exists() and prepared.read_text() == fingerprint:
        return []

    def remember() -> None:
        if prepared:
            prepared.write_text(fingerprint)

    options = {"migrate": ["--noinput", "--verbosity=0"]}
    return [
        manage(name, *options.get(name, []), env=settings, after=remember if name == names[-1] else None)
        for name in names
    ]


def migrations_fingerprint() -> str:
    """Changes when a migration, the demo or a pinned package does."""
    digest = hashlib.sha256()
    sources = [PROJECT / "requirements.lock", *PROJECT.glob("*/migrations/*.py")]
    demo = [*PROJECT.glob("*/management/commands/load_demo.py"), *PROJECT.glob("*/demo*.py")]
    demo += [path for path in PROJECT.glob("*/demo/*") if path.is_file()]
    for path in sorted(sources + demo):
        digest.update(path.relative_to(PROJECT).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def manage(command: str, *options: str, env: Mapping[str, str], after: Callable[[], None] | None = None) -> Process:
    """A management command that must succeed before anything else is started."""
    return Process(
        name=command,
        argv=[sys.executable, "manage.py", command, *options],
        env=env,
        cwd=PROJECT,
        once=True,
        patience=600,
        after=after,
    )


def shop(settings: Mapping[str, str], ports: Ports, var: Path) -> list[Process]:
    """The worker with its beat, the sweep and the web server."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        settings = {**settings, "PROMETHEUS_MULTIPROC_DIR": str(emptied(var / "metrics"))}
    python = [sys.executable, "-m"]
    worker = ["celery", "--quiet", "-A", "storefront", "worker", "-B", "-s", str(var / "beat"), "--loglevel=INFO"]
    worker += ["--queues=celery,mail", "--concurrency=2", "--without-gossip", "--without-mingle"]
    return [
        # SIGTERM finishes what it is doing. Not REMAP_SIGTERM=SIGQUIT as in production: with that even an idle
        # worker stays for the whole soft shutdown time, and Ctrl-C would take ten seconds.
        Process(
            name="worker",
            argv=[*python, *worker],
            # As root Celery warns at length of untrusted pickles, which this broker does not have.
            env={**settings, "PYTHONWARNINGS": "ignore:::celery.platforms"},
            cwd=PROJECT,
            restart=True,
            grace=10,
        ),
        Process(
            name="sweep",
            argv=[sys.executable, "manage.py", "sweep", "--watch", "5"],
            env=settings,
            cwd=PROJECT,
            restart=True,
            grace=10,
        ),
        Process(
            name="web",
            argv=web_command("storefront.wsgi:application", ports.shop),
            env={**settings, **as_strangers_see_it(settings)},
            cwd=PROJECT,
            ready=lambda: answers(ports.shop, "/healthz"),
            restart=True,
            grace=10,
        ),
    ]


def as_strangers_see_it(settings: Mapping[str, str]) -> dict[str, str]:
    """The demo's pages are those of a real shop, also of what is not there: with DEBUG, Django shows code instead.

    Whoever asks for DEBUG has it, and so has a shop without webhook secrets, which would not start otherwise.
    """
    if "DEBUG" not in settings or not settings.get("STRIPE_WEBHOOK_SECRETS"):
        return {}
    return {"DEBUG": "false", "STATIC_AS_IS": "true", "LOG_FORMAT": os.environ.get("LOG_FORMAT") or "text"}


def web_command(application: str, port: int, *, workers: int = 1) -> list[str]:
    """A web server on this machine: the one of the Procfile, which says why these options."""
    command = [sys.executable, "-m", "granian", "--interface=wsgi", application, f"--host={HOST}", f"--port={port}"]
    command += [f"--workers={workers}", "--blocking-threads=128", "--http=1", "--no-ws", "--respawn-failed-workers"]
    return [*command, "--http1-header-read-timeout=10000", "--workers-kill-timeout=5", "--log-level=error"]


def emptied(folder: Path) -> Path:
    """The folder, private and without what an earlier run has counted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def answers(port: int, path: str) -> bool:
    """Whether an HTTP server there gives any answer of its own, be it a refusal or a redirect."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == os.EX_OK
