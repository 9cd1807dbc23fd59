"""Orders that wait to be paid, and buyers who pay them: what the benchmarks of the whole shop need before the clock."""

import http.client
import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from benchmarks.stand import Shop

Given = TypeVar("Given")
Made = TypeVar("Made")

AT_ONCE = 8


def open_orders(number: int) -> list[str]:
    """The ids of the Checkout Sessions of that many new orders, made as a click on "Buy" makes them."""
    import django

    django.setup()
    from django.core.files.base import ContentFile
    from django.core.files.storage import storages
    from django.db import close_old_connections, transaction

    from catalog.models import Edition, File, Product
    from orders import checkout

    with transaction.atomic():
        product = Product.objects.create(
            name="A measured book", slug="measured", price=1250, currency="usd", status=Product.Status.PUBLISHED
        )
        edition = Edition.objects.create(product=product, number=1)
        key = storages["default"].save("file", ContentFile(b"%PDF-1.4 measured"))
        File.objects.create(
            edition=edition, key=key, name="measured.pdf", media_type="application/pdf", size=17, sha256="0" * 64
        )

    def begin(n: int) -> str:
        try:
            return str(checkout.begin(product, user=None, browser=f"browser {n}")[0].stripe_session_id)
        finally:
            close_old_connections()

    return at_once(begin, range(number))


def at_once(act: Callable[[Given], Made], given: Iterable[Given]) -> list[Made]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(act, given))


def control(shop: Shop, path: str, body: dict[str, Any] | None = None) -> Any:
    """The sandbox's control API: gets without a body, else posts."""
    connection = http.client.HTTPConnection("127.0.0.1", shop.ports.world, timeout=60)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(
            "GET" if body is None else "POST", f"/_control/{path}", data, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        found = json.loads(answer.read())
        assert answer.status < 400, found
        return found
    finally:
        connection.close()


def pay(shop: Shop, session_id: str) -> float:
    """The moment of the payment, by this machine's clock."""
    now = time.time()
    control(shop, f"pay/{session_id}", {"email": f"{session_id[-12:].lower()}@example.com"})
    return now


def pay_at_rate(shop: Shop, sessions: list[str], rate: float) -> dict[str, float]:
    """Pay them evenly spread over time; when each was paid. One that cannot begin in time is paid late, and counts."""
    began = time.monotonic()

    def one(numbered: tuple[int, str]) -> tuple[str, float]:
        number, session_id = numbered
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        return session_id, pay(shop, session_id)

    with ThreadPoolExecutor(32) as pool:
        return dict(pool.map(one, enumerate(sessions)))


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """How many seconds it took to come true; no more than `seconds`."""
    began = time.monotonic()
    while not condition() and time.monotonic() < began + seconds:
        time.sleep(0.1)
    return time.monotonic() - began
