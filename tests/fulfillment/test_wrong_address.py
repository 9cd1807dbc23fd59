"""“Wrong address?”: the browser that paid corrects it within the hour; nobody else learns that there is an order."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from fulfillment import links, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement
from fulfillment.resend import ResendRefused, resend_order
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.factories import PDF, ProductFactory, UserFactory
from tests.fulfillment.test_at_once import at_once
from tests.steps import GUEST, begin_checkout, body_of, buy

pytestmark = pytest.mark.django_db

RIGHT = "right@example.com"


@pytest.fixture
def order(world: World, client: Client) -> Order:
    """Just paid by `client`, a guest."""
    order = buy(world, client, ProductFactory())
    fulfill(str(order.stripe_session_id), door="webhook")
    order.refresh_from_db()
    return order


def address(order: Order) -> str:
    return f"/orders/{order.reference}/address/"


def done(order: Order) -> str:
    return f"/checkout/done/?session_id={order.stripe_session_id}"


def recipients(order: Order) -> list[tuple[str, str]]:
    return list(order.deliveries.order_by("seq").values_list("recipient", "state"))


def minute_over() -> None:
    """As if everything so far had happened two minutes ago."""
    ago = timezone.now() - timedelta(minutes=2)
    Delivery.objects.update(created_at=ago, next_attempt_at=ago)
    Delivery.objects.exclude(sent_at=None).update(sent_at=ago)


def test_f29_refused_recipient_is_shown_corrected_and_delivered(smtp: World, client: Client, order: Order) -> None:
    """550 at RCPT: final, visible to the buyer, mended by the buyer, and the mail arrives."""
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "to": GUEST})
    outbox.send(order.deliveries.get().pk)
    assert recipients(order) == [(GUEST, "gave_up")]
    page = client.get(done(order)).content.decode()
    assert "could not be delivered" in page
    assert '<details class="notice" open>' in page
    answer = client.post(address(order), {"email": RIGHT})
    assert (answer.status_code, answer["Location"]) == (303, done(order))
    page = client.get(done(order)).content.decode()
    assert f"The mail goes to {RIGHT} within a minute." in page
    assert "could not be delivered" not in page
    minute_over()
    assert sweep().mails == 1
    assert (recipients(order), len(smtp.mails(to=RIGHT))) == ([(GUEST, "gave_up"), (RIGHT, "sent")], 1)
    order.refresh_from_db()
    assert (order.email, Entitlement.objects.get().email) == (RIGHT, RIGHT)


def test_typo_noticed_within_seconds_withdraws_the_first_mail(client: Client, order: Order) -> None:
    """F58: nothing had gone out, so the right one goes at once."""
    client.post(address(order), {"email": f" {RIGHT.upper()} "})
    assert recipients(order) == [(GUEST, "withdrawn"), (RIGHT, "pending")]
    assert sweep().mails == 1
    assert recipients(order)[1] == (RIGHT, "sent")


def test_f72_correction_within_the_minute_waits_for_its_end(client: Client, order: Order) -> None:
    outbox.send(order.deliveries.get().pk)
    assert client.post(address(order), {"email": RIGHT}).status_code == 303
    assert sweep().mails == 0
    second = order.deliveries.get(seq=2)
    wait = (second.next_attempt_at - order.deliveries.get(seq=1).sent_at).total_seconds()  # type: ignore[operator]
    assert wait == pytest.approx(60, abs=0.001)
    Delivery.objects.filter(pk=second.pk).update(next_attempt_at=timezone.now())
    assert sweep().mails == 1


def test_timeline_names_the_addresses_masked(client: Client, order: Order) -> None:
    client.post(address(order), {"email": RIGHT})
    entry = order.timeline.get(door="wrong address")
    assert (entry.kind, entry.detail) == ("mail", "address corrected: g…@example.com → r…@example.com")


def test_links_mailed_to_the_wrong_address_stop_working(client: Client, order: Order) -> None:
    token = links.token(order)
    file = order.lines.get().edition.files.get().pk
    stranger = Client()
    assert body_of(stranger.get(f"/downloads/{file}/?link={token}")) == PDF
    client.post(address(order), {"email": RIGHT})
    assert stranger.get(f"/links/{token}/").status_code == 410
    assert stranger.get(f"/downloads/{file}/?link={token}").status_code == 404
    assert body_of(client.get(f"/downloads/{file}/")) == PDF  # the payer goes on reading
    order.refresh_from_db()
    assert stranger.get(f"/links/{links.token(order)}/").status_code == 200


def test_s30_nobody_but_the_payers_browser_gets_in(client: Client, order: Order) -> None:
    """Not a stranger with the page's address, not the owner of the mailbox, not another buyer: 404, as for no order."""
    victim = Client()
    victim.force_login(UserFactory(email=GUEST))
    other = Client()
    other.force_login(UserFactory())
    nothing = "/orders/NOSUCHORDER23456/address/"
    for somebody in (Client(), victim, other):
        assert "Wrong address?" not in somebody.get(done(order)).content.decode()
        for where in (address(order), nothing):
            assert somebody.get(where).status_code == 404
            assert somebody.post(where, {"email": RIGHT}).status_code == 404
    assert "Wrong address?" not in victim.get(f"/orders/{order.reference}/").content.decode()
    order.refresh_from_db()
    assert (order.email, recipients(order)) == (GUEST, [(GUEST, "pending")])


