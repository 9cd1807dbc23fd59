"""The command: one table, in bounded time, whatever is down; no secrets; nothing changed without --fix."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial
from io import StringIO
from typing import Any

import pytest
import stripe
from django.core.management import CommandError, call_command
from pytest_django import Settings

from sandbox.world.server import World
from storefront.production import run as running
from storefront.production.lines import Check, Line, ok, warning, wrong
from storefront.production.run import CHECKS, run
from tests.fulfillment.test_sweep import ROOT
from tests.storefront.test_settings import PRODUCTION

pytestmark = pytest.mark.django_db(transaction=True)


def command(*words: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("check_production", *words, "--no-color", stdout=out)
    except SystemExit as error:
        return out.getvalue(), int(str(error.code))
    return out.getvalue(), 0


def use(monkeypatch: pytest.MonkeyPatch, *lines: Line) -> None:
    """Let one check answer with these lines, in place of all."""
    monkeypatch.setitem(CHECKS, "settings", lambda: lines)


def test_table_is_green_or_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ok("first", "well"), warning("second thing", "odd", "Look."), wrong("third", "bad", "Mend it."))
    out, code = command("--only", "settings")
    assert code == 1
    assert out.splitlines() == [
        "ok       first         well",
        "warning  second thing  odd",
        "                       → Look.",
        "wrong    third         bad",
        "                       → Mend it.",
        "1 ok, 1 to look at, 1 wrong",
    ]


@pytest.mark.parametrize(
    "found, strict, code",
    [(ok, False, 0), (ok, True, 0), (warning, False, 0), (warning, True, 1), (wrong, False, 1), (wrong, True, 1)],
)
def test_exit_code(monkeypatch: pytest.MonkeyPatch, found: Any, strict: bool, code: int) -> None:
    use(monkeypatch, found("a", "b", *([] if found is ok else ["c"])))
    assert command("--only", "settings", *(["--strict"] if strict else []))[1] == code
    out, json_code = command("--only", "settings", "--json", *(["--strict"] if strict else []))
    assert (json.loads(out)["ok"], json_code) == (code == 0, code)


def test_json_has_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, wrong("third", "bad", "Mend it."))
    out, _code = command("--only", "settings", "--json")
    assert json.loads(out) == {
        "ok": False,
        "lines": [{"name": "third", "state": "wrong", "found": "bad", "do": "Mend it."}],
    }


def test_check_that_hangs_is_given_up_and_the_others_are_told() -> None:
    def hangs() -> Iterable[Line]:
        time.sleep(5)
        return []

    began = time.monotonic()
    lines = run(("a", "b"), checks={"a": hangs, "b": lambda: [ok("b", "well")]}, limit=0.2)
    assert time.monotonic() - began < 2
    assert [(one.name, one.state.value, one.found) for one in lines] == [
        ("a", "wrong", "no answer within 0.2 seconds"),
        ("b", "ok", "well"),
    ]


def test_check_that_breaks_is_a_line_without_secrets(settings: Settings) -> None:
    settings.EMAIL_HOST_PASSWORD = "a-password-of-ours"

    def breaks() -> Iterable[Line]:
        raise ValueError("redis://user:hidden@host sk_live_abc a-password-of-ours")

    [only] = run(("a",), checks={"a": breaks})
    assert only.found == ("could not be checked: ValueError: redis://user:[secret]@host sk_[secret] [secret]")


def test_unknown_check_is_refused() -> None:
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("check_production", "--only", "nothing")


def test_fix_prints_the_secret_once_and_looks_again(world: World) -> None:
    endpoints = stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url}).v1.webhook_endpoints
    out, code = command("--only", "webhook")
    assert ("wrong    webhook " in out, code, endpoints.list().data) == (True, 1, [])
    out, code = command("--only", "webhook", "--fix")
    [made] = endpoints.list().data
    secret = world.account.store.private(made.id)["secret"]
    assert ("ok       webhook " in out, code, out.count(secret)) == (True, 0, 1)
    assert f"STRIPE_WEBHOOK_SECRETS={secret}\n" in out
    out, _code = command("--only", "webhook", "--fix", "--json")
    assert (json.loads(out)["fixed"], secret in out) == ({"said": f"{made.id} was right already.", "secret": ""}, False)
    endpoints.delete(made.id)


@pytest.mark.parametrize(
    "base, said", [("", "It needs rak_webhook_read."), ("http://127.0.0.1:9", "cannot be reached")]
)
def test_fix_that_is_not_possible_is_said(world: World, settings: Settings, base: str, said: str) -> None:
    world.control("keys", {"key": "rk_test_blind", "permissions": []})
    settings.STRIPE_SECRET_KEY = "rk_test_blind"
    settings.STRIPE_API_BASE = base or settings.STRIPE_API_BASE
    out, _code = command("--only", "webhook", "--fix")
    assert "Nothing was fixed" in out
    assert said in out


def test_everything_down_is_a_table_without_traceback_or_secret() -> None:
    environment = PRODUCTION | {
        "STORAGE_URL": "file:///proc/nowhere",
        "DNS_SERVERS": "127.0.0.1:9",
        "ADMINS": "ada@lantern.shop",
        "SITE_URL": "https://127.0.0.1:9",
        "STRIPE_API_BASE": "http://127.0.0.1:9",
        "STRIPE_SECRET_KEY": "rk_test_not_a_real_one",
        "DEFAULT_FROM_EMAIL": "orders@lantern.shop",
        "PATH": "/usr/bin:/bin",
    }
    ran = subprocess.run(
        [sys.executable, "manage.py", "check_production", "--json"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (1, "")
    found = json.loads(ran.stdout)
    rows = {row["name"]: row for row in found["lines"]}
    assert {name for name, row in rows.items() if row["state"] == "wrong"} == {
        "site url", "database", "broker", "processes", "private files", "covers", "mail server", "dns", "stripe mode",
        "stripe", "webhook", "webhook events", "https",
    }  # fmt: skip
    assert all(row["do"] for row in rows.values() if row["state"] != "ok")
    assert "secret@" not in ran.stdout
    assert not any(secret in ran.stdout for secret in (PRODUCTION["SECRET_KEY"], "not_a_real_one", "ada@"))


def test_every_check_is_run_once() -> None:
    asked: list[str] = []

    def answer(name: str) -> list[Line]:
        asked.append(name)
        return [ok(name, "")]

    checks: dict[str, Check] = {name: partial(answer, name) for name in CHECKS}
    assert [one.name for one in run(checks=checks)] == list(CHECKS)
    assert sorted(asked) == sorted(CHECKS)
    assert running.LIMIT == 30
