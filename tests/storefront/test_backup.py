"""A drill: the shop is copied, sells on, is lost, and comes back; what was sold since the copy comes from Stripe."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from django.test import Client
from psycopg import sql

from fulfillment.sweep import sweep
from sandbox.postgres import find_programs
from sandbox.world.server import World
from tests.factories import PDF, ProductFactory
from tests.fulfillment.test_sweep import ROOT, process_environment
from tests.steps import buy, report

pytestmark = pytest.mark.django_db(transaction=True)

AFTER = "after_the_loss"


@pytest.fixture
def new_database() -> Iterator[dict[str, str]]:
    """An empty database beside the test's own; how libpq and how Django name it."""
    with psycopg.connect(conninfo("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(AFTER)))
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(AFTER)))
        yield {"libpq": conninfo(AFTER), "django": os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{AFTER}"}
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(AFTER)))


def conninfo(database: str) -> str:
    known = connection.settings_dict
    return psycopg.conninfo.make_conninfo(
        host=known["HOST"], port=known["PORT"] or None, user=known["USER"], password=known["PASSWORD"] or None,
        dbname=database,
    )  # fmt: skip


def script(name: str, *words: str | Path, database: str, files: Path) -> subprocess.CompletedProcess[str]:
    path = f"{find_programs()}:{os.environ['PATH']}"
    env = {**os.environ, "DATABASE_URL": database, "FILES": str(files), "PATH": path}
    return subprocess.run(
        [str(ROOT / "deploy" / name), *map(str, words)], env=env, capture_output=True, text=True, check=False
    )


def manage(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not (find_programs() / "pg_dump").exists(), reason="no pg_dump beside the PostgreSQL of the tests")
def test_f25_shop_that_was_lost_comes_back_with_all_that_was_sold(
    smtp: World, client: Client, tmp_path: Path, new_database: dict[str, str]
) -> None:
    files, backups, restored = tmp_path / "private", tmp_path / "backups", tmp_path / "restored" / "private"
    before = buy(smtp, Client(), ProductFactory(), email="before@example.com")
    report(smtp, client)
    sweep()
    database = conninfo(connection.settings_dict["NAME"])
    copied = script("backup.sh", backups, database=database, files=files)
    assert copied.returncode == 0, copied.stderr
    assert copied.stdout.strip().endswith(".dump")

    since = buy(smtp, Client(), before.lines.get().product, email="since@example.com")
    report(smtp, client)
    sweep()
    shutil.rmtree(files)

    done = script("restore.sh", backups, database=new_database["libpq"], files=restored)
    assert done.returncode == 0, done.stderr
    env = process_environment(smtp) | {
        "DATABASE_URL": new_database["django"],
        "STORAGE_URL": f"file://{restored.parent}",
    }
    assert manage("migrate", "--noinput", env=env).returncode == 0
    reconciled = manage("reconcile", "--since", "2h", env=env)
    assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
    books = manage("books", env=env)
    assert books.returncode == 0, books.stdout + books.stderr
    with psycopg.connect(new_database["libpq"]) as lost:
        orders = lost.execute("SELECT reference, state, email FROM orders_order ORDER BY id").fetchall()
        keys = [str(row[0]) for row in lost.execute("SELECT key FROM catalog_file").fetchall()]
        access = lost.execute("SELECT state FROM fulfillment_entitlement").fetchall()
    assert orders == [(before.reference, "paid", "before@example.com"), (since.reference, "paid", "since@example.com")]
    assert access == [("active",)] * 2
    assert [(restored / key).read_bytes() for key in keys] == [PDF]

    again = script("restore.sh", backups, database=new_database["libpq"], files=restored)
    assert again.returncode == 1
    assert "restore into an empty one" in again.stderr


def test_second_copy_takes_what_is_new_and_what_was_half_there(tmp_path: Path) -> None:
    files, backups = tmp_path / "files", tmp_path / "backups"
    for name, text in (("private/a", "first"), ("private/b", "second")):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(text)
    database = conninfo("postgres")
    assert script("backup.sh", backups, database=database, files=files).returncode == 0
    copy = backups / "files" / "private"
    (copy / "a").write_text("fir")  # broke off
    kept = (copy / "b").stat().st_ino
    (files / "private" / "c").write_text("third")
    assert script("backup.sh", backups, database=database, files=files).returncode == 0
    assert {path.name: path.read_text() for path in copy.iterdir()} == {"a": "first", "b": "second", "c": "third"}
    assert (copy / "b").stat().st_ino == kept
    assert oct((copy / "c").stat().st_mode)[-3:] in ("600", "644")


def test_copy_of_a_database_that_does_not_answer_fails_and_leaves_no_dump(tmp_path: Path) -> None:
    failed = script("backup.sh", tmp_path / "backups", database="host=/nowhere dbname=x", files=tmp_path)
    assert failed.returncode != 0
    assert list((tmp_path / "backups").glob("*.dump")) == []
    assert script("restore.sh", tmp_path, database=conninfo("postgres"), files=tmp_path).returncode == 1
