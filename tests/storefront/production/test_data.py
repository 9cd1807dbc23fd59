"""Against the tests' own PostgreSQL."""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from storefront.production import data
from tests.storefront.production.conftest import line, states


@pytest.mark.django_db
def test_whole_database_is_green() -> None:
    lines = list(data.check())
    assert states(lines) == {"database": "ok", "migrations": "ok", "connections": "ok"}
    assert line(lines, "database").found.startswith("PostgreSQL 1")


@pytest.mark.django_db
def test_pending_migration_is_named() -> None:
    [(_, newest)] = MigrationLoader(connection).graph.leaf_nodes("fulfillment")
    MigrationRecorder(connection).record_unapplied("fulfillment", newest)
    found = line(data.check(), "migrations")
    assert (found.state, found.do) == ("wrong", "python manage.py migrate")
    assert found.found.startswith(f"pending: fulfillment.{newest}")


@pytest.mark.django_db
def test_too_many_connections_are_a_warning(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = {**settings.DATABASES["default"]["OPTIONS"]["pool"], "max_size": 100_000}
    monkeypatch.setitem(settings.DATABASES["default"]["OPTIONS"], "pool", pool)
    assert line(data.check(), "connections").state == "warning"


@pytest.mark.django_db
def test_old_server_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "OLDEST", 99)
    assert line(data.check(), "database").do == "Move to PostgreSQL 99 or newer."


@pytest.mark.django_db(transaction=True)
def test_database_that_is_gone_is_one_line(no_database: None) -> None:
    [only] = data.check()
    assert (only.name, only.state) == ("database", "wrong")
