"""The doors around Stripe's page, and the library behind them."""

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from fulfillment.buying import give_free
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from orders.models import Order
from sandbox.world.server import World
from tests.factories import EditionFactory, FileFactory, OrderFactory, ProductFactory, UserFactory
from tests.steps import GUEST, begin_checkout, buy, pay

pytestmark = pytest.mark.django_db


def done(client: Client, order: Order) -> str:
    return client.get(f"/checkout/done/?session_id={order.stripe_session_id}").content.decode()


def test_f37_success_page_alone_delivers(world: World, client: Client) -> None:
    """No webhook ever comes."""
    product = ProductFactory()
    order = buy(world, client, product)
    page = done(client, order)
    order.refresh_from_db()
    assert (order.state, Entitlement.objects.get().state, Delivery.objects.count()) == ("paid", "active", 1)
    assert product.name in page
    assert GUEST in page
    assert f"/downloads/{product.editions.get().files.get().pk}/" in page
    assert list(order.timeline.values_list("door", flat=True)) == [
        "checkout",
        "checkout",
        "success page",
        "success page",
    ]


def test_f35_reloading_the_success_page_changes_nothing(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    done(client, order)
    order.refresh_from_db()
    version = order.facts_version
    for _ in range(50):
        done(client, order)
    order.refresh_from_db()
    assert (order.facts_version, Entitlement.objects.count(), Delivery.objects.count()) == (version, 1, 1)


def test_s17_another_browsers_session_shows_nothing(world: World, client: Client) -> None:
    product = ProductFactory()
    order = buy(world, client, product)
    stranger = Client()
    page = done(stranger, order)
    stranger.force_login(UserFactory())
    page += done(stranger, order)
    for secret in (product.name, GUEST, order.reference, "/downloads/"):
        assert secret not in page
    order.refresh_from_db()
    assert order.state == "open"


def test_buyer_who_signed_in_elsewhere_sees_the_order(world: World, client: Client) -> None:
    user = UserFactory()
    client.force_login(user)
    order = buy(world, client, ProductFactory(), email=user.email)
    other_device = Client()
    other_device.force_login(user)
    assert order.reference in done(other_device, order)


def test_s18_unpaid_session_grants_nothing_and_asks_stripe_rarely(world: World, client: Client) -> None:
    """At most one request in two seconds."""
    order = begin_checkout(client, ProductFactory())
    for _ in range(5):
        page = done(client, order)
    assert 'http-equiv="refresh"' in page
    order.refresh_from_db()
    assert (order.state, order.facts_version, Entitlement.objects.count()) == ("open", 1, 0)


@pytest.mark.parametrize("value", ["", "cs_test_", "cs_test_none", "x" * 10_000, "%00", "cs_test_a%0d%0a", "../../x"])
def test_s16_s18_strange_session_ids_get_the_neutral_page(world: World, client: Client, value: str) -> None:
    assert client.get(f"/checkout/done/?session_id={value}").status_code == 200
    assert client.get("/checkout/done/?session_id[]=1&looked=١").status_code == 200


def test_f53_delayed_payment_says_so_and_grants_nothing(world: World, client: Client) -> None:
    order = begin_checkout(client, ProductFactory())
    pay(world, order, method="bank_debit")
    page = done(client, order)
    order.refresh_from_db()
    assert (order.state, Entitlement.objects.count()) == ("processing", 0)
    assert "/downloads/" not in page
    world.control(f"settle/{order.stripe_session_id}", {})
    Order.objects.update(asked_at=None)
    assert "/downloads/" in done(client, order)


def test_f16_stripe_silent_on_the_success_page_costs_two_seconds_and_looks_again(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    world.control("faults", {"area": "api", "kind": "timeout", "seconds": 3, "count": 1})
    assert 'http-equiv="refresh"' in done(client, order)
    world.control("faults/clear", {})
    Order.objects.update(asked_at=None)
    assert "/downloads/" in done(client, order)


def test_free_product_goes_to_the_library_of_a_signed_in_reader_once(client: Client) -> None:
    product = ProductFactory(price=0)
    user = UserFactory()
    client.force_login(user)
    for _ in range(3):
        assert client.post(f"/products/{product.slug}/buy/")["Location"] == "/library/"
    order = Order.objects.get()
    assert (order.source, order.state, order.total, order.user) == ("free", "paid", 0, user)
    assert Entitlement.objects.get().user == user
    assert Delivery.objects.get().recipient == user.email
    assert product.name in client.get("/library/").content.decode()
    give_free(product, user)
    assert Order.objects.count() == 1


def test_free_product_is_a_file_for_a_guest(client: Client) -> None:
    product = ProductFactory(price=0)
    file = product.editions.get().files.get()
    assert client.post(f"/products/{product.slug}/buy/")["Location"] == f"/downloads/{file.pk}/"
    FileFactory(edition=file.edition, key="second", size=1)
    assert client.post(f"/products/{product.slug}/buy/")["Location"] == product.get_absolute_url()
    assert Order.objects.count() == 0


def test_f53_buyer_who_waits_for_a_bank_debit_is_not_asked_to_pay_again(world: World, client: Client) -> None:
    product = ProductFactory()
    order = begin_checkout(client, product)
    pay(world, order, method="bank_debit")
    done(client, order)
    assert client.post(f"/products/{product.slug}/buy/")["Location"] == f"/orders/{order.reference}/"
    assert Order.objects.count() == 1


def test_f58_orders_of_an_account_stay_with_it_when_its_address_moves_on(client: Client) -> None:
    """Who proves an address later gets the guest's orders under it, not those of another account."""
    former, later = UserFactory(email="former@example.com"), UserFactory(email="moved@example.com")
    order = OrderFactory(user=former, email="moved@example.com", state=Order.State.PAID)
    client.force_login(later)
    assert client.get(f"/orders/{order.reference}/").status_code == 404
    assert order.reference not in client.get("/orders/").content.decode()


def test_owner_who_clicks_buy_is_led_to_the_library(world: World, client: Client) -> None:
    user = UserFactory()
    client.force_login(user)
    product = ProductFactory()
    order = buy(world, client, product, email=user.email)
    done(client, order)
    assert client.post(f"/products/{product.slug}/buy/")["Location"] == "/library/"
    assert Order.objects.count() == 1


def test_s29_guest_purchase_appears_in_the_library_once_the_address_is_proven(world: World, client: Client) -> None:
    product = ProductFactory()
    done(client, buy(world, client, product))
    user = UserFactory(email=GUEST, proven=False)
    other = Client()
    other.force_login(user)
    assert product.name not in other.get("/library/").content.decode()
    user.emailaddress_set.update(verified=True)
    assert product.name in other.get("/library/").content.decode()
    assert Order.objects.get().reference in other.get("/orders/").content.decode()


def test_f59_two_orders_for_one_product_show_once_and_refund_of_one_keeps_access(client: Client) -> None:
    user, product = UserFactory(), ProductFactory(name="The Only Title")
    for number in (1, 2):
        order = OrderFactory(product=product, user=user, state=Order.State.PAID, stripe_session_id=f"cs_{number}")
        Entitlement.objects.create(order_line=order.lines.get(), product=product, user=user)
    newest = Entitlement.objects.latest("pk")
    newest.state, newest.reason = Entitlement.State.REVOKED, "refunded"
    newest.save()
    client.force_login(user)
    page = client.get("/library/").content.decode()
    assert page.count("/downloads/") == 1


def done_page(client: Client, order: Order, looked: str = "") -> str:
    """As the browser sees it that pressed "Buy"."""
    session = client.session
    session["orders"] = {order.reference: 99_999_999_999}
    session.save()
    return " ".join(
        client.get(f"/checkout/done/?session_id={order.stripe_session_id}&looked={looked}").content.decode().split()
    )


@pytest.mark.parametrize(
    "looked, seconds", [("", 30), ("1", 60), ("4", 600), ("999", 600), ("9999", 30), ("-1", 30), ("%00", 30), ("²", 30)]
)
def test_page_of_a_bank_debit_looks_again_more_and_more_rarely(client: Client, looked: str, seconds: int) -> None:
    order = OrderFactory(state="processing", email=GUEST, stripe_session_id="cs_test_1", asked_at=timezone.now())
    page = done_page(client, order, looked)
    assert f'http-equiv="refresh" content="{seconds};url=?session_id=cs_test_1' in page
    assert "While it is open, it looks by itself." in page
    assert f"The mail goes to <strong>{GUEST}</strong>." in page


@pytest.mark.parametrize(
    "state, attempts, says",
    [
        ("pending", 0, "a link to them is on its way to"),
        ("sending", 1, "a link to them is on its way to"),
        ("unconfirmed", 1, "a link to them is on its way to"),
        ("pending", 3, "Its mail server did not take it yet."),
        ("sent", 1, "a link to them is in your mailbox at"),
        ("gave_up", 1, "could not be delivered, so please download them now."),
    ],
)
def test_success_page_says_where_the_mail_is_and_looks_until_that_is_known(
    client: Client, state: str, attempts: int, says: str
) -> None:
    order = OrderFactory(state="paid", email=GUEST, stripe_session_id="cs_test_1")
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, email=GUEST)
    Delivery.objects.create(
        order=order, kind="order", recipient=GUEST, state=state, attempts=attempts, sent_at=timezone.now()
    )
    page = done_page(client, order)
    assert says in page
    assert GUEST in page
    assert "/downloads/" in page
    assert "Wrong address?" in page
    assert "http-equiv" not in page  # an address that is just being corrected would be lost
    assert ("data-pending" in page) == (state not in ("sent", "gave_up"))


def test_library_costs_the_same_queries_however_full(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user = UserFactory()
    client.force_login(user)

    def fill(count: int) -> None:
        for _ in range(count):
            product = ProductFactory()
            FileFactory(edition=EditionFactory(product=product, number=2))
            give_free(product, user)

    fill(2)
    client.get("/library/")  # the first visit is written down
    with django_assert_num_queries(9):
        client.get("/library/")
    fill(20)
    with django_assert_num_queries(9):
        page = client.get("/library/").content.decode()
    assert page.count("/downloads/") == 44


def test_s59_library_and_orders_ask_for_sign_in_and_are_never_cached(client: Client) -> None:
    for path in ("/library/", "/orders/"):
        assert client.get(path)["Location"] == f"/accounts/login/?next={path}"
    client.force_login(UserFactory())
    for path in ("/library/", "/orders/"):
        assert "no-store" in client.get(path)["Cache-Control"]
        assert "private" in client.get(path)["Cache-Control"]


def test_s19_order_page_is_the_buyers_alone(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    done(client, order)
    assert order.reference in client.get(f"/orders/{order.reference}/").content.decode()
    stranger = Client()
    assert stranger.get(f"/orders/{order.reference}/").status_code == 404
    stranger.force_login(UserFactory())
    assert stranger.get(f"/orders/{order.reference}/").status_code == 404
    assert stranger.post(f"/orders/{order.reference}/link/").status_code == 404
    assert Delivery.objects.filter(kind="link").count() == 0
    assert client.post(f"/orders/{order.reference}/link/").status_code == 303
    assert Delivery.objects.filter(kind="link").count() == 1
