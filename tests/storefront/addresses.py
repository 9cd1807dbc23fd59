"""Every address of the shop, walked from its URL patterns, and a shop with something private behind each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts import mail_choices
from accounts.models import Session, User
from catalog.models import Product
from fulfillment import links
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download, Entitlement, StripeEvent
from orders.billing_models import Billing
from orders.models import Order
from tests.factories import CategoryFactory, OrderFactory, ProductFactory, UserFactory

BUYER = "buyer.of.secrets@example.com"
PLACE = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")
TITLE = "Quiet harbour"  # archived, so nobody sees it but who bought it
OF_A_PRODUCT = {f"admin:catalog_{page}" for page in ("paymentlink_product", "product_preview", "product_duplicate")}


@dataclass(frozen=True)
class Address:
    """One URL pattern: its name with namespace, its converters' names, and the pattern itself."""

    name: str
    converters: tuple[str, ...]
    pattern: str


def every_address() -> Iterator[Address]:
    yield from _walk(get_resolver(), "", "")


def _walk(resolver: URLResolver, namespace: str, before: str) -> Iterator[Address]:
    for entry in resolver.url_patterns:
        pattern = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry, f"{entry.namespace}:" if entry.namespace else namespace, pattern)
        elif isinstance(entry, URLPattern):
            yield Address(f"{namespace}{entry.name or ''}", tuple(entry.pattern.converters), pattern)


@dataclass
class Shop:
    """A buyer with one order of an archived book, somebody else with an order of another, staff, and the owner."""

    order: Order
    session: Session  # where the buyer is signed in
    buyer: User
    other: User
    staff: User
    owner: User

    def actors(self) -> dict[str, User | None]:
        return {"anonymous": None, "buyer": self.buyer, "other": self.other, "staff": self.staff, "owner": self.owner}

    def client(self, actor: str) -> Client:
        client = Client(raise_request_exception=False)
        if user := self.actors()[actor]:
            client.force_login(user)
        return client

    def path(self, address: Address) -> str:
        """The address with what is private of the buyer in each place."""
        path = PLACE.sub(lambda place: str(self._value(address, place[1] or place[2])), address.pattern)
        queries = {
            "checkout_done": f"?session_id={self.order.stripe_session_id}",
            "admin:fulfillment_customer_person": f"?email={BUYER}",
            "admin:fulfillment_customer_mail": f"?email={BUYER}",
            "admin:fulfillment_customer_erase": f"?email={BUYER}",
        }
        return "/" + path.replace("^", "").replace("$", "") + queries.get(address.name, "")

    def _value(self, address: Address, name: str) -> str | int:
        line = self.order.lines.get()
        if name == "object_id":
            return self._row(address)
        if name == "pk" and address.name not in OF_A_PRODUCT:
            return self._row(address) if address.name.startswith("admin:") else 1
        values: dict[str, str | int] = {
            "slug": line.product.slug,
            "category": line.product.categories.get().slug,
            "section": 10**6,
            "key": "nokey",
            "width": 320,
            "number": 1,
            "file_id": line.edition.files.get().pk,
            "token": links.token(self.order),
            "choice": mail_choices.address(BUYER).split("/")[-2],
            "reference": self.order.reference,
            "pk": line.product.pk,
            "order_id": self.order.pk,
            "content_type_id": 1,
            "app_label": "orders",
            "url": "nowhere",
            "id": self.buyer.pk,
            "name": self.session.name,
            "upload_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        }
        return values[name]

    def _row(self, address: Address) -> int:
        """The first row of the model that a page of the admin is about: the buyer's."""
        app, model = address.pattern.split("/")[1:3]
        try:
            row = apps.get_model(app, model)._default_manager.order_by("pk").first()
        except LookupError:  # /admin/r/: the way from a row to its page
            return 1
        return row.pk if row else 1


def shop() -> Shop:
    buyer = UserFactory(email=BUYER)
    book = ProductFactory(name=TITLE, slug="quiet-harbour")
    book.categories.add(CategoryFactory())
    order = sold(book, buyer)
    book.status = Product.Status.ARCHIVED
    book.save()
    other = UserFactory(email="other@example.com")
    sold(ProductFactory(name="Loud market", slug="loud-market"), other)
    line = order.lines.get()
    entitlement = Entitlement.objects.get(order_line=line)
    Delivery.objects.create(order=order, kind="order", recipient=BUYER)
    Download.objects.create(entitlement=entitlement, file=line.edition.files.get(), via="library", address="192.0.2.7")
    StripeEvent.objects.create(event_id="evt_1", type="checkout.session.completed", body=f'"{BUYER}"'.encode())
    Billing.objects.create(order=order, name=f"Mr {TITLE}")
    return Shop(
        order=order,
        session=Session.objects.create(
            session_key="k" * 32, user=buyer, expire_date=timezone.now() + timedelta(days=1)
        ),
        buyer=buyer,
        other=other,
        staff=UserFactory(email="staff@example.com", is_staff=True),
        owner=UserFactory(email="owner@example.com", is_staff=True, is_superuser=True),
    )


def sold(product: Any, user: User) -> Order:
    order: Order = OrderFactory(
        product=product,
        user=user,
        email=user.email,
        state=Order.State.PAID,
        stripe_session_id=f"cs_test_{user.pk}",
        stripe_payment_intent_id=f"pi_{user.pk}",
    )
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=product, user=user)
    order.timeline.create(kind="created", door="checkout", detail=product.name)
    return order
