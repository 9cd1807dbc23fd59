"""The servers and the environment that the tests run on; a pytest plugin, loaded by `-p tests.servers`.

Unless the environment names others (DATABASE_URL, CELERY_BROKER_URL), one throwaway PostgreSQL and one Valkey
are started for the run: before Django reads its settings, gone afterwards, also after kill -9. With xdist they
belong to the controller; a worker gets a database of its own from pytest-django, and one in Valkey from here.
"""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import environ
import pytest

from sandbox.folders import FolderHeld, hold
from sandbox.postgres import running_postgres
from sandbox.valkey import running_valkey

PREFIX = "storefront-tests-"
# Nothing listens on port 9: a test that forgets its fake Stripe is refused and reaches nobody's account.
ENVIRONMENT = {
    "SECRET_KEY": "only-for-tests-only-for-tests-only-for-tests-only-for-tests",
    "DEBUG": "false",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "SITE_URL": "http://localhost",
    "EMAIL_URL": "memorymail://",
    "DEFAULT_FROM_EMAIL": "The Shop <orders@shop.example>",
    "ADMINS": "operator@shop.example",
    "STRIPE_SECRET_KEY": "sk_test_only_for_tests",
    "STRIPE_WEBHOOK_SECRETS": "whsec_only_for_tests",
    "STRIPE_API_BASE": "http://127.0.0.1:9",
    "SENTRY_DSN": "",
    # All shoppers of the tests come from one network.
    "CHECKOUTS_PER_NETWORK": "1000000",
    "CHECKOUTS_PER_PRODUCT": "1000000",
}
# For runs that collect and leave: settings want an address, nobody connects.
NO_SERVERS = {"DATABASE_URL": "postgres://nobody@localhost:9/none", "CELERY_BROKER_URL": "redis://localhost:9/0"}


@pytest.hookimpl(tryfirst=True)  # pytest-django loads the settings in the same hook
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    ignore_dotenv()
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        separate_broker(int(worker.removeprefix("gw")))
        return
    os.environ.update(ENVIRONMENT)
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    folder = make_folder(stack)
    os.environ["STORAGE_URL"] = f"file://{folder}/files"
    options = early_config.known_args_namespace
    if options.help or options.version or options.collectonly:
        for name, address in NO_SERVERS.items():
            os.environ.setdefault(name, address)
    else:
        start_servers(folder, stack)


def start_servers(folder: Path, stack: ExitStack) -> None:
    """Have what the environment does not name, until the stack is closed."""
    if not os.environ.get("DATABASE_URL"):
        postgres = stack.enter_context(running_postgres(folder / "postgres", throwaway=True))
        os.environ["DATABASE_URL"] = postgres.url("shop")
    if not os.environ.get("CELERY_BROKER_URL"):
        valkey = stack.enter_context(running_valkey(folder / "valkey", throwaway=True))
        os.environ["CELERY_BROKER_URL"] = valkey.url


def ignore_dotenv() -> None:
    """Keep a developer's .env, perhaps with a real Stripe key, away from the tests."""

    def nothing(*_args: object, **_overrides: object) -> None:
        """Stands in for Env.read_env."""

    environ.Env.read_env = nothing


def separate_broker(number: int) -> None:
    """Give this xdist worker one of our Valkey's 16 databases: workers must not take each other's tasks."""
    url = os.environ["CELERY_BROKER_URL"]
    if url.startswith("redis+socket://") and PREFIX in url:
        os.environ["CELERY_BROKER_URL"] = f"{url}?virtual_host={number % 16}"


def make_folder(stack: ExitStack) -> Path:
    """A folder for this run, deleted after it, together with those of runs that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        remove_if_abandoned(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.callback(os.close, hold(folder, "run"))
    return folder


def remove_if_abandoned(folder: Path) -> None:
    """Delete it if it is ours and the run that made it is over, which its lock tells."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid() or not (folder / "run.lock").exists():
            return
        os.close(hold(folder, "run"))
    except (OSError, FolderHeld):
        return
    shutil.rmtree(folder, ignore_errors=True)
