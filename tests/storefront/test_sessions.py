"""A session that cannot be saved: whose fault is it?"""

import psycopg
import pytest
from django.conf import settings
from django.contrib.sessions.backends.base import UpdateError
from django.db import OperationalError, connection

from storefront.sessions import SessionStore


@pytest.mark.django_db(transaction=True)
def test_database_that_fails_is_not_the_visitors_fault() -> None:
    session = SessionStore()
    session["orders"] = {}
    session.create()
    named = settings.DATABASES["default"]
    with psycopg.connect(
        host=named["HOST"], port=named["PORT"] or None, user=named["USER"], dbname=named["NAME"]
    ) as other:
        other.execute("SELECT * FROM accounts_session FOR UPDATE")
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '100ms'")
        with pytest.raises(OperationalError, match="statement timeout"):
            session.save()
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")


@pytest.mark.django_db
def test_session_deleted_meanwhile_is_told_apart() -> None:
    session = SessionStore()
    session.create()
    SessionStore(session.session_key).delete()
    with pytest.raises(UpdateError):
        session.save()
