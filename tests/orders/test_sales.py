from typing import Any

import pytest
from pytest_django import Settings

from catalog.models import Product
from fulfillment import tasks
from orders import sales
from orders.models import Order, OrderLine
from tests.factories import OrderFactory, ProductFactory

pytestmark = pytest.mark.django_db


def sold(product: Product, **kwargs: Any) -> Order:
    order: Order = OrderFactory(product=product, **{"state": Order.State.PAID, **kwargs})
    return order


def counted() -> dict[str, int]:
    sales.count()
    return dict(Product.objects.values_list("name", "sales"))


def test_paid_orders_count_once_each_however_many_copies() -> None:
    often, once, never = (ProductFactory(name=name) for name in ("Often", "Once", "Never"))
    for _ in range(3):
        sold(often)
    sold(once)
    OrderLine.objects.filter(product=once).update(quantity=500)
    for state in (Order.State.OPEN, Order.State.PROCESSING, Order.State.FAILED, Order.State.EXPIRED):
        sold(never, state=state)
    assert counted() == {"Often": 3, "Once": 1, "Never": 0}


def test_what_was_given_back_or_free_does_not_count() -> None:
    whole, part, line, free = (ProductFactory(name=name) for name in ("Whole", "Part", "Line", "Free"))
    sold(whole, refunded=1250)
    sold(part, refunded=100)
    sold(line, total=5000, refunded=1250)
    OrderLine.objects.filter(product=line).update(refunded=1250)
    sold(free, total=0)
    assert counted() == {"Whole": 0, "Part": 1, "Line": 0, "Free": 0}


def test_counting_again_changes_nothing_and_follows_a_refund() -> None:
    order = sold(ProductFactory(name="Book"))
    assert (sales.count(), sales.count()) == (1, 0)
    Order.objects.filter(pk=order.pk).update(refunded=1250)
    assert counted() == {"Book": 0}


def test_counting_leaves_the_date_of_the_last_change_alone() -> None:
    product = ProductFactory()
    sold(product)
    sales.count()
    assert Product.objects.get().updated_at == product.updated_at


def test_beat_counts(settings: Settings) -> None:
    entry = settings.CELERY_BEAT_SCHEDULE["count sales"]
    sold(ProductFactory())
    assert entry["task"] == tasks.count_sales.name
    tasks.count_sales()
    assert Product.objects.get().sales == 1
