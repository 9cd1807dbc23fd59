"""The Checkout page as a buyer without JavaScript meets it."""

import re
import time
from typing import Any

import pytest
import requests

from sandbox.world.server import World
from tests.sandbox.world_fixtures import (
    client,
    module_world,
    params,
    test_settings,
    world,
)

__all__ = ["client", "module_world", "test_settings", "world"]
CARD = {
    "email": "ada@example.com",
    "card_number": "4242 4242 4242 4242",
    "card_expiry": "12 / 34",
    "card_cvc": "123",
    "name": "Ada",
    "method": "card",
}


@pytest.fixture
def session(client: Any) -> Any:
    return client.v1.checkout.sessions.create(params=params())


def submit(session: Any, **changes: str) -> requests.Response:
    return requests.post(session.url, {**CARD, **changes}, allow_redirects=False, timeout=5)


def types(world: World) -> list[str]:
    return [event["type"] for event in world.control("events")["events"]][::-1]


def link(client: Any, **changes: Any) -> Any:
    product = client.v1.products.create(params={"name": "Field Notes"})
    price = client.v1.prices.create(params={"product": product.id, "currency": "usd", "unit_amount": 1500})
    wanted: Any = {"line_items": [{"price": price.id, "quantity": 1}], "metadata": {"product_slug": "field-notes"}}
    return client.v1.payment_links.create(params=wanted | changes)


def test_page_shows_amount_name_and_fields(session: Any) -> None:
    page = requests.get(session.url, timeout=5)
    assert page.status_code == 200
    assert "$15.00" in page.text
    assert "Field Notes" in page.text
    assert "Test mode" in page.text
    ids = set(re.findall(r'id="([\w-]+)"', page.text))
    assert {"email", "card_number", "card_expiry", "card_cvc", "name", "pay", "back"} <= ids
    assert "<script" not in page.text
    assert "style=" not in page.text


def test_good_card_pays_and_redirects_to_the_shop(world: World, session: Any) -> None:
    answer = submit(session)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"http://127.0.0.1:8000/checkout/done/?session_id={session.id}"
    row = world.control("ledger")["sessions"][0]
    assert (row["paid"], row["email"]) == (True, "ada@example.com")
    assert types(world) == [
        "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed",
    ]  # fmt: skip


def test_pressing_pay_twice_pays_once(client: Any, session: Any) -> None:
    first, second = submit(session), submit(session)
    assert first.headers["Location"] == second.headers["Location"]
    assert len(client.v1.charges.list().data) == 1


def test_declined_card_leaves_the_session_open_to_another(world: World, client: Any, session: Any) -> None:
    answer = submit(session, card_number="4000 0000 0000 0002")
    assert (answer.status_code, "Your card was declined." in answer.text) == (402, True)
    assert types(world) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert submit(session).status_code == 303
    intents = client.v1.payment_intents.list().data
    assert [(one.status, one.last_payment_error) for one in intents] == [("succeeded", None)]


@pytest.mark.parametrize(
    "field,value",
    [
        ("email", "nobody"),
        ("card_number", "4111 1111 1111 1111"),
        ("card_expiry", "13 / 34"),
        ("card_expiry", "01 / 20"),
        ("card_cvc", "12"),
        ("method", "gold"),
    ],
)
def test_wrong_entry_is_explained_and_pays_nothing(world: World, session: Any, field: str, value: str) -> None:
    answer = submit(session, **{field: value})
    assert (answer.status_code, f'id="{field}-error"' in answer.text) == (422, True)
    assert world.control("ledger")["sessions"][0]["status"] == "open"


def test_bank_debit_completes_unpaid_and_settles_later(world: World, client: Any, session: Any) -> None:
    assert submit(session, method="bank_debit", card_number="").status_code == 303
    found = client.v1.checkout.sessions.retrieve(session.id)
    assert (found.status, found.payment_status) == ("complete", "unpaid")
    assert types(world)[-1] == "checkout.session.completed"
    world.control(f"settle/{session.id}", {})
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert types(world)[-3:] == [
        "charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded",
    ]  # fmt: skip


def test_bank_debit_that_fails_stays_unpaid(world: World, session: Any) -> None:
    submit(session, method="bank_debit")
    world.control(f"settle/{session.id}", {"result": "failed"})
    assert types(world)[-1] == "checkout.session.async_payment_failed"
    assert world.control("ledger")["sessions"][0]["paid"] is False
    with pytest.raises(Exception, match="Nothing to settle"):
        world.control(f"settle/{session.id}", {})


def test_bank_debit_settles_by_itself_when_told_to(world: World, session: Any) -> None:
    world.control("settings", {"settle_after": 0.05})
    submit(session, method="bank_debit")
    end = time.monotonic() + 5
    while not world.control("ledger")["sessions"][0]["paid"]:
        assert time.monotonic() < end, "never settled"
        time.sleep(0.01)


def test_page_of_a_finished_session_says_so(world: World, client: Any, session: Any) -> None:
    submit(session)
    assert "This order is complete" in requests.get(session.url, timeout=5).text
    other = client.v1.checkout.sessions.create(params=params())
    world.control(f"expire/{other.id}", {})
    page = requests.get(other.url, timeout=5)
    assert (page.status_code, "has expired" in page.text) == (410, True)


def test_given_address_cannot_be_changed_on_the_page(world: World, client: Any) -> None:
    session = client.v1.checkout.sessions.create(params=params(customer_email="bob@example.com"))
    assert 'value="bob@example.com"' in requests.get(session.url, timeout=5).text
    submit(session, email="eve@example.com")
    assert world.control("ledger")["sessions"][0]["email"] == "bob@example.com"


def test_payment_link_opens_a_session_with_its_metadata(world: World, client: Any) -> None:
    made = link(client)
    query = "?client_reference_id=ref_1&prefilled_email=ada%40example.com"
    page = requests.get(made.url + query, timeout=5)
    assert 'value="ada@example.com"' in page.text
    session = client.v1.checkout.sessions.list(params={"payment_link": made.id}).data[0]
    assert session.metadata.to_dict() == {"product_slug": "field-notes"}
    assert (session.client_reference_id, session.customer_email) == ("ref_1", None)
    assert submit(session).status_code == 303
    row = world.control("ledger")["sessions"][0]
    assert (row["email"], row["payment_link"], row["paid"]) == ("ada@example.com", made.id, True)


def test_inactive_payment_link_sells_nothing(world: World, client: Any) -> None:
    made = link(client)
    client.v1.payment_links.update(made.id, params={"active": False})
    assert requests.get(made.url, timeout=5).status_code == 410
    assert world.control("ledger")["sessions"] == []


def test_dashboard_buttons_do_what_they_say(world: World, session: Any) -> None:
    def press(name: str, **fields: str) -> int:
        return requests.post(f"{world.base_url}/act/{name}", fields, allow_redirects=False, timeout=5).status_code

    assert press("pay", id=session.id) == 303
    assert press("refund", id=session.id, amount="500") == 303
    assert press("dispute", id=session.id) == 303
    assert press("link", slug="field-notes", amount="1500", currency="usd") == 303
    assert press("fault", which="webhooks/delay", seconds="2") == 303
    assert press("refund", id=session.id, amount="9999") == 400
    row = world.control("ledger")["sessions"][0]
    assert (row["refunded"], row["dispute_status"]) == (500, "needs_response")
    assert world.control("faults")["faults"][0]["options"] == {"seconds": 2.0}
    page = requests.get(world.base_url + "/", timeout=5).text
    assert "refunded $5.00" in page
    assert "field-notes" in page
