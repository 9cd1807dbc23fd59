"""deploy/nginx.conf, run by a real nginx before a real shop: what it lets through, what it sets, what it refuses."""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest

from catalog import uploads
from catalog.models import File
from fulfillment import links
from fulfillment.models import Download, StripeEvent
from sandbox.parts import listens
from sandbox.world.server import free_port
from tests.factories import PDF, OrderFactory, ProductFactory
from tests.fulfillment.test_sweep import wait_until
from tests.fulfillment.test_webhook_served import serving
from tests.steps import GUEST, signed

ROOT = Path(__file__).parents[2]
CONF = (ROOT / "deploy" / "nginx.conf").read_text()
NGINX = shutil.which("nginx") or (shutil.which("nginx", path="/usr/sbin:/usr/local/sbin"))
HASHED = "shop.0123456789ab.css"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(NGINX is None, reason="no nginx: apt-get install nginx-light"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with"),
]

Answer = tuple[int, Message, bytes]


@dataclass(frozen=True)
class Front:
    http: int
    https: int
    log: Path

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, headers: list[tuple[str, str]] | None = None
    ) -> Answer:
        """Status, headers and body of one answer over TLS. Headers are sent as they are, repeated ones too."""
        connection = http.client.HTTPSConnection("localhost", self.https, timeout=30, context=trusting())
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers or []:
            connection.putheader(name, value)
        if body is not None and "Content-Length" not in dict(headers or []):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    def open(self) -> ssl.SSLSocket:
        return trusting().wrap_socket(socket.create_connection(("127.0.0.1", self.https)), server_hostname="localhost")


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def configuration(folder: Path, *, shop: int, front: Front) -> str:
    """The file as it is, with the places and ports of this test. Each of them must occur, or the test tests nothing."""
    text = CONF
    for old, new in (
        ("/tmp/", f"{folder}/"),  # noqa: S108 - what the file says; the first, as the others bring such paths
        ("web:8000", f"127.0.0.1:{shop}"),
        ("listen 8080;", f"listen 127.0.0.1:{front.http};"),
        ("listen [::]:8080;", ""),
        ("listen 8443 ssl http2;", f"listen 127.0.0.1:{front.https} ssl http2;"),
        ("listen [::]:8443 ssl http2;", ""),
        ("/etc/nginx/certificates/", f"{folder}/"),
        ("/srv/shop/files/", f"{folder}/"),
        ("/srv/shop/static/", f"{folder}/static/"),
        ("/dev/stdout", str(front.log)),
        ("error_log stderr", f"error_log {folder}/errors"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    certificate(tmp_path)
    static = tmp_path / "static"
    static.mkdir()
    for name in (HASHED, "shop.css"):
        (static / name).write_text("p {}")
        (static / f"{name}.gz").write_bytes(b"compressed beforehand")
    found = Front(free_port(), free_port(), tmp_path / "access.log")
    environment = {
        "SITE_URL": "https://localhost",
        "STORAGE_URL": f"file://{tmp_path}",
        "TRUSTED_PROXY_COUNT": "1",
        "X_ACCEL_REDIRECT": "/protected/",
    }
    with serving(**environment) as shop, running_nginx(tmp_path, shop, found):
        yield found


@contextmanager
def running_nginx(folder: Path, shop: int, front: Front) -> Iterator[None]:
    conf = folder / "nginx.conf"
    conf.write_text(configuration(folder, shop=shop, front=front))
    # As root its workers would become "nobody", who may not read the files.
    command = [str(NGINX), "-e", f"{folder}/errors", "-c", str(conf), "-g"]
    command.append("daemon off;" + (" user root;" if os.geteuid() == 0 else ""))
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr, checked.stderr
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: listens(front.https))
        yield
    finally:
        process.terminate()
        process.wait(10)


def certificate(folder: Path) -> None:
    names = ["-keyout", f"{folder}/privkey.pem", "-out", f"{folder}/fullchain.pem", "-days", "2", "-nodes"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *names]
    subprocess.run([*made, "-subj", "/CN=localhost"], check=True, capture_output=True)


def event(event_id: str, size: int) -> bytes:
    """A signed event's body of exactly so many bytes, some of them not ASCII."""
    start = json.dumps({"id": event_id, "type": "x", "data": {"object": {}}, "pad": ""}, ensure_ascii=False)[:-2]
    filled = start.encode() + "ü".encode() * 10
    return filled + b"x" * (size - len(filled) - 2) + b'"}'


def post_event(front: Front, body: bytes) -> int:
    headers = [("Stripe-Signature", signed(body)), ("Content-Type", "application/json")]
    return front.ask("/webhooks/stripe/", method="POST", body=body, headers=headers)[0]


def test_s11_webhook_passes_byte_by_byte_up_to_its_limit_and_no_further(front: Front) -> None:
    body = event("evt_1", 256 * 1024)
    assert post_event(front, body) == 200
    assert bytes(StripeEvent.objects.get().body or b"") == body
    assert post_event(front, event("evt_2", 256 * 1024 + 1)) == 413
    assert StripeEvent.objects.count() == 1


def test_s11_forms_are_small_and_only_the_admin_takes_uploads(front: Front) -> None:
    def status(path: str, length: int, sent: int | None = None) -> int:
        body = b"x" * min(length, 300_000) if sent is None else b"x" * sent
        return front.ask(path, method="POST", body=body, headers=[("Content-Length", str(length))])[0]

    assert status("/accounts/login/", 300_000) == 413
    assert status("/products/a/buy/", 3_000_000_000, sent=0) == 413
    assert status("/admin/catalog/product/add/", 300_000) not in (413, 502)
    assert status("/admin/catalog/product/add/", 3_000_000_000, sent=0) == 413
    limit = re.search(r"client_max_body_size (\d+)m;", CONF)
    assert limit is not None
    assert 1 <= int(limit[1]) - uploads.FORM_LIMIT / 1024**2 <= 10


def test_s12_whoever_dawdles_is_dropped_and_holds_up_nobody(front: Front) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(front.open()) for _ in range(100)]
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: loca")
        began = time.monotonic()
        assert front.ask("/healthz", headers=[])[0] == 200
        assert post_event(front, event("evt_1", 2000)) == 200
        assert time.monotonic() - began < 4  # while they were all still there
        for connection in slow:
            connection.settimeout(12)
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        assert 4 < time.monotonic() - began < 12


