"""The world as a process of its own: the command line, its end, and what it keeps when it is killed."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.world.server import SECRET_KEY, free_port
from tests.sandbox.world_fixtures import test_settings

__all__ = ["test_settings"]
ROOT = Path(__file__).parents[2]


class Launched:
    def __init__(self, data: Path, **options: object) -> None:
        self.port, smtp_port = free_port(), free_port()
        given = {"port": self.port, "smtp-port": smtp_port, "data": data, **options}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.world", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        address = f"http://127.0.0.1:{self.port}/_control/{path}"
        answer = requests.get(address, timeout=20) if body is None else requests.post(address, json=body, timeout=20)
        return answer.json()


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Launched]:
    found = Launched(tmp_path)
    yield found
    found.process.kill()
    found.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_cleanly_even_while_an_answer_is_held(launched: Launched, number: signal.Signals) -> None:
    assert launched.ready().startswith(f"sandbox ready: http://127.0.0.1:{launched.port}/")
    launched.control("faults", {"area": "api", "kind": "timeout", "seconds": 60, "when": "before", "count": 1})
    headers = {"Authorization": f"Bearer {SECRET_KEY}"}
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"http://127.0.0.1:{launched.port}/v1/account", headers=headers, timeout=(2, 0.05))
    assert launched.end(number) == (0, "")


def test_objects_survive_kill_9(launched: Launched, tmp_path: Path) -> None:
    launched.ready()
    launched.control("trigger", {"type": "charge.refunded"})
    ledger = launched.control("ledger")
    assert len(ledger["sessions"]) == 1
    assert launched.end(signal.SIGKILL)[0] == -9
    again = Launched(tmp_path)
    again.ready()
    assert again.control("ledger") == ledger
    assert again.end(signal.SIGTERM) == (0, "")


def test_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = Launched(tmp_path, port=port)
        _, errors = found.process.communicate(timeout=20)
    assert (found.process.returncode, errors) == (1, f"Port {port} is in use by another program.\n")


@pytest.mark.parametrize(
    "option,value",
    [("host", "0.0.0.0"), ("webhook-url", "http://example.com/hook")],  # noqa: S104 - refused
)
def test_anything_but_this_machine_is_refused(tmp_path: Path, option: str, value: str) -> None:
    found = Launched(tmp_path, **{option: value})
    _, errors = found.process.communicate(timeout=20)
    assert found.process.returncode == 1
    assert value in errors
    assert "Traceback" not in errors
