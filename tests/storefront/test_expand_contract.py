"""The release that is still running works on the schema of the next one: it reads, updates and inserts.

For the last migration of each app the models are taken as they were before it, and the database as it is after it.
That is what happens in a release without a pause: `migrate` first, then one process after the other.
"""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import IntegrityError, ProgrammingError, connection, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from catalog.models import Product
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.steps import buy, report

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
APPEND_ONLY = {"TimelineEntry"}  # a trigger refuses updates, so no release makes any
APPS = ("accounts", "catalog", "orders", "fulfillment")


def before_the_last_migration(app: str) -> list[type[models.Model]]:
    """The models of an app as the previous release knows them."""
    loader = MigrationLoader(connection)
    [last] = loader.graph.leaf_nodes(app)
    previous = [parent for parent in loader.graph.node_map[last].parents if parent.key[0] == app]
    state = loader.project_state([parent.key for parent in previous])
    found = state.apps.get_app_config(app).get_models()
    return [model for model in found if model._meta.managed and not model._meta.proxy]


def act_as(model: type[models.Model]) -> bool:
    """Read, update and insert a row as this model would. False when there is no row to try it with.

    The row goes and comes back as it was, in a transaction that is undone: so it fits every constraint.
    """
    row = model._base_manager.first()
    if row is None:
        return False
    with transaction.atomic():
        if model.__name__ not in APPEND_ONLY:
            row.save_base(raw=True, force_update=True)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")  # what points to it stays meanwhile
            cursor.execute(f'DELETE FROM "{model._meta.db_table}" WHERE "{key(model)}" = %s', [row.pk])  # noqa: S608
            cursor.execute("SET LOCAL session_replication_role = origin")
        row.save_base(raw=True, force_insert=True)
        transaction.set_rollback(True)
    return True


def key(model: type[models.Model]) -> str:
    assert model._meta.pk is not None
    return str(model._meta.pk.column)


@pytest.fixture
def busy_shop(world: World, client: Client, drain: Callable[[], int]) -> Order:
    """A row of nearly everything: a purchase that was delivered, and somebody who has an account."""
    buyer = Client()
    order = buy(world, buyer, ProductFactory())
    report(world, client)
    call_command("sweep", stdout=StringIO())
    UserFactory()
    OrderFactory(state="paid", email="someone@example.com")
    return order


@pytest.mark.parametrize("app", APPS)
def test_f69_previous_release_works_on_the_schema_of_this_one(busy_shop: Order, app: str) -> None:
    tried = {model.__name__ for model in before_the_last_migration(app) if act_as(model)}
    assert tried >= BUSY[app]


# What the last migrations are most likely to change: without a row of these nothing would be tried.
BUSY = {
    "accounts": {"User"},
    "catalog": {"Product", "Edition", "File"},
    "orders": {"Order", "OrderLine", "TimelineEntry"},
    "fulfillment": {"StripeEvent", "Entitlement", "Delivery", "DeliveryAttempt"},
}


@pytest.mark.parametrize(
    "change, complaint",
    [
        ("ADD COLUMN forgotten integer NOT NULL DEFAULT 1; ALTER COLUMN forgotten DROP DEFAULT", IntegrityError),
        ("DROP COLUMN summary CASCADE", ProgrammingError),
        ("RENAME COLUMN summary TO blurb", ProgrammingError),
        ("ADD COLUMN new integer NULL", None),
        ("ADD COLUMN new integer NOT NULL DEFAULT 1", None),
    ],
)
def test_f69_change_that_would_stop_it_is_noticed(change: str, complaint: type[Exception] | None) -> None:
    """Does it bite? A column without a default, one that is gone or renamed."""
    ProductFactory()
    model = next(model for model in before_the_last_migration("catalog") if model.__name__ == "Product")
    with transaction.atomic():
        with connection.cursor() as cursor:
            for part in change.split("; "):
                cursor.execute(f'ALTER TABLE "{Product._meta.db_table}" {part}')
        if complaint:
            with pytest.raises(complaint), transaction.atomic():
                act_as(model)
        else:
            assert act_as(model)
        transaction.set_rollback(True)


def test_every_app_of_ours_is_tried() -> None:
    assert set(APPS) == {path.parents[1].name for path in ROOT.glob("*/migrations/__init__.py")}
