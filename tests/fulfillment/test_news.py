"""News of editions: every owner of an earlier one hears of it once, in a mail that can be stopped."""

import os
import re
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import mail_choices
from catalog.models import Edition, Product
from fulfillment import news, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from fulfillment.news_models import Announcement, News
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.factories import FileFactory, OrderFactory, ProductFactory, UserFactory
from tests.scripted_smtp import HANG_UP, scripted_server
from tests.steps import GUEST

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(settings: Settings) -> None:
    settings.NEWS_WAIT_MINUTES = 0


@pytest.fixture
def book() -> Product:
    product: Product = ProductFactory(name="The Quiet Sky")
    return product


def own(product: Product, email: str = GUEST, **fields: object) -> Entitlement:
    order = OrderFactory(product=product, email=email, state=Order.State.PAID, user=fields.pop("user", None))
    holder = {"user": order.user} if order.user else {"email": email}
    return Entitlement.objects.create(order_line=order.lines.get(), product=product, **holder, **fields)


def update(product: Product, number: int = 2, notes: str = "Maps are drawn anew.") -> Edition:
    edition = product.editions.create(number=number, notes=notes)
    FileFactory(edition=edition)
    return edition


def told() -> list[str]:
    return sorted(News.objects.values_list("email", flat=True))


def test_owner_gets_one_mail_that_says_what_changed_and_opens_the_new_edition(
    smtp: World, client: Client, book: Product
) -> None:
    own(book)
    edition = update(book)
    assert news.tell(edition, by=None) is True
    assert news.tell(edition, by=None) is False
    for _ in range(3):
        sweep()
    [received] = smtp.mails(to=GUEST)
    assert received["subject"] == "The Quiet Sky was updated: edition 2"
    for part in (received["text"], received["html"]):
        assert "Maps are drawn anew." in part
        assert "/mails/" in part
    [path] = re.findall(r"http://localhost(/links/\S+)", received["text"])
    assert "Edition 2" in client.get(path).content.decode()


def test_mail_can_be_stopped_with_one_click_and_that_is_kept_for_ever(
    smtp: World, client: Client, book: Product
) -> None:
    own(book)
    news.tell(update(book), by=None)
    sweep()
    headers = dict(smtp.mails(to=GUEST)[0]["headers"])
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = re.fullmatch(r"<http://localhost(/mails/[^>]+)>", "".join(headers["List-Unsubscribe"].split()))
    assert address
    client.post(address[1], {"List-Unsubscribe": "One-Click"})
    news.tell(update(book, 3), by=None)
    sweep()
    assert len(smtp.mails(to=GUEST)) == 1
    assert News.objects.filter(edition__number=3).count() == 0


def test_who_stops_the_mails_while_one_waits_gets_none(smtp: World, book: Product) -> None:
    own(book)
    news.tell(update(book), by=None)
    news.go_on()
    news.write_letters()
    mail_choices.choose(GUEST, new_editions=False)
    assert sweep().mails == 0
    assert Delivery.objects.get().state == "withdrawn"
    assert smtp.mails() == []


def test_mails_about_orders_cannot_be_stopped(smtp: World, book: Product) -> None:
    mail_choices.choose(GUEST, new_editions=False)
    right = own(book)
    Delivery.objects.create(order=right.order_line.order, kind="order", recipient=GUEST)
    sweep()
    [received] = smtp.mails(to=GUEST)
    assert "List-Unsubscribe" not in dict(received["headers"])


def test_only_live_owners_of_an_earlier_edition_are_told(book: Product) -> None:
    own(book, "guest@example.com")
    own(book, "guest@example.com")  # bought twice
    own(book, "old@example.com", user=UserFactory(email="account@example.com"))
    own(book, "x@example.com", user=UserFactory(email="blocked@example.com", is_active=False))
    own(book, "refunded@example.com", state="revoked", reason="refunded")
    own(book, "disputed@example.com", state="suspended", reason="disputed")
    own(book, "lapsed@example.com", valid_until=timezone.now())
    own(ProductFactory(), "another.book@example.com")
    edition = update(book)
    newer = own(book, "has.it@example.com")
    newer.order_line.edition = edition
    newer.order_line.save()
    news.tell(edition, by=None)
    news.go_on()
    assert told() == ["account@example.com", "guest@example.com"]


def test_account_is_led_to_its_library_and_gets_no_link(smtp: World, book: Product) -> None:
    own(book, "typed@example.com", user=UserFactory(email="account@example.com"))
    news.tell(update(book), by=None)
    sweep()
    [received] = smtp.mails()
    assert received["to"] == ["account@example.com"]
    assert "http://localhost/library/" in received["text"]
    assert "/links/" not in received["text"]


def test_several_editions_of_one_hour_come_in_one_mail(smtp: World, settings: Settings, book: Product) -> None:
    settings.NEWS_WAIT_MINUTES = 60
    other = ProductFactory(name="Slow Bread")
    own(book)
    own(other)
    for product in (book, other):
        news.tell(update(product), by=None)
        sweep()
    assert smtp.mails() == []
    News.objects.filter(edition__product=book).update(due_at=Now())
    sweep()
    sweep()
    [received] = smtp.mails(to=GUEST)
    assert received["subject"] == "2 things you own were updated"
    assert "The Quiet Sky, edition 2" in received["text"]
    assert "Slow Bread, edition 2" in received["text"]


