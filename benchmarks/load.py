"""Posts signed events over connections that stay open, as fast as they are answered or at a given rate.

Runs as a process of its own and is prepared before the clock starts: on two cores a generator that builds and signs
while it measures would measure itself. `python -m benchmarks.load` reads one JSON object and writes one.
"""

import hashlib
import hmac
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

TIMEOUT = 30.0  # seconds without any answer


@dataclass
class Line:
    """One connection, and the request that is on its way over it."""

    sock: socket.socket
    sent_at: float = 0.0
    got: bytes = b""


@dataclass
class Outcome:
    latencies: list[float] = field(default_factory=list)  # seconds
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    cpu: float = 0.0


def main() -> None:
    order = json.load(sys.stdin)
    bodies = order.get("bodies") or [
        order["template"].replace("evt_TEMPLATE", f"evt_{order['prefix']}{number:06d}")
        for number in range(order["events"])
    ]
    requests = [request(body.encode(), order["secret"], int(time.time())) for body in bodies]
    lines = [Line(connect(order["port"])) for _ in range(order["connections"])]
    found = drive(lines, requests, seconds=order["seconds"], rate=order.get("rate"))
    json.dump(summary(found), sys.stdout)


def request(body: bytes, secret: str, now: int) -> bytes:
    """The bytes of one POST, signed as Stripe does: https://docs.stripe.com/webhooks#verify-manually"""
    digest = hmac.new(secret.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
    return (
        f"POST /webhooks/stripe/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0\r\n"
        f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        f"Stripe-Signature: t={now},v1={digest}\r\nAccept: */*\r\n\r\n"
    ).encode() + body


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def drive(lines: list[Line], requests: list[bytes], *, seconds: float, rate: float | None) -> Outcome:
    """Send until the time is over or nothing is left, then wait for what is on its way."""
    found, began, cpu = Outcome(), time.perf_counter(), time.process_time()
    poll, by_number = select.epoll(), {line.sock.fileno(): line for line in lines}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    due: Iterator[float] = (began + n / rate for n in count()) if rate else iter(lambda: began, None)
    # Each in its turn: the server closes a connection over which nothing comes for ten seconds.
    waiting, free = iter(zip(requests, due, strict=False)), deque(lines)
    upcoming = next(waiting, None)
    while upcoming or len(free) < len(lines):
        now = time.perf_counter()
        while upcoming and free and upcoming[1] <= now:
            send(free.popleft(), upcoming[0], upcoming[1] if rate else now)
            upcoming = next(waiting, None) if now < began + seconds or rate else None
        pause = max(0.0, upcoming[1] - now) if upcoming and free else TIMEOUT
        ready = poll.poll(pause)
        if not ready and pause == TIMEOUT:
            raise SystemExit("no answer within 30 seconds")
        for number, _ in ready:
            if receive(by_number[number], found):
                free.append(by_number[number])
        if not rate and time.perf_counter() >= began + seconds:
            upcoming = None
    found.seconds, found.cpu = time.perf_counter() - began, time.process_time() - cpu
    return found


def send(line: Line, request: bytes, at: float) -> None:
    """`at` is when it was due: what waited for a free connection waited for the server."""
    line.sent_at, line.got = at, b""
    line.sock.sendall(request)


def receive(line: Line, found: Outcome) -> bool:
    """Whether the answer is complete now."""
    chunk = line.sock.recv(65536)
    if not chunk:
        raise SystemExit("the server closed a connection in the middle")
    line.got += chunk
    head, end, body = line.got.partition(b"\r\n\r\n")
    if not end or len(body) < length(head):
        return False
    found.latencies.append(time.perf_counter() - line.sent_at)
    found.statuses[line.got[9:12].decode()] += 1
    return True


def length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if rest else 0


def summary(found: Outcome) -> dict[str, object]:
    ranked = sorted(found.latencies) or [0.0]
    return {
        "rate": len(found.latencies) / found.seconds,
        "p50_ms": ranked[len(ranked) // 2] * 1000,
        "p99_ms": ranked[int(len(ranked) * 0.99)] * 1000,
        "worst_ms": ranked[-1] * 1000,
        "answers": len(found.latencies),
        "statuses": dict(found.statuses),
        "seconds": found.seconds,
        "generator_cpu": found.cpu / found.seconds,
    }


if __name__ == "__main__":
    main()
