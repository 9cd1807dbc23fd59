"""Every address of the shop × every kind of visitor, from the URL patterns: a new address without a row fails here."""

import pytest
from django.apps import apps
from django.http import HttpResponseBase
from django.test import Client

from accounts.models import Session, User
from catalog.models import File
from fulfillment.models import Download, Entitlement
from fulfillment.sweep import sweep
from fulfillment.visits import LibraryVisit
from sandbox.world.server import World
from tests.factories import PDF, ProductFactory
from tests.steps import body_of, buy, report
from tests.storefront.addresses import BUYER, TITLE, Address, Shop, every_address, shop

pytestmark = pytest.mark.django_db

# What a GET is answered with: anonymous, buyer, another buyer, staff without permissions, owner. The address names the
# buyer's order, file, link or session. 405: it is there for POST.
ROWS = {
    "stripe_webhook": (405, 405, 405, 405, 405),
    "catalog": (200, 200, 200, 200, 200),
    "product": (404, 404, 404, 404, 404),  # the buyer's is archived
    "buy": (405, 405, 405, 405, 405),
    "feed": (200, 200, 200, 200, 200),
    "category_feed": (200, 200, 200, 200, 200),  # empty: its book is archived
    "robots": (200, 200, 200, 200, 200),
    "sitemap": (200, 200, 200, 200, 200),
    "sitemap_pages": (200, 200, 200, 200, 200),
    "sitemap_products": (404, 404, 404, 404, 404),  # an empty one
    "cover": (404, 404, 404, 404, 404),
    "sample_picture": (404, 404, 404, 404, 404),
    "sample_pdf": (404, 404, 404, 404, 404),
    "checkout_done": (200, 200, 200, 200, 200),  # a neutral page for all but the buyer
    "checkout_cancelled": (200, 200, 200, 200, 200),
    "library": (302, 200, 200, 200, 200),
    "library_zip": (302, 200, 200, 404, 404),
    "product_zip": (404, 200, 404, 404, 404),
    "download": (404, 200, 404, 404, 200),
    "link": (200, 200, 200, 200, 200),  # opens for whoever has the mail
    "link_fresh": (405, 405, 405, 405, 405),
    "link_zip": (405, 405, 405, 405, 405),
    "link_file": (405, 405, 405, 405, 405),
    "lost": (200, 200, 200, 200, 200),
    "mail_choice": (200, 200, 200, 200, 200),  # for whoever has a mail with its address
    "orders": (302, 200, 200, 200, 200),
    "order": (404, 200, 404, 404, 404),
    "receipt": (404, 200, 404, 404, 404),
    "billing": (404, 200, 404, 404, 404),
    "order_link": (405, 405, 405, 405, 405),
    "wrong_address": (404, 404, 404, 404, 404),  # for the browser that pressed Buy
    "account": (302, 200, 200, 200, 200),
    "account_confirm": (302, 200, 200, 200, 200),
    "account_sessions": (302, 200, 200, 200, 200),
    "account_end_other_sessions": (302, 405, 405, 405, 405),
    "account_end_session": (302, 405, 405, 405, 405),
    "account_data": (302, 200, 200, 200, 200),
    "account_erase": (302, 302, 302, 302, 302),  # whoever was not asked lately is asked who they are
    "mail_choices": (302, 200, 200, 200, 200),
    "set_language": (302, 302, 302, 302, 302),  # back to where it was asked from, with nothing changed
    "account_login": (200, 302, 302, 302, 302),
    "account_logout": (302, 200, 200, 200, 200),
    "account_inactive": (200, 200, 200, 200, 200),
    "account_signup": (200, 302, 302, 302, 302),
    "account_reauthenticate": (302, 302, 302, 302, 302),
    "account_email": (302, 200, 200, 200, 200),
    "account_email_verification_sent": (302, 302, 302, 302, 302),
    "account_change_password": (302, 302, 302, 302, 302),
    "account_set_password": (302, 200, 200, 200, 200),
    "account_reset_password": (200, 200, 200, 200, 200),
    "account_confirm_login_code": (302, 302, 302, 302, 302),
    "account_confirm_password_reset_code": (302, 302, 302, 302, 302),
    "account_complete_password_reset": (302, 302, 302, 302, 302),
    "account_password_reset_completed": (200, 200, 200, 200, 200),
    "account_request_login_code": (200, 302, 302, 302, 302),
    "mfa_index": (302, 200, 200, 200, 200),
    "mfa_authenticate": (302, 302, 302, 302, 302),
    "mfa_reauthenticate": (302, 302, 302, 302, 302),
    "mfa_list_webauthn": (302, 200, 200, 200, 200),
    "mfa_add_webauthn": (302, 200, 200, 200, 200),
    "mfa_reauthenticate_webauthn": (302, 302, 302, 302, 302),
    "mfa_remove_webauthn": (302, 404, 404, 404, 404),
    "mfa_edit_webauthn": (302, 404, 404, 404, 404),
    "mfa_login_webauthn": (302, 302, 302, 302, 302),
    "healthz": (200, 200, 200, 200, 200),
    "readyz": (200, 200, 200, 200, 200),
    "metrics": (200, 200, 200, 200, 200),  # near scrapers may read
}
# What everybody who signs in finds there, whoever they are.
OPEN_TO_STAFF = {"admin:index", "admin:password_change", "admin:password_change_done", "admin:jsi18n"}

