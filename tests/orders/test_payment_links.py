"""Payment Links made in Stripe's dashboard: found by price, else by slug; kept, marked and delivered after the fix."""

import urllib.request
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe
from django.core.management import call_command
from django.test import Client

from catalog import former_slugs
from catalog.stripe_price_models import StripePrice
from fulfillment.converge import converge
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement, StripeEvent
from fulfillment.sweep import sweep
from orders import matching, stripe_api
from orders.facts import NewSession, PaidLine, SessionLine
from orders.models import Order
from sandbox.world.server import World
from tests.factories import EditionFactory, FileFactory, OrderFactory, ProductFactory
from tests.fulfillment.test_converge import facts_of
from tests.steps import GUEST, pay_by_link, report

pytestmark = pytest.mark.django_db

MEND = "Mend that, then replay this order."


def dashboard(world: World) -> Any:
    return stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url}).v1


def price(
    world: World, *, amount: int = 900, name: str = "By link", slug: str = "", product_slug: str = "", **more: Any
) -> str:
    """A price made in Stripe's dashboard: `slug` in its own metadata, `product_slug` in its product's."""
    made = dashboard(world).prices.create(
        params={
            "currency": "usd",
            "unit_amount": amount,
            "metadata": {"product_slug": slug} if slug else {},
            "product_data": {"name": name, "metadata": {"product_slug": product_slug} if product_slug else {}},
            **more,
        }
    )
    return str(made.id)


def pay_link(world: World, *lines: tuple[str, int], query: dict[str, str] | None = None, **options: Any) -> str:
    """Make a link of (price, quantity) lines, open it, pay; the id of its session."""
    payer = {"email": options.pop("email", GUEST)}
    items = [{"price": one, "quantity": quantity} for one, quantity in lines]
    link = dashboard(world).payment_links.create(params={"line_items": items, **options})
    with urllib.request.urlopen(f"{link.url}?{urlencode(query or {})}") as page:
        session_id = page.geturl().rpartition("/")[2]
    world.control(f"pay/{session_id}", payer)
    return str(session_id)


def delivered(session_id: str) -> Order:
    fulfill(session_id, door="test")
    return Order.objects.get(stripe_session_id=session_id)


def sold(order: Order) -> list[tuple[str, int, int]]:
    return [(line.product.slug, line.unit_price, line.quantity) for line in order.lines.select_related("product")]


def granted(order: Order) -> list[str]:
    rights = Entitlement.objects.filter(order_line__order=order, state="active").order_by("pk")
    return [right.product.slug for right in rights]


def replay(order: Order) -> None:
    call_command("replay", "--order", order.reference)
    order.refresh_from_db()


def test_f19_link_is_delivered_by_its_price(world: World) -> None:
    paid = price(world, amount=900)
    StripePrice.objects.create(product=ProductFactory(slug="knots", name="Knots"), price_id=paid)
    order = delivered(pay_link(world, (paid, 1)))
    assert (order.source, order.state, order.total, order.email, order.attention) == (
        "payment_link",
        "paid",
        900,
        GUEST,
        "",
    )
    assert (sold(order), granted(order)) == ([("knots", 900, 1)], ["knots"])
    assert order.lines.get().name == "Knots"
    assert order.deliveries.get().recipient == GUEST


@pytest.mark.parametrize("where", ["price", "product", "link"])
def test_f19_link_is_delivered_by_the_slug_wherever_it_stands(world: World, where: str) -> None:
    ProductFactory(slug="knots")
    paid = price(world, slug="Knots" if where == "price" else "", product_slug="knots" if where == "product" else "")
    order = delivered(pay_link(world, (paid, 1), metadata={"product_slug": "knots"} if where == "link" else {}))
    assert granted(order) == ["knots"]


def test_f19_link_that_names_a_former_slug_is_delivered(world: World) -> None:
    product = ProductFactory(slug="hitches")
    former_slugs.remember(product, "knots")
    order = delivered(pay_link(world, (price(world, slug="KNOTS"), 1)))
    assert (sold(order), granted(order)) == ([("hitches", 900, 1)], ["hitches"])
    ProductFactory(slug="knots")  # whose slug it is now
    assert granted(delivered(pay_link(world, (price(world, slug="knots"), 1)))) == ["knots"]


def test_nearest_slug_wins(world: World) -> None:
    for slug in ("by-price", "by-product", "by-link"):
        ProductFactory(slug=slug)
    everywhere = price(world, slug="by-price", product_slug="by-product")
    product_and_link = price(world, product_slug="by-product")
    by_link = {"product_slug": "by-link"}
    assert granted(delivered(pay_link(world, (everywhere, 1), metadata=by_link))) == ["by-price"]
    assert granted(delivered(pay_link(world, (product_and_link, 1), metadata=by_link))) == ["by-product"]


