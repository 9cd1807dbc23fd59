"""Celery's doors to the catalog's slow work."""

from catalog import covers
from storefront.celery import app


@app.task(max_retries=2)
def make_cover(product_id: int) -> None:
    covers.from_first_page(product_id)