SHOP_S = [address for address in every_address() if not address.name.startswith("admin:")]
ADMIN_S = [address for address in every_address() if address.name.startswith("admin:")]


def named(address: Address) -> str:
    """The same in every process: the admin lists its apps in any order."""
    return f"{address.name} {address.pattern.partition('(')[0]}"


@pytest.fixture
def abused(db: None) -> Shop:
    return shop()


def seen_by(abused: Shop, actor: str, address: Address) -> tuple[int, bytes, str]:
    """Status, body and where a redirect leads."""
    answer = abused.client(actor).get(abused.path(address))
    return answer.status_code, body_of(answer), answer.headers.get("Location", "")


def test_s19_every_address_has_a_row() -> None:
    assert [address.name for address in SHOP_S] == list(ROWS)


@pytest.mark.parametrize("address", SHOP_S, ids=named)
def test_s19_i15_address_shows_each_visitor_no_more_than_is_theirs(abused: Shop, address: Address) -> None:
    found = {actor: seen_by(abused, actor, address) for actor in abused.actors()}
    assert tuple(status for status, _, _ in found.values()) == ROWS[address.name]
    for actor in ("anonymous", "other", "staff"):
        _, body, _ = found[actor]
        assert BUYER.encode() not in body or address.name == "mail_choice", actor
        assert body != PDF, actor
        assert TITLE.encode() not in body or address.name == "link", actor


@pytest.mark.parametrize("address", ADMIN_S, ids=named)
def test_s19_s60_admin_page_is_closed_to_all_but_those_who_may(abused: Shop, address: Address) -> None:
    for actor in ("anonymous", "buyer", "other"):
        status, body, location = seen_by(abused, actor, address)
        assert (status, body) == (302, b"") or (address.name == "admin:login" and status == 403), actor
        if address.name != "admin:logout":  # leads to the start of the admin, and that to the sign-in
            assert location.startswith(("/admin/login/", "/accounts/login/")) or status == 403, actor
    status, body, _ = seen_by(abused, "staff", address)
    assert status in (302, 403, 404, 405) or address.name in OPEN_TO_STAFF
    assert BUYER.encode() not in body
    assert TITLE.encode() not in body
    assert seen_by(abused, "owner", address)[0] in (200, 302, 303, 403, 404, 405)


@pytest.mark.parametrize(
    "name, answers",
    [
        ("order_link", (404, 303, 404, 404, 404)),
        ("billing", (404, 303, 404, 404, 404)),
        ("account_end_session", (302, 303, 404, 404, 404)),
        ("link_fresh", (200, 200, 200, 200, 200)),
        ("link_file", (303, 303, 303, 303, 303)),
        ("link_zip", (200, 200, 200, 200, 200)),
        ("lost", (200, 200, 200, 200, 200)),
        ("stripe_webhook", (400, 400, 400, 400, 400)),
    ],
)
def test_s19_post_is_decided_like_the_page(abused: Shop, name: str, answers: tuple[int, ...]) -> None:
    path = abused.path(next(address for address in SHOP_S if address.name == name))
    assert tuple(abused.client(actor).post(path).status_code for actor in abused.actors()) == answers


@pytest.mark.parametrize(
    "ended",
    [
        {"state": "revoked", "reason": "refunded"},
        {"state": "suspended", "reason": "disputed"},
        {"state": "suspended", "reason": "dispute_lost"},
        {"state": "revoked", "reason": "unpaid"},
        {"valid_until": "2020-01-01T00:00:00Z"},
    ],
    ids=["refunded", "disputed", "dispute lost", "unpaid", "lapsed"],
)
def test_s20_access_that_ended_has_ended_at_every_address(abused: Shop, ended: dict[str, str]) -> None:
    """Signed in, and with the mail's link: no bytes, and no address that leads to them."""
    client, file = abused.client("buyer"), File.objects.get(edition__product__name=TITLE)
    token = abused.path(next(address for address in SHOP_S if address.name == "link"))
    bytes_at = f"/downloads/{file.pk}/".encode()
    assert sum(leads_to(client.get(abused.path(one)), bytes_at) for one in SHOP_S) >= 3
    Entitlement.objects.filter(order_line__order=abused.order).update(**ended)
    for address in SHOP_S:
        path = abused.path(address)
        for answer in (client.get(path), client.post(path), client.get(path, headers={"range": "bytes=0-3"})):
            assert not leads_to(answer, bytes_at), (address.name, answer.status_code)
    for answer in (
        Client().get(f"/downloads/{file.pk}/?link={token.split('/')[2]}"),
        Client().head(f"/downloads/{file.pk}/?link={token.split('/')[2]}"),
        client.get(f"/downloads/{file.pk}/", headers={"x-http-method-override": "POST"}),
    ):
        assert answer.status_code == 404


