"""A world of its own for each test, the real Stripe client pointed at it, and a listener for its webhooks."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from sandbox.world.server import World, running_world

SECRET = "whsec_of_the_tests"
QUICK_RETRIES = (0.02, 0.02, 0.02, 0.02)


@dataclass
class Listener:
    """What arrived, in order, as (event, headers, raw body); `answers` are the statuses of the next posts."""

    url: str = ""
    received: list[tuple[dict[str, Any], dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event, _, _ in self.received]


@contextmanager
def listening() -> Iterator[Listener]:
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            listener.received.append((json.loads(body), dict(self.headers), body))
            self.send_response(listener.answers.pop(0) if listener.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    listener.url = f"http://127.0.0.1:{server.server_port}/webhooks/stripe/"
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def client_of(world: World, **options: Any) -> Any:
    """Stripe's own client. Any, because tests know which of its many optional fields are there."""
    base = world.base_url
    addresses: Any = {"api": base, "files": base, "connect": base, "meter_events": base}
    options.setdefault("max_network_retries", 0)
    return stripe.StripeClient(options.pop("secret_key", world.secret_key), base_addresses=addresses, **options)


def params(**changes: Any) -> dict[str, Any]:
    """The parameters of an ordinary session: one PDF for 15 dollars."""
    price = {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "Field Notes"}}
    return {
        "mode": "payment",
        "success_url": "http://127.0.0.1:8000/checkout/done/?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:8000/checkout/cancelled/",
        "line_items": [{"price_data": price, "quantity": 1}],
    } | changes


@pytest.fixture(autouse=True)
def test_settings() -> None:
    """Takes the place of the fixture that changes Django's settings: there is no Django here."""


@pytest.fixture(scope="module")
def module_world() -> Iterator[World]:
    with running_world(retry_delays=QUICK_RETRIES) as running:
        yield running


@pytest.fixture
def world(module_world: World) -> World:
    """A world as new."""
    module_world.control("reset", {})
    return module_world


@pytest.fixture(scope="module")
def module_hooked() -> Iterator[tuple[World, Listener]]:
    with (
        listening() as heard,
        running_world(webhook_url=heard.url, webhook_secret=SECRET, retry_delays=QUICK_RETRIES) as running,
    ):
        yield running, heard


@pytest.fixture
def hooked(module_hooked: tuple[World, Listener]) -> World:
    """A world as new that sends its webhooks to `listener`."""
    running, heard = module_hooked
    running.quiet()
    running.control("reset", {})
    for endpoint in client_of(running).v1.webhook_endpoints.list().data:
        if endpoint.url != heard.url:
            client_of(running).v1.webhook_endpoints.delete(endpoint.id)
    heard.received.clear()
    heard.answers.clear()
    return running


@pytest.fixture
def listener(hooked: World, module_hooked: tuple[World, Listener]) -> Listener:
    return module_hooked[1]


@pytest.fixture
def client(world: World) -> Any:
    return client_of(world)


@pytest.fixture
def paid(world: World, client: Any) -> Callable[..., dict[str, Any]]:
    """Buy something with the good card; the session as it is then."""

    def buy(**changes: Any) -> dict[str, Any]:
        session = client.v1.checkout.sessions.create(params=params(**changes))
        answer: dict[str, Any] = world.control(f"pay/{session.id}", {"email": "ada@example.com"})
        return answer

    return buy
