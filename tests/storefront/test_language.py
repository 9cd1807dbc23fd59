"""Pages speak the reader's language, by the browser's settings or the switch in the footer, and say so to caches."""

import html
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import timezone, translation
from django.views import defaults

from accounts.models import User
from catalog.models import Category, Product
from fulfillment import links
from fulfillment.delivery_models import Delivery
from fulfillment.mails import compose
from fulfillment.models import Entitlement
from orders.models import Order
from tests.factories import CategoryFactory, EditionFactory, FileFactory, OrderFactory, ProductFactory, UserFactory
from tests.steps import body_of
from tests.storefront.addresses import every_address, shop
from tests.translations import messages, written

pytestmark = pytest.mark.django_db

GERMAN = {"accept-language": "de-DE,de;q=0.9,en;q=0.8"}
TAG = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.DOTALL)
SAID_BY_ATTRIBUTE = re.compile(r'\b(?:aria-label|alt|title|placeholder|content)="([^"]*)"')
GERMAN_TOO = {"Download", "Tag"}  # the noun, and the day
NO_WORDS = re.compile(r"https?://\S+|/links/\S+|\S+@\S+|\b[2-9A-Z]{16}\b")  # addresses, tokens and order numbers
MARKUP = {"product", "link"}  # what pages and feeds say to programs
# Words that no German sentence has, and hardly any English one can do without.
ENGLISH = set("the your you and of with this that are for from have we it to is not or please".split())


@pytest.fixture
def german() -> Client:
    return Client(headers=GERMAN)


def german_book(name: str = "Stille", **fields: Any) -> Product:
    book: Product = ProductFactory(name=name, summary="Ein Buch.", description="Ganz **leise**.", **fields)
    book.categories.add(Category.objects.get_or_create(name="Kunst", slug="kunst")[0])
    return book


def said(page: str) -> str:
    """All that a reader sees or hears of a page, in one line."""
    heard = SAID_BY_ATTRIBUTE.findall(page)
    return " ".join(html.unescape(" ".join([TAG.sub(" ", page), *heard])).split())


@cache
def english_strings() -> re.Pattern[str]:
    """Every string of the catalog without a gap in it, unless it reads the same in German."""
    found = {str(one.id) for one in messages(written("de")) if one.id != one.string and not one.python_format}
    either = "|".join(sorted(map(re.escape, found - GERMAN_TOO - MARKUP), key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:{either})(?![\w-])")


def left_over(text: str) -> list[str]:
    """What of a German text is English: strings of the catalog in their own words, and words that give it away."""
    text = NO_WORDS.sub(" ", text)
    return [*english_strings().findall(text), *(set(re.findall(r"[a-z]+", text.lower())) & ENGLISH)]


def assert_german(page: str) -> str:
    text = said(page)
    assert left_over(text) == [], text
    return text


@pytest.mark.parametrize(
    "path",
    [
        "/", "/?category=kunst", "/products/stille/", "/products/umsonst/", "/accounts/login/",
        "/accounts/signup/", "/accounts/login/code/", "/accounts/password/reset/", "/accounts/password/reset/done/",
        "/accounts/password/reset/complete/done/", "/accounts/inactive/", "/checkout/done/", "/checkout/cancelled/",
        "/checkout/cancelled/?product=stille", "/links/nonsense/", "/nowhere/",
    ],
)  # fmt: skip
def test_page_for_anybody_is_german_throughout(german: Client, path: str) -> None:
    german_book(slug="stille")
    german_book("Umsonst", slug="umsonst", price=0)
    answer = german.get(path)
    if answer.status_code != 302:
        assert_german(answer.content.decode())
        assert (answer["Content-Language"], '<html lang="de"' in answer.content.decode()) == ("de", True)
        assert {"Accept-Language", "Cookie"} <= set(answer["Vary"].split(", "))


def sold(user: User, **fields: Any) -> Order:
    """A paid order of a German book with an older edition, and the access to it."""
    book = german_book("Wellen")
    order: Order = OrderFactory(
        product=book, user=user, email=user.email, state=Order.State.PAID, stripe_session_id="cs_test_1", **fields
    )
    FileFactory(edition=EditionFactory(product=book, number=2), name="Wellen.pdf", pages=1, size=1_234_567)
    Entitlement.objects.create(order_line=order.lines.get(), product=book, user=user)
    return order


@pytest.mark.parametrize(
    "path",
    ["/library/", "/orders/", "/orders/{}/", "/checkout/done/?session_id=cs_test_1", "/accounts/email/",
     "/accounts/password/set/", "/accounts/logout/", "/links/{link}/"],
)  # fmt: skip
def test_page_of_a_buyer_is_german_throughout(german: Client, path: str) -> None:
    user = UserFactory(email="leser@example.de")
    order = sold(user)
    german.force_login(user)
    answer = german.get(path.format(order.reference, link=links.token(order)))
    assert answer.status_code == 200
    assert_german(answer.content.decode())


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "processing"}, {"state": "failed"}, {"state": "expired"}, {"state": "open"}, {"refunded": 1250},
        {"refunded": 50}, {"dispute": "open"}, {"dispute": "lost"}, {"attention": "Zahlung unklar"},
    ],
    ids=str,
)  # fmt: skip
def test_order_is_told_in_german_however_it_stands(german: Client, changes: dict[str, Any]) -> None:
    user = UserFactory(email="leser@example.de")
    order = sold(user, asked_at=timezone.now())
    Order.objects.filter(pk=order.pk).update(**changes)
    german.force_login(user)
    for path in ("/orders/", f"/orders/{order.reference}/", "/checkout/done/?session_id=cs_test_1"):
        assert_german(german.get(path).content.decode())


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "refunded"},
        {"reason": "disputed"},
        {"reason": "dispute_lost"},
        {"valid_until": "2020-03-01T00:00:00Z"},
    ],
    ids=str,
)
def test_library_says_in_german_why_access_ended(german: Client, changes: dict[str, Any]) -> None:
    user = UserFactory(email="leser@example.de")
    sold(user)
    Entitlement.objects.update(**({} if "valid_until" in changes else {"state": "revoked"}), **changes)
    german.force_login(user)
    text = assert_german(german.get("/library/").content.decode())
    assert ("Der Zugriff endete am 1. März 2020." in text) == ("valid_until" in changes)


