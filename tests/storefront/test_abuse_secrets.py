"""What must not be found: secrets in logs, tables, queues, pages; addresses that the shop would fetch for somebody."""

import ast
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import Client
from pytest_django import Settings

from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from storefront.celery import app
from tests.conftest import QUEUES, next_message
from tests.factories import ProductFactory, UserFactory
from tests.steps import GUEST, buy, events, post_bytes, post_event, report

ROOT = Path(__file__).parents[2]
OURS = ("accounts", "catalog", "orders", "fulfillment", "storefront")


def every_text_stored() -> str:
    """All rows of all tables but sessions, as text; bytes too."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT tablename FROM pg_tables
               WHERE schemaname = 'public' AND tablename NOT IN ('accounts_session', 'cache')"""
        )
        tables = [row[0] for row in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT "{table}"::text FROM "{table}"')  # noqa: S608 - names from the catalogue
            found += [row[0] for row in cursor.fetchall()]
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND data_type = 'bytea'",
                [table],
            )
            for (column,) in cursor.fetchall():
                cursor.execute(f'SELECT encode("{column}", \'escape\') FROM "{table}"')  # noqa: S608
                found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


@pytest.fixture
def secrets(settings: Settings) -> list[str]:
    return [
        settings.SECRET_KEY,
        settings.STRIPE_SECRET_KEY,
        *settings.STRIPE_WEBHOOK_SECRETS,
        connection.settings_dict["PASSWORD"] or "no password is set",
    ]


@pytest.mark.django_db
def test_i17_s26_s62_s64_no_secret_is_stored_logged_or_shown_on_the_way_from_click_to_reading(
    smtp: World, client: Client, caplog: pytest.LogCaptureFixture, secrets: list[str]
) -> None:
    """A purchase, its mail, its link, a reading, and everything that goes wrong beside them."""
    caplog.set_level(logging.INFO)
    buyer = Client()
    order = buy(smtp, buyer, ProductFactory())
    report(smtp, client, "checkout.session.completed")
    post_event(client, events(smtp)[0], secret="whsec_some_other_secret")
    smtp.control("faults", {"area": "mail", "kind": "refuse_message", "code": 451, "count": 1})
    sweep()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE fulfillment_delivery SET next_attempt_at = statement_timestamp()")
    sweep()
    [mail] = smtp.mails(to=GUEST)
    token = re.search(r"/links/([^/\s]+)/", mail["text"])
    assert token
    assert client.get(f"/links/{token[1]}/").status_code == 200
    assert client.get(f"/links/{token[1]}x/").status_code == 404
    session = buyer.cookies[configured.SESSION_COOKIE_NAME].value
    csrf = buyer.cookies[configured.CSRF_COOKIE_NAME].value if configured.CSRF_COOKIE_NAME in buyer.cookies else session
    signature = token[1].rpartition(".")[2]
    owner = Client()
    owner.force_login(UserFactory(is_staff=True, is_superuser=True))
    pages = [
        owner.get(f"/admin/orders/order/{order.pk}/change/"),
        owner.get(f"/admin/fulfillment/delivery/{order.deliveries.get().pk}/change/"),
        owner.get("/admin/fulfillment/stripeevent/"),
        client.get("/metrics"),
        client.get("/readyz"),
    ]
    assert {page.status_code for page in pages} == {200}
    places = {
        "tables": every_text_stored(),
        "logs": "\n".join(one.getMessage() for one in caplog.records if not one.name.startswith("mail.log")),
        "pages": "".join(page.content.decode() for page in pages),
    }
    for place, text in places.items():
        assert len(text) > 100, place
        for secret in (*secrets, session, csrf, signature):
            assert secret not in text, (place, secret[:12])


@pytest.mark.django_db(transaction=True)
def test_i17_s62_tasks_carry_ids_alone(smtp: World, client: Client, drain: Callable[[], int]) -> None:
    buy(smtp, client, ProductFactory())
    report(smtp, client, "checkout.session.completed")
    with app.connection_for_read() as broker:
        waiting = [next_message(broker.default_channel) for _ in QUEUES]
    [message] = [one for one in waiting if one]
    args, kwargs, _ = message.decode()
    assert kwargs == {}
    assert all(re.fullmatch(r"evt_\w+|\d+", str(one)) for one in args)
    assert GUEST not in json.dumps(message.headers)


