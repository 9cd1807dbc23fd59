"""A product's Payment Links in the admin: who may, what is shown, the QR code, and nothing by looking at it."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
import segno
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from catalog.models import Product
from catalog.payment_link_models import PaymentLink
from orders import payment_links
from sandbox.world.server import World
from tests.factories import ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

LOOK = ("view_paymentlink",)
MAKE = (*LOOK, "change_product", "make_paymentlink")


def page_of(product: Product) -> str:
    return f"/admin/catalog/paymentlink/product/{product.pk}/"


def deactivation(link: PaymentLink) -> str:
    return f"/admin/catalog/paymentlink/{link.pk}/deactivate/"


def qr_of(link: PaymentLink) -> str:
    return f"/admin/catalog/paymentlink/{link.pk}/qr.svg"


def told(desk: Client, answer: Any) -> list[str]:
    assert answer.status_code == 303
    return [str(message) for message in desk.get(answer["Location"]).context["messages"]]


@pytest.fixture
def person(db: None) -> Callable[..., Client]:
    def make(*codenames: str) -> Client:
        user = UserFactory(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return make


def test_link_is_made_shown_and_deactivated(desk: Client, world: World) -> None:
    product = ProductFactory(name="Knots", price=1250)
    assert "There is no link yet." in desk.get(page_of(product)).content.decode()
    assert told(desk, desk.post(page_of(product))) == ["The link sells this product at $12.50."]
    link = PaymentLink.objects.get()
    page = desk.get(page_of(product)).content.decode()
    assert f'value="{link.url}"' in page
    assert qr_of(link) in page
    assert "Make a Payment Link at" not in page
    assert told(desk, desk.post(deactivation(link))) == ["The link sells nothing any more."]
    page = desk.get(page_of(product)).content.decode()
    assert "deactivated on" in page
    assert qr_of(link) not in page
    assert "Make a Payment Link at $12.50" in page
    assert sorted(LogEntry.objects.values_list("object_repr", "change_message")) == [
        ("Knots", f"Payment Link {link.link_id} at $12.50"),
        ("Knots", f"{link.link_id} deactivated"),
    ]


def test_double_click_makes_one(desk: Client, world: World) -> None:
    product = ProductFactory()
    for _ in range(2):
        assert desk.post(page_of(product)).status_code == 303
    assert PaymentLink.objects.count() == 1


def test_new_price_is_said_and_a_new_link_offered(desk: Client, world: World) -> None:
    product = ProductFactory(price=1250)
    payment_links.make(product)
    Product.objects.update(price=1500)
    page = desk.get(page_of(product)).content.decode()
    assert "The product costs $15.00 now, but a link below still sells it on other terms." in page
    assert "still sells, on former terms" in page
    assert "Make a Payment Link at $15.00" in page


def test_link_of_the_other_mode_is_marked_and_no_link_of_this_one(desk: Client, world: World) -> None:
    product = ProductFactory(price=1250)
    payment_links.make(product)
    PaymentLink.objects.update(livemode=True)
    page = desk.get(page_of(product)).content.decode()
    assert "former terms" not in page
    assert "Make a Payment Link at $12.50" in page
    payment_links.make(product)
    assert " ".join(desk.get(page_of(product)).content.decode().split()).count("· test mode") == 1


@pytest.mark.parametrize(
    "terms, why", [({"price": 0}, "is free"), ({"status": "draft", "content": None}, "no published")]
)
def test_page_says_why_nothing_can_be_sold(desk: Client, terms: dict[str, Any], why: str) -> None:
    product = ProductFactory(**terms)
    page = desk.get(page_of(product)).content.decode()
    assert why in page
    assert "Make a Payment Link" not in page
    assert why in told(desk, desk.post(page_of(product)))[0]


def test_draft_may_be_sold_and_the_page_says_so(desk: Client) -> None:
    page = desk.get(page_of(ProductFactory(status="draft"))).content.decode()
    assert "whoever has the link can buy it all the same" in page


def test_stripe_that_does_not_answer_is_said_and_asked_again(desk: Client, world: World) -> None:
    product = ProductFactory()
    world.control("faults", {"area": "api", "kind": "error", "status": 503, "count": 20})
    assert told(desk, desk.post(page_of(product)))[0].startswith("Stripe has not answered.")
    assert "Stripe has not answered yet" in desk.get(page_of(product)).content.decode()
    world.control("faults/clear", {})
    assert told(desk, desk.post(page_of(product)))[0].startswith("The link sells")
    assert PaymentLink.objects.count() == 1


def test_deactivation_that_failed_is_said(desk: Client, world: World) -> None:
    link = payment_links.make(ProductFactory())
    world.control("faults", {"area": "api", "kind": "error", "status": 503, "count": 20})
    assert "still sells" in told(desk, desk.post(deactivation(link)))[0]
    world.control("faults/clear", {})
    PaymentLink.objects.update(link_id="plink_other")
    assert told(desk, desk.post(deactivation(link)))[0].startswith("The link was not deactivated. Stripe says:")


def test_qr_code_is_an_svg_of_the_address(desk: Client) -> None:
    product = ProductFactory(slug="knots")
    address = "https://buy.stripe.com/test_1"
    link = PaymentLink.objects.create(product=product, price=900, currency="usd", link_id="plink_1", url=address)
    answer = desk.get(qr_of(link))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
    assert "Content-Disposition" not in answer
    root = ET.fromstring(answer.content)  # noqa: S314 - our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert b"<style" not in answer.content
    assert b"style=" not in answer.content
    assert dark_modules(root) == sum(map(sum, segno.make_qr(address, error="m").matrix))
    saved = desk.get(f"{qr_of(link)}?download")
    assert saved["Content-Disposition"] == 'attachment; filename="knots-payment-link.svg"'
    assert saved.content == answer.content


def dark_modules(root: Any) -> int:
    """Counted from the strokes that draw them: `h5` is five modules in a row."""
    paths = [one.attrib["d"] for one in root.iter("{http://www.w3.org/2000/svg}path") if "stroke" in one.attrib]
    return sum(int(length) for path in paths for length in re.findall(r"h(\d+)", path))


def test_qr_code_of_a_link_that_is_not_made_is_404(desk: Client) -> None:
    link = PaymentLink.objects.create(product=ProductFactory(), price=900, currency="usd")
    for pk in (link.pk, link.pk + 1, 2**70):
        assert desk.get(f"/admin/catalog/paymentlink/{pk}/qr.svg").status_code == 404


def test_page_of_a_product_that_does_not_exist_is_404(desk: Client) -> None:
    for pk in (1, 2**70):
        assert desk.get(f"/admin/catalog/paymentlink/product/{pk}/").status_code == 404
        assert desk.post(f"/admin/catalog/paymentlink/product/{pk}/").status_code == 404
        assert desk.post(f"/admin/catalog/paymentlink/{pk}/deactivate/").status_code == 404


def test_who_may_look_who_may_make(person: Callable[..., Client], world: World) -> None:
    product = ProductFactory()
    link = payment_links.make(product)
    for client, looks, makes in (
        (person(), 403, 403),
        (person("make_paymentlink", "change_product"), 403, 403),
        (person(*LOOK), 200, 403),
        (person(*LOOK, "make_paymentlink"), 200, 403),
        (person(*LOOK, "change_product"), 200, 403),
        (person(*MAKE), 200, 303),
    ):
        assert client.get(page_of(product)).status_code == looks
        assert client.get(qr_of(link)).status_code == looks
        assert client.post(page_of(product)).status_code == makes
        if makes == 403:
            assert client.post(deactivation(link)).status_code == 403
    assert PaymentLink.objects.in_use().count() == 1
    assert person(*MAKE).post(deactivation(link)).status_code == 303
    assert PaymentLink.objects.in_use().count() == 0


def test_who_may_only_look_sees_no_buttons(person: Callable[..., Client], world: World) -> None:
    product = ProductFactory()
    payment_links.make(product)
    page = person(*LOOK).get(page_of(product)).content.decode()
    assert "Deactivate" not in page
    assert page.count("csrfmiddlewaretoken") <= 1  # of "Log out"


def test_no_post_without_its_token_and_no_change_by_looking(owner: Any, world: World) -> None:
    product = ProductFactory()
    link = payment_links.make(product)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    assert strict.post(page_of(product)).status_code == strict.post(deactivation(link)).status_code == 403
    assert strict.get(deactivation(link)).status_code == 405
    before = list(PaymentLink.objects.values())
    rows = "/admin/catalog/paymentlink/"
    for address in (page_of(product), qr_of(link), rows, f"{rows}{link.pk}/change/"):
        assert strict.get(address).status_code == 200
    assert (list(PaymentLink.objects.values()), LogEntry.objects.count()) == (before, 0)


def test_product_s_page_leads_there(desk: Client) -> None:
    product = ProductFactory()
    assert page_of(product) in desk.get(f"/admin/catalog/product/{product.pk}/change/").content.decode()


def test_page_needs_as_many_queries_for_fifty_links_as_for_one(desk: Client, django_assert_num_queries: Any) -> None:
    product = ProductFactory()

    def links(first: int, last: int) -> None:
        for number in range(first, last):
            PaymentLink.objects.create(
                product=product, price=number, currency="usd", link_id=f"plink_{number}", url="https://buy.example/x"
            )

    links(100, 101)
    desk.get(page_of(product))
    with django_assert_num_queries(5):
        desk.get(page_of(product))
    links(101, 150)
    with django_assert_num_queries(5):
        assert desk.get(page_of(product)).content.count(b'qr.svg"') == 50


def test_product_that_has_links_is_not_deleted(desk: Client, world: World) -> None:
    product = ProductFactory()
    payment_links.make(product)
    desk.post(f"/admin/catalog/product/{product.pk}/delete/", {"post": "yes"})
    assert Product.objects.filter(pk=product.pk).exists()