def test_edition_that_is_taken_back_meanwhile_is_not_told(smtp: World, book: Product) -> None:
    own(book)
    edition = update(book)
    news.tell(edition, by=None)
    news.go_on()
    Edition.objects.filter(pk=edition.pk).update(published_at=None)
    sweep()
    assert smtp.mails() == []
    assert Delivery.objects.get().state == "withdrawn"


def test_access_that_ends_meanwhile_takes_the_news_along(smtp: World, book: Product) -> None:
    own(book)
    news.tell(update(book), by=None)
    news.go_on()
    Entitlement.objects.update(state="revoked", reason="refunded")
    sweep()
    assert smtp.mails() == []


def test_owners_are_found_in_batches_each_of_the_same_cost(
    book: Product, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(news, "BATCH", 3)
    for number in range(7):
        own(book, f"r{number}@example.com")
    edition = update(book)
    news.tell(edition, by=None)
    row = Announcement.objects.get()
    for found in (3, 6):
        with django_assert_num_queries(7):
            assert news._find_some(row.pk) is True
        assert len(told()) == found
    assert news._find_some(row.pk) is True
    assert news._find_some(row.pk) is False
    assert told() == [f"r{number}@example.com" for number in range(7)]
    row.refresh_from_db()
    assert row.done_at is not None
    assert news.due() == []


def test_few_letters_wait_at_a_time_so_that_orders_do_not(
    smtp: World, book: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "LETTERS", 5)
    for number in range(12):
        own(book, f"r{number:02}@example.com")
    news.tell(update(book), by=None)
    news.go_on()
    assert [news.write_letters(), news.write_letters()] == [5, 0]
    order = own(ProductFactory(), "buyer@example.com").order_line.order
    Delivery.objects.create(order=order, kind="order", recipient="buyer@example.com")
    sweep()
    assert [one["to"] for one in smtp.mails()] == [["buyer@example.com"]]
    for _ in range(4):
        sweep()
    assert sorted(one["to"][0] for one in smtp.mails())[1:] == [f"r{number:02}@example.com" for number in range(12)]


@pytest.mark.django_db(transaction=True)
def test_worker_tells_all_owners_without_a_sweep(smtp: World, book: Product, drain: Callable[[], int]) -> None:
    for number in range(20):
        own(book, f"r{number:02}@example.com")
    news.tell(update(book), by=None)
    drain()
    sweep()  # the letters are written by whoever looks for mails next
    drain()
    assert sorted(one["to"][0] for one in smtp.mails()) == [f"r{number:02}@example.com" for number in range(20)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", range(1, 10))
def test_i2_killed_at_any_statement_nobody_is_lost_and_nobody_told_twice(
    smtp: World, book: Product, statement: int
) -> None:
    """A process that writes owners and letters down dies by SIGKILL; the next one goes on."""
    for number in range(4):
        own(book, f"r{number}@example.com")
    news.tell(update(book), by=None)
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # a child must not speak on its parent's connections
    if (child := os.fork()) == 0:
        _die_before(statement)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    for _ in range(3):
        sweep()
    assert sorted(one["to"][0] for one in smtp.mails()) == [f"r{number}@example.com" for number in range(4)]
    assert Delivery.objects.filter(kind="news").count() == 4


def _die_before(statement: int) -> None:
    seen = 0

    def count(execute: Callable[..., object], *args: object) -> object:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*args)

    try:
        with connection.execute_wrapper(count):
            news.find_owners(news.due()[0])
            news.write_letters()
    finally:
        os.kill(os.getpid(), signal.SIGKILL)


def test_f28_letter_that_breaks_before_its_text_is_tried_again_and_sent_once(
    smtp: World, settings: Settings, book: Product
) -> None:
    own(book)
    news.tell(update(book), by=None)
    news.go_on()
    news.write_letters()
    letter = Delivery.objects.get()
    with scripted_server(DATA=HANG_UP) as server:
        settings.EMAIL_PORT = server.port
        assert outbox.send(letter.pk) is False
    settings.EMAIL_PORT = smtp.smtp_port
    Delivery.objects.update(next_attempt_at=Now())
    assert outbox.send(letter.pk) is True
    assert outbox.send(letter.pk) is False
    assert len(smtp.mails(to=GUEST)) == 1


def test_edition_tells_an_address_once_and_is_announced_once(book: Product) -> None:
    edition = update(book)
    News.objects.create(edition=edition, email=GUEST, due_at=timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        News.objects.create(edition=edition, email=GUEST, due_at=timezone.now())
    Announcement.objects.create(edition=edition, mail_at=timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        Announcement.objects.create(edition=edition, mail_at=timezone.now())


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "lost", "about": ""},
        {"kind": "order", "about": "X"},
        {"kind": "news", "about": "X", "with_order": True},
    ],
)
def test_mail_belongs_to_an_order_or_to_an_address(wrong: dict[str, object], book: Product) -> None:
    order = own(book).order_line.order if wrong.pop("with_order", False) else None
    with pytest.raises(IntegrityError, match="delivery_of_order_or_letter"), transaction.atomic():
        Delivery.objects.create(order=order, recipient=GUEST, **wrong)


def test_waiting_news_raise_no_alarm(smtp: World, settings: Settings, client: Client, book: Product) -> None:
    """They wait on purpose: no mail is late before it is written."""
    settings.NEWS_WAIT_MINUTES = 60
    own(book)
    news.tell(update(book), by=None)
    Announcement.objects.update(asked_at=timezone.now() - timedelta(minutes=30))
    sweep()
    assert client.get("/readyz").json()["oldest_delivery_seconds"] == 0