@pytest.mark.django_db
def test_i17_s62_page_of_an_error_tells_nothing(client: Client, settings: Settings, secrets: list[str]) -> None:
    settings.STRIPE_SECRET_KEY = secrets[1]
    visitor = Client(raise_request_exception=False)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE catalog_product RENAME COLUMN summary TO gone")
    answer = visitor.get("/?token=verysecrettoken", headers={"authorization": "Bearer verysecrettoken"})
    assert answer.status_code == 500
    text = answer.content.decode()
    for word in (*secrets, "Traceback", "catalog_product", "verysecrettoken", "settings", str(ROOT)):
        assert word not in text, word


@pytest.mark.django_db
def test_s62_password_typed_into_a_form_is_not_shown_again(client: Client, clean_rate_limits: None) -> None:
    answer = client.post("/accounts/login/", {"login": "bob@example.com", "password": "my very own password"})
    assert answer.status_code == 200
    assert b"my very own password" not in answer.content


@pytest.mark.parametrize(
    "path",
    ["/.env", "/.git/config", "/static/.env", "/manage.py", "/storefront/settings.py", "/var/environment", "/Procfile"],
)
@pytest.mark.django_db
def test_s62_files_of_the_shop_have_no_address(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_s62_no_key_stands_in_the_source() -> None:
    found = []
    for path in (path for folder in OURS for path in (ROOT / folder).rglob("*.py")):
        found += re.findall(r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{8,}|whsec_[A-Za-z0-9]{16,}", path.read_text())
    assert found == []


FETCHERS = {"requests", "httpx", "urllib.request", "urllib3", "http.client", "aiohttp", "socket", "ftplib", "pycurl"}


def test_s63_nothing_in_the_shop_can_fetch_an_address() -> None:
    """Stripe's library, the mail client and the storage do, each to a host that the settings name."""
    importing = set()
    for path in (path for folder in OURS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            if FETCHERS & set(names):
                importing.add(str(path.relative_to(ROOT)))
    # check_production, which nobody runs but the operator, asks for the shop's own address and its bucket.
    assert importing == {"storefront/production/web.py"}


@pytest.mark.django_db
def test_s63_address_in_an_event_is_not_fetched(world: World, client: Client) -> None:
    """An id that is an address, a path or a query reaches no request."""
    asked: list[int] = []
    for session in (
        "http://169.254.169.254/",
        "../../v1/refunds",
        "cs_test_x?expand=all",
        "cs_test_x/expire",
        "cs_test_%2e",
    ):
        body = json.dumps(
            {
                "id": f"evt_{len(asked)}", "object": "event", "type": "checkout.session.completed", "livemode": False,
                "data": {"object": {"id": session}},
            }
        )  # fmt: skip
        asked.append(post_bytes(client, body.encode()).status_code)
    assert asked == [200] * 5
    before = world.control("ledger")
    sweep()
    assert world.control("ledger") == before
    assert not Order.objects.exists()


@pytest.mark.django_db
def test_s64_mail_in_the_table_and_in_the_admin_has_no_link(smtp: World, client: Client) -> None:
    """The row knows whom and about what; the link is made while it is sent. Who is shown the mail sees it cut off."""
    order = buy(smtp, client, ProductFactory())
    report(smtp, client, "checkout.session.completed")
    sweep()
    assert "/links/" in smtp.mails(to=GUEST)[0]["text"]
    assert "/links/" not in every_text_stored()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    for page in ("change", "html"):
        answer = client.get(f"/admin/fulfillment/delivery/{order.deliveries.get().pk}/{page}/")
        assert answer.status_code == 200
        assert set(re.findall(r"/links/([^\s\"'<>/]*)", answer.content.decode())) == {"…"}
