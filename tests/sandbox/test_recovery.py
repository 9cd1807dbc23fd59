"""Sessions that are recovered after they expired, codes that make them cheaper, and refunds read with their charge."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from sandbox.world.server import ControlError, World
from tests.sandbox.world_fixtures import client, module_world, paid, params, test_settings, world

__all__ = ["client", "module_world", "paid", "test_settings", "world"]
RECOVERABLE: Any = {"recovery": {"enabled": True, "allow_promotion_codes": True}}


def expired(world: World, client: Any, **changes: Any) -> Any:
    session = client.v1.checkout.sessions.create(params=params(**changes))
    assert session.after_expiration is None or session.after_expiration.recovery.url is None
    world.control(f"expire/{session.id}", {})
    return client.v1.checkout.sessions.retrieve(session.id)


def test_recovered_session_is_an_open_copy_that_names_the_expired_one(world: World, client: Any) -> None:
    told = {"client_reference_id": "ref-1", "metadata": {"a": "b"}, "after_expiration": RECOVERABLE}
    session = expired(world, client, **told)
    assert session.after_expiration.recovery.url == f"{world.base_url}/c/recover/{session.id}"
    page = requests.get(session.after_expiration.recovery.url, timeout=5)
    copy = client.v1.checkout.sessions.retrieve(page.url.rpartition("/")[2], params={"expand": ["line_items"]})
    assert (copy.status, copy.recovered_from, copy.id == session.id) == ("open", session.id, False)
    assert (copy.client_reference_id, copy.metadata["a"], copy.amount_total) == ("ref-1", "b", 1500)
    assert [line.description for line in copy.line_items.data] == ["Field Notes"]
    assert (copy.allow_promotion_codes, copy.success_url) == (True, session.success_url)
    assert world.control(f"pay/{copy.id}", {"email": "ada@example.com"})["payment_status"] == "paid"


@pytest.mark.parametrize("after", [None, {"recovery": {"enabled": False}}])
def test_session_that_was_not_made_for_it_cannot_be_recovered(world: World, client: Any, after: Any) -> None:
    session = expired(world, client, **({"after_expiration": after} if after else {}))
    with pytest.raises(ControlError, match="cannot be recovered"):
        world.control(f"recover/{session.id}", {})


def test_code_makes_every_line_cheaper_down_to_nothing(world: World, client: Any) -> None:
    price = {"currency": "usd", "unit_amount": 333, "product_data": {"name": "A"}}
    rows = [{"price_data": price, "quantity": 1}, {"price_data": price, "quantity": 2}]
    session = client.v1.checkout.sessions.create(params=params(line_items=rows))
    cheaper = world.control(f"discount/{session.id}", {"percent": 10})
    assert (cheaper["amount_subtotal"], cheaper["amount_total"]) == (999, 900)
    assert (cheaper["total_details"]["amount_discount"], cheaper["payment_status"]) == (99, "unpaid")
    free = world.control(f"discount/{session.id}", {})
    assert (free["amount_total"], free["payment_status"]) == (0, "no_payment_required")
    done = world.control(f"pay/{session.id}", {"email": "ada@example.com"})
    assert (done["status"], done["payment_status"], done["payment_intent"]) == ("complete", "no_payment_required", None)


def test_refunds_are_read_with_their_charge_failed_ones_too(
    world: World, client: Any, paid: Callable[..., Any]
) -> None:
    session = paid()
    made = [
        world.control("refund", {"session": session["id"], "amount": 100, "metadata": {"n": str(n)}}) for n in range(12)
    ]
    world.control(f"refund/{made[-1]['id']}/fail", {})
    expand = ["payment_intent.latest_charge.refunds"]
    charge = client.v1.checkout.sessions.retrieve(session["id"], params={"expand": expand}).payment_intent.latest_charge
    assert [one.id for one in charge.refunds.data] == [one["id"] for one in made[:1:-1]]
    assert (charge.refunds.has_more, charge.refunds.data[0].status, charge.amount_refunded) == (True, "failed", 1100)
    assert charge.refunds.data[0].metadata["n"] == "11"


def test_line_shows_its_price_as_it_is_now(world: World, client: Any) -> None:
    price = client.v1.prices.create(params={"currency": "usd", "unit_amount": 900, "product_data": {"name": "A"}})
    session = client.v1.checkout.sessions.create(params=params(line_items=[{"price": price.id, "quantity": 1}]))
    client.v1.prices.update(price.id, params={"metadata": {"product_slug": "mended"}})
    line = client.v1.checkout.sessions.line_items.list(session.id).data[0]
    assert line.price.metadata["product_slug"] == "mended"
