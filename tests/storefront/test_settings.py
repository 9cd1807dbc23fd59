"""Mistakes in the settings are said before the shop starts, with the name of the variable and what belongs there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.test import Client
from pytest_django import Settings

ROOT = Path(__file__).parents[2]
PRODUCTION = {
    "SECRET_KEY": "not-a-real-one-3a7f19c2be5d48069f1e7c3b2a8d5f60419c7e2b8d3f",
    "SITE_URL": "https://shop.example.com",
    "DATABASE_URL": "postgres://shop:secret@127.0.0.1:9/shop",
    "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
    "EMAIL_URL": "smtp+tls://shop:secret@127.0.0.1:9",
    "DEFAULT_FROM_EMAIL": "The Shop <orders@shop.example.com>",
    "STRIPE_SECRET_KEY": "sk_live_not_a_real_one",
    "STRIPE_WEBHOOK_SECRETS": "whsec_not_a_real_one",
}


def check_deploy(tmp_path: Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **PRODUCTION, **changes}
    set_ones = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=set_ones,
        capture_output=True,
        text=True,
        check=False,
    )


def test_s62_production_settings_are_clean(tmp_path: Path) -> None:
    checked = check_deploy(tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "System check identified no issues (2 silenced).\n")


@pytest.mark.parametrize(
    "name",
    [
        "SECRET_KEY",
        "SITE_URL",
        "DATABASE_URL",
        "CELERY_BROKER_URL",
        "EMAIL_URL",
        "DEFAULT_FROM_EMAIL",
        "STRIPE_SECRET_KEY",
    ],
)
def test_missing_variable_says_its_name_and_what_to_put_there(tmp_path: Path, name: str) -> None:
    checked = check_deploy(tmp_path, **{name: None})
    assert checked.returncode != 0
    last = checked.stderr.strip().splitlines()[-1]
    assert f"{name} is not set. Set it in the environment or in .env to " in last


def test_number_that_is_none_says_its_name(tmp_path: Path) -> None:
    checked = check_deploy(tmp_path, LINK_HOURS="two days")
    assert (
        checked.stderr.strip()
        .splitlines()[-1]
        .endswith("LINK_HOURS must be a whole number such as 48, not 'two days'.")
    )


@pytest.mark.parametrize("value, is_spoken", [("de", True), ("EN", True), ("fr", False), ("de-at", False)])
def test_language_of_the_shop_is_one_that_it_speaks(tmp_path: Path, value: str, is_spoken: bool) -> None:
    checked = check_deploy(tmp_path, LANGUAGE_CODE=value)
    assert (checked.returncode == 0) == is_spoken
    said = checked.stderr.strip().endswith(f"LANGUAGE_CODE must be one of en, de, not {value!r}.")
    assert said != is_spoken


def test_empty_variables_count_as_not_set(tmp_path: Path) -> None:
    """A copied .env.example has them."""
    names = (
        "LINK_HOURS",
        "STORAGE_URL",
        "STRIPE_API_BASE",
        "ALLOWED_HOSTS",
        "ADMINS",
        "DEBUG",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "SITE_NAME",
    )
    assert check_deploy(tmp_path, **dict.fromkeys(names, "")).returncode == 0


@pytest.mark.parametrize(
    "changes, said",
    [
        ({}, "31536000 False False"),
        ({"HSTS_SUBDOMAINS": "true"}, "31536000 True False"),
        ({"HSTS_SUBDOMAINS": "true", "HSTS_PRELOAD": "true"}, "31536000 True True"),
        ({"SITE_URL": "http://127.0.0.1:8000", "HSTS_SUBDOMAINS": "true"}, "0 False False"),
    ],
)
def test_hsts_speaks_for_other_names_only_when_asked(changes: dict[str, str], said: str) -> None:
    names = ("SECONDS", "INCLUDE_SUBDOMAINS", "PRELOAD")
    code = f"import storefront.settings as s; print({', '.join(f's.SECURE_HSTS_{name}' for name in names)})"
    environment = {"PATH": os.environ["PATH"], **PRODUCTION, **changes}
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout == f"{said}\n"


def test_browsers_lists_hold_whole_domains_alone(tmp_path: Path) -> None:
    checked = check_deploy(tmp_path, HSTS_PRELOAD="true")
    assert checked.returncode != 0
    assert "HSTS_PRELOAD needs HSTS_SUBDOMAINS" in checked.stderr


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"STRIPE_API_BASE": "http://127.0.0.1:8001"}, "storefront.E001"),
        ({"STRIPE_API_BASE": "https://evil.example", "STRIPE_SECRET_KEY": "sk_test_x"}, "storefront.E002"),
        ({"STRIPE_WEBHOOK_SECRETS": "whsec_"}, "storefront.E003"),
        ({"STRIPE_WEBHOOK_SECRETS": "whsec_real_enough_to_pass,changeme"}, "storefront.E003"),
        ({"STRIPE_WEBHOOK_SECRETS": "main=whsec_"}, "storefront.E003"),
        ({"STRIPE_WEBHOOK_SECRETS": "the old one=whsec_real_enough_to_pass"}, "storefront.E003"),
        ({"STRIPE_WEBHOOK_SECRETS": ""}, "storefront.E004"),
        ({"SITE_URL": "http://shop.example.com"}, "storefront.W001"),
    ],
)
def test_s3_dangerous_setting_is_refused(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    """And a live key is never told to anybody but Stripe."""
    checked = check_deploy(tmp_path, **changes)
    assert checked.returncode == 1
    assert said in checked.stderr


def test_webhook_secrets_may_carry_labels() -> None:
    code = "import storefront.settings as s; print(s.STRIPE_WEBHOOK_SECRETS, s.STRIPE_WEBHOOK_LABELS)"
    environment = {"PATH": os.environ["PATH"], **PRODUCTION, "STRIPE_WEBHOOK_SECRETS": "whsec_a, old-1=whsec_b==,x=y"}
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout == "['whsec_a', 'whsec_b==', 'x=y'] {'whsec_b==': 'old-1'}\n"


def test_s62_debug_is_off_by_default() -> None:
    code = "import storefront.settings as s; print(s.DEBUG, s.ALLOWED_HOSTS)"
    environment = {"PATH": os.environ["PATH"], **PRODUCTION}
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout == "False ['shop.example.com']\n"


def test_sandbox_on_this_machine_is_no_mistake(settings: Settings) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:8001"
    assert run_checks(tags=["security"]) == []


@pytest.mark.django_db
def test_s58_pages_carry_a_strict_policy(client: Client) -> None:
    """No inline script or style, nothing from another host, and Buy may end on Stripe's page alone."""
    answer = client.get("/")
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";") if part.strip())
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self' http://127.0.0.1:9"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert answer["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
def test_s40_forged_host_is_refused(client: Client) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert "evil" not in client.get("/", headers={"x-forwarded-host": "evil.example"}).content.decode()


@pytest.mark.parametrize(
    "broker, option, value",
    [
        ("redis://127.0.0.1:9/0", "socket_timeout", 0.2),
        ("amqp://guest:guest@127.0.0.1:9//", "confirm_publish", True),
        ("amqps://guest:guest@127.0.0.1:9//", "read_timeout", 0.3),
    ],
)
def test_f8_f9_broker_gets_the_options_of_its_protocol(broker: str, option: str, value: object) -> None:
    """What one transport takes, another one stumbles over."""
    script = f"from django.conf import settings; print(settings.CELERY_BROKER_TRANSPORT_OPTIONS[{option!r}])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**PRODUCTION, "CELERY_BROKER_URL": broker, "DJANGO_SETTINGS_MODULE": "storefront.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{value}\n"
