"""Sessions in the database, with keys that PostgreSQL can compare, and whose they are beside what they hold."""

from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.db import InterfaceError, OperationalError

from accounts.visitors import SIGN_IN

if TYPE_CHECKING:
    from accounts.models import Session


class SessionStore(db.SessionStore):
    @classmethod
    def get_model_class(cls) -> "type[Session]":
        from accounts.models import Session  # settings name this module before there are models

        return Session

    def create_model_instance(self, data: dict[str, Any]) -> "Session":
        row = cast("Session", super().create_model_instance(data))
        if user := data.get(SESSION_KEY):
            row.user_id, row.sign_in_id = int(user), data.get(SIGN_IN)
        return row

    def _validate_session_key(self, key: str | None) -> bool:
        """Anybody can send a cookie with a NUL in it, and a query with one fails."""
        return key is not None and len(key) >= 8 and key.isascii() and key.isalnum()

    def save(self, must_create: bool = False) -> None:
        """Django takes any failure for a session that was deleted meanwhile, and tells the visitor that their request
        was bad (400). A database that went away is our trouble, and worth another try."""
        try:
            super().save(must_create)
        except UpdateError as error:
            if isinstance(error.__context__, (OperationalError, InterfaceError)):
                raise error.__context__ from None
            raise
