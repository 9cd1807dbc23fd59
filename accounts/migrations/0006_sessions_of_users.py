from itertools import islice
from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import migrations, models
from django.utils import timezone


BATCH = 1000


def carry_over(apps: Any, schema_editor: Any) -> None:
    """Nobody is signed out by the change of tables. Whose a session is stands in what it holds."""
    session, users = apps.get_model("accounts", "Session"), apps.get_model("accounts", "User")
    known, store = set(users.objects.values_list("pk", flat=True)), SessionStore()
    live = apps.get_model("sessions", "Session").objects.filter(expire_date__gt=timezone.now())
    rows = (_of_a_user(session, old, store, known) for old in live.iterator(chunk_size=BATCH))
    while batch := list(islice(rows, BATCH)):
        session.objects.bulk_create(batch)


def _of_a_user(session: Any, old: Any, store: SessionStore, known: set[int]) -> Any:
    user = int(store.decode(old.session_data).get("_auth_user_id", 0))
    return session(
        session_key=old.session_key,
        session_data=old.session_data,
        expire_date=old.expire_date,
        user_id=user if user in known else None,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("sessions", "0001_initial"),
        ("accounts", "0005_mail_choices"),
    ]

    operations = [
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "session_key",
                    models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="session key"),
                ),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                (
                    "sign_in",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.signin",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "abstract": False,
            },
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
    ]
