"""The process runner: with dummies for the processes, and `python -m sandbox.run` itself where that is quick."""

import io
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from sandbox import parts, plan
from sandbox.process import Process, StartFailed
from sandbox.run import processes, write_environment
from sandbox.supervise import Died, Supervisor

PORTS = plan.Ports(8000, 8001, 8002)
EMPTY: dict[str, str] = {}
OTHERS = {
    "DATABASE_URL": "postgres://user@db.example/shop",
    "CELERY_BROKER_URL": "redis://broker.example/0",
    "STRIPE_SECRET_KEY": "sk_test_mine",
    "EMAIL_URL": "smtp://mail.example",
}
# Says when it is up and when it leaves; the marker is what other programs see of its life.
SERVER = """
import pathlib, signal, sys, time
marker = pathlib.Path(sys.argv[1])
def leave(*_):
    print(marker.name, "leaves", flush=True)
    marker.unlink()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
marker.touch()
print(marker.name, "is up", flush=True)
while True: time.sleep(1)
"""
# A server with a child of its own, below a runner that is killed.
RUNNER = """
import sys, time
from pathlib import Path
from sandbox.process import Process
from sandbox.supervise import Supervisor
family = "trap 'kill $!' TERM; sh -c 'echo $$; exec sleep 60' & echo $$; wait"
supervisor = Supervisor(Path(sys.argv[1]))
supervisor.start([Process(name="family", argv=["sh", "-c", family])])
supervisor.watch()
"""


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def supervisor(tmp_path: Path, screen: io.StringIO) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "log", screen=screen)
    yield supervisor
    supervisor.stop()


def server(marker: Path) -> Process:
    return Process(name=marker.name, argv=[sys.executable, "-c", SERVER, marker], ready=marker.exists)


