"""What operators do with the books, what time does to them, and what a slip of the hand does."""

import json
import shlex
from datetime import timedelta
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import Client

from fulfillment.book_models import BooksCheck, Difference
from fulfillment.delivery_models import Delivery
from fulfillment.sweep import Swept, sweep_mail, sweep_money
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.steps import buy, report, states

SENT = ("paid", ["active"], ["sent"])
OLD = timedelta(minutes=5)


def manage(*arguments: str, code: int = 0) -> str:
    """Run a command; what it said. It must end with `code`."""
    out, ended = StringIO(), 0
    try:
        call_command(*arguments, stdout=out, stderr=out)
    except SystemExit as error:
        ended = int(str(error.code))
    assert ended == code, out.getvalue()
    return out.getvalue()


def books(*arguments: str, code: int = 0) -> str:
    return manage("books", *arguments, code=code)


def books_json(*arguments: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(books("--json", *arguments, code=code))
    return found


def run_its_command(line: str) -> None:
    """What the row tells to run, as typed."""
    program, script, *words = shlex.split(line)
    assert (program, script) == ("python", "manage.py")
    try:
        manage(*words)
    except AssertionError:  # `books --mend` ends with 1 while other rows are open
        if words[0] != "books":
            raise


def found() -> list[tuple[str, str]]:
    """What is open: kind and subject."""
    return list(Difference.objects.filter(resolved_at=None).order_by("pk").values_list("kind", "subject"))


def only_row() -> Difference:
    return Difference.objects.select_related("order").get(resolved_at=None)


def sold(world: World, **product: Any) -> Order:
    """An order that is paid, in the library, and mailed; some minutes ago."""
    order = buy(world, Client(), ProductFactory(**product))
    told(world, order)
    age(world)
    return order


def told(world: World, order: Order) -> None:
    report(world, Client(), "checkout.session.completed")
    work()
    assert states(order) == SENT


def work() -> None:
    """What the shop does by itself, but for drawing covers."""
    sweep_money(Swept())
    sweep_mail(Swept())


def age(world: World, by: timedelta = OLD) -> None:
    """Let this much time pass, at Stripe and here: what has happened so far was that much earlier."""
    seconds = int(by.total_seconds())
    store = world.account.store
    store.run("UPDATE objects SET created = created - ?", seconds)
    store.run(
        "UPDATE objects SET body = json_set(body, '$.created', json_extract(body, '$.created') - ?)"
        " WHERE json_extract(body, '$.created') IS NOT NULL",
        seconds,
    )
    Order.objects.update(created_at=F("created_at") - by, paid_at=F("paid_at") - by)
    Delivery.objects.update(created_at=F("created_at") - by)
    Difference.objects.update(first_seen=F("first_seen") - by, last_seen=F("last_seen") - by)
    BooksCheck.objects.update(began_at=F("began_at") - by)


def sql(statement: str, *values: Any) -> None:
    """What a slip of an operator's hand does to our rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.rowcount >= 1