@pytest.mark.parametrize("kind", Delivery.Kind)
@pytest.mark.parametrize("is_guest", [True, False], ids=["guest", "user"])
def test_mail_is_german_throughout(kind: str, is_guest: bool) -> None:
    user = UserFactory(email="leser@example.de")
    order = sold(user, language="de", refunded=500)
    if is_guest:
        Order.objects.update(user=None)
        order.refresh_from_db()
    composed = compose(Delivery(order=order, kind=kind, recipient=order.email, amount=500))
    assert left_over(str(composed.subject)) == []
    assert left_over(str(composed.body)) == []
    assert_german(str(composed.alternatives[0][0]))
    assert '<html lang="de">' in str(composed.alternatives[0][0])


@pytest.mark.parametrize("template", ["400.html", "403.html", "403_csrf.html", "404.html", "429.html", "500.html"])
def test_error_page_is_german_throughout(rf: RequestFactory, template: str) -> None:
    with translation.override("de"):
        page = render_to_string(template, request=rf.get("/"))
    assert_german(page)
    assert '<html lang="de"' in page


@pytest.mark.parametrize("view", [defaults.server_error, partial(defaults.bad_request, exception=OSError())])
def test_error_page_without_a_context_knows_the_language(
    rf: RequestFactory, view: Callable[[HttpRequest], HttpResponse]
) -> None:
    for language, word in (("de", "Zurück zum Shop"), ("en", "Back to the shop")):
        with translation.override(language):
            page = view(rf.get("/")).content.decode()
        assert word in page
        assert f'<html lang="{language}">' in page


def test_mistakes_in_forms_are_told_in_german(german: Client, clean_rate_limits: None) -> None:
    for path, field in (("/accounts/signup/", "email"), ("/accounts/login/code/", "email")):
        text = assert_german(german.post(path, {field: "a\x00b@example.com"}).content.decode())
        assert "E-Mail-Adresse" in text


def test_every_page_of_the_admin_opens_in_german(german: Client) -> None:
    abused, opened = shop(), 0
    german.force_login(abused.owner)
    for address in every_address():
        if address.name.startswith("admin:") and address.name != "admin:logout":
            answer = german.get(abused.path(address))
            assert answer.status_code < 500, address
            opened += answer.status_code == 200 and '<html lang="de"' in body_of(answer).decode()
    assert opened > 30


def test_amounts_dates_and_sizes_are_in_the_readers_form(german: Client) -> None:
    user = UserFactory()
    order = sold(user)
    Order.objects.update(total=123_450, currency="eur", paid_at="2026-11-25T12:00:00Z")
    english = Client(headers={"accept-language": "en-GB"})
    for client in (german, english):
        client.force_login(user)
    path = f"/orders/{order.reference}/"
    in_german, in_english = (said(client.get(path).content.decode()) for client in (german, english))
    assert "1.234,50 €" in in_german
    assert "25. November 2026" in in_german
    assert "€1,234.50" in in_english
    assert "Nov. 25, 2026" in in_english
    assert "1 Seite · 1,2 MB" in said(german.get("/library/").content.decode())
    assert "1 page · 1.2 MB" in said(english.get("/library/").content.decode())


@pytest.mark.parametrize(
    "asked, given",
    [
        ("", "en"), ("de", "de"), ("de-AT", "de"), ("DE-CH;q=0.5, fr", "de"), ("fr-FR,fr;q=0.9", "en"), ("en,de", "en"),
        ("fr, de;q=0.1, en;q=0.2", "en"), ("*", "en"), ("*;q=nan", "en"), ("de;q=nan", "en"),
        ("de;q=1e9", "en"), ("de\x00", "en"), ("xx-" + "y" * 10_000, "en"), ("de," * 4000, "de"), (";;;=,,", "en"),
        ("de_DE", "en"), ("../../etc/passwd", "en"), ("ðe", "en"),
    ],
)  # fmt: skip
def test_s61_browser_asks_for_any_language(client: Client, asked: str, given: str) -> None:
    answer = client.get("/", headers={"accept-language": asked})
    assert (answer.status_code, answer["Content-Language"]) == (200, given)
    assert f'<html lang="{given}"' in answer.content.decode()


