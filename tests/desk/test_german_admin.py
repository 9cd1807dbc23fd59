"""The admin speaks German to a German owner: what it calls things, what can be chosen, numbers and dates in forms."""

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.test import Client
from django.utils import translation

from catalog.models import Category, Edition, Product, Tag
from tests.catalog.test_admin import NO_PRICES
from tests.desk.test_roles import ADMIN_S, MODELS, name_of
from tests.factories import ProductFactory, UserFactory
from tests.storefront.addresses import Shop
from tests.storefront.test_language import ENGLISH

pytestmark = pytest.mark.django_db

OURS = ("accounts", "catalog", "orders", "fulfillment")
PAGES = ("changelist", "add", "change")
# But those of passkeys, which are allauth's own and for superusers alone.
WALKED = {"index", *(f"{model}_{page}" for model in MODELS for page in PAGES if model != "mfa_authenticator")}
# Said in German as well, or part of a name of Stripe's.
GERMAN_TOO = set(
    "name status text position session link links download downloads person audio video pdf epub in am agent api at "
    "checkout payment browser version via admin archive order so an da was die sha stripe zip e-mail bytes tag id hand "
    "shop"
    .split()
)  # fmt: skip
# Types of events, addresses, names of files; currencies, which Unicode names.
NO_WORDS = re.compile(r"\w+[._]\w\S*|\S+@\S+|https?://\S+|^[A-Z]{3} – .*")
VOID = set("area base br col embed hr img input link meta source track wbr".split())
LABELS = {"label", "legend", "summary", "option", "h1", "caption", "button"}


class Labels(HTMLParser):
    """What a page of the admin calls things by, without what it says of them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[bool] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "input" and known.get("type") == "submit":
            self.found.append(known.get("value", ""))
        if tag not in VOID:
            self.open.append(self._names(tag, known) or any(self.open[-1:]))

    def _names(self, tag: str, known: dict[str, str]) -> bool:
        classes = set(known.get("class", "").split())
        is_heading = tag in ("h2", "h3") and "fieldset-heading" in classes
        is_column = tag == "th" and "scope" in known
        return tag in LABELS or is_heading or is_column or "help" in classes or known.get("id") == "changelist-filter"

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self.open:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if any(self.open[-1:]) and data.strip():
            self.found.append(" ".join(data.split()))


def labels(page: str) -> list[str]:
    reader = Labels()
    reader.feed(page)
    return reader.found


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-zäöüß]+(?:-[a-zäöüß]+)*", NO_WORDS.sub(" ", text).lower()))


def english_words() -> set[str]:
    """Those that models, fields and choices are named by in the sources: a label that is missing would be made of
    them."""
    found = set(ENGLISH)
    with translation.override("en"):
        for app in OURS:
            for model in apps.get_app_config(app).get_models():
                found |= words(" ".join(_named(model)))
    return found - GERMAN_TOO


def _named(model: type[models.Model]) -> Iterator[str]:
    yield re.sub("([A-Z])", r" \1", model.__name__)
    yield f"{model._meta.verbose_name} {model._meta.verbose_name_plural}"
    for field in model._meta.get_fields():
        yield f"{field.name.replace('_', ' ')} {getattr(field, 'verbose_name', '')}"
        if isinstance(field, models.CharField) and field.name != "currency":
            yield from (str(label) for _value, label in field.flatchoices)


@pytest.fixture
def german(walked: Shop, roles_are_there: None) -> Client:
    """The owner's browser. The names of categories, tags, roles and permissions are rows, which nobody translates."""
    Category.objects.update(name="Kunst")
    Tag.objects.update(name="Papier")
    Group.objects.exclude(pk=Group.objects.earliest("pk").pk).delete()
    Group.objects.update(name="Inhaber")
    Permission.objects.all().delete()
    client = walked.client("owner")
    client.cookies["language"] = "de"
    return client


def test_nothing_is_called_by_an_english_name(walked: Shop, german: Client) -> None:
    english, left = english_words(), []
    rows = [address for address in ADMIN_S if name_of(address) in WALKED]
    assert {name_of(address) for address in rows} == WALKED
    for address in rows:
        answer = german.get(walked.path(address))
        assert answer.status_code in (200, 403)  # nobody adds what follows from facts
        found = labels(answer.content.decode()) if answer.status_code == 200 else []
        left += [f"{name_of(address)}: {label}" for label in found if words(label) & english]
    assert left == []


