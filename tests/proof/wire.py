"""PostgreSQL's wire protocol, as far as it takes to see a commit coming and its reply going back.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import enum
import re
import struct
from collections.abc import Iterator

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
COMMIT = re.compile(rb"\s*(COMMIT|END)\b", re.IGNORECASE)
WRITE = re.compile(rb"\s*(INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
IDLE = b"I"


class Ahead(enum.Enum):
    """What is to become of the server's words to this client."""

    NOTHING = enum.auto()
    COMMIT = enum.auto()  # the reply to the commit is swallowed, and all before it
    DONE = enum.auto()  # the commit has been done, and the client must not hear of it


class Wire:
    """Both directions of one connection, cut into messages."""

    def __init__(self) -> None:
        self.swallow = Ahead.NOTHING
        self._sent, self._answered = b"", b""
        self._started = False
        self._raw_replies = 0  # single bytes with which the server answers a request for encryption
        self._status = IDLE  # of the transaction, from the server's last ReadyForQuery
        self._statements: dict[bytes, bytes] = {}
        self._bound = b""
        self._writes = False

    def from_client(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """The whole messages in what has come so far, each with whether it makes the server commit."""
        self._sent += data
        while message := self._next_sent():
            yield message, self._commits(message) if self._started and message[:1].isalpha() else False

    def _next_sent(self) -> bytes:
        head = 1 if self._started else 0
        if len(self._sent) < head + 4:
            return b""
        length = head + struct.unpack_from("!i", self._sent, head)[0]
        if len(self._sent) < length:
            return b""
        message, self._sent = self._sent[:length], self._sent[length:]
        if not self._started:
            code = struct.unpack_from("!i", message, 4)[0]
            if code in (SSL_REQUEST, GSS_REQUEST):
                self._raw_replies += 1
            elif code != CANCEL_REQUEST:
                self._started = True
        return message

    def _commits(self, message: bytes) -> bool:
        """A simple COMMIT, one that is executed, or a write outside of a transaction."""
        kind, body = message[:1], message[5:]
        if kind == b"Q":
            return self._ends_work(body)
        if kind == b"P":
            name, text, *_ = body.split(b"\0", 2)
            self._statements[name] = text
        elif kind == b"B":
            self._bound = self._statements.get(body.split(b"\0", 2)[1], b"")
        elif kind == b"E":
            if COMMIT.match(self._bound):
                return True
            self._writes = self._writes or bool(WRITE.match(self._bound))
        elif kind == b"S":
            implicit, self._writes = self._writes and self._status == IDLE, False
            return implicit
        return False

    def _ends_work(self, text: bytes) -> bool:
        return bool(COMMIT.match(text)) or (self._status == IDLE and bool(WRITE.match(text)))

    def from_server(self, data: bytes) -> bytes:
        """What the client is to hear. While something is swallowed that is nothing."""
        self._answered += data
        raw = min(self._raw_replies, len(self._answered))
        self._raw_replies, self._answered = self._raw_replies - raw, self._answered[raw:]
        while len(self._answered) >= 5:
            length = 1 + struct.unpack_from("!i", self._answered, 1)[0]
            if len(self._answered) < length:
                break
            if self._answered[:1] == b"Z":
                self._status = self._answered[5:6]
                if self.swallow is Ahead.COMMIT:
                    self.swallow = Ahead.DONE
            self._answered = self._answered[length:]
        return data if self.swallow is Ahead.NOTHING else b""
