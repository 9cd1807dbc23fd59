"""Ways around the one door to bytes: paths, spellings of a request, tokens, names."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import signing
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from catalog.filenames import safe_name
from catalog.models import File
from fulfillment import links
from fulfillment.models import Download, Entitlement
from orders.models import Order
from tests.factories import PDF, OrderFactory, ProductFactory
from tests.steps import body_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def order() -> Order:
    made: Order = OrderFactory(state=Order.State.PAID, email="guest@example.com")
    line = made.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, email=made.email)
    return made


@pytest.fixture
def file(order: Order) -> File:
    return File.objects.get(edition__product=order.lines.get().product)


TRICKS = (
    "..", "../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%252f", "....//", "/etc/passwd", "//etc/passwd", "%00",
    "x%00.webp", "..\\", "..%5c", ".%2e/", "%c0%ae%c0%ae/", "file:///etc/passwd", "{key}", "../private/{key}",
    "..%2fprivate%2f{key}",
)  # fmt: skip


@pytest.mark.parametrize("base", ["/downloads/", "/covers/", "/static/", "/media/", "/protected/", "/files/", "/"])
def test_s24_path_tricks_find_nothing(client: Client, file: File, base: str) -> None:
    before = Download.objects.count()
    for trick in TRICKS:
        for tail in ("", "/", "-320.webp", "settings.py", "manage.py", "var/files"):
            path = base + trick.format(key=file.key) + tail
            answer = client.get(path)
            body = body_of(answer)
            assert answer.status_code in (301, 302, 404), path
            assert PDF not in body, path
            assert b"SECRET_KEY" not in body, path
            assert answer.headers.get("Location", "/").startswith("/"), path
    assert Download.objects.count() == before


def test_s24_nginx_is_told_a_random_key_and_nothing_of_the_request(
    client: Client, order: Order, file: File, settings: Settings
) -> None:
    settings.X_ACCEL_REDIRECT = "/protected/"
    token = links.token(order)
    headers = {"x-accel-redirect": "/protected/../../etc/passwd"}
    answer = client.get(f"/downloads/{file.pk}/?link={token}&key=../../etc/passwd", headers=headers)
    assert answer["X-Accel-Redirect"] == f"/protected/{file.key}"
    refused = client.get(f"/downloads/{file.pk}/", headers=headers)
    assert (refused.status_code, "X-Accel-Redirect" in refused.headers) == (404, False)


@pytest.mark.parametrize(
    "path, status",
    [
        ("/downloads/{pk}", 301),  # to the slash, and there 404
        ("/downloads/{pk}/.", 404),
        ("/downloads/{pk}//", 404),
        ("/downloads/{pk};/", 404),
        ("/downloads/{pk};x=y/", 404),
        ("/downloads/{pk}%20/", 404),
        ("/downloads/{pk}%0a/", 404),
        ("/downloads/+{pk}/", 404),
        ("/downloads/-{pk}/", 404),
        ("/downloads/0x{pk}/", 404),
        ("/Downloads/{pk}/", 404),
        ("/DOWNLOADS/{pk}/", 404),
        ("//downloads/{pk}/", 404),
        ("/./downloads/{pk}/", 404),
    ],
)
def test_s21_odd_spellings_of_the_address_open_nothing(client: Client, file: File, path: str, status: int) -> None:
    answer = client.get(path.format(pk=file.pk))
    assert (answer.status_code, PDF in body_of(answer)) == (status, False)


@pytest.mark.parametrize(
    "method, headers",
    [
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"range": "bytes=0-1"}),
        ("GET", {"if-none-match": "*"}),
        ("GET", {"if-none-match": '"{sha}"'}),
        ("GET", {"if-range": '"{sha}"', "range": "bytes=0-1"}),
        ("GET", {"if-modified-since": "Wed, 21 Oct 2099 07:28:00 GMT"}),
        ("GET", {"x-http-method-override": "HEAD"}),
        ("GET", {"x-original-url": "/downloads/1/", "x-rewrite-url": "/downloads/1/"}),
    ],
)
def test_s20_s21_every_kind_of_read_is_decided_alike(
    client: Client, order: Order, file: File, method: str, headers: dict[str, str]
) -> None:
    headers = {name: value.format(sha=file.sha256) for name, value in headers.items()}
    address = f"/downloads/{file.pk}/"
    stranger = client.generic(method, address, headers=headers)
    assert (stranger.status_code, "ETag" in stranger.headers) == (404, False)
    holder = client.generic(method, f"{address}?link={links.token(order)}", headers=headers)
    body_of(holder)
    assert holder.status_code in (200, 206)
    Entitlement.objects.update(state="revoked", reason="refunded")
    assert client.generic(method, f"{address}?link={links.token(order)}", headers=headers).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_s21_other_methods_are_refused(client: Client, order: Order, file: File, method: str) -> None:
    answer = client.generic(method, f"/downloads/{file.pk}/?link={links.token(order)}")
    assert answer.status_code == 405


def opens(token: str, file: File) -> bool:
    """Whether a token opens anything: the page, the button or the bytes."""
    page = Client().get(f"/links/{token}/")
    assert page.status_code in (200, 404, 410), token[:80]
    button = Client().post(f"/links/{token}/files/{file.pk}/")
    found = Client().get(f"/downloads/{file.pk}/", {"link": token})
    return body_of(found) == PDF or b"/files/" in page.content or "/downloads/" in button.headers.get("Location", "")


def test_s25_token_with_any_character_changed_or_cut_opens_nothing(order: Order, file: File) -> None:
    token = links.token(order)
    assert opens(token, file)
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        # The last character carries bits that base64 drops: what decodes to the same signature is the same token.
        if place < len(token) - 1:
            assert not opens(token[:place] + other + token[place + 1 :], file), place
    for length in range(1, len(token) - 1, 7):
        assert not opens(token[:length], file), length


def test_s25_token_for_another_purpose_order_or_time_opens_nothing(
    order: Order, file: File, settings: Settings
) -> None:
    reference = order.reference
    long_ago = signing.b62_encode(int((timezone.now() - timedelta(hours=49)).timestamp()))
    old = f"{reference}.{long_ago}"
    wrong = {
        "another purpose": signing.TimestampSigner(salt="something.else", sep=".").sign(reference),
        "no salt": signing.TimestampSigner(sep=".").sign(reference),
        "another key": signing.TimestampSigner(key="k" * 50, salt="fulfillment.links", sep=".").sign(reference),
        "too old": f"{old}.{links.SIGNER.signature(old)}",
        "an order that is none": links.SIGNER.sign("A" * 16),
        "another order": links.token(OrderFactory(state=Order.State.PAID)),
        "two": f"{links.token(order)}.{links.token(order)}",
        "json": signing.dumps(reference, salt="fulfillment.links"),
    }
    for why, token in wrong.items():
        assert not opens(token, file), why


def test_s25_token_of_a_megabyte_is_answered_at_once(client: Client, file: File) -> None:
    for token in ("x" * 1_000_000, "x." * 500_000):
        assert client.get("/links/x/", {"link": token}).status_code == 404
        assert client.get(f"/downloads/{file.pk}/", {"link": token}).status_code == 404
        assert client.get(f"/links/{token}/").status_code == 404


NAMES = (
    'a"b.pdf', "a\r\nSet-Cookie: x=y.pdf", "a\x00b.pdf", "\u202efdp.exe.pdf", "日本語.pdf", "a;b.pdf", "a,b.pdf",
    "a\\b.pdf",
    "../../x.pdf", "C:\\x.pdf", "a\u2028b.pdf", "é.pdf", "%0d%0a.pdf", "x" * 300 + ".pdf", "\ud800.pdf", ".pdf",
    "con.pdf",
    "<script>.pdf", "a\tb.pdf",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_s55_s56_any_name_makes_one_harmless_header(client: Client, order: Order, file: File, name: str) -> None:
    """As an upload stores it."""
    file.name = safe_name(name, ".pdf")
    File.objects.bulk_update([file], ["name"])
    answer = client.get(f"/downloads/{file.pk}/?link={links.token(order)}")
    body_of(answer)
    assert answer.status_code == 200
    disposition = answer["Content-Disposition"]
    assert disposition.startswith("attachment")
    assert disposition.isprintable()
    assert disposition.isascii()
    assert "Set-Cookie" not in answer.headers
    assert_not_run_by_browsers(answer.headers)


def assert_not_run_by_browsers(answer: Mapping[str, str]) -> None:
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Robots-Tag"] == "noindex"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-3"}, {"range": "bytes=999-"}])
def test_s55_every_answer_with_bytes_bears_the_headers(
    client: Client, order: Order, file: File, headers: dict[str, str]
) -> None:
    answer = client.get(f"/downloads/{file.pk}/?link={links.token(order)}", headers=headers)
    body_of(answer)
    assert answer["Content-Disposition"].startswith("attachment")
    assert_not_run_by_browsers(answer.headers)


def test_s23_s46_private_folder_has_no_address(client: Client, file: File) -> None:
    key = file.key
    assert len(key) >= 4
    for path in (
        f"/media/{key}",
        f"/files/{key}",
        f"/{key}",
        f"/private/{key}",
        f"/static/{key}",
        "/media/",
        "/files/",
    ):
        assert client.get(path).status_code == 404, path
    assert Path(storages["default"].path(key)).read_bytes() == PDF


def test_s28_link_tells_no_other_site_where_it_was(client: Client, order: Order) -> None:
    answer = client.get(f"/links/{links.token(order)}/")
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Robots-Tag"] == "noindex"
    assert "no-store" in answer["Cache-Control"]
    assert b"http://" not in answer.content.replace(b"http://localhost", b"").replace(b"http://www.w3.org", b"")


def test_s28_link_opens_no_account_and_no_other_order_of_its_buyer(client: Client, order: Order, file: File) -> None:
    product = ProductFactory()
    other = OrderFactory(state=Order.State.PAID, email=order.email, product=product)
    Entitlement.objects.create(order_line=other.lines.get(), product=product, email=order.email)
    token = links.token(order)
    assert client.get(f"/links/{token}/").status_code == 200
    theirs = File.objects.get(edition__product=product)
    assert client.get(f"/downloads/{theirs.pk}/?link={token}").status_code == 404
    assert client.post(f"/links/{token}/files/{theirs.pk}/").status_code == 403
    assert client.get(f"/orders/{order.reference}/").status_code == 404
    assert client.get(f"/orders/{other.reference}/").status_code == 404
    assert client.get("/library/").status_code == 302
