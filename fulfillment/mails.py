"""What the mails say. Composed when they are sent, so links are fresh and nothing secret is stored."""

from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from catalog import money
from fulfillment import letters, links
from fulfillment.access import right_of
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from orders import language
from orders.models import Order, OrderLine


def compose(delivery: Delivery) -> EmailMultiAlternatives:
    """The mail of one delivery, in its buyer's language: subject, text and HTML from templates/emails/<kind>/."""
    spoken = delivery.order.language if delivery.order else letters.language_of(delivery)
    with translation.override(language.of_mails(spoken)):
        return _compose(delivery)


def _compose(delivery: Delivery) -> EmailMultiAlternatives:
    context = _context(delivery)
    subject = render_to_string(f"emails/{delivery.kind}/subject.txt", context)
    mail = EmailMultiAlternatives(
        subject=" ".join(subject.split()),
        body=render_to_string(f"emails/{delivery.kind}/body.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[delivery.recipient],
        headers={
            "Message-ID": delivery.message_id,
            "Auto-Submitted": "auto-generated",
            **letters.headers(delivery),
        },
    )
    mail.attach_alternative(render_to_string(f"emails/{delivery.kind}/body.html", context), "text/html")
    return mail


def _context(delivery: Delivery) -> dict[str, Any]:
    shop = {"link_hours": settings.LINK_HOURS, "site_name": settings.SITE_NAME, "site_url": settings.SITE_URL}
    order = delivery.order
    return {**shop, **(letters.content(delivery) if order is None else _of_order(delivery, order))}


def _of_order(delivery: Delivery, order: Order) -> dict[str, Any]:
    lines = list(order.lines.select_related("product", "entitlement"))
    return {
        "order": order,
        "lines": lines,
        "amount": money.display(delivery.amount, order.currency),
        "is_whole": delivery.amount == order.refunded,
        "ended": _names(lines, Entitlement.State.REVOKED),
        "kept": _names(lines, Entitlement.State.ACTIVE),
        "again": _product_page(lines),
        "link": links.address(order),
    }


def _names(lines: list[OrderLine], state: Entitlement.State) -> list[str]:
    """What the order's buyer has access to in this state, as sold."""
    return [line.name for line in lines if (right := right_of(line)) and right.state == state]


def _product_page(lines: list[OrderLine]) -> str:
    """Where the order can be made once more."""
    product = lines[0].product if len(lines) == 1 else None
    return settings.SITE_URL + (product.get_absolute_url() if product and product.is_on_sale else reverse("catalog"))
