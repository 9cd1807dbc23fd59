"""Columns that PostgreSQL writes and looks into, and nobody fetches."""

from typing import Any

from django.contrib.postgres.search import SearchVectorField


class UnreadVectorField(SearchVectorField):
    """Text made ready for the search. It stays in the database: whoever reads a row reads None in its place, because
    no page needs ten kilobytes more for each product on it."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        return "NULL", ()
