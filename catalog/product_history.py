"""What was done to a product by saving its form, as a person reads it later. In English, like all that is recorded."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import override

from catalog import money
from catalog.forms import ProductForm
from catalog.upload_models import Upload

NAMED = {
    "summary": "summary",
    "description": "description",
    "categories": "categories",
    "tags": "tags",
    "sample_pages": "pages to look inside",
    "file_order": "order of the files",
    "cover_image": "cover",
}


def changes(form: ProductForm, formsets: list[Any]) -> str:
    """One line, "" where nothing was changed. After the form was saved."""
    with override("en"):
        return "; ".join([*_fields(form), *_files(form), *_prices(formsets)])


def _fields(form: ProductForm) -> Iterator[str]:
    was, product = form.initial, form.instance
    changed = set(form.changed_data)
    if "name" in changed and was["name"] != product.name:
        yield f"name {was['name']} → {product.name}"
    if "slug" in changed:
        yield f"address {was['slug']} → {product.slug}"
    if {"price", "currency"} & changed:
        old = money.recorded(money.read(was["price"], was["currency"]), was["currency"])
        if old != (new := money.recorded(product.price, product.currency)):
            yield f"{old} → {new}"
    if "status" in changed:
        yield f"{was['status']} → {product.status}"
    if named := [name for field, name in NAMED.items() if field in changed]:
        yield f"changed {', '.join(named)}"


def _files(form: ProductForm) -> Iterator[str]:
    if form.edition:
        names = ", ".join(one.safe_name if isinstance(one, Upload) else one.inspected.name for one in form.new)
        kind = "new edition" if form.cleaned_data["as_new_edition"] else "new files in edition"
        yield f"{kind} {form.edition.number}: {names}"


def _prices(formsets: list[Any]) -> Iterator[str]:
    """Of its prices in Stripe."""
    for formset in formsets:
        yield from (f"added {row}" for row in formset.new_objects)
        yield from (f"changed {row}" for row, _fields in formset.changed_objects)
        yield from (f"removed {row}" for row in formset.deleted_objects)
