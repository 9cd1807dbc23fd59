"""What a stranger can send gets an answer below 500, whatever it is."""

import sys
from importlib import import_module
from io import BytesIO

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from fulfillment.access import Actor, held

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "key", ['"\\000aaaaaaaaaaaaaaa"', "é" * 20, "' or 1=1 --------", "a" * 5000, "../../../../etc"]
)
@pytest.mark.parametrize("path", ["/", "/library/", "/orders/ABC/", "/checkout/done/?session_id=cs_test_1"])
def test_s61_strange_session_cookie_is_no_session(settings: Settings, path: str, key: str) -> None:
    client = Client(headers={"cookie": f"{settings.SESSION_COOKIE_NAME}={key}"})
    assert client.get(path).status_code in (200, 302, 404)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/", "/healthz", "/webhooks/stripe/"])
def test_s61_charset_that_the_client_names_is_not_believed(path: str) -> None:
    """Through the door for web servers: Django reads the charset before any handler of errors is there."""
    application = import_module("storefront.wsgi").application  # not before the settings of tests are in place
    statuses: list[str] = []
    for charset in ("base64", "hex", "rot13", "idna", "undefined", "utf-16", "nonsense", "\x00"):
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "category=%ff&after=1",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.input": BytesIO(), "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr, "CONTENT_TYPE": f"text/html; charset={charset}",
        }  # fmt: skip
        b"".join(application(environ, lambda status, _headers: statuses.append(status)))
    assert len(statuses) == 8
    assert max(statuses) < "500"


def test_held_rights_are_found_by_index(client: Client) -> None:
    """Every page of a signed-in shopper asks: no join, no OR across tables."""
    sql = str(held(Actor(user=User(pk=1), references=frozenset({"A"}))).query)
    assert "JOIN" not in sql