def test_s40_what_visitors_say_of_themselves_does_not_pass(front: Front) -> None:
    """Two headers of a name are joined by the web server; one with underscores would look like ours."""
    file = File.objects.get(edition__product=ProductFactory(price=0))
    forged = [
        ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7"), ("X_Forwarded_For", "8.8.8.8"),
        ("X-Forwarded-Proto", "http"), ("X_Forwarded_Proto", "http"), ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=9.9.9.9"), ("X-Request-ID", "forged-by-somebody"),
    ]  # fmt: skip
    status, headers, _ = front.ask(f"/downloads/{file.pk}/", headers=forged)
    assert (status, Download.objects.get().address) == (200, "127.0.0.1")
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-ID"])


def test_s55_download_comes_from_nginx_with_what_the_shop_said_about_it(front: Front) -> None:
    file = File.objects.get(edition__product=ProductFactory(price=0))
    status, headers, body = front.ask(f"/downloads/{file.pk}/")
    assert (status, body) == (200, PDF)
    once = {
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
        "Strict-Transport-Security": "max-age=31536000",
    }
    assert {name: headers.get_all(name) for name in once} == {name: [value] for name, value in once.items()}
    assert len(headers.get_all("X-Request-ID", [])) == 1
    assert "X-Accel-Redirect" not in headers
    status, headers, body = front.ask(f"/downloads/{file.pk}/", headers=[("Range", "bytes=1-4")])
    assert (status, body, headers["Content-Range"]) == (206, PDF[1:5], f"bytes 1-4/{len(PDF)}")


def test_s24_private_places_have_no_address(front: Front) -> None:
    file = File.objects.get(edition__product=ProductFactory())
    paths = [f"/protected/{file.key}", "/protected/", "/metrics", "/static/../private/", f"/static/../{file.key}"]
    paths += ["/static/", "/.env", *(f"/{name}..%2fprivkey.pem" for name in ("protected/", "static/", "static%2f"))]
    assert {path: front.ask(path)[0] for path in paths if front.ask(path)[0] not in (400, 403, 404)} == {}
    assert front.ask(f"/downloads/{file.pk}/")[0] == 404


def test_static_files_are_compressed_beforehand_and_kept_for_ever_when_named_by_hash(front: Front) -> None:
    status, headers, body = front.ask(f"/static/{HASHED}", headers=[("Accept-Encoding", "gzip")])
    assert (status, headers["Content-Encoding"], body) == (200, "gzip", b"compressed beforehand")
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    status, headers, body = front.ask("/static/shop.css")
    assert (status, headers["Cache-Control"], body) == (200, "public, max-age=60", b"p {}")


def test_page_is_compressed_by_the_shop_alone_and_only_where_it_says_so(front: Front) -> None:
    for address, compressed in (("/", True), ("/accounts/login/", False)):
        status, headers, _ = front.ask(address, headers=[("Accept-Encoding", "gzip")])
        assert (status, "Content-Encoding" in headers) == (200, compressed)


def test_plain_http_is_sent_to_https(front: Front) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.http, timeout=5)
    connection.request("GET", "/library/?a=1", headers={"Host": "localhost"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (308, "https://localhost/library/?a=1")
    connection.close()


def test_s35_forms_are_limited_by_address_and_stripe_and_pages_are_not(front: Front) -> None:
    with ThreadPoolExecutor(12) as at_once:
        for path in ("/accounts/login/", "/products/a/buy/"):
            asked = [at_once.submit(front.ask, path, method="POST", body=b"") for _ in range(100)]
            assert 429 in {one.result()[0] for one in asked}
        events = [at_once.submit(post_event, front, event(f"evt_{n}", 1000)) for n in range(50)]
        assert {one.result() for one in events} == {200}
        pages = [at_once.submit(front.ask, "/accounts/login/") for _ in range(50)]
        assert {one.result()[0] for one in pages} == {200}


def test_i17_token_of_a_link_is_not_in_the_log_and_the_id_is_the_shops_own(front: Front) -> None:
    token = links.token(OrderFactory(state="paid", email=GUEST))
    for path in (f"/links/{token}/", f"//links/{token}/", f"/downloads/1/?link={token}"):
        front.ask(path)
    front.ask(f"/links/{token}/", method="POST", body=b"x" * 300_000)
    status, headers, _ = front.ask(f"/links/{token}/")
    wait_until(lambda: len(front.log.read_text().splitlines()) == 5)  # a line is written when the request has ended
    lines = [json.loads(line) for line in front.log.read_text().splitlines()]
    assert token not in front.log.read_text()
    assert token not in (front.log.parent / "errors").read_text()
    assert [line["status"] for line in lines][-2:] == [413, status]
    assert lines[-1] | {"seconds": 0, "bytes": 0, "time": ""} == {
        "time": "", "logger": "nginx", "request_id": headers["X-Request-ID"], "method": "GET",
        "path": "/links/[token]", "status": 200, "upstream_status": "200", "bytes": 0, "seconds": 0,
        "address": "127.0.0.1",
    }  # fmt: skip
