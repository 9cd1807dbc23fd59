"""Lists whose rows are long do not scroll sideways, on a desk or a phone."""

import environ
import psycopg
import pytest
from playwright.sync_api import Page

from tests.journeys import steps
from tests.journeys.browsing import PHONE, hidden_columns, keep
from tests.journeys.running import Shop
from tests.journeys.test_admin import sign_in_as_owner

pytestmark = pytest.mark.browser

BUYER = "long@example.com"
LONG = f"{'a-very-long-name-of-a-mailbox' * 2}@mail.some-long-host-of-a-large-company.example.com"
ROWS = f"""
    INSERT INTO fulfillment_stripeevent (event_id, type, object_id, livemode, account, api_version, endpoint, state,
        note, attempts, body, received_at, next_attempt_at)
    VALUES ('evt_{"1Qx9ZkLq" * 4}', 'customer.subscription.pending_update_expired', 'cs_test_{"b1Qx9ZkLq" * 6}', false,
        '', '', '', 'ignored', '{"this session is another application’s: it has no reference of this shop, " * 3}', 1,
        '', now(), now());
    UPDATE fulfillment_delivery SET recipient = '{LONG}' WHERE recipient = '{BUYER}';
    UPDATE fulfillment_entitlement SET email = '{LONG}' WHERE email = '{BUYER}';
    UPDATE orders_order SET email = '{LONG}', attention = '{"Nobody knows which product this is. " * 4}'
        WHERE email = '{BUYER}';
    INSERT INTO fulfillment_download (entitlement_id, file_id, via, address, agent, started_at, last_at, ranges, bytes)
    SELECT right_of.id, file.id, 'link', '2001:db8:1234:5678:9abc:def0:1234:5678', '', now(), now(), 7, 123456789012
    FROM fulfillment_entitlement AS right_of, catalog_file AS file WHERE right_of.email = '{LONG}' LIMIT 3"""  # noqa: S608 - made of our own texts alone
LISTS = (
    "fulfillment/stripeevent", "fulfillment/delivery", "fulfillment/download", "fulfillment/entitlement",
    "orders/order",
)  # fmt: skip


def test_lists_of_long_rows_do_not_scroll_sideways(page: Page, shop: Shop) -> None:
    steps.buy_as_guest(page, shop, "Slow Bread", email=BUYER)
    shop.wait_mail(BUYER, saying="Your files are here")
    named = environ.Env.db_url_config(shop.settings()["DATABASE_URL"])
    with psycopg.connect(host=named["HOST"], dbname=named["NAME"], user=named["USER"], autocommit=True) as database:
        database.execute(ROWS)
    sign_in_as_owner(page, shop)
    wide = []
    for name in LISTS:
        page.goto(f"{shop.url}/admin/{name}/")
        wide += [f"{name} at {told}" for told in hidden_columns(page)]
        keep(page, f"admin-long-{name.rpartition('/')[2]}")
    assert wide == []


def test_links_on_a_phone_are_large_enough_for_a_finger(page: Page, shop: Shop) -> None:
    """https://www.w3.org/TR/WCAG22/#target-size-minimum"""
    sign_in_as_owner(page, shop)
    page.set_viewport_size(PHONE)
    small = []
    for address in ("", "fulfillment/stripeevent/"):
        page.goto(f"{shop.url}/admin/{address}")
        for link in page.locator("#user-tools :is(a, button), .dash-choose a, #changelist-filter a").all():
            box = link.bounding_box()
            if box and box["height"] < 24:
                small.append(f"{link.inner_text()}: {box['height']}")
    assert small == []
