"""PostgreSQL: whether it answers, is new enough, has every migration, and room for our connections."""

from collections.abc import Iterator

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from storefront.production.lines import Line, brief, ok, warning, wrong

OLDEST = 14  # the oldest PostgreSQL that Django 5.2 takes
CROWDED = 0.8  # of the connections that the server allows
MANY = 5  # migrations that are named


def check() -> Iterator[Line]:
    try:
        connection.ensure_connection()
        yield _version()
        yield _migrations()
        yield _room()
    except DatabaseError as error:
        yield wrong("database", f"does not answer: {brief(error)}", "Is PostgreSQL up, and is DATABASE_URL right?")


def _version() -> Line:
    number = connection.cursor().execute("SHOW server_version").fetchone()[0]
    if int(number.split(".")[0]) < OLDEST:
        return wrong("database", f"PostgreSQL {number}", f"Move to PostgreSQL {OLDEST} or newer.")
    return ok("database", f"PostgreSQL {number}")


def _migrations() -> Line:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        named = [f"{one.app_label}.{one.name}" for one, _backwards in plan]
        more = f" and {len(named) - MANY} more" if len(named) > MANY else ""
        return wrong("migrations", f"pending: {', '.join(named[:MANY])}{more}", "python manage.py migrate")
    return ok("migrations", "all applied")


def _room() -> Line:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
                      (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"""
        )
        allowed, used = cursor.fetchone()
    size = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
    found = f"{used} of {allowed} in use; up to {size} for each of our processes"
    if used > allowed * CROWDED or size > allowed:
        return warning("connections", found, "Raise max_connections in PostgreSQL, or lower DATABASE_POOL_SIZE.")
    return ok("connections", found)
