"""What every template promises: it compiles, pages need nothing inline, text mails say names as they are."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

from fulfillment import mails
from fulfillment.delivery_models import Delivery
from orders.models import Order
from tests.factories import OrderFactory, ProductFactory

TEMPLATES = settings.BASE_DIR / "templates"
NAMES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*") if path.is_file())
# What the Content-Security-Policy would refuse. Mails have no such policy, and no style sheet either.
INLINE = re.compile(r"<style|<script(?![^>]* src=)|\s(style|on[a-z]+)=|javascript:|https?://", re.IGNORECASE)


@pytest.mark.parametrize("name", NAMES)
def test_template_compiles(name: str) -> None:
    get_template(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".html") and not name.startswith("emails/")])
def test_s58_page_has_nothing_inline_or_from_elsewhere(name: str) -> None:
    assert INLINE.findall((TEMPLATES / name).read_text()) == []


def test_style_sheet_is_small() -> None:
    assert (Path(settings.BASE_DIR) / "static" / "shop.css").stat().st_size < 20_000


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [kind for kind in Delivery.Kind.values if kind not in Delivery.LETTERS])
def test_text_mail_names_product_and_amount(kind: str) -> None:
    order = OrderFactory(
        product=ProductFactory(name="Salt & 'Pepper' <2>"), state=Order.State.PAID, email="a@example.com"
    )
    mail = mails.compose(Delivery(order=order, kind=kind, recipient=order.email))
    assert "* Salt & 'Pepper' <2>\n  $12.50\n" in mail.body
    assert (f"\n\n{settings.SITE_URL}/links/{order.reference}." in mail.body) is (kind in ("order", "link"))
    assert "Salt &amp; &#x27;Pepper&#x27; &lt;2&gt;" in str(mail.alternatives[0][0])


def test_every_rule_of_the_style_sheet_is_closed() -> None:
    """A brace that a merge lost puts all that follows it into one rule, and no browser says so."""
    open_rules = 0
    for line in (Path(settings.BASE_DIR) / "static" / "shop.css").read_text().splitlines():
        open_rules += line.count("{") - line.count("}")
        assert open_rules == 0 or not line.startswith("/*"), line
    assert open_rules == 0
