"""A process with a wrong clock beside a right database and a right Stripe, and answers with other dates."""

import subprocess
import sys
from email.utils import formatdate
from time import time
from typing import Any

import pytest
from pytest_django import Settings

from sandbox.world.server import World
from storefront.production import clock
from tests.fulfillment.test_sweep import ROOT, process_environment
from tests.storefront.production.conftest import line, serving, states

STRIPES, DATABASES = "clock and Stripe's", "clock and the database's"


@pytest.mark.django_db
def test_right_clock_is_green(world: World) -> None:
    assert states(clock.check()) == {STRIPES: "ok", DATABASES: "ok"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ahead, said", [(600, "600 seconds ahead"), (-600, "600 seconds behind")])
def test_wrong_clock_is_told_by_both(world: World, ahead: int, said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.wrong_clock", str(ahead), "check_production", "--only", "clock", "--no-color"],
        cwd=ROOT,
        env=process_environment(world),
        capture_output=True,
        text=True,
        check=False,
    )
    rows = ran.stdout.splitlines()
    assert (ran.returncode, "Traceback" in ran.stderr, rows[-1]) == (1, False, "0 ok, 0 to look at, 2 wrong"), (
        ran.stderr
    )
    assert sum(said.split(" ", 1)[1] in row for row in rows) == 2
    assert "timedatectl set-ntp true" in ran.stdout


@pytest.mark.django_db
@pytest.mark.parametrize("ahead, state", [(0, "ok"), (-20, "warning"), (20, "warning"), (200, "wrong")])
def test_date_of_the_answer_decides(settings: Settings, ahead: int, state: str) -> None:
    def answer(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        return 404, {"Date": formatdate(time() + ahead, usegmt=True)}, b""

    with serving(answer) as port:
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{port}"
        assert line(clock.check(), STRIPES).state == state


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_answer_without_a_date_leaves_it_unknown(settings: Settings, headers: dict[str, str]) -> None:
    with serving(lambda *_: (200, headers, b"")) as port:
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{port}"
        assert line(clock.check(), STRIPES).found == "not compared: the answer bears no date"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_database")
def test_nobody_to_compare_with_is_a_warning(settings: Settings) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    assert states(clock.check()) == {STRIPES: "warning", DATABASES: "warning"}
