"""What the mails say. Composed when they are sent, so links are fresh and nothing secret is stored."""

from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from fulfillment import links
from fulfillment.models import Delivery


def compose(delivery: Delivery) -> EmailMultiAlternatives:
    """The mail of one delivery: subject, text and HTML from templates/emails/<kind>/."""
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
    return {
        "order": order,
        "lines": order.lines.select_related("product"),
        "link": links.address(order),
        "link_hours": settings.LINK_HOURS,
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
    }
