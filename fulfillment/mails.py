"""What the mails say. Composed when they are sent, so links are fresh and nothing secret is stored."""

from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from catalog import money
from fulfillment import links
from fulfillment.models import Delivery, Entitlement
from orders import language
from orders.models import OrderLine


def compose(delivery: Delivery) -> EmailMultiAlternatives:
    """The mail of one delivery, in its buyer's language: subject, text and HTML from templates/emails/<kind>/."""
    with translation.override(language.of_mails(delivery.order.language)):
        return _compose(delivery)


def _compose(delivery: Delivery) -> EmailMultiAlternatives:
    context = _context(delivery)
    subject = render_to_string(f"emails/{delivery.kind}/subject.txt", context)
    mail = EmailMultiAlternatives(
        subject=" ".join(subject.split()),
        body=render_to_string(f"emails/{delivery.kind}/body.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[delivery.recipient],
        headers={"Message-ID": delivery.message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"emails/{delivery.kind}/body.html", context), "text/html")
    return mail


def _context(delivery: Delivery) -> dict[str, Any]:
    order = delivery.order
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
        "link_hours": settings.LINK_HOURS,
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
    }


def _names(lines: list[OrderLine], state: Entitlement.State) -> list[str]:
    """What the order's buyer has access to in this state, as sold."""
    return [line.name for line in lines if (right := getattr(line, "entitlement", None)) and right.state == state]


def _product_page(lines: list[OrderLine]) -> str:
    """Where the order can be made once more."""
    product = lines[0].product if len(lines) == 1 else None
    return settings.SITE_URL + (product.get_absolute_url() if product and product.is_on_sale else reverse("catalog"))
