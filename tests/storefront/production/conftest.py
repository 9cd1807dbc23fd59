"""The world that check_production looks at, on loopback: name servers, web servers with and without a certificate."""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUDPServer
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest
import trustme
from django.db import connection
from pytest_django import Settings

from storefront.production.lines import Line


def states(lines: Iterable[Line]) -> dict[str, str]:
    return {line.name: line.state.value for line in lines}


def line(lines: Iterable[Line], name: str) -> Line:
    return next(one for one in lines if one.name == name)


@dataclass
class Zone:
    """What a name server on this machine knows: `zone["name", "TXT"] = [...]`. Other names do not exist."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def __setitem__(self, key: tuple[str, str], values: list[str]) -> None:
        self.records[key] = values

    def answer(self, wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        [question] = query.question
        name, kind = str(question.name).rstrip(".").lower(), question.rdtype.name
        answer = dns.message.make_response(query)
        if values := self.records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *values))
        elif not any(known == name for known, _kind in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()


@pytest.fixture
def zone(settings: Settings) -> Iterator[Zone]:
    """DNS_SERVERS names a server that answers from this zone."""
    found = Zone()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            sock.sendto(found.answer(data), self.client_address)

    with ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        settings.DNS_SERVERS = [f"127.0.0.1:{server.server_address[1]}"]
        yield found
        server.shutdown()
        thread.join()


# path and headers of a request → status, headers, body
Answers = Callable[[str, Any], tuple[int, dict[str, str], bytes]]


@contextmanager
def serving(answers: Answers, certificate: trustme.LeafCert | None = None) -> Iterator[int]:
    """A web server on this machine, over https with a certificate; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers(self.path, self.headers)
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that refuses the certificate hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A certificate authority that this process trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return made


def good_until(authority: trustme.CA, ends: datetime) -> trustme.LeafCert:
    return authority.issue_cert("localhost", not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=ends)


@pytest.fixture
def no_database(db: None) -> Iterator[None]:
    """Its address is one where nobody listens, until the test is over."""
    cut_off: Any = connection  # Django's own types do not know of its pool
    cut_off.close()
    cut_off.close_pool()
    right = dict(connection.settings_dict)
    connection.settings_dict.update(HOST="127.0.0.1", PORT="9")
    yield
    cut_off.close()
    cut_off.close_pool()
    connection.settings_dict.update(right)