def test_s15_price_decides_whatever_metadata_and_address_say(world: World) -> None:
    """The buyer of a cheap book owns the address that they open, and a slug elsewhere may be somebody's slip."""
    cheap, dear, others = ProductFactory(slug="cheap"), ProductFactory(slug="dear"), OrderFactory()
    paid = price(world, amount=100, slug=dear.slug, product_slug=dear.slug)
    StripePrice.objects.create(product=cheap, price_id=paid)
    forged = {"client_reference_id": others.reference, "prefilled_email": "victim@example.com", "utm_source": "dear"}
    order = delivered(pay_link(world, (paid, 1), query=forged, metadata={"product_slug": dear.slug}))
    assert (granted(order), order.email, order.user, order.total) == (["cheap"], GUEST, None, 100)
    others.refresh_from_db()
    assert (others.state, others.stripe_session_id) == ("open", None)


def test_several_lines_are_all_delivered_with_stripes_amounts_and_quantities(world: World) -> None:
    ProductFactory(slug="a", price=5000), ProductFactory(slug="b", price=7000), ProductFactory(slug="c")
    by_price = price(world, amount=500)
    StripePrice.objects.create(product=ProductFactory(slug="d"), price_id=by_price)
    lines = [(price(world, amount=900, slug="a"), 1), (price(world, amount=250, product_slug="b"), 3), (by_price, 2)]
    order = delivered(pay_link(world, *lines))
    assert sold(order) == [("a", 900, 1), ("b", 250, 3), ("d", 500, 2)]
    assert (order.total, order.attention, granted(order)) == (2650, "", ["a", "b", "d"])
    assert Delivery.objects.count() == 1


def test_line_that_is_missing_keeps_the_whole_order_until_its_price_is_entered(world: World) -> None:
    ProductFactory(slug="a")
    unknown = price(world, name="Tea")
    order = delivered(pay_link(world, (price(world, slug="a"), 1), (unknown, 1)))
    assert (order.state, sold(order), granted(order)) == ("paid", [], [])
    assert order.attention == f"Nothing was delivered: “Tea” names no product: enter its price {unknown} at one. {MEND}"
    StripePrice.objects.create(product=ProductFactory(slug="tea"), price_id=unknown)
    replay(order)
    assert (order.attention, granted(order), order.deliveries.count()) == ("", ["a", "tea"], 1)


def test_slug_that_is_mended_in_stripes_dashboard_is_read_by_replay(world: World) -> None:
    ProductFactory(slug="knots")
    wrong = price(world, slug="knotts")
    order = delivered(pay_link(world, (wrong, 1)))
    assert order.attention == f"Nothing was delivered: “By link” names the slug 'knotts', which no product has. {MEND}"
    dashboard(world).prices.update(wrong, params={"metadata": {"product_slug": "knots"}})
    replay(order)
    assert (order.attention, granted(order), order.deliveries.count()) == ("", ["knots"], 1)


def test_slug_of_the_link_names_no_product_when_there_are_several_lines(world: World) -> None:
    ProductFactory(slug="knots")
    lines = [(price(world, name=name), 1) for name in ("One", "Two")]
    order = delivered(pay_link(world, *lines, metadata={"product_slug": "knots"}))
    assert sold(order) == []
    assert "“One” names no product" in order.attention
    assert "“Two” names no product" in order.attention


def test_unknown_slug_is_delivered_once_the_product_exists(world: World) -> None:
    order = delivered(pay_by_link(world, slug="not-there-yet"))
    assert (order.state, granted(order), Delivery.objects.count()) == ("paid", [], 0)
    ProductFactory(slug="not-there-yet")
    replay(order)
    assert (order.attention, granted(order), Delivery.objects.count()) == ("", ["not-there-yet"], 1)


def test_product_without_a_file_is_delivered_once_it_has_one(world: World) -> None:
    product = ProductFactory(slug="soon", name="Soon", status="draft", content=None)
    order = delivered(pay_by_link(world, slug="soon"))
    assert order.attention == f"Nothing was delivered: “Soon” has no published file: add one. {MEND}"
    FileFactory(edition=EditionFactory(product=product))
    replay(order)
    assert (order.attention, granted(order)) == ("", ["soon"])


def test_product_twice_at_one_price_is_one_line_of_more(world: World) -> None:
    ProductFactory(slug="a")
    lines = [(price(world, amount=900, slug="a"), quantity) for quantity in (1, 3)]
    assert sold(delivered(pay_link(world, *lines))) == [("a", 900, 4)]


def test_product_twice_at_two_prices_is_for_a_person(world: World) -> None:
    ProductFactory(slug="a", name="Apples")
    lines = [(price(world, amount=amount, slug="a"), 1) for amount in (900, 800)]
    order = delivered(pay_link(world, *lines))
    assert sold(order) == []
    assert order.attention == (
        "Nothing was delivered: “Apples” was sold at two prices at once, which is for a person to settle. " + MEND
    )


