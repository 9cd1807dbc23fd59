"""Celery's doors to the catalog's slow work."""

from datetime import timedelta

from catalog import covers, orphans, samples, upload_checks
from storefront.celery import app, enqueue


@app.task(max_retries=2)
def make_cover(product_id: int) -> None:
    covers.from_first_page(product_id)


@app.task(max_retries=2)
def make_sample(sample_id: int) -> None:
    samples.make(sample_id)


# 5 GB take a while to fetch and to read. A worker that is given the same message again meanwhile finds the row held.
@app.task(max_retries=2, soft_time_limit=3000, time_limit=3060)
def inspect_upload(upload_id: int) -> None:
    upload_checks.inspect(upload_id)


@app.task
def wake_uploads() -> None:
    """Each gets a task of its own: one large file must not keep the others waiting."""
    for upload_id in upload_checks.due():
        enqueue("catalog.tasks.inspect_upload", upload_id)


@app.task(soft_time_limit=3000, time_limit=3060)
def purge_files(days: int) -> None:
    orphans.purge(older_than=timedelta(days=days))
