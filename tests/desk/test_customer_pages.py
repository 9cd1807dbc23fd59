"""The admin's pages about customers: found by address; what they own, paid and downloaded, by their library's rule."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.mail_choices import choose
from accounts.models import SignIn, User
from fulfillment import customers, library
from fulfillment.access import Actor
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download, Entitlement
from fulfillment.sweep import sweep
from orders.models import Order, new_nobody
from sandbox.world.server import World
from tests.desk.test_who_may import dump
from tests.factories import OrderFactory, ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

LIST = "/admin/fulfillment/customer/"
ANN = "ann+books@example.com"


def bought(name: str = "", *, email: str = ANN, user: User | None = None, **fields: Any) -> Order:
    product = ProductFactory(name=name) if name else ProductFactory()
    fields.setdefault("state", Order.State.PAID)
    order: Order = OrderFactory(product=product, email=email, user=user, **fields)
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, user=user, email="" if user else email)
    return order


def page(client: Client, email: str = ANN, **query: Any) -> Any:
    answer = client.get(f"{LIST}person/", {"email": email, **query})
    assert answer.status_code == 200
    return answer


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def found(client: Client, words: str) -> list[str]:
    return [email for email, _known, _address in client.get(LIST, {"q": words}).context["found"]]


def test_customers_are_found_by_how_an_address_begins(desk: Client, owner: User) -> None:
    bought()
    bought("Splices")
    bought(email="anna@example.com")
    bought(email=new_nobody())
    UserFactory(email="annabel@example.com")
    other = UserFactory(email="bob@example.com")
    EmailAddress.objects.create(user=other, email="anne@example.org", verified=True)
    assert found(desk, "ANN") == [ANN, "anna@example.com", "annabel@example.com", "anne@example.org"]
    assert found(desk, f" {ANN} ") == [ANN]
    for words in ("an%", "nn+", "erased-", "a_n", "\x00", "zzz"):
        assert found(desk, words) in ([], found(desk, "")), words
    assert "Type at least 3 letters." in text_of(desk.get(LIST, {"q": "an"}))


def test_list_begins_with_who_bought_last(desk: Client) -> None:
    for email in (ANN, "bob@example.com", ANN, "open@example.com", new_nobody()):
        bought(email=email)
    Order.objects.filter(email="open@example.com").update(state="open")
    assert found(desk, "") == [ANN, "bob@example.com"]
    assert f'href="{LIST}person/?email=ann%2Bbooks%40example.com"' in text_of(desk.get(LIST))


def test_more_than_fit_are_said_to_be_there(desk: Client) -> None:
    for number in range(customers.FOUND + 1):
        OrderFactory(email=f"many{number:02}@example.com")
    assert len(found(desk, "many")) == customers.FOUND
    assert "There may be more" in text_of(desk.get(LIST, {"q": "many"}))


def test_letters_of_an_address_are_found_by_their_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    letters = Delivery.objects.filter(order=None, recipient__in=[ANN]).order_by("-pk")
    assert "delivery_letters_to" in letters.explain()


def test_guest_is_shown_with_what_the_address_bought(desk: Client) -> None:
    order = bought("Knots", total=1250)
    bought("Theirs", email="bob@example.com")
    answer = page(desk, email=" ANN+books@Example.com ")
    text = text_of(answer)
    assert [right.product.name for right in answer.context["rights"]] == ["Knots"]
    assert [one.pk for one in answer.context["orders"]] == [order.pk]
    assert answer.context["person"].user is None
    for shown in ("none: a guest", "can read 1 product", "$12.50", "by 1 order", f"manage.py erase {ANN}"):
        assert shown in text, shown
    assert "Theirs" not in text


def test_account_is_shown_with_all_that_its_proven_addresses_bought(desk: Client) -> None:
    ann = UserFactory(email=ANN)
    EmailAddress.objects.create(user=ann, email="work@example.org", verified=True)
    EmailAddress.objects.create(user=ann, email="notmine@example.org", verified=False)
    SignIn.objects.create(user=ann)
    bought("Knots", user=ann)
    bought("Splices", email="work@example.org")
    bought("Bends", email="notmine@example.org")
    for email in (ANN, "work@example.org"):
        answer = page(desk, email=email)
        names = {right.product.name for right in answer.context["rights"]}
        assert names == {"Knots", "Splices"} == {item.product.name for item in library.items(Actor(user=ann))}
        assert len(answer.context["orders"]) == 2
        assert answer.context["person"].emails == (ANN, "work@example.org")
        assert f"/admin/accounts/user/{ann.pk}/change/" in text_of(answer)
    assert page(desk, email="notmine@example.org").context["person"].user is None


def test_address_that_an_account_has_not_proven_is_a_guests(desk: Client) -> None:
    UserFactory(email=ANN, proven=False)
    bought()
    text = text_of(page(desk))
    assert "has not proven that the mailbox is its own" in text
    assert "none: a guest" in text


def test_address_given_for_orders_of_an_account_leads_there(desk: Client) -> None:
    bought(email=ANN, user=UserFactory(email="bob@example.com"))
    answer = page(desk)
    assert (answer.context["orders"], answer.context["rights"]) == ([], [])
    assert f'<a href="{LIST}person/?email=bob%40example.com">bob@example.com</a>' in text_of(answer)


def test_sums_are_paid_less_refunded_for_each_currency(desk: Client) -> None:
    bought(total=1250)
    bought(total=1000, refunded=400)
    bought(total=500, currency="eur")
    bought(total=9900, state="open", paid_at=None)
    bought(total=700, livemode=True)
    sums = page(desk).context["paid"]
    assert [(one.orders, one.paid, one.refunded, one.kept, one.is_of_other_mode) for one in sums] == [
        (1, "$7.00", "", "$7.00", True),
        (1, "€5.00", "", "€5.00", False),
        (2, "$22.50", "$4.00", "$18.50", False),
    ]


def test_right_that_ended_says_why(desk: Client) -> None:
    bought("Knots")
    Entitlement.objects.update(state="revoked", reason="refunded")
    bought("Splices")
    Entitlement.objects.filter(product__name="Splices").update(valid_until=datetime(2020, 1, 2, tzinfo=UTC))
    text = text_of(page(desk))
    assert "Revoked (refunded)" in text.replace("Refunded", "refunded")
    assert "(ended on 2020-01-02)" in text
    assert "can read 0 products" in text


def test_mails_and_downloads_are_theirs(desk: Client) -> None:
    order = bought()
    theirs = [
        Delivery.objects.create(order=order, kind="order", recipient="typo@example.com"),
        Delivery.objects.create(kind="lost", recipient=ANN, about="L" * 16),
    ]
    other = bought("Other", email="bob@example.com")
    Delivery.objects.create(order=other, kind="order", recipient="bob@example.com")
    right = order.lines.get().entitlement
    for one, via in ((right, "link"), (Entitlement.objects.get(product__name="Other"), "library")):
        file = one.product.editions.get().files.get()
        Download.objects.create(entitlement=one, file=file, via=via, address="192.0.2.7")
    answer = page(desk)
    assert answer.context["mails"] == theirs[::-1]
    assert [one.via for one in answer.context["downloads"]] == ["link"]
    assert "192.0.2.7" in text_of(answer)


def test_older_orders_are_a_page_further(desk: Client) -> None:
    made = [OrderFactory(email=ANN, product=ProductFactory()) for _ in range(customers.ROWS + 2)]
    first = page(desk)
    assert [one.pk for one in first.context["orders"]] == [one.pk for one in made[:1:-1]]
    link = re.search(r'href="(\?email=[^"]+before=\d+)"', first.content.decode())
    assert link
    second = desk.get(f"{LIST}person/{link[1].replace('&amp;', '&')}")
    assert [one.pk for one in second.context["orders"]] == [made[1].pk, made[0].pk]
    assert second.context["older"] == ""
    for odd in ("x", "-1", "٣", "9" * 30, ""):
        assert len(page(desk, before=odd).context["orders"]) == customers.ROWS, odd


def test_refused_news_are_told(desk: Client) -> None:
    bought()
    assert "not refused" in text_of(page(desk))
    choose(ANN, new_editions=False)
    assert f"not wanted by {ANN}" in text_of(page(desk))


@pytest.mark.parametrize("email", ["", "nobody", "a@b@example.com", "\x00@example.com"])
def test_what_is_no_address_is_404(desk: Client, email: str) -> None:
    for name in ("person", "mail"):
        assert desk.get(f"{LIST}{name}/", {"email": email}).status_code == 404


def test_unknown_address_is_an_empty_page(desk: Client) -> None:
    text = text_of(page(desk, email="nobody@example.com"))
    assert ("Nothing yet." in text, "none: a guest" in text) == (True, True)


def test_rows_that_somebody_may_not_see_are_not_shown(person_who: Callable[..., Client]) -> None:
    bought()
    context = page(person_who("view_customer")).context
    assert not {"orders", "paid", "rights", "downloads", "mails"} & context.keys()
    assert context["acts"] == []
    assert "rights" not in page(person_who("view_customer", "view_download")).context


def test_everything_bought_is_mailed_with_who_and_why(desk: Client, owner: User, smtp: World) -> None:
    order = bought()
    assert f"{LIST}mail/?email=ann%2Bbooks%40example.com" in text_of(page(desk))
    before = dump()
    form = desk.get(f"{LIST}mail/", {"email": ANN})
    assert list(desk.post(f"{LIST}mail/?email=ann%2Bbooks%40example.com", {}).context["form"].errors) == ["reason"]
    assert (form.status_code, dump()) == (200, before)
    answer = desk.post(f"{LIST}mail/?email=ann%2Bbooks%40example.com", {"reason": f"{ANN} called"})
    assert (answer.status_code, answer["Location"]) == (303, f"{LIST}person/?email=ann%2Bbooks%40example.com")
    assert sweep().mails == 1
    assert order.reference in smtp.mails(to=ANN)[0]["text"]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (owner, Delivery.objects.get().about)
    assert entry.get_change_message() == "everything bought mailed to its address: a…@example.com called"


def test_page_asks_as_often_however_much_there_is(desk: Client) -> None:
    ann = UserFactory(email=ANN)
    Delivery.objects.create(order=bought(user=ann), kind="order", recipient=ANN)  # no mail, no question about its notes
    numbers = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            page(desk)
        numbers.append(len(queries))
        for _row in range(5):
            order = bought(user=ann)
            right = Entitlement.objects.get(order_line__order=order)
            Delivery.objects.create(order=order, kind="order", recipient=ANN)
            Download.objects.create(entitlement=right, file=right.product.editions.get().files.get(), via="library")
    assert numbers[0] == numbers[1] <= 25


def test_looking_changes_nothing(desk: Client) -> None:
    bought(user=UserFactory(email=ANN))
    before = dump()
    for address in (LIST, f"{LIST}?q=ann", f"{LIST}person/?email={ANN.replace('+', '%2B')}"):
        assert desk.get(address).status_code == 200
    assert dump() == before


def test_account_leads_to_the_customer(desk: Client, person_who: Callable[..., Client]) -> None:
    ann = UserFactory(email=ANN)
    address = f"/admin/accounts/user/{ann.pk}/change/"
    link = f'<a href="{LIST}person/?email=ann%2Bbooks%40example.com">{ANN}</a>'
    assert link in desk.get(address).content.decode()
    assert link not in person_who("view_user").get(address).content.decode()
