"""One GET as a stranger would send it: no redirects followed, certificates verified, bounded in time and size."""

import http.client
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from storefront.production.lines import brief

SECONDS = 5.0  # for each step of the connection
AT_MOST = 65536  # bytes that are read


class NoAnswer(Exception):
    """Nobody answered; the message says how."""


class CertificateRefused(NoAnswer):
    """The certificate is not one that a browser would take; the message says why."""


@dataclass(frozen=True)
class Answer:
    """`certificate_ends` is None without https."""

    status: int
    headers: Message
    body: bytes
    certificate_ends: datetime | None

    @property
    def location(self) -> str:
        return self.headers.get("Location") or ""

    @property
    def is_redirect(self) -> bool:
        return self.status in (301, 302, 303, 307, 308)


def get(url: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Raises NoAnswer."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with closing(_connection(parts.scheme, parts.hostname or "", parts.port)) as connection:
            connection.request("GET", target, headers={"User-Agent": "check_production", **(headers or {})})
            # Before the answer is read: the end of an answer may close the socket.
            ends = _certificate_ends(connection.sock)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read(AT_MOST), ends)
    except ssl.SSLCertVerificationError as error:
        raise CertificateRefused(error.verify_message or brief(error)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(brief(error)) from error


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=SECONDS)


def _certificate_ends(sock: Any) -> datetime | None:
    if not isinstance(sock, ssl.SSLSocket):
        return None
    ends = str((sock.getpeercert() or {})["notAfter"])
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
