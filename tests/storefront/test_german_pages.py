"""The catalog's search, the library, the account and the letters are German throughout for whoever reads German."""

import json
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import mail_choices
from accounts.models import User
from catalog.models import File, Product
from catalog.sample_models import Sample
from fulfillment import links
from fulfillment.delivery_models import Delivery
from fulfillment.mails import compose
from fulfillment.models import Download, Entitlement
from fulfillment.news_models import News
from fulfillment.visits import LibraryVisit
from orders.billing_models import Billing
from orders.models import Order
from tests.factories import EditionFactory, FileFactory, OrderFactory, TagFactory, UserFactory
from tests.fulfillment.test_links import hours_ago
from tests.storefront.test_language import GERMAN, assert_german, german_book, left_over, sold

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_rate_limits")]

READER, PASSWORD = "leser@example.de", "ein gutes langes Passwort"


@pytest.fixture
def german() -> Client:
    return Client(headers={**GERMAN, "user-agent": "Firefox/140 Linux"})


@pytest.fixture
def reader(german: Client) -> User:
    """Signed in with a password, and just now seen to have their passkey: nothing asks for a second look."""
    user: User = UserFactory(email=READER, password=PASSWORD)
    assert german.post("/accounts/login/", {"login": READER, "password": PASSWORD}).status_code == 302
    session = german.session
    session[AUTHENTICATION_METHODS_SESSION_KEY].append({"method": "mfa", "at": time.time(), "reauthenticated": True})
    session.save()
    return user


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, path
    return assert_german(answer.content.decode())


@pytest.mark.parametrize(
    "query",
    [
        "?q=stille", "?q=nirgendwo", "?q=stile", "?q=nirgendwo&free=1&type=audio", "?sort=price", "?sort=best",
        "?least=5&most=20", "?least=viel", "?tag=leise", "?category=kunst&tag=leise", "?currency=usd", "?type=pdf",
        "?after=x",
    ],
)  # fmt: skip
def test_catalog_answers_in_german_whatever_is_asked(german: Client, query: str) -> None:
    german_book(slug="stille").tags.add(TagFactory(name="leise", slug="leise"))
    german_book("Umsonst", slug="umsonst", price=0)
    german_book("Ferne", slug="ferne", currency="eur")
    page(german, f"/{query}")


def look_inside(product: Product) -> None:
    """Two pages that anybody may see, and a table of contents that folds."""
    sample = Sample.objects.create(
        product=product,
        edition=product.editions.get(),
        state=Sample.State.MADE,
        made_at=timezone.now(),
        pdf_size=1_234_567,
    )
    for number in (1, 2):
        sample.pages.create(number=number, height=1200)
    outline = [{"title": f"Kapitel {number}", "page": number, "level": 0} for number in range(1, 60)]
    File.objects.filter(edition__product=product).update(outline=outline, pages=99)


def test_look_inside_is_german_throughout(german: Client) -> None:
    look_inside(german_book(slug="stille"))
    text = page(german, "/products/stille/")
    assert "Ein Blick hinein" in text
    assert "Leseprobe herunterladen (PDF, 1,2 MB)" in text
    assert "Seite 2 von Stille" in text
    assert "weitere Einträge" in text


def test_feed_is_german_throughout(german: Client) -> None:
    german_book(slug="stille").categories.get()
    for path in ("/feed/", "/feed/kunst/"):
        assert left_over(german.get(path).content.decode().partition("<entry>")[0].replace('href="', "")) == []


@pytest.mark.parametrize("query", ["", "?q=wellen", "?q=nirgendwo", "?sort=updated", "?sort=title", "?page=2"])
def test_library_is_german_throughout(german: Client, reader: User, query: str) -> None:
    """So many that it has pages and a search, one with a second file, and news since the last visit."""
    old = timezone.now() - timedelta(days=9)
    for number in range(30):
        book = german_book(f"Wellen {number}")
        order = OrderFactory(product=book, user=reader, email=READER, state=Order.State.PAID)
        Entitlement.objects.create(order_line=order.lines.get(), product=book, user=reader)
    FileFactory(edition=EditionFactory(product=book, number=2, notes="Neue Karten."), name="Wellen.pdf")
    FileFactory(edition=book.editions.get(number=2), name="Karten.zip", media_type="application/zip")
    LibraryVisit.objects.create(user=reader, last_at=old + timedelta(hours=1))
    text = page(german, f"/library/{query}")
    assert "30 Titel sind neu, seit Sie am" in text


def test_empty_library_is_german(german: Client, reader: User) -> None:
    page(german, "/library/")


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/", "/accounts/sessions/", "/accounts/2fa/",
        "/accounts/2fa/webauthn/keys/{key}/edit/", "/accounts/2fa/webauthn/keys/{key}/remove/", "/accounts/data/",
        "/accounts/erase/", "/accounts/mails/", "/accounts/confirm/", "/accounts/password/change/",
        "/accounts/email/", "/accounts/reauthenticate/",
        "/orders/{order}/receipt/", "/orders/{order}/details/",
    ],
)  # fmt: skip
def test_page_of_the_account_is_german_throughout(german: Client, reader: User, path: str) -> None:
    order = sold(reader, stripe_payment_intent_id="pi_1", refunded=500)
    Billing.objects.create(order=order, name="Lese GmbH", vat_number="DE123")
    key = Authenticator.objects.create(
        user=reader, type="webauthn", data={"name": "Telefon", "credential": {}}, last_used_at=timezone.now()
    )
    Client(headers={"user-agent": ""}).force_login(reader)
    page(german, path.format(order=order.reference, key=key.pk))


