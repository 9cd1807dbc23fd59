from typing import Any

import pytest
from pytest_django import Settings

from storefront.production import configuration
from tests.storefront.production.conftest import line, states

# What production has and the tests' settings have not.
WHOLE: dict[str, Any] = {
    "SECRET_KEY": "not-a-real-one-3a7f19c2be5d48069f1e7c3b2a8d5f60419c7e2b8d3f",
    "SITE_URL": "https://lantern.shop",
    "ALLOWED_HOSTS": ["lantern.shop"],
    "HTTPS": True,
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 31536000,
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "STRIPE_API_BASE": "https://api.stripe.com",
}


def use(settings: Settings, **changes: Any) -> None:
    for name, value in (WHOLE | changes).items():
        setattr(settings, name, value)


def test_whole_settings_are_green(settings: Settings) -> None:
    use(settings)
    lines = list(configuration.check())
    assert states(lines) == dict.fromkeys(
        ("debug", "secret key", "site url", "allowed hosts", "deploy checks", "sentry"), "ok"
    )
    assert not any(WHOLE["SECRET_KEY"] in one.found + one.do for one in lines)


@pytest.mark.parametrize(
    "name, changes, do",
    [
        ("debug", {"DEBUG": True}, "Remove DEBUG, or set DEBUG=false."),
        ("secret key", {"SECRET_KEY": "short"}, "SECRET_KEY=$(python -c"),
        ("secret key", {"SECRET_KEY": "ab" * 40}, "SECRET_KEY=$(python -c"),
        ("site url", {"SITE_URL": "http://lantern.shop"}, "SITE_URL=https://lantern.shop"),
        ("site url", {"SITE_URL": "https://lantern.shop/books"}, "SITE_URL=https://lantern.shop"),
        ("site url", {"SITE_URL": "https://shop.example.com"}, "Set SITE_URL"),
        ("site url", {"SITE_URL": "https://127.0.0.1"}, "Set SITE_URL"),
        ("allowed hosts", {"ALLOWED_HOSTS": ["*"]}, "ALLOWED_HOSTS=lantern.shop"),
        ("allowed hosts", {"ALLOWED_HOSTS": ["other.shop"]}, "ALLOWED_HOSTS=lantern.shop,other.shop"),
        ("deploy storefront.E004", {"STRIPE_WEBHOOK_SECRETS": []}, "Add an endpoint"),
    ],
)
def test_broken_setting_says_what_to_set(settings: Settings, name: str, changes: dict[str, Any], do: str) -> None:
    use(settings, **changes)
    found = line(configuration.check(), name)
    assert (found.state, found.do[: len(do)]) == ("wrong", do)


def test_what_django_warns_of_is_a_warning(settings: Settings) -> None:
    use(settings, SESSION_COOKIE_SECURE=False)
    assert line(configuration.check(), "deploy security.W012").state == "warning"
