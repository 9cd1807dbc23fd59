"""What every test may ask for: a clean storage, the sandbox as Stripe, and tasks that run when they are drained."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import translation
from kombu import Queue
from pytest_django import Settings

from sandbox.world.server import World, running_world
from storefront.celery import app, wakeups

QUEUES = ("celery", "mail")


@pytest.fixture(autouse=True)
def _language_is_the_shops_own() -> Iterator[None]:
    """A page in another language leaves it behind for whatever the same thread does next."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def test_settings(settings: Settings, tmp_path: Path) -> None:
    """What tests must change: their own folders, static files by name, cheap passwords, no grace for workers."""
    settings.STORAGES = {
        "default": storage(tmp_path / "private"),
        "covers": storage(tmp_path / "covers"),
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.SWEEP_GRACE_SECONDS = 0
    settings.WHITENOISE_AUTOREFRESH = True  # static files from their folders, nothing collected


def storage(folder: Path) -> dict[str, object]:
    options = {"location": str(folder), "base_url": None}
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}


@pytest.fixture(scope="session")
def session_world() -> Iterator[World]:
    with running_world(secret_key="sk_test_sandbox") as world:
        yield world


@pytest.fixture
def world(session_world: World, settings: Settings) -> World:
    """The local Stripe and the mailbox, as new."""
    session_world.control("reset", {})
    settings.STRIPE_API_BASE = session_world.base_url
    settings.STRIPE_SECRET_KEY = session_world.secret_key
    return session_world


@pytest.fixture
def smtp(world: World, settings: Settings) -> World:
    """Mail by a real SMTP conversation with the sandbox's server."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", world.smtp_port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    return world


@pytest.fixture
def drain() -> Iterator[Callable[[], int]]:
    """Runs the tasks that wait in the broker, and those they start, until none is left; tells how many."""
    purge()
    yield run_waiting_tasks
    purge()


def run_waiting_tasks() -> int:
    app.loader.import_default_modules()
    ran = 0
    with app.connection_for_read() as connection:
        while message := next_message(connection.default_channel):
            args, kwargs, _ = message.decode()
            app.tasks[message.headers["task"]](*args, **kwargs)
            ran += 1
    return ran


def next_message(channel: Any) -> Any:
    wakeups.settle()
    found = (Queue(name)(channel).get(no_ack=True) for name in QUEUES)
    return next((message for message in found if message), None)


def purge() -> None:
    wakeups.settle()
    with app.connection_for_write() as connection:
        for name in QUEUES:
            Queue(name)(connection.default_channel).purge()


@pytest.fixture
def clean_rate_limits(db: None) -> None:
    cache.clear()