def leads_to(answer: HttpResponseBase, address: bytes) -> bool:
    body = body_of(answer)
    return PDF in body or address in body or address.decode() in answer.headers.get("Location", "")


def test_s38_every_form_of_every_address_needs_its_token(abused: Shop) -> None:
    """As the owner, who may do everything; the webhook is signed instead, and of a language nothing follows."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(abused.owner)
    for address in every_address():
        answer = client.post(abused.path(address), {"email": "evil@example.com"})
        # A mail program unsubscribes its reader with nothing but the signed address (RFC 8058).
        expected = {"stripe_webhook": {400}, "mail_choice": {200}, "set_language": {302}}.get(address.name, {403})
        if address.name in ("healthz", "readyz", "metrics"):  # nothing is read from a POST there
            expected = {403, 405}
        assert answer.status_code in expected, address
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        answer = client.post("/products/loud-market/buy/", b'{"a": "b"}', content_type=kind)
        assert answer.status_code == 403, kind


def everything_stored() -> dict[str, list[dict[str, object]]]:
    """But sessions, which a browser may begin, and the logs of downloads, of visits to a library, and of when a mailed
    link was first looked at."""
    logs = (Session, Download, LibraryVisit)
    models = [model for model in apps.get_models() if model not in logs and not model._meta.proxy]
    found = {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}
    for order in found["Order"]:
        del order["link_opened_at"]
    return found


@pytest.mark.parametrize("actor", ["anonymous", "buyer", "owner"])
def test_s27_s38_no_get_changes_anything(abused: Shop, actor: str) -> None:
    client = abused.client(actor)
    before = everything_stored()
    for _ in range(2):
        for address in every_address():
            if address.name not in ("account_logout", "admin:logout"):
                body_of(client.get(abused.path(address)))
    assert everything_stored() == before


def test_s59_what_names_the_buyer_is_kept_by_no_cache(abused: Shop) -> None:
    """Private pages say so; public ones, whose header greets who is signed in, differ by cookie."""
    client, named_somebody = abused.client("buyer"), 0
    for address in SHOP_S:
        answer = client.get(abused.path(address))
        if BUYER.encode() in body_of(answer) or answer.status_code in (302, 303):
            named_somebody += 1
            kept = answer.headers.get("Cache-Control", "")
            assert "no-store" in kept or "Cookie" in answer.headers.get("Vary", ""), address.name
            assert "public" not in kept, address.name
    assert named_somebody >= 10


@pytest.mark.parametrize("name", ["library", "orders", "order", "checkout_done", "link", "download", "product_zip"])
def test_s59_pages_of_one_visitor_are_stored_nowhere(abused: Shop, name: str) -> None:
    path = abused.path(next(address for address in SHOP_S if address.name == name))
    answer = abused.client("buyer").get(path)
    body_of(answer)
    assert {"private", "no-store"} <= {part.strip() for part in answer["Cache-Control"].split(",")}


@pytest.mark.parametrize(
    "path", ["/library/x.css", "/library/;x.css", "/library/%0a.css", "/orders/x.js", "/library.css"]
)
def test_s59_private_page_has_no_second_address_that_looks_static(abused: Shop, path: str) -> None:
    answer = abused.client("buyer").get(path)
    assert answer.status_code == 404
    assert TITLE.encode() not in answer.content


def test_s30_i8_who_buys_with_anothers_address_gets_no_account_and_the_other_the_mail(
    smtp: World, client: Client
) -> None:
    order = buy(smtp, client, ProductFactory(), email="victim@example.com")
    report(smtp, client, "checkout.session.completed")
    sweep()
    assert [one["to"] for one in smtp.mails()] == [["victim@example.com"]]
    assert client.get("/library/").status_code == client.get("/accounts/email/").status_code == 302
    assert "_auth_user_id" not in client.session
    assert not User.objects.exists()
    for path in (f"/checkout/done/?session_id={order.stripe_session_id}", f"/orders/{order.reference}/"):
        answer = Client().get(path)
        assert b"victim@example.com" not in answer.content
        assert b"/downloads/" not in answer.content
