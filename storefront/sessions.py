"""Sessions in the database, with keys that PostgreSQL can compare."""

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.db import InterfaceError, OperationalError


class SessionStore(db.SessionStore):
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
