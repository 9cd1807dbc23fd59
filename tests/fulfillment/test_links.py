"""Links from mails: signed, for one order, for 48 hours; GET changes nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
from django.core import mail
from django.test import Client

from fulfillment import links, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download, Entitlement
from fulfillment.resend import AT_MOST_EVERY, resend
from orders.models import Order
from tests.factories import PDF, FileFactory, OrderFactory, ProductFactory
from tests.steps import GUEST, body_of

pytestmark = pytest.mark.django_db


@contextmanager
def hours_ago(hours: float) -> Iterator[None]:
    """Sign as if it were then."""
    with mock.patch("django.core.signing.time.time", return_value=time.time() - hours * 3600):
        yield


@pytest.fixture
def order() -> Order:
    order = OrderFactory(state=Order.State.PAID, email=GUEST)
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, email=GUEST)
    return order


def file_id(order: Order) -> int:
    return order.lines.get().edition.files.get().pk


def test_link_page_shows_files_and_its_button_leads_to_the_bytes(client: Client, order: Order) -> None:
    token = links.token(order)
    page = client.get(f"/links/{token}/")
    assert page.status_code == 200
    assert order.lines.get().name in page.content.decode()
    assert page["Referrer-Policy"] == "same-origin"
    assert "no-store" in page["Cache-Control"]
    sent_on = client.post(f"/links/{token}/files/{file_id(order)}/")
    assert sent_on.status_code == 303
    answer = client.get(sent_on["Location"])
    assert body_of(answer) == PDF
    assert Download.objects.get().via == "link"


def test_s27_opening_the_link_changes_nothing(client: Client, order: Order) -> None:
    """A mail scanner follows every link."""
    client.get(f"/links/{links.token(order)}/")
    assert (Download.objects.count(), Delivery.objects.count()) == (0, 0)
    assert client.get(f"/links/{links.token(order)}/files/{file_id(order)}/").status_code == 405
    assert client.get(f"/links/{links.token(order)}/fresh/").status_code == 405


def test_s25_link_works_for_48_hours_and_then_offers_a_fresh_one(client: Client, order: Order) -> None:
    with hours_ago(47.9):
        still_good = links.token(order)
    with hours_ago(48.1):
        expired = links.token(order)
    assert client.get(f"/links/{still_good}/").status_code == 200
    page = client.get(f"/links/{expired}/")
    assert page.status_code == 410
    assert f"/links/{expired}/fresh/" in page.content.decode()
    assert order.lines.get().name not in page.content.decode()


def test_s25_expired_link_opens_no_file(client: Client, order: Order) -> None:
    with hours_ago(48.1):
        token = links.token(order)
    assert client.post(f"/links/{token}/files/{file_id(order)}/")["Location"] == f"/links/{token}/"
    assert client.get(f"/downloads/{file_id(order)}/?link={token}").status_code == 404


def test_fresh_link_goes_to_the_orders_own_address_and_works(client: Client, order: Order) -> None:
    with hours_ago(100):
        token = links.token(order)
    page = client.post(f"/links/{token}/fresh/", {"email": "evil@example.com"})
    assert page.status_code == 200
    assert GUEST not in page.content.decode()
    delivery = Delivery.objects.get()
    assert (delivery.kind, delivery.seq, delivery.recipient) == ("link", 1, GUEST)
    outbox.send(delivery.pk)
    text = mail.outbox[0].body
    fresh = text[text.index("/links/") :].split()[0]
    assert client.get(fresh).status_code == 200


def test_no_link_is_mailed_for_an_order_that_nobody_paid() -> None:
    order = OrderFactory(email=GUEST)
    assert resend(order, Delivery.Kind.LINK) is None
    assert Delivery.objects.count() == 0


def test_f72_fresh_links_are_limited_to_one_a_minute(client: Client, order: Order) -> None:
    for _ in range(10):
        assert client.post(f"/links/{links.token(order)}/fresh/").status_code == 200
    assert Delivery.objects.count() == 1
    Delivery.objects.update(created_at=order.created_at - AT_MOST_EVERY)
    client.post(f"/links/{links.token(order)}/fresh/")
    assert list(Delivery.objects.order_by("seq").values_list("seq", flat=True)) == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token[:-5],
        lambda token: "0" + token[1:],
        lambda token: token + "=",
        lambda _: "a" * 100_000,
        lambda _: "é\x01",
        lambda token: token.replace(".", ":"),
    ],
)
def test_s25_token_that_we_did_not_sign_opens_nothing(client: Client, order: Order, change: object) -> None:
    token = change(links.token(order))  # type: ignore[operator]
    assert links.read(token) is None
    assert client.get("/links/" + token.replace("/", "") + "/").status_code == 404
    assert client.post(f"/links/{token}/fresh/").status_code == 404


def test_s28_link_opens_only_its_own_orders_files(client: Client, order: Order) -> None:
    other = FileFactory(edition=ProductFactory().editions.get())
    assert client.post(f"/links/{links.token(order)}/files/{other.pk}/").status_code == 403
    assert client.get(f"/downloads/{other.pk}/?link={links.token(order)}").status_code == 404


@pytest.mark.parametrize("state", ["suspended", "revoked"])
def test_s20_link_stops_the_moment_access_ends(client: Client, order: Order, state: str) -> None:
    token = links.token(order)
    address = f"/downloads/{file_id(order)}/?link={token}"
    assert body_of(client.get(address)) == PDF
    Entitlement.objects.update(state=state, reason="refunded")
    assert client.get(address).status_code == 404
    assert client.post(f"/links/{token}/files/{file_id(order)}/").status_code == 403
    assert client.get(f"/links/{token}/").status_code == 200


def test_s26_secrets_of_a_link_are_not_stored(client: Client, order: Order) -> None:
    """A dump of the database opens nothing."""
    resend(order, Delivery.Kind.LINK)
    outbox.send(Delivery.objects.get().pk)
    token = links.token(order)
    signature = token.rpartition(".")[2]
    assert signature not in str(list(Delivery.objects.values())) + str(list(order.timeline.values()))


def test_f29_voided_link_opens_nothing_and_says_why(client: Client, order: Order) -> None:
    """On every door that reads a token, and even where its time is over as well."""
    with hours_ago(100):
        old = links.token(order)
    token = links.token(order)
    links.void(order)
    for voided in (token, old):
        page = client.get(f"/links/{voided}/")
        assert (page.status_code, page["X-Robots-Tag"]) == (410, "noindex")
        assert "This link was made invalid" in page.content.decode()
        assert order.lines.get().name not in page.content.decode()
        assert client.post(f"/links/{voided}/files/{file_id(order)}/")["Location"] == f"/links/{voided}/"
        assert client.get(f"/downloads/{file_id(order)}/?link={voided}").status_code == 404
        assert client.post(f"/links/{voided}/fresh/").status_code == 410
    assert (Delivery.objects.count(), Download.objects.count()) == (0, 0)


def test_link_made_in_the_very_second_of_the_voiding_works(client: Client, order: Order) -> None:
    """Tokens count whole seconds, and the mail that replaces them is written at once."""
    for _ in range(20):
        before = links.token(order)
        links.void(order)
        after = links.token(order)
        assert (links.read(before), links.read(after)) == (
            links.Opened(order.reference, voided=True),
            links.Opened(order.reference),
        )
        assert links.token(Order.objects.get()) == after


def test_voiding_touches_no_other_order(client: Client, order: Order) -> None:
    other = OrderFactory(state=Order.State.PAID, email=GUEST)
    token = links.token(other)
    links.void(order)
    assert client.get(f"/links/{token}/").status_code == 200


@pytest.mark.parametrize("state", ["invalid", "voided", "expired", "ended"])
def test_link_that_opens_nothing_says_why_and_what_to_do(client: Client, order: Order, state: str) -> None:
    token = links.token(order)
    why = {
        "invalid": "Perhaps a part of it was lost on the way.",
        "voided": "because it may have gone to a wrong address",
        "expired": "Links work for a while only",
        "ended": "This was refunded, so access to its files has ended.",
    }[state]
    if state == "invalid":
        token = token[:-1]
    if state == "voided":
        links.void(order)
    if state == "expired":
        with hours_ago(49):
            token = links.token(order)
    if state == "ended":
        Entitlement.objects.update(state="revoked", reason="refunded")
    page = client.get(f"/links/{token}/").content.decode()
    assert why in page
    main = page.partition("<main")[2].partition("</main>")[0]
    assert 'href="/lost/"' in main
    assert 'href="mailto:' in main
    assert "/downloads/" not in main