def test_s30_after_an_hour_it_is_too_late(client: Client, order: Order) -> None:
    Order.objects.update(paid_at=timezone.now() - timedelta(minutes=61))
    assert "Wrong address?" not in client.get(done(order)).content.decode()
    answer = client.post(address(order), {"email": RIGHT})
    assert (answer.status_code, answer["Location"]) == (302, f"/orders/{order.reference}/")
    page = client.get(answer["Location"]).content.decode()
    assert "within an hour of the payment" in page
    order.refresh_from_db()
    assert order.email == GUEST


def test_order_that_is_not_paid_cannot_be_corrected(world: World, client: Client) -> None:
    order = begin_checkout(client, ProductFactory())
    assert client.post(address(order), {"email": RIGHT}).status_code == 302
    order.refresh_from_db()
    assert order.email == ""


def test_fourth_correction_is_refused(client: Client, order: Order) -> None:
    for number in range(3):
        assert client.post(address(order), {"email": f"try{number}@example.com"}).status_code == 303
    answer = client.post(address(order), {"email": RIGHT})
    assert answer.status_code == 200
    assert answer.context["form"].errors == {"__all__": ["It cannot be corrected here any more. Please write to us."]}
    order.refresh_from_db()
    assert (order.email, len(recipients(order))) == ("try2@example.com", 4)


@pytest.mark.parametrize(
    "typed", ["", "nobody", "a@b.co,evil@x.yz", "mıke@example.com", "a@b.co\nBcc: x@y.z", "a" * 300]
)
def test_s33_what_is_no_address_changes_nothing(client: Client, order: Order, typed: str) -> None:
    answer = client.post(address(order), {"email": typed})
    assert (answer.status_code, list(answer.context["form"].errors)) == (200, ["email"])
    order.refresh_from_db()
    assert (order.email, recipients(order), order.links_void_before) == (GUEST, [(GUEST, "pending")], None)


def test_order_whose_access_ended_is_not_mailed(world: World, client: Client, order: Order) -> None:
    world.control("refund", {"session": order.stripe_session_id})
    fulfill(str(order.stripe_session_id), door="webhook")
    assert "Wrong address?" not in client.get(done(order)).content.decode()
    answer = client.post(address(order), {"email": RIGHT})
    assert list(answer.context["form"].errors) == ["__all__"]
    assert set(recipients(order)) == {(GUEST, "pending")}  # the order's mail, and that it was refunded


def test_s38_post_needs_its_token(order: Order, client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(address(order), {"email": RIGHT}).status_code == 403
    order.refresh_from_db()
    assert order.email == GUEST


def test_looking_at_the_form_changes_nothing(client: Client, order: Order) -> None:
    assert client.get(address(order)).status_code == 200
    order.refresh_from_db()
    assert (order.email, order.links_void_before, recipients(order)) == (GUEST, None, [(GUEST, "pending")])


def test_buyers_order_page_says_that_the_mail_failed(smtp: World, client: Client, order: Order) -> None:
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "to": GUEST})
    outbox.send(order.deliveries.get().pk)
    page = client.get(f"/orders/{order.reference}/").content.decode()
    assert "could not be delivered" in page
    assert "Wrong address?" in page
    Order.objects.update(paid_at=timezone.now() - timedelta(hours=2))
    page = client.get(f"/orders/{order.reference}/").content.decode()
    assert "Please write to us, and we correct the address." in page
    assert "Wrong address?" not in page


@pytest.fixture
def roomy_pool(settings: Settings) -> Iterator[None]:
    """As many connections as there are threads."""
    pool = connection.settings_dict["OPTIONS"]["pool"]
    before = dict(pool)
    pool.update(max_size=40, timeout=10)
    connection.close_pool()  # type: ignore[attr-defined]
    yield
    pool.update(before)
    connection.close_pool()  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("roomy_pool")
def test_f72_ten_resends_at_once_while_the_mail_server_is_down_are_one_mail_a_minute(
    smtp: World, settings: Settings, client: Client, order: Order, drain: Callable[[], int]
) -> None:
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 9  # nobody listens there
    drain()
    outbox.send(order.deliveries.get().pk)
    minute_over()

    def again(act: Callable[[], Any]) -> str:
        try:
            act()
        except ResendRefused:
            return "refused"
        return "written"

    def by_owner() -> str:
        return again(lambda: resend_order(order.reference, door="admin"))

    results = at_once(*[by_owner] * 10)
    assert sorted(results) == ["refused"] * 9 + ["written"]
    assert list(order.deliveries.order_by("seq").values_list("seq", "state")) == [(1, "pending"), (2, "pending")]
    assert Entitlement.objects.count() == 1
    drain()
    assert [state for _recipient, state in recipients(order)] == ["pending", "pending"]
    settings.EMAIL_PORT = port
    minute_over()
    sweep()
    assert [state for _recipient, state in recipients(order)] == ["sent", "sent"]
    assert len({mail["message_id"] for mail in smtp.mails(to=GUEST)}) == 2
    assert again(lambda: resend_order(order.reference, door="admin")) == "refused"  # the last went out just now
