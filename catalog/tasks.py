"""Celery's doors to the catalog's slow work."""

from catalog import covers, samples
from storefront.celery import app


@app.task(max_retries=2)
def make_cover(product_id: int) -> None:
    covers.from_first_page(product_id)


@app.task(max_retries=2)
def make_sample(sample_id: int) -> None:
    samples.make(sample_id)
