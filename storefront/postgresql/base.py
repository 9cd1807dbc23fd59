"""Django's PostgreSQL, with a quicker look at a connection's health."""

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """One from the pool whose server is still there. CONN_HEALTH_CHECKS would ask it each time, which takes as long
        as a short query does: here it is asked only when it said something unasked for, as one that goes away does.
        """
        connection = super().get_new_connection(conn_params)
        while self.pool and has_spoken(connection.fileno()) and is_gone(connection):
            self.pool.putconn(connection)  # which throws it away
            connection = super().get_new_connection(conn_params)
        return connection


def has_spoken(number: int) -> bool:
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def is_gone(connection: Any) -> bool:
    try:
        ConnectionPool.check_connection(connection)
    except psycopg.Error:
        return True
    return False
