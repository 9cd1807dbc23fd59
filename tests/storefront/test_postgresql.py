"""Pooled connections: one whose server has gone is replaced before anybody meets it, and a sound one is not asked."""

import os
from typing import Any

import environ
import psycopg
import pytest
from django.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


def watch(sql: str, pid: int) -> Any:
    """What another connection, outside of the pool, says about a connection of the pool."""
    named = environ.Env.db_url_config(os.environ["DATABASE_URL"])
    address = {
        "host": named["HOST"],
        "user": named["USER"],
        "password": named["PASSWORD"],
        "port": named["PORT"] or 5432,
    }
    with psycopg.connect(**address, dbname=connection.settings_dict["NAME"], autocommit=True) as other:
        return other.execute(sql, [pid]).fetchone()


def number(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def test_f24_connection_that_the_server_closed_is_replaced_before_use() -> None:
    for _ in range(3):
        pid = number("SELECT pg_backend_pid()")
        connection.close()  # into the pool, as after a request
        assert watch("SELECT pg_terminate_backend(%s, 5000)", pid) == (True,)
        assert number("SELECT 41") == 41
        connection.close()


def test_sound_connection_is_not_asked_for_its_health() -> None:
    """The question would be an empty statement."""
    for _ in range(3):
        number("SELECT 40")
        connection.close()
        connection.ensure_connection()
        (last,) = watch("SELECT query FROM pg_stat_activity WHERE pid = %s", connection.connection.info.backend_pid)
        assert last.startswith(("SELECT", "SET", "ROLLBACK", "COMMIT", "TRUNCATE")), last
