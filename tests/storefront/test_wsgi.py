"""The short way of the webhook, through the door for web servers: shorter, and no less safe."""

import json
import sys
from io import BytesIO
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from pytest_django import Settings

from fulfillment.models import StripeEvent
from tests.steps import signed

EVENT = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs_test_1"}}}

pytestmark = pytest.mark.django_db(transaction=True)


def ask(path: str = "/webhooks/stripe/", *, method: str = "POST", **environ: Any) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer of a newly made application, which reads the settings of this test."""
    from storefront.wsgi import Application  # not before the settings of tests are in place

    body = json.dumps(EVENT).encode()
    got: list[Any] = []
    application: Any = Application()
    answer = application(
        {
            "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "localhost", "SERVER_PORT": "80",
            "HTTP_HOST": "localhost", "wsgi.input": BytesIO(body), "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr, "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
            "HTTP_STRIPE_SIGNATURE": signed(body, secret="whsec_only_for_tests"), **environ,
        },
        lambda status, headers: got.extend((int(status[:3]), dict(headers))),
    )  # fmt: skip
    b"".join(answer)
    answer.close()
    return got[0], got[1]


def test_event_is_stored_without_session_or_policy_of_pages() -> None:
    status, headers = ask()
    assert (status, StripeEvent.objects.get().event_id) == (200, "evt_1")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not {"Set-Cookie", "Vary", "Content-Security-Policy", "X-Frame-Options"} & set(headers)


def test_probe_is_answered_without_session_or_language() -> None:
    status, headers = ask(
        "/healthz", method="GET", HTTP_ACCEPT_LANGUAGE="de", HTTP_COOKIE="language=de; session=abcdefgh"
    )
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert not {"Set-Cookie", "Vary", "Content-Language", "Content-Security-Policy"} & set(headers)


def test_s40_forged_host_is_refused() -> None:
    assert ask(HTTP_HOST="evil.example")[0] == 400
    assert StripeEvent.objects.count() == 0


def test_plain_http_is_sent_to_https_unless_the_proxy_says_that_it_was(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert ask()[0] == 301
    assert StripeEvent.objects.count() == 0
    assert ask(HTTP_X_FORWARDED_PROTO="https")[0] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_only_posts_are_taken(method: str) -> None:
    assert ask(method=method)[0] == 405
    assert StripeEvent.objects.count() == 0


def test_s3_without_a_secret_there_is_no_such_page(settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = []
    assert ask()[0] == 404


def test_s7_body_without_a_length_is_400() -> None:
    """Chunked: Django reads nothing."""
    assert ask(CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")[0] == 400


def test_connection_goes_back_to_the_pool_as_after_any_request() -> None:
    seen: list[str] = []

    def started(**_: Any) -> None:
        seen.append("started")

    def finished(**_: Any) -> None:
        seen.append("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    try:
        ask()
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)
    assert seen == ["started", "finished"]
    assert close_old_connections in [receiver[1]() for receiver in request_finished.receivers]


def test_all_other_addresses_take_the_long_way() -> None:
    status, headers = ask("/library/", method="GET")
    assert status == 302
    assert "Content-Security-Policy" in headers
    assert ask("/webhooks/stripe")[0] in (301, 404)
