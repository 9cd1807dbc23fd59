"""Columns that PostgreSQL writes and reads, and nobody fetches."""

from typing import Any

from django.db import models


class SearchColumn(models.GeneratedField):
    """Text made ready for searching. It stays in the database: where a row is read, NULL is read in its place, since
    what a book's page needs is not another ten kilobytes for each book."""

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        return "NULL", ()