def test_reader_finds_labels_of_every_kind(walked: Shop) -> None:
    """Does it bite?"""
    client = walked.client("owner")
    found = labels(client.get("/admin/orders/order/").content.decode())
    assert {"Order number", "By state", "payment on its way", "Given by hand"} <= set(found)
    found = labels(client.get("/admin/catalog/product/add/").content.decode())
    assert {"Look inside", "Summary:", "Archived", "The last part of the address of the product’s page."} <= set(found)
    assert {"number", "attention", "dispute", "expired", "recipient"} <= english_words()


@pytest.mark.parametrize(
    "language, shown, typed, stored",
    [
        ("de", "5,53", "5,53", 553), ("de", "5,53", "6.50", 650), ("de", "5,53", "1.234,50", 123_450),
        ("en", "5.53", "5.53", 553), ("en", "5.53", "6,50", 650), ("en", "5.53", "1,234.50", 123_450),
    ],
)  # fmt: skip
def test_price_is_shown_and_taken_as_its_reader_writes_it(
    desk: Client, language: str, shown: str, typed: str, stored: int
) -> None:
    product = ProductFactory(price=553, currency="eur")
    desk.cookies["language"] = language
    page = f"/admin/catalog/product/{product.pk}/change/"
    form = desk.get(page).context["adminform"].form
    assert form["price"].value() == shown
    fields = ("name", "slug", "summary", "description", "currency", "status", "stamp")
    sent = {**NO_PRICES, **{name: form[name].value() for name in fields}, "price": typed}
    assert desk.post(page, sent).status_code == 302
    assert Product.objects.get().price == stored


def test_thousand_in_german_is_not_sold_for_one(desk: Client) -> None:
    desk.cookies["language"] = "de"
    answer = desk.post("/admin/catalog/product/add/", {**NO_PRICES, "price": "1.000", "currency": "eur"})
    assert answer.context["adminform"].form.errors["price"] == [
        "Schreiben Sie den Preis als einfache Zahl, zum Beispiel 12,50, oder 0 für kostenlos."
    ]


@pytest.mark.parametrize("typed", ["24.12.2026", "2026-12-24"])
def test_date_is_shown_as_germans_write_it_and_taken_both_ways(desk: Client, typed: str) -> None:
    edition = ProductFactory().editions.get()
    Edition.objects.update(published_at="2026-03-01T11:30:00Z")
    desk.cookies["language"] = "de"
    page = f"/admin/catalog/edition/{edition.pk}/change/"
    shown = str(desk.get(page).context["adminform"].form["published_at"])
    assert 'value="01.03.2026"' in shown
    assert desk.post(page, {"published_at_0": typed, "published_at_1": "18:00:00"}).status_code == 302
    assert f"{Edition.objects.get(pk=edition.pk).published_at:%Y-%m-%d}" == "2026-12-24"


def test_currency_is_named_in_german(desk: Client) -> None:
    desk.cookies["language"] = "de"
    assert "USD – US-Dollar" in labels(desk.get("/admin/catalog/product/add/").content.decode())


def test_account_that_has_no_password_says_so_in_german(desk: Client) -> None:
    user = UserFactory()
    user.set_unusable_password()
    user.save()
    desk.cookies["language"] = "de"
    page = desk.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
    assert "Die Person meldet sich mit einem Code an, der ihr per E-Mail zugeht." in labels(page)


def test_who_adds_a_user_is_asked_in_german(desk: Client) -> None:
    desk.cookies["language"] = "de"
    page = desk.get("/admin/accounts/user/add/").content.decode()
    assert "E-Mail-Adresse:" in labels(page)
    assert "mit einem Code" in " ".join(page.split())


def test_difference_is_explained_in_german(walked: Shop, german: Client) -> None:
    page = html.unescape(german.get("/admin/fulfillment/difference/").content.decode())
    assert "Bezahlt, keine E-Mail gesendet" in page
    assert "Der Käufer hat bezahlt, und keine E-Mail darüber wurde angenommen." in page
    assert "Das kann kein Befehl: Sehen Sie sich die Bestellung" in page
