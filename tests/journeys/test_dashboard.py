"""The admin's first page of a shop that has sold for a while: in a browser, wide and narrow, light and dark."""

import environ
import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.browsing import SCREENSHOTS, barriers, keep, sticking_out
from tests.journeys.running import Shop
from tests.journeys.test_admin import sign_in_as_owner

pytestmark = pytest.mark.browser

# Sixty-five days with a rhythm: more at weekends, a slow rise, some refunds, a Payment Link now and then.
SALES = """
    WITH book AS (
        SELECT row_number() OVER (ORDER BY p.id) AS n, count(*) OVER () AS many, p.id, p.name, p.price, p.currency,
            e.id AS edition
        FROM catalog_product p JOIN catalog_edition e ON e.product_id = p.id AND e.number = 1
        WHERE p.price > 0 AND p.status = 'published'
            AND p.currency = (SELECT currency FROM catalog_product WHERE price > 0 AND status = 'published'
                              GROUP BY currency ORDER BY count(*) DESC LIMIT 1)
    ), sold AS (
        SELECT book.*, day, copy, lpad(upper(to_hex(day * 1000 + copy)), 16, 'X') AS reference
        FROM generate_series(0, 64) AS day
        CROSS JOIN LATERAL generate_series(1, 3 + (65 - day) / 12
            + CASE WHEN extract(isodow FROM now() - day * interval '1 day') > 5 THEN 4 ELSE 0 END + day * 7 % 3) AS copy
        JOIN book ON book.n = 1 + (day * 5 + copy * copy) % book.many
    ), placed AS (
        INSERT INTO orders_order (reference, email, state, source, total, refunded, currency, dispute, livemode,
            stripe_customer_id, checkout_key, checkout_url, facts_version, facts_digest, attention, created_at, paid_at)
        SELECT reference, 'past@example.com', 'paid', CASE WHEN copy % 7 = 3 THEN 'payment_link' ELSE 'checkout' END,
            price, CASE WHEN (day + copy) % 13 = 0 THEN price ELSE 0 END, currency, '', false, '', '', '', 1, '', '',
            now() - day * interval '1 day' - interval '1 minute', now() - day * interval '1 day' - interval '1 minute'
        FROM sold RETURNING id, reference
    )
    INSERT INTO orders_orderline (order_id, product_id, edition_id, name, unit_price, quantity, refunded)
    SELECT placed.id, sold.id, sold.edition, sold.name, sold.price, 1, 0 FROM placed JOIN sold USING (reference)"""
VIEWS = """
    INSERT INTO catalog_productviews (product_id, day, slot, count)
    SELECT p.id, current_date - day, 0, 20 + (p.id * 7 + day * 3) % 25
    FROM catalog_product p, generate_series(1, 60) AS day WHERE p.price > 0 ON CONFLICT DO NOTHING"""


def give_it_a_past(shop: Shop) -> None:
    named = environ.Env.db_url_config(shop.settings()["DATABASE_URL"])
    with psycopg.connect(host=named["HOST"], dbname=named["NAME"], user=named["USER"], autocommit=True) as database:
        for statement in (SALES, VIEWS):
            database.execute(statement)


def test_dashboard_keeps_nobody_out(page: Page, shop: Shop) -> None:
    sign_in_as_owner(page, shop)
    give_it_a_past(shop)
    page.goto(f"{shop.url}/admin/")
    expect(page.get_by_role("heading", name="The last 30 days")).to_be_visible()
    expect(page.get_by_role("img", name="Revenue: The last 30 days")).to_be_visible()
    keep(page, "dashboard")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=SCREENSHOTS / "dashboard-1280-dark.png", full_page=True)
    page.emulate_media(color_scheme="light")
    assert barriers(page) == []
    assert sticking_out(page) == []
    page.get_by_role("link", name="Weeks").click()
    expect(page.get_by_role("heading", name="The last 12 weeks")).to_be_visible()
    page.get_by_text("The numbers").first.click()
    expect(page.get_by_role("columnheader", name="Week from").first).to_be_visible()
    keep(page, "dashboard-weeks")
