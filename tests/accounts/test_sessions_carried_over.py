"""Sessions that were begun before they named their user go on, each with its user."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session as Before
from django.utils import timezone

from accounts.models import Session
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_live_sessions_keep_their_key_and_get_their_user() -> None:
    bob, store = UserFactory(), SessionStore()
    tomorrow, yesterday = timezone.now() + timedelta(days=1), timezone.now() - timedelta(days=1)
    for key, ends, held in (
        ("bob", tomorrow, {"_auth_user_id": str(bob.pk)}),
        ("guest", tomorrow, {"orders": {}}),
        ("gone", tomorrow, {"_auth_user_id": "999999"}),
        ("over", yesterday, {"_auth_user_id": str(bob.pk)}),
    ):
        Before.objects.create(session_key=key, session_data=store.encode(held), expire_date=ends)
    import_module("accounts.migrations.0006_sessions_of_users").carry_over(apps, None)
    found = Session.objects.order_by("session_key").values_list("session_key", "user", "expire_date")
    assert list(found) == [("bob", bob.pk, tomorrow), ("gone", None, tomorrow), ("guest", None, tomorrow)]
    assert store.decode(Session.objects.get(session_key="guest").session_data) == {"orders": {}}
