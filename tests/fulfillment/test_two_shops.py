"""Two shops on one Stripe account leave each other's payments alone; a shop that has moved loses nothing."""

from io import StringIO
from urllib.request import urlopen

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from catalog.models import Product
from fulfillment.converge import converge
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement, StripeEvent
from orders import payment_links, sites, stripe_api
from orders.facts import NewSession, SessionLine
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.books_steps import age, books, work
from tests.fulfillment.test_converge import facts_of
from tests.orders.test_payment_links import dashboard
from tests.steps import GUEST, begin_checkout, report, states

pytestmark = pytest.mark.django_db

OTHER = {"storefront_site": "other.example"}


def paid_session(world: World, product: Product, mark: dict[str, str]) -> str:
    """Of a shop that says `mark`, about a book of the same slug, with an order that we have no row of."""
    line = SessionLine(name=product.name, slug=product.slug, unit_price=1250, quantity=1, image_url="")
    site = "http://other.example/"
    new = NewSession(
        reference="THEIRSTHEIRS2222",
        mark=mark,
        currency="usd",
        lines=(line,),
        email="",
        success_url=site,
        cancel_url=site,
    )
    session_id = stripe_api.create_session(new).id
    world.control(f"pay/{session_id}", {"email": GUEST})
    return session_id


def open_and_pay(world: World, address: str) -> str:
    with urlopen(address) as page:
        session_id = str(page.geturl().rpartition("/")[2])
    world.control(f"pay/{session_id}", {"email": GUEST})
    return session_id


def move(settings: Settings) -> None:
    """The shop has another address now, and nobody has named the old one."""
    settings.STRIPE_SITES = ["new.example"]


def test_payment_of_another_shop_is_left_alone_at_every_door(world: World, client: Client) -> None:
    session_id = paid_session(world, ProductFactory(), OTHER)
    outcome = fulfill(session_id, door="webhook")
    assert (outcome.is_foreign, outcome.reason) == (True, "a Checkout Session of another shop, other.example")
    report(world, client)
    work()
    assert set(StripeEvent.objects.values_list("state", flat=True)) == {"ignored"}
    event = StripeEvent.objects.get(type="checkout.session.completed")
    assert event.note.endswith("a Checkout Session of another shop, other.example")
    said = StringIO()
    call_command("reconcile", stdout=said)
    assert "1 sessions compared, 1 of others; " in said.getvalue()
    age(world)
    assert books().endswith("0 sessions compared, 1 of others, 0 in flight; 0 differ\n")
    assert Order.objects.count() == 0


@pytest.mark.parametrize("mark", [{}, {"storefront_site": "localhost"}, {"storefront_site": " LOCALHOST "}])
def test_payment_of_ours_or_of_an_older_release_is_restored(world: World, mark: dict[str, str]) -> None:
    product = ProductFactory()
    fulfill(paid_session(world, product, mark), door="webhook")
    assert (Order.objects.get().state, Entitlement.objects.get().product) == ("paid", product)


def test_payment_of_a_former_site_is_restored(world: World, settings: Settings) -> None:
    settings.STRIPE_SITES = ["localhost", "other.example"]
    fulfill(paid_session(world, ProductFactory(), OTHER), door="webhook")
    assert Order.objects.get().state == "paid"


def test_order_that_was_begun_before_the_move_is_delivered(world: World, client: Client, settings: Settings) -> None:
    order = begin_checkout(client, ProductFactory())
    move(settings)
    world.control(f"pay/{order.stripe_session_id}", {"email": GUEST})
    fulfill(str(order.stripe_session_id), door="webhook")
    assert states(order)[:2] == ("paid", ["active"])


def test_order_that_never_learned_its_session_is_delivered_after_the_move(
    world: World, client: Client, settings: Settings
) -> None:
    order = begin_checkout(client, ProductFactory())
    session_id = str(order.stripe_session_id)
    Order.objects.update(stripe_session_id=None, checkout_url="")
    move(settings)
    world.control(f"pay/{session_id}", {"email": GUEST})
    fulfill(session_id, door="webhook")
    assert states(order)[:2] == ("paid", ["active"])


def test_link_that_was_made_before_the_move_is_delivered(world: World, settings: Settings) -> None:
    product = ProductFactory()
    link = payment_links.make(product)
    assert dashboard(world).payment_links.retrieve(str(link.link_id)).metadata["storefront_site"] == "localhost"
    move(settings)
    fulfill(open_and_pay(world, link.url), door="webhook")
    assert (Order.objects.get().state, Entitlement.objects.get().product) == ("paid", product)


def test_recovered_copy_of_an_order_that_is_known_is_delivered_after_the_move(settings: Settings) -> None:
    order = OrderFactory(state=Order.State.EXPIRED, stripe_session_id="cs_test_old")
    move(settings)
    copy = facts_of(
        order,
        session_id="cs_test_new",
        recovered_from="cs_test_old",
        metadata={"storefront_order": order.reference, "storefront_site": "localhost"},
    )
    assert converge(copy, seen=0, door="webhook").order is not None
    assert list(Order.objects.order_by("pk").values_list("state", flat=True)) == ["expired", "paid"]


def test_link_of_another_shop_is_left_alone(world: World) -> None:
    ProductFactory(slug="knots")
    made = dashboard(world).prices.create(
        params={"currency": "usd", "unit_amount": 900, "product_data": {"name": "Knots"}, "metadata": {}}
    )
    link = dashboard(world).payment_links.create(
        params={"line_items": [{"price": made.id, "quantity": 1}], "metadata": {"product_slug": "knots", **OTHER}}
    )
    assert fulfill(open_and_pay(world, link.url), door="webhook").is_foreign


@pytest.mark.parametrize(
    "link, metadata, expected",
    [
        ("", {}, False),
        ("plink_1", {}, True),
        ("", {"product_slug": "x"}, True),
        ("", {"storefront_order": "X"}, True),
        ("", {"storefront_site": "localhost"}, False),
        ("plink_1", {"storefront_site": "localhost"}, True),
        ("plink_1", OTHER, False),
        ("plink_1", {"product_slug": "x", **OTHER}, False),
        ("", {"storefront_order": "X", **OTHER}, False),
        ("plink_1", {"storefront_site": " "}, True),
    ],
)
def test_what_a_session_says_of_itself(link: str, metadata: dict[str, str], expected: bool) -> None:
    assert sites.is_marked(link, metadata) is expected