def test_lines_beyond_the_first_page_are_read(world: World) -> None:
    slugs = [f"book-no-{number}" for number in range(23)]
    for slug in slugs:
        ProductFactory(slug=slug)
    session_id = pay_link(world, *[(price(world, slug=slug, amount=100), 1) for slug in slugs])
    order = delivered(session_id)
    assert ([slug for slug, _, _ in sold(order)], order.total, len(granted(order))) == (slugs, 2300, 23)


def test_number_larger_than_any_shelf_is_kept(world: World) -> None:
    ProductFactory(slug="a")
    assert sold(delivered(pay_link(world, (price(world, amount=1, slug="a"), 999_999)))) == [("a", 1, 999_999)]


def test_amount_that_does_not_divide_stays_what_was_charged() -> None:
    """Packages of ten, and prices in fractions of a cent."""
    ProductFactory(slug="a")
    line = PaidLine(name="A", price_id="price_1", slug="a", quantity=3, amount=1000)
    lost = OrderFactory.build(reference="x", total=1000)
    converge(facts_of(lost, payment_link="plink_1", client_reference_id="", lines=(line,)), seen=0, door="test")
    assert sold(Order.objects.get()) == [("a", 1000, 1)]


def test_sentence_about_many_lines_fits_and_still_says_how_to_mend() -> None:
    lost = OrderFactory.build(reference="x")
    lines = tuple(
        PaidLine(name=f"Line {n} " * 20, price_id="price_" + "x" * 300, slug="s" * 400 * (n % 2),
                            quantity=1, amount=1) for n in range(40)
    )  # fmt: skip
    sold_now, why = matching.match(facts_of(lost, lines=lines))
    assert (sold_now, len(why), why[-len(MEND) :]) == ([], 300, MEND)


@pytest.mark.parametrize("strange", ["nul\x00", "sur\ud800rogate", "', 1); --", "%", "_"])
def test_s9_strange_slug_is_text_like_any_other(world: World, strange: str) -> None:
    ProductFactory(slug="n")
    line = PaidLine(name="A", price_id="", slug=stripe_api._plain(strange), quantity=1, amount=1)
    sold_now, why = matching.match(facts_of(OrderFactory.build(reference="x"), lines=(line,)))
    assert (sold_now, why.count("which no product has")) == ([], 1)


def test_payment_without_a_usable_address_is_kept_and_delivered_after_the_fix(world: World) -> None:
    """B2: the access is there, and only the mail waits for somebody who knows the buyer."""
    ProductFactory(slug="knots")
    order = delivered(pay_link(world, (price(world, slug="knots"), 1), email="b@example.com,evil@x.yz"))
    assert (order.email, order.attention) == ("", "The payment has no usable e-mail address.")
    assert (granted(order), Delivery.objects.count()) == (["knots"], 0)
    call_command("resend", order.reference, "--to", "right@example.com")
    replay(order)
    assert (order.email, order.attention) == ("right@example.com", "")
    assert list(order.deliveries.values_list("kind", "recipient")) == [("order", "right@example.com")]


def test_f19_session_of_another_application_is_ignored_even_with_a_price_of_ours(world: World, client: Client) -> None:
    paid = price(world)
    StripePrice.objects.create(product=ProductFactory(), price_id=paid)
    session = dashboard(world).checkout.sessions.create(
        params={"mode": "payment", "success_url": "http://x.example/", "line_items": [{"price": paid, "quantity": 1}]}
    )
    world.control(f"pay/{session.id}", {"email": GUEST})
    report(world, client, "checkout.session.completed")
    sweep()
    assert Order.objects.count() == 0
    assert StripeEvent.objects.get().state == "ignored"


def test_lost_order_of_several_lines_is_made_again_from_its_session(world: World) -> None:
    """F25"""
    products = [ProductFactory(price=price) for price in (1000, 700)]
    lines = tuple(
        SessionLine(name=one.name, slug=one.slug, unit_price=one.price, quantity=2, image_url="") for one in products
    )
    site = "http://localhost/"
    lost = NewSession(reference="LOST", currency="usd", lines=lines, email="", success_url=site, cancel_url=site)
    session_id = stripe_api.create_session(lost).id
    world.control(f"pay/{session_id}", {"email": GUEST})
    order = delivered(session_id)
    assert sold(order) == [(products[0].slug, 1000, 2), (products[1].slug, 700, 2)]
    assert (granted(order), order.attention) == ([one.slug for one in products], "")


def test_line_of_a_deleted_stripe_product_is_no_accident(world: World) -> None:
    row = {"price": {"id": "price_1", "product": {"id": "prod_1", "deleted": True}}, "amount_subtotal": 5}
    line = stripe_api._line(row)
    assert (line.price_id, line.slug, line.quantity, line.amount) == ("price_1", "", 1, 5)


def test_link_that_is_still_open_sells_nothing(world: World) -> None:
    paid = price(world, slug="a")
    link = dashboard(world).payment_links.create(params={"line_items": [{"price": paid, "quantity": 1}]})
    with urllib.request.urlopen(link.url) as page:
        order = delivered(page.geturl().rpartition("/")[2])
    assert (order.state, order.attention, sold(order)) == ("open", "", [])
