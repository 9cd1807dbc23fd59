"""A mail server that goes wrong where it is told to: one answer, or silence, for each step of the conversation."""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

GOOD = {
    "connect": "220 ready",
    "EHLO": "250 scripted",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "text": "250 kept",
    "QUIT": "221 bye",
}
SILENCE, HANG_UP = "silence", "hang up"


@dataclass
class ScriptedServer:
    """`says` replaces answers by step; `texts` are the messages that arrived whole; `reached` tells of each step;
    `go_on` ends the silence."""

    says: dict[str, str]
    port: int = 0
    texts: list[bytes] = field(default_factory=list)
    reached: dict[str, threading.Event] = field(default_factory=lambda: {step: threading.Event() for step in GOOD})
    go_on: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines, suppress(OSError):
            self.answer(client, "connect")
            while line := lines.readline():
                step = line[:4].decode("ascii", "replace").upper()
                self.answer(client, step)
                if step == "DATA":
                    self.texts.append(whole(lines))
                    self.answer(client, "text")
                if step == "QUIT":
                    return

    def answer(self, client: socket.socket, step: str) -> None:
        says = self.says.get(step, GOOD.get(step, "250 ok"))
        if step in self.reached:
            self.reached[step].set()
        if says == HANG_UP:
            raise OSError
        if says == SILENCE:
            self.go_on.wait(30)
            says = GOOD[step]
        client.sendall(says.encode() + b"\r\n")


def whole(lines: Iterable[bytes]) -> bytes:
    """The text, once its final dot has arrived; raises OSError where it never does."""
    text: list[bytes] = []
    for line in lines:
        if line == b".\r\n":
            return b"".join(text)
        text.append(line)
    raise OSError


@contextmanager
def scripted_server(**says: str) -> Iterator[ScriptedServer]:
    server = ScriptedServer(says)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
        yield server
        server.go_on.set()
        listener.shutdown(socket.SHUT_RDWR)