def test_second_look_by_code_is_german_throughout(german: Client, reader: User) -> None:
    assert_german(german.post("/accounts/confirm/").content.decode())
    assert_german(german.post("/accounts/confirm/", {"code": "falsch"}).content.decode())
    assert left_over(f"{mail.outbox[-1].subject} {mail.outbox[-1].body}") == []


def test_erasing_is_told_in_german(german: Client, reader: User) -> None:
    assert_german(german.post("/accounts/erase/", {"email": "andere@example.de"}).content.decode())
    answer = german.post("/accounts/erase/", {"email": READER}, follow=True)
    assert "Ihr Konto ist gelöscht" in assert_german(answer.content.decode())
    assert left_over(f"{mail.outbox[-1].subject} {mail.outbox[-1].body}") == []


def test_account_that_cannot_be_erased_yet_says_so_in_german(german: Client, reader: User) -> None:
    OrderFactory(user=reader, email=READER, state=Order.State.PROCESSING)
    page(german, "/accounts/erase/")


@pytest.mark.parametrize("path", ["/lost/", "/lost/?sent=1", "/accounts/login/", "/checkout/done/"])
def test_page_for_who_lost_a_link_is_german_throughout(german: Client, path: str) -> None:
    page(german, path)


@pytest.mark.parametrize("why", ["expired", "sent", "voided", "ended"])
def test_link_that_opens_nothing_says_so_in_german(german: Client, why: str) -> None:
    order = sold(UserFactory(email=READER))
    with hours_ago(49 if why in {"expired", "sent"} else 0):
        path = f"/links/{links.token(order)}/"
    if why == "voided":
        links.void(order)
    if why == "ended":
        Entitlement.objects.update(state="revoked", reason="refunded")
    if why == "sent":
        assert_german(german.post(f"{path}fresh/", follow=True).content.decode())
    assert_german(german.get(path).content.decode())


def test_choice_of_mails_is_german_throughout(german: Client) -> None:
    path = urlsplit(mail_choices.address(READER)).path
    page(german, path)
    page(german, "/mails/x/", 404)
    for choice in ("off", "on"):
        assert_german(german.post(path, {"new_editions": choice}, follow=True).content.decode())


def test_timeline_of_an_order_is_german_throughout(german: Client, reader: User) -> None:
    order = sold(reader, refunded=500)
    right = Entitlement.objects.get()
    for kind, detail in (
        ("refunded", "$5.00 of $12.50"), ("dispute", "Open"), ("dispute", "Won"), ("dispute", "Lost"),
        ("billing", "changed by the buyer"), ("mail", "address corrected: a…@x.de → b…@x.de"),
        ("state", "open → payment on its way"), ("state", "payment on its way → payment failed"),
    ):  # fmt: skip
        order.timeline.create(kind=kind, door="test", detail=detail)
    for kind in ("order", "link", "refund", "waiting"):
        state = {"state": "sent", "sent_at": timezone.now()}
        order.deliveries.create(kind=kind, about=kind, recipient=READER, **state)
    order.deliveries.create(kind="link", seq=2, recipient=READER, state="gave_up", next_attempt_at=timezone.now())
    Download.objects.create(entitlement=right, file=right.product.editions.get(number=1).files.get(), via="library")
    text = page(german, f"/orders/{order.reference}/")
    assert "5,00 $ von 12,50 $ wurden erstattet." in text
    assert "Von Wellen ist eine neue Ausgabe erschienen" in text


def letter(kind: str) -> Delivery:
    """Of somebody with an order in each state that a letter tells of."""
    user = UserFactory(email=READER)
    order = sold(user, language="de")
    states: list[dict[str, Any]] = [
        {"dispute": "open"},
        {"dispute": "lost"},
        {"refunded": 1250},
        {"state": "processing"},
        {},
    ]
    for number, fields in enumerate(states):
        book = german_book(f"Band {number}")
        OrderFactory(**{"product": book, "user": user, "email": READER, "state": Order.State.PAID, **fields})
    delivery: Delivery = Delivery.objects.create(kind=kind, recipient=READER, about=order.reference)
    for product in Product.objects.filter(entitlements__user=user):
        edition = product.editions.get(number=2)
        edition.notes = "Neue Karten."
        edition.save()
        News.objects.create(edition=edition, email=READER, due_at=timezone.now(), delivery=delivery)
    return delivery


@pytest.mark.parametrize("kind", Delivery.LETTERS)
def test_letter_is_german_throughout(kind: str) -> None:
    composed = compose(letter(kind))
    assert left_over(str(composed.subject)) == []
    assert left_over(str(composed.body)) == []
    assert_german(str(composed.alternatives[0][0]))
    assert '<html lang="de">' in str(composed.alternatives[0][0])


def test_what_a_form_answers_is_german(german: Client, reader: User) -> None:
    order = sold(reader)
    details = f"/orders/{order.reference}/details/"
    assert_german(german.post(details, {"address": "\n".join("1234567")}).content.decode())
    assert_german(german.post(details, {"name": "Lese GmbH"}, follow=True).content.decode())
    assert_german(german.post("/accounts/mails/", {"new_editions": READER}, follow=True).content.decode())
    assert_german(german.post("/accounts/sessions/others/end/", follow=True).content.decode())
    assert_german(german.post("/lost/", {"email": "niemand"}).content.decode())
    add = {"name": "x", "credential": json.dumps({"id": "AA"}), "passwordless": "on"}
    german.get("/accounts/2fa/webauthn/add/")
    assert_german(german.post("/accounts/2fa/webauthn/add/", add).content.decode())


def test_adding_a_passkey_is_german_throughout(german: Client, reader: User) -> None:
    assert "Passkey hinzufügen" in page(german, "/accounts/2fa/webauthn/add/")
