"""The people at the desk, and an order for them to work on."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client

from accounts.models import MailChoice, SignIn, User
from catalog.payment_link_models import PaymentLink
from fulfillment.book_models import Difference
from fulfillment.fulfill import fulfill
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory, TagFactory, UserFactory
from tests.steps import buy
from tests.storefront.addresses import BUYER, Shop, shop

MAY_LOOK = ("view_order", "view_stripeevent")
MAY_ACT = ("refund_order", "mail_order", "replay_order", "answer_dispute", "grant_order", "suspend_order")


@pytest.fixture
def owner(db: None) -> User:
    user: User = UserFactory(email="owner@example.com", is_staff=True, is_superuser=True)
    return user


@pytest.fixture
def desk(owner: User) -> Client:
    """The owner's browser, which sends no CSRF token: those that must be asked for one are in a test of their own."""
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """The browser of somebody who may look at orders, and may do what is named."""

    def make(*codenames: str) -> Client:
        user = UserFactory(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=[*MAY_LOOK, *codenames]))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def paid(world: World) -> Callable[..., Order]:
    """An order that was paid through Stripe and fulfilled."""

    def make(*, price: int = 1250, currency: str = "usd", client: Client | None = None) -> Order:
        order = buy(world, client or Client(), ProductFactory(price=price, currency=currency))
        fulfill(str(order.stripe_session_id), door="webhook")
        order.refresh_from_db()
        return order

    return make


@pytest.fixture
def person_who(db: None) -> Callable[..., Client]:
    """The browser of somebody at the desk who may do what is named, and nothing else."""

    def make(*codenames: str) -> Client:
        user = UserFactory(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def walked(world: World) -> Shop:
    """With a row of each model that an admin's page is about."""
    found = shop()
    TagFactory()
    MailChoice.objects.create(email=BUYER)
    SignIn.objects.create(user=found.buyer)
    Authenticator.objects.create(user=found.buyer, type="webauthn", data={"name": "key", "credential": {}})
    product = found.order.lines.get().product
    url = "https://buy.stripe.com/1"
    PaymentLink.objects.create(product=product, price=900, currency="usd", link_id="plink_1", url=url)
    Difference.objects.create(
        kind="no_mail", subject=found.order.reference, order=found.order, livemode=False, at_stripe="", here="",
        mend="person",
    )  # fmt: skip
    return found


@pytest.fixture
def roles() -> Any:
    return importlib.import_module("fulfillment.migrations.0011_roles")


@pytest.fixture
def give(roles: Any) -> Callable[[], None]:
    def run() -> None:
        with connection.schema_editor(atomic=False) as editor:
            roles.give_roles(apps, editor)

    return run


@pytest.fixture
def roles_are_there(db: None, give: Callable[[], None]) -> None:
    """A test that commits has all tables emptied after it, and the rows of migrations go with the others."""
    give()
