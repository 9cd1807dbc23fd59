"""Orders that wait for their payment, and the payments: made through the shop's own functions and the local Stripe."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.stand import Shop

BUYER = "reader{}@example.com"


def control(shop: Shop, path: str, body: dict[str, Any] | None = None) -> Any:
    """The local Stripe's control API: gets without a body, else posts."""
    data = None if body is None else json.dumps(body).encode()
    address = f"http://127.0.0.1:{shop.ports.world}/_control/{path}"
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def begin(number: int) -> list[str]:
    """The Checkout Sessions of so many guests' orders for one book, each begun as the Buy button does."""
    import django

    django.setup()
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(_begin, range(number), [_book()] * number))


def _book() -> Any:
    from django.core.files.base import ContentFile
    from django.core.files.storage import storages
    from django.db import transaction

    from catalog.models import Edition, File, Product

    content = b"%PDF-1.4 a book for the benchmark"
    with transaction.atomic():
        book = Product.objects.create(
            name="A book", slug="a-book", price=1250, status=Product.Status.PUBLISHED, cover_failed=True
        )
        File.objects.create(
            edition=Edition.objects.create(product=book, number=1),
            key=storages["default"].save("file", ContentFile(content)),
            name="book.pdf", media_type="application/pdf", size=len(content), sha256="0" * 64,
        )  # fmt: skip
    return book


def _begin(number: int, book: Any) -> str:
    from django.db import close_old_connections

    from orders import checkout

    try:
        order, _ = checkout.begin(book, user=None, browser=f"browser {number}")
        return str(order.stripe_session_id)
    finally:
        close_old_connections()