def shell(name: str, script: str, *, once: bool = False, restart: bool = False) -> Process:
    return Process(name=name, argv=["sh", "-c", script], once=once, restart=restart)


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def is_alive(number: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def free_port() -> int:
    """The first of three free ports, below those that the kernel gives to anybody who asks for any."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            plan.check_ports(plan.Ports(port, port + 1, port + 2), plan.parts_embedded(EMPTY))
        except plan.CannotRun:
            continue
        return port


def run(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in OTHERS}
    return subprocess.run(
        [sys.executable, "-m", "sandbox.run"],
        env={**clean, "VAR": str(tmp_path / "var"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_started_in_order_and_stopped_in_reverse(supervisor: Supervisor, screen: io.StringIO, tmp_path: Path) -> None:
    supervisor.start([server(tmp_path / "first"), server(tmp_path / "second"), server(tmp_path / "third")])
    supervisor.stop()

    said = [line.split("| ")[1] for line in screen.getvalue().splitlines()]
    assert said == [
        *["first is up", "second is up", "third is up"],
        *["third leaves", "second leaves", "first leaves"],
    ]


def test_lines_carry_their_process_and_are_kept(supervisor: Supervisor, screen: io.StringIO) -> None:
    supervisor.start([shell("web", "echo one; printf 'two\\377'; echo oops >&2", once=True)])

    assert screen.getvalue() == "web       | one\nweb       | two\N{REPLACEMENT CHARACTER}oops\n"
    assert (supervisor.logs / "web.log").read_bytes() == b"one\ntwo\xffoops\n"
    assert supervisor.logs.stat().st_mode & 0o077 == 0


def test_a_log_that_grew_large_begins_anew(supervisor: Supervisor) -> None:
    log = supervisor.logs / "web.log"
    log.write_bytes(b"x" * 5_000_001)

    supervisor.start([shell("web", "echo new", once=True)])

    assert log.read_bytes() == b"new\n"


def test_a_step_that_fails_ends_the_start_with_its_last_lines(supervisor: Supervisor, tmp_path: Path) -> None:
    steps = [shell("migrate", "echo 'no such table'; exit 3", once=True), server(tmp_path / "never")]

    with pytest.raises(StartFailed, match="migrate ended with code 3\n    no such table"):
        supervisor.start(steps)
    assert not (tmp_path / "never").exists()


def test_a_step_that_succeeds_is_remembered(supervisor: Supervisor) -> None:
    remembered: list[str] = []
    step = Process(name="migrate", argv=["true"], once=True, after=lambda: remembered.append("done"))

    supervisor.start([step])

    assert remembered == ["done"]


def test_a_server_that_never_gets_ready_is_given_up(supervisor: Supervisor) -> None:
    slow = Process(name="slow", argv=["sleep", "60"], ready=lambda: False, patience=0.1)

    with pytest.raises(StartFailed, match=r"slow was not ready within 0\.1 s"):
        supervisor.start([slow])


def test_a_program_that_is_missing_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed, match=r"web cannot be started.*no-such-program"):
        supervisor.start([Process(name="web", argv=["no-such-program"])])


def test_death_of_a_server_ends_the_watch(supervisor: Supervisor) -> None:
    supervisor.start([shell("postgres", "echo 'disk full'; sleep 0.2; kill -9 $$")])

    with pytest.raises(Died, match="postgres was ended by SIGKILL\n    disk full"):
        supervisor.watch()


def test_what_may_be_restarted_is_until_it_happens_too_often(
    supervisor: Supervisor, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.supervise.PAUSE_BEFORE_RESTART", 0)
    supervisor.start([shell("worker", "echo here; sleep 0.1; exit 2", restart=True)])

    with pytest.raises(Died, match="worker ended with code 2, 6 times in a minute"):
        supervisor.watch()
    assert screen.getvalue().count("worker    | here") == 6


def test_children_of_a_server_that_died_are_ended(supervisor: Supervisor) -> None:
    supervisor.start([shell("web", "sleep 60 & echo $!; sleep 0.2; kill -9 $$")])

    with pytest.raises(Died):
        supervisor.watch()

    number = int((supervisor.logs / "web.log").read_text())
    until(lambda: not is_alive(number))


def test_a_server_that_does_not_leave_is_killed(supervisor: Supervisor) -> None:
    script = "trap '' TERM; echo $$; while true; do sleep 0.1; done"
    supervisor.start([Process(name="stubborn", argv=["sh", "-c", script], grace=0.2)])
    log = supervisor.logs / "stubborn.log"
    until(lambda: log.exists() and bool(log.read_text()))

    supervisor.stop()

    assert not is_alive(int(log.read_text()))


def test_told_to_quit_while_starting(supervisor: Supervisor, tmp_path: Path) -> None:
    def never_ready() -> bool:
        supervisor.quit()  # as the signal handler does, in the middle of a start
        return False

    waiting = Process(name="waiting", argv=["sleep", "60"], ready=never_ready)
    supervisor.start([waiting, server(tmp_path / "never")])
    supervisor.watch()

    assert not (tmp_path / "never").exists()


def test_kill_9_of_the_runner_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RUNNER, str(tmp_path / "log")]) as runner:
        log = tmp_path / "log" / "family.log"
        until(lambda: log.exists() and log.read_text().count("\n") == 2)
        numbers = [int(word) for word in log.read_text().split()]
        assert all(is_alive(number) for number in numbers)
        runner.kill()

    until(lambda: not any(is_alive(number) for number in numbers))


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    port = free_port() + 1
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()

        done = run(tmp_path, PORT=str(port - 1))

    assert done.returncode == 1
    assert f"Port {port}, needed for the local Stripe and the mailbox, cannot be used" in done.stderr
    assert "make run PORT=9000" in done.stderr
    assert not (tmp_path / "var").exists()


def test_ports_of_parts_that_are_not_ours_are_not_needed() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]

        plan.check_ports(plan.Ports(free_port(), taken, taken), plan.parts_embedded(OTHERS))


def test_a_port_that_is_no_number_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, PORT="eighty")

    assert (done.returncode, "PORT must be a number" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "named, not_ours",
    [
        (EMPTY, set()),
        ({"DATABASE_URL": "", "EMAIL_URL": ""}, set()),
        ({"DATABASE_URL": OTHERS["DATABASE_URL"]}, {"postgres"}),
        ({"CELERY_BROKER_URL": OTHERS["CELERY_BROKER_URL"]}, {"valkey"}),
        ({"STRIPE_SECRET_KEY": OTHERS["STRIPE_SECRET_KEY"]}, {"stripe"}),
        ({"STRIPE_API_BASE": "http://stripe.example"}, {"stripe"}),
        ({"EMAIL_URL": OTHERS["EMAIL_URL"]}, {"mail"}),
        (OTHERS, {"postgres", "valkey", "stripe", "mail"}),
    ],
)
def test_the_environment_wins(named: dict[str, str], not_ours: set[str]) -> None:
    embedded = plan.parts_embedded(named)

    assert {part for part, ours in asdict(embedded).items() if not ours} == not_ours
    assert embedded.world is (embedded.stripe or embedded.mail)


def test_everything_of_ones_own_leaves_only_the_shop(tmp_path: Path) -> None:
    planned = processes(OTHERS, PORTS, tmp_path)

    assert [process.name for process in planned] == ["migrate", "worker", "sweep", "web"]
    assert not any(name in planned[-1].env for name in OTHERS)


def test_nothing_of_ones_own_brings_everything(tmp_path: Path) -> None:
    planned = processes(EMPTY, PORTS, tmp_path)

    names = ["postgres", "valkey", "sandbox", "migrate", "load_demo", "worker", "sweep", "web"]
    assert [process.name for process in planned] == names
    assert all(planned[-1].env[name] for name in OTHERS)


def test_a_stripe_of_ones_own_gets_no_local_secrets(tmp_path: Path) -> None:
    settings = plan.settings_for({"STRIPE_SECRET_KEY": "sk_live_mine"}, PORTS, tmp_path)

    assert [name for name in settings if name.startswith("STRIPE")] == []
    assert settings["EMAIL_URL"] == "smtp://127.0.0.1:8002"


def test_the_local_stripe_signs_with_the_first_secret_without_its_label() -> None:
    assert parts.first_secret("main=whsec_a==, old=whsec_b") == "whsec_a=="
    assert parts.first_secret("whsec_a,whsec_b") == "whsec_a"


def test_a_mail_server_of_ones_own_keeps_the_local_stripe(tmp_path: Path) -> None:
    settings = plan.settings_for({"EMAIL_URL": "smtp://mail.example"}, PORTS, tmp_path)

    assert settings["STRIPE_API_BASE"] == "http://127.0.0.1:8001"
    assert "EMAIL_URL" not in settings


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = plan.settings_for(EMPTY, PORTS, tmp_path)
    second = plan.settings_for(EMPTY, PORTS, tmp_path)

    assert first == second
    assert first["STRIPE_SECRET_KEY"].startswith("sk_test_sandbox")
    assert first["STRIPE_WEBHOOK_SECRETS"].startswith("whsec_")
    assert len({first["SECRET_KEY"], first["STRIPE_SECRET_KEY"], first["STRIPE_WEBHOOK_SECRETS"]}) == 3
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "environment, wanted",
    [
        (EMPTY, True),
        ({"DEBUG": "false"}, False),
        ({"DATABASE_URL": "postgres://user@db.example/shop"}, False),
        ({"DATABASE_URL": "postgres://user@db.example/shop", "DEBUG": "true"}, True),
    ],
)
def test_the_known_password_never_enters_a_database_by_accident(environment: dict[str, str], wanted: bool) -> None:
    assert plan.wants_demo(environment) is wanted
    assert ("admin@example.com / admin" in plan.banner(environment, PORTS, Path("/var"))) is wanted


def test_a_prepared_database_is_not_prepared_again(tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    steps = parts.database_steps(EMPTY, demo=True, prepared=prepared)
    assert [step.name for step in steps] == ["migrate", "load_demo"]
    assert [step.after is None for step in steps] == [True, False]
    assert steps[-1].after is not None
    steps[-1].after()

    assert parts.database_steps(EMPTY, demo=True, prepared=prepared) == []
    assert len(parts.database_steps(EMPTY, demo=False, prepared=prepared)) == 1
    assert len(parts.database_steps(EMPTY, demo=True, prepared=None)) == 2


def test_the_environment_is_kept_for_management_commands(tmp_path: Path) -> None:
    write_environment(tmp_path / "environment", {"DEFAULT_FROM_EMAIL": "The 'Shop' <a@b>", "DEBUG": "true"})

    shown = subprocess.run(
        ["/bin/sh", "-c", '. ./environment; echo "$DEFAULT_FROM_EMAIL"'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "The 'Shop' <a@b>\n"
    assert (tmp_path / "environment").stat().st_mode & 0o777 == 0o600


def test_the_runner_stops_what_it_started_on_sigterm(tmp_path: Path) -> None:
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if name not in OTHERS}
    environment = {**clean, "VAR": str(tmp_path / "var"), "PORT": str(port)}
    command = [sys.executable, "-m", "sandbox.run"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as runner:
        until((tmp_path / "var/valkey/valkey.sock").exists)
        number = int((tmp_path / "var/postgres/data/postmaster.pid").read_text().split()[0])
        second = run(tmp_path, PORT=str(port))
        runner.send_signal(signal.SIGTERM)
        said = runner.communicate(timeout=30)[0].decode()

    assert runner.returncode == 0, said
    assert f"in use by process {runner.pid}" in second.stderr or "cannot be used" in second.stderr
    assert f"Shop     http://127.0.0.1:{port}/" in said.splitlines()[1]
    assert not is_alive(number)
    assert not (tmp_path / "var/valkey/valkey.sock").exists()


@pytest.mark.parametrize(
    "named, shown",
    [
        ({"DEBUG": "true", "STRIPE_WEBHOOK_SECRETS": "whsec_x"}, "false"),
        ({"STRIPE_WEBHOOK_SECRETS": "whsec_x"}, None),  # somebody named DEBUG, whatever they said
        ({"DEBUG": "true"}, None),  # their own Stripe account, without secrets yet
    ],
)
def test_demo_shows_the_pages_of_a_real_shop(named: dict[str, str], shown: str | None) -> None:
    assert parts.as_strangers_see_it(named).get("DEBUG") == shown
