"""Everything the shop knows about one account, as one JSON document: `docs/export.md` describes its fields.

Written kind by kind as it is read, with a constant number of queries, so that no more than one kind is in memory.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Prefetch
from django.urls import reverse
from django.utils import timezone

from accounts.models import MailChoice, Session, SignIn, User, proven_emails
from fulfillment import library
from fulfillment.access import Actor, right_of
from fulfillment.delivery_models import Delivery, DeliveryQuerySet
from fulfillment.models import Download
from fulfillment.story import story, with_story
from fulfillment.visits import LibraryVisit
from orders.history import recorded
from orders.models import Order, OrderLine

FORMAT = 1  # goes up when a field changes its meaning or goes; new ones may come at any time

Row = dict[str, Any]


def document(user: User) -> Iterator[str]:
    """The JSON text, piece by piece. Nothing of anybody else: what a guest bought counts once its address is proven."""
    now = timezone.now()
    head = {"format": FORMAT, "made_at": now, "shop": {"name": settings.SITE_NAME, "address": settings.SITE_URL}}
    yield _json({**head, "account": _account(user)})[:-1]
    kinds: dict[str, Callable[[], list[Row]]] = {
        "addresses": lambda: _values(EmailAddress.objects.filter(user=user), "email", "verified", "primary"),
        "sign_ins": lambda: _values(SignIn.objects.filter(user=user), "at", "address", "agent"),
        "sessions": lambda: _sessions(user, now),
        "passkeys": lambda: _passkeys(user),
        "mail_choices": lambda: _mail_choices(user),
        "library_visits": lambda: _values(LibraryVisit.objects.filter(user=user), "last_at", "previous_at"),
        "letters": lambda: [_mail(one) for one in _letters(user)],
        "orders": lambda: _orders(user),
        "files": lambda: _files(user),
    }
    for kind, rows in kinds.items():
        yield f",{_json(kind)}:{_json(rows())}"
    yield "}\n"


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)


def _values(rows: Any, *fields: str) -> list[Row]:
    return list(rows.order_by("pk").values(*fields))


def _account(user: User) -> Row:
    return {
        "email": user.email,
        "since": user.date_joined,
        "last_sign_in": user.last_login,
        "has_password": user.has_usable_password(),
        "may_use_the_admin": user.is_staff,
    }


def _sessions(user: User, now: datetime) -> list[Row]:
    return [
        {
            "signed_in_at": one.sign_in.at if one.sign_in else None,
            "address": one.sign_in.address if one.sign_in else None,
            "agent": one.sign_in.agent if one.sign_in else "",
            "ends_at": one.expire_date,
        }
        for one in Session.objects.live(now).filter(user=user).select_related("sign_in").order_by("expire_date")
    ]


def _passkeys(user: User) -> list[Row]:
    keys = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).order_by("pk")
    return [{"name": str(key), "added_at": key.created_at, "last_used_at": key.last_used_at} for key in keys]


def _mail_choices(user: User) -> list[Row]:
    """Which mails somebody wants, by address."""
    return _values(MailChoice.objects.filter(email__in=proven_emails(user)), "email", "new_editions", "changed_at")


def _orders(user: User) -> list[Row]:
    mine = with_story(Order.objects.owned_by(user, proven_emails(user))).select_related("billing")
    downloads = Prefetch(
        "lines__entitlement__downloads",
        Download.objects.select_related("file").order_by("pk"),
        to_attr="every_download",
    )
    return [_order(order) for order in mine.prefetch_related(downloads, "lines__edition").order_by("pk")]


def _order(order: Order) -> Row:
    billing = getattr(order, "billing", None)
    return {
        "reference": order.reference,
        "made_at": order.created_at,
        "paid_at": order.paid_at,
        "state": order.state,
        "dispute": order.dispute,
        "source": order.source,
        "email": order.email,
        "currency": order.currency,
        "total": order.total,
        "refunded": order.refunded,
        "payment": order.stripe_payment_intent_id,
        "paid_by": order.paid_by,
        "paid_brand": order.paid_brand,
        "paid_last4": order.paid_last4,
        "link_opened_at": order.link_opened_at,
        "bought_from_address": order.buyer_address,
        "bought_with_agent": order.buyer_agent,
        "receipt_details": billing
        and {"name": billing.name, "address": billing.address, "vat_number": billing.vat_number},
        "lines": [_line(line) for line in order.lines.all()],
        "timeline": [{"at": one.at, "kind": one.kind, "words": one.words} for one in story(order)],
        "mails": [_mail(mail) for mail in order.deliveries.all()],
    }


def _line(line: OrderLine) -> Row:
    right = right_of(line)
    return {
        "name": line.name,
        "product": line.product.slug,
        "edition": line.edition.number,
        "unit_price": line.unit_price,
        "quantity": line.quantity,
        "refunded": line.refunded,
        "access": right
        and {
            "state": right.state,
            "reason": right.reason,
            "since": right.created_at,
            "until": right.valid_until,
        },
        "downloads": [_download(one) for one in right.every_download] if right else [],  # type: ignore[attr-defined]
    }


def _download(one: Download) -> Row:
    return {
        "file": one.file.name,
        "started_at": one.started_at,
        "last_at": one.last_at,
        "by": one.via,
        "address": one.address,
        "agent": one.agent,
        "bytes": one.bytes,
        "requests": one.ranges,
    }


def _mail(mail: Delivery) -> Row:
    """What was sent, to whom and when. The text is composed when it is sent, and kept nowhere."""
    return {
        "about": recorded(Delivery.Kind(mail.kind)),
        "to": mail.recipient,
        "state": mail.state,
        "written_at": mail.created_at,
        "sent_at": mail.sent_at,
    }


def _letters(user: User) -> DeliveryQuerySet:
    """Mails about no single order."""
    return Delivery.objects.filter(order=None, recipient__in=proven_emails(user)).order_by("pk")


def _files(user: User) -> list[Row]:
    """Every file that this account can download now, and where: each address asks again who comes."""
    return [
        {
            "product": item.product.name,
            "edition": edition.number,
            "name": file.name,
            "size": file.size,
            "sha256": file.sha256,
            "address": settings.SITE_URL + reverse("download", args=[file.pk]),
        }
        for item in library.items(Actor(user=user))
        for edition in item.editions
        for file in edition.files.all()
    ]
