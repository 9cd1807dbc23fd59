"""The API, with Stripe's own client and by hand."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
import stripe

from sandbox.world.forms import decode
from sandbox.world.money import show
from sandbox.world.operations import OPERATIONS
from sandbox.world.restricted import EVERYTHING, RESOURCES
from sandbox.world.server import ControlError, World, running_world
from tests.sandbox.world_fixtures import (
    client,
    client_of,
    module_world,
    paid,
    params,
    test_settings,
    world,
)

__all__ = ["client", "module_world", "paid", "test_settings", "world"]
Paid = Callable[..., dict[str, Any]]


def call(
    world: World, method: str, path: str, pairs: list[tuple[str, str]] | None = None, **headers: str
) -> tuple[int, dict[str, Any], Any]:
    """One raw call; (status, body, headers), errors too."""
    given = {"Authorization": f"Bearer {world.secret_key}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    answer = requests.request(method, world.base_url + path, data=pairs, headers=given, timeout=10)
    return answer.status_code, answer.json(), answer.headers


def session_pairs(amount: str = "1500", currency: str = "usd") -> list[tuple[str, str]]:
    price = "line_items[0][price_data]"
    return [
        ("mode", "payment"),
        ("success_url", "http://127.0.0.1/done"),
        ("line_items[0][quantity]", "1"),
        (f"{price}[currency]", currency),
        (f"{price}[unit_amount]", amount),
        (f"{price}[product_data][name]", "Field Notes"),
    ]


def test_session_created_is_open_and_carries_what_was_asked(client: Any) -> None:
    price = {"currency": "eur", "unit_amount": 700, "product_data": {"name": "A", "metadata": {"slug": "a"}}}
    session = client.v1.checkout.sessions.create(
        params=params(
            line_items=[{"price_data": price, "quantity": 2}],
            client_reference_id="ref-1",
            customer_email="ada@example.com",
            metadata={"1": "digit key", "order": "7"},
        )
    )
    assert (session.status, session.payment_status, session.amount_total, session.currency) == (
        "open", "unpaid", 1400, "eur",
    )  # fmt: skip
    assert session.client_reference_id == "ref-1"
    assert session.customer_email == "ada@example.com"
    assert session.metadata.to_dict() == {"1": "digit key", "order": "7"}
    assert session.payment_intent is None
    assert session.success_url.endswith("{CHECKOUT_SESSION_ID}")
    lines = client.v1.checkout.sessions.line_items.list(session.id).data
    assert [(line.description, line.quantity, line.amount_total) for line in lines] == [("A", 2, 1400)]


def test_expand_fills_in_four_levels(client: Any, paid: Paid) -> None:
    paths = ["line_items.data.price.product", "payment_intent.latest_charge"]
    session = client.v1.checkout.sessions.retrieve(paid()["id"], params={"expand": paths})
    assert session.line_items.data[0].price.product.name == "Field Notes"
    assert session.payment_intent.latest_charge.amount == 1500


def test_expand_of_what_is_no_object_is_refused(world: World, paid: Paid) -> None:
    status, body, _ = call(world, "GET", f"/v1/checkout/sessions/{paid()['id']}?expand[]=currency")
    assert (status, body["error"]["message"]) == (400, "This property cannot be expanded (currency).")


def test_list_of_sessions_pages_both_ways(client: Any) -> None:
    made = [client.v1.checkout.sessions.create(params=params()).id for _ in range(5)][::-1]
    first = client.v1.checkout.sessions.list(params={"limit": 2})
    assert ([one.id for one in first.data], first.has_more) == (made[:2], True)
    last = client.v1.checkout.sessions.list(params={"limit": 3, "starting_after": made[1]})
    assert ([one.id for one in last.data], last.has_more) == (made[2:], False)
    back = client.v1.checkout.sessions.list(params={"limit": 2, "ending_before": made[3]})
    assert ([one.id for one in back.data], back.has_more) == (made[1:3], True)
    assert [one.id for one in first.auto_paging_iter()] == made


def test_list_filters_by_status_intent_and_time(client: Any, paid: Paid) -> None:
    client.v1.checkout.sessions.create(params=params())
    session = paid()
    sessions = client.v1.checkout.sessions
    now = int(time.time())
    assert [one.id for one in sessions.list(params={"status": "complete"}).data] == [session["id"]]
    by_intent = sessions.list(params={"payment_intent": session["payment_intent"]}).data
    assert [one.id for one in by_intent] == [session["id"]]
    assert len(sessions.list(params={"created": {"gte": now - 60}}).data) == 2
    assert sessions.list(params={"created": {"gte": now + 60}}).data == []


def test_events_are_listed_by_type_and_types(client: Any, paid: Paid) -> None:
    paid()
    events = client.v1.events
    assert [one.type for one in events.list(params={"type": "charge.succeeded"}).data] == ["charge.succeeded"]
    wanted = ["checkout.session.completed", "payment_intent.succeeded"]
    assert [one.type for one in events.list(params={"types": wanted}).data] == wanted
    assert [one.type for one in events.list(params={"type": "payment_intent.*"}).data] == [
        "payment_intent.succeeded", "payment_intent.created",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["", "Bearer sk_test_other"])
def test_wrong_key_is_refused(world: World, key: str) -> None:
    status, body, headers = call(world, "GET", "/v1/account", Authorization=key)
    assert (status, body["error"]["type"]) == (401, "invalid_request_error")
    assert headers["Request-Id"].startswith("req_")


def test_unknown_object_is_404(client: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.checkout.sessions.retrieve("cs_test_none")
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (404, "resource_missing", "id")


@pytest.mark.parametrize("name", ["colour", "line_items[0][color]", "line_items[0][price_data][product_data][title]"])
def test_unknown_parameter_is_refused(world: World, name: str) -> None:
    status, body, _ = call(world, "POST", "/v1/checkout/sessions", [*session_pairs(), (name, "x")])
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "parameter_unknown", name)


@pytest.mark.parametrize(
    "amount,currency,code",
    [
        ("49", "usd", "amount_too_small"),
        ("29", "gbp", "amount_too_small"),
        ("15.50", "usd", "parameter_invalid_integer"),
        ("-5", "usd", "parameter_invalid_integer"),
        ("100000000", "usd", "amount_too_large"),
        ("1505", "kwd", "parameter_invalid_integer"),
        ("1500", "xxx", None),
    ],
)
def test_amount_or_currency_that_cannot_be_charged_is_refused(
    world: World, amount: str, currency: str, code: str | None
) -> None:
    status, body, _ = call(world, "POST", "/v1/checkout/sessions", session_pairs(amount, currency))
    assert (status, body["error"].get("code")) == (400, code)
    assert world.control("ledger")["sessions"] == []


def test_same_key_and_parameters_give_the_same_session(world: World) -> None:
    first = call(world, "POST", "/v1/checkout/sessions", session_pairs(), Idempotency_Key="k")
    again = call(world, "POST", "/v1/checkout/sessions", session_pairs(), Idempotency_Key="k")
    assert first[1] == again[1]
    assert (first[2].get("Idempotent-Replayed"), again[2].get("Idempotent-Replayed")) == (None, "true")
    assert len(world.control("ledger")["sessions"]) == 1
    assert len(world.control(f"ledger?session={first[1]['id']}")["sessions"]) == 1
    assert world.control("ledger?session=cs_test_none")["sessions"] == []


def test_same_key_with_other_parameters_is_refused(world: World) -> None:
    call(world, "POST", "/v1/checkout/sessions", session_pairs(), Idempotency_Key="k")
    status, body, _ = call(world, "POST", "/v1/checkout/sessions", session_pairs("1600"), Idempotency_Key="k")
    assert (status, body["error"]["type"]) == (400, "idempotency_error")


def test_refused_call_may_be_corrected_under_its_key(world: World) -> None:
    assert call(world, "POST", "/v1/checkout/sessions", session_pairs("1"), Idempotency_Key="k")[0] == 400
    assert call(world, "POST", "/v1/checkout/sessions", session_pairs(), Idempotency_Key="k")[0] == 200


def test_key_in_use_is_409(world: World) -> None:
    world.control("faults", {"area": "api", "kind": "timeout", "seconds": 0.5, "when": "before", "count": 1})
    path, answers = "/v1/checkout/sessions", []
    held = threading.Thread(
        target=lambda: answers.append(call(world, "POST", path, session_pairs(), Idempotency_Key="k")[0])
    )
    held.start()
    while world.control("faults")["faults"] != []:
        time.sleep(0.01)
    time.sleep(0.05)
    status, body, _ = call(world, "POST", path, session_pairs(), Idempotency_Key="k")
    held.join()
    assert (status, body["error"]["code"], answers) == (409, "idempotency_key_in_use", [200])


def test_refund_in_parts_adds_up(client: Any, paid: Paid) -> None:
    intent = paid()["payment_intent"]
    client.v1.refunds.create(params={"payment_intent": intent, "amount": 500})
    charge = client.v1.charges.list(params={"payment_intent": intent}).data[0]
    assert (charge.amount_refunded, charge.refunded) == (500, False)
    client.v1.refunds.create(params={"payment_intent": intent})
    charge = client.v1.charges.retrieve(charge.id)
    assert (charge.amount_refunded, charge.refunded) == (1500, True)
    assert [one.amount for one in client.v1.refunds.list(params={"charge": charge.id}).data] == [1000, 500]


def test_refund_more_than_paid_is_refused(world: World, client: Any, paid: Paid) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create(params={"payment_intent": paid()["payment_intent"], "amount": 1501})
    assert caught.value.code == "amount_too_large"
    assert world.control("ledger")["sessions"][0]["refunded"] == 0


def test_refund_of_a_refunded_charge_is_refused(client: Any, paid: Paid) -> None:
    intent = paid()["payment_intent"]
    client.v1.refunds.create(params={"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create(params={"payment_intent": intent})
    assert caught.value.code == "charge_already_refunded"


def test_failed_refund_counts_as_not_refunded(world: World, client: Any, paid: Paid) -> None:
    refund = client.v1.refunds.create(params={"payment_intent": paid()["payment_intent"]})
    world.control(f"refund/{refund.id}/fail", {})
    assert client.v1.refunds.retrieve(refund.id).status == "failed"
    charge = client.v1.charges.retrieve(refund.charge)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert world.control("ledger")["sessions"][0]["refunded"] == 0


@pytest.mark.parametrize("status", ["won", "lost"])
def test_dispute_ends_as_the_bank_says(world: World, client: Any, paid: Paid, status: str) -> None:
    intent = paid()["payment_intent"]
    dispute = world.control("dispute", {"payment_intent": intent})
    assert client.v1.disputes.list(params={"payment_intent": intent}).data[0].status == "needs_response"
    answered = client.v1.disputes.update(dispute["id"], params={"evidence": {"customer_name": "Ada"}})
    assert (answered.status, answered.evidence.customer_name) == ("under_review", "Ada")
    world.control(f"dispute/{dispute['id']}/close", {"status": status})
    assert client.v1.disputes.retrieve(dispute["id"]).status == status
    assert world.control("ledger")["sessions"][0]["dispute_status"] == status


@pytest.mark.parametrize(
    "evidence",
    [
        {"uncategorized_text": "x" * 20_001},
        {"receipt": "a text where a file belongs"},
        dict.fromkeys(
            (
                "access_activity_log",
                "cancellation_policy_disclosure",
                "cancellation_rebuttal",
                "duplicate_charge_explanation",
                "product_description",
                "refund_policy_disclosure",
                "refund_refusal_explanation",
                "uncategorized_text",
            ),
            "x" * 20_000,
        ),
    ],
    ids=["long", "no file", "too much"],
)
def test_evidence_keeps_to_stripes_limits(world: World, client: Any, paid: Paid, evidence: dict[str, str]) -> None:
    dispute = world.control("dispute", {"payment_intent": paid()["payment_intent"]})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.disputes.update(dispute["id"], params={"evidence": evidence, "submit": False})
    assert client.v1.disputes.retrieve(dispute["id"]).evidence_details.has_evidence is False


def test_disputed_charge_is_not_refunded(world: World, client: Any, paid: Paid) -> None:
    intent = paid()["payment_intent"]
    world.control("dispute", {"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create(params={"payment_intent": intent})
    assert caught.value.code == "charge_disputed"


def test_expired_session_cannot_be_paid(world: World, client: Any) -> None:
    session = client.v1.checkout.sessions.create(params=params())
    assert client.v1.checkout.sessions.expire(session.id).status == "expired"
    with pytest.raises(Exception, match="This Checkout Session is expired"):
        world.control(f"pay/{session.id}", {"email": "ada@example.com"})
    assert world.control("ledger")["sessions"][0]["paid"] is False


def test_concurrent_payments_of_one_session_pay_once(world: World, client: Any) -> None:
    session = client.v1.checkout.sessions.create(params=params())
    outcomes: list[str] = []

    def pay() -> None:
        try:
            world.control(f"pay/{session.id}", {"email": "ada@example.com"})
            outcomes.append("paid")
        except Exception as error:  # noqa: BLE001 - the kind is what is counted
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=pay) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ControlError"] * 5 + ["paid"]
    assert len(client.v1.charges.list().data) == 1


def test_free_session_needs_no_payment(world: World, client: Any) -> None:
    price = {"currency": "usd", "unit_amount": 0, "product_data": {"name": "Sample"}}
    session = client.v1.checkout.sessions.create(params=params(line_items=[{"price_data": price, "quantity": 1}]))
    done = world.control(f"pay/{session.id}", {"email": "ada@example.com"})
    assert (done["payment_status"], done["payment_intent"]) == ("no_payment_required", None)
    assert world.control("ledger")["sessions"][0]["paid"] is True


def test_customer_is_created_when_always_wanted(client: Any, paid: Paid) -> None:
    session = client.v1.checkout.sessions.retrieve(
        paid(customer_creation="always")["id"], params={"expand": ["customer"]}
    )
    assert session.customer.email == "ada@example.com"


def test_objects_survive_a_restart(tmp_path: Any) -> None:
    with running_world(data=tmp_path) as world:
        session = client_of(world).v1.checkout.sessions.create(params=params(), options={"idempotency_key": "k"})
    with running_world(data=tmp_path, port=world.port, smtp_port=world.smtp_port) as world:
        again = client_of(world).v1.checkout.sessions.create(params=params(), options={"idempotency_key": "k"})
    assert session.id == again.id


def test_simple_read_is_quick(world: World, paid: Paid) -> None:
    path = f"/v1/checkout/sessions/{paid()['id']}"
    times = []
    for _ in range(20):
        began = time.perf_counter()
        call(world, "GET", path)
        times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.02  # a delayed ACK would make every one of them 0.04


def test_form_decoding_keeps_digits_as_keys_and_appends() -> None:
    pairs = [("a[b][0][c]", "1"), ("a[b][1][c]", "2"), ("expand[]", "x"), ("expand[]", "y"), ("m[7]", "z")]
    assert decode(pairs) == {
        "a": {"b": {"0": {"c": "1"}, "1": {"c": "2"}}},
        "expand": {"0": "x", "1": "y"},
        "m": {"7": "z"},
    }


@pytest.mark.parametrize(
    "amount,currency,shown",
    [
        (1250, "usd", "$12.50"),
        (1200, "jpy", "¥1,200"),
        (1500, "kwd", "KWD\N{NO-BREAK SPACE}1.500"),
        (5, "eur", "€0.05"),
    ],
)
def test_amounts_are_shown_with_the_decimals_of_their_currency(amount: int, currency: str, shown: str) -> None:
    assert show(amount, currency) == shown


@pytest.mark.parametrize(
    "permissions, method, path, status, missing",
    [
        ([], "GET", "/v1/events", 403, "rak_event_read"),
        (["rak_event_read"], "GET", "/v1/events", 200, ""),
        (["rak_event_write"], "GET", "/v1/events", 200, ""),
        (["rak_charge_read"], "GET", "/v1/refunds/re_none", 404, ""),
        (["rak_charge_read"], "POST", "/v1/refunds/re_none", 403, "rak_charge_write"),
        (["rak_charge_write"], "POST", "/v1/refunds/re_none", 404, ""),
        (["rak_plan_read"], "POST", "/v1/prices", 403, "rak_plan_write"),
        ([], "GET", "/v1/nothing", 404, ""),
    ],
)
def test_restricted_key_may_do_what_it_may(
    world: World, permissions: list[str], method: str, path: str, status: int, missing: str
) -> None:
    world.control("keys", {"key": "rk_test_0123456789", "permissions": permissions})
    answered, body, _ = call(world, method, path, [], Authorization="Bearer rk_test_0123456789")
    assert answered == status, body
    if missing:
        assert body["error"]["type"] == "invalid_request_error"
        assert body["error"]["message"].startswith("The provided key 'rk_test_************6789' does not have the")
        assert f"Having the '{missing}' permission would allow" in body["error"]["message"]


def test_every_operation_needs_a_permission_and_a_key_with_all_may_do_it(world: World) -> None:
    for path in {operation.pattern.pattern.split("/")[2] for operation in OPERATIONS}:
        assert path in RESOURCES
    world.control("keys", {"key": "rk_test_all", "permissions": sorted(EVERYTHING)})
    assert client_of(world, secret_key="rk_test_all").v1.checkout.sessions.create(params=params()).status == "open"


def test_restricted_key_is_one_and_forgotten_by_a_reset(world: World) -> None:
    with pytest.raises(ControlError, match="key begins with rk_test_"):
        world.control("keys", {"key": "sk_test_1"})
    world.control("keys", {"key": "rk_test_1"})
    world.control("reset", {})
    assert call(world, "GET", "/v1/account", Authorization="Bearer rk_test_1")[0] == 401