def test_switch_sets_its_cookie_and_nothing_else(client: Client) -> None:
    page = "http://testserver/?category=art"
    answer = client.post("/language/", {"language": "de"}, headers={"referer": page})
    assert (answer.status_code, answer["Location"]) == (302, page)
    assert {name: one.value for name, one in answer.cookies.items()} == {"language": "de"}
    cookie = answer.cookies["language"]
    assert (cookie["path"], cookie["samesite"], cookie["httponly"], cookie["max-age"]) == ("/", "Lax", True, 31_536_000)


def test_switch_counts_more_than_the_browsers_settings(german: Client) -> None:
    assert german.get("/")["Content-Language"] == "de"
    german.post("/language/", {"language": "en"})
    assert german.get("/")["Content-Language"] == "en"
    german.post("/language/", {"language": "de"})
    assert german.get("/")["Content-Language"] == "de"


def test_switch_shows_both_languages_and_which_it_is(german: Client) -> None:
    page = german.get("/?category=").content.decode()
    form = page[page.index('class="languages"') :].split("</form>")[0]
    assert re.findall(r'value="(de|en)"\s+lang="\1"(\s+aria-current="true")?', form)[0][0] == "en"
    assert re.search(r'lang="de"\s+aria-current="true"', form)
    assert "hidden" not in form
    assert "csrfmiddlewaretoken" not in form


def test_switch_on_a_page_that_answers_a_form_leads_to_the_catalog(client: Client) -> None:
    page = client.post("/accounts/signup/", {"email": "none"}).content.decode()
    assert re.search(r'name="next"\s+value="/"', page)


@pytest.mark.parametrize(
    "sent",
    [
        {}, {"language": ""}, {"language": "fr"}, {"language": "de\x00"}, {"language": "x" * 10_000},
        {"language": "../../etc"}, {"language": "de-AT"}, {"language": "\ud800".encode("utf-8", "surrogatepass")},
    ],
    ids=range(8),
)  # fmt: skip
def test_s61_switch_to_what_the_shop_does_not_speak_changes_nothing(german: Client, sent: dict[str, Any]) -> None:
    answer = german.post("/language/", sent)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert set(answer.cookies) <= {"language"}
    assert german.get("/")["Content-Language"] == "de"


@pytest.mark.parametrize(
    "next_page",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "http://[", "\x00", "",
        "/\x00/", "/" + "x" * 10_000, "/?a=\r\nSet-Cookie: b=1", "https:///evil.example",
    ],
)  # fmt: skip
def test_s61_switch_leads_nowhere_else(client: Client, next_page: str) -> None:
    answer = client.post(
        "/language/", {"language": "de", "next": next_page}, headers={"referer": "https://evil.example"}
    )
    assert answer.status_code == 302
    assert answer["Location"].startswith("/")
    assert not answer["Location"].startswith(("//", "/\\"))
    assert list(answer.cookies) == ["language"]


@pytest.mark.parametrize("value", ["fr", "", "x" * 4000, "../de", "de-DE", '"de"x'])
def test_s61_cookie_with_another_language_is_as_none(german: Client, value: str) -> None:
    german.cookies["language"] = value
    assert german.get("/")["Content-Language"] == "de"


@pytest.mark.parametrize(
    "path",
    [
        "/", "/?category=art", "/products/umsonst/", "/nowhere/", "/checkout/done/", "/checkout/cancelled/",
        "/library/", "/orders/", "/links/nonsense/", "/language/", "/healthz", "/readyz", "/static/shop.css",
    ],
)  # fmt: skip
def test_no_cookie_comes_before_one_is_needed(german: Client, path: str) -> None:
    CategoryFactory(slug="art")
    ProductFactory(slug="umsonst", price=0)
    answer = german.get(path)
    assert answer.cookies == {}, answer.status_code


@pytest.mark.parametrize("path", ["/products/stille/", "/accounts/login/", "/accounts/signup/"])
def test_form_that_needs_its_token_brings_that_cookie_alone(german: Client, path: str) -> None:
    ProductFactory(slug="stille")
    assert list(german.get(path).cookies) == ["csrf"]


@pytest.mark.parametrize("path", ["/readyz", "/metrics", "/healthz", "/downloads/{}/"])
def test_what_is_no_page_does_not_differ_by_language(german: Client, path: str) -> None:
    book = ProductFactory(price=0)
    answer = german.get(path.format(book.editions.get().files.get().pk))
    answer.close()
    assert answer.status_code == 200
    assert "Accept-Language" not in answer.headers.get("Vary", "")
    assert "Content-Language" not in answer.headers
