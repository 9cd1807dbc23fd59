"""What the first view of the catalogue costs a newcomer, served as in production: hashed, compressed, not cached."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, ViewportSize

from benchmarks import stand
from benchmarks.visit import Wire
from sandbox.parts import manage
from sandbox.process import running
from tests.journeys.browsing import PHONE, WIDE, Browsing
from tests.journeys.running import Shop, surroundings

pytestmark = pytest.mark.browser

LIMIT = 100_000  # bytes on the wire, headers included
FOR_EVER = "max-age=315360000, public, immutable"


@pytest.fixture(scope="module")
def production(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a web server with production's settings on the demo's data."""
    log = tmp_path_factory.mktemp("production") / "log"
    environment = {**surroundings(), **shop.settings(), "DEBUG": "false"}
    with running(manage("collectstatic", "--noinput", "--verbosity=0", env=environment), log):
        pass
    with stand.web("storefront.wsgi:application", environment) as (port, _):
        yield f"http://127.0.0.1:{port}"


def first_view(page: Page, address: str) -> Wire:
    """Everything that is fetched until nothing more is asked for, and the icon, which only a window with tabs shows."""
    wire = Wire.of(page.context.new_cdp_session(page))
    page.goto(address, wait_until="networkidle")
    icon = page.locator("link[rel=icon]").get_attribute("href") or ""
    wire.weights.setdefault(address + icon, len(page.request.get(address + icon).body()))
    return wire


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_the_first_view_weighs_less_than_100_kb(size: ViewportSize, browsing: Browsing, production: str) -> None:
    page = browsing.visitor()
    page.set_viewport_size(size)

    wire = first_view(page, production)

    assert len(wire.weights) > 6, "page, style sheet, logo, icon and some covers"
    print(f"\nfirst view at {size['width']} x {size['height']}: {wire.weight:,} bytes")  # pytest -s shows it
    assert wire.weight < LIMIT, wire.weights


@pytest.mark.parametrize("path", ["/", "/products/slow-bread/", "/products/five-slow-soundscapes/"])
def test_nothing_waits_for_more_than_the_page(path: str, page: Page, production: str) -> None:
    """One request chain deep: no @import, no font, no image that only a script knows of."""
    wire = Wire.of(page.context.new_cdp_session(page))
    page.goto(production + path, wait_until="networkidle")
    source = page.request.get(production + path).text()
    assert wire.depths.pop(production + path) == 0
    assert set(wire.depths.values()) == {1}
    assert [address for address in wire.depths if address.removeprefix(production) not in source] == []


def test_what_only_a_style_sheet_names_is_two_deep(page: Page) -> None:
    """Does it bite?"""
    site = {
        "/": ("text/html", '<link rel="icon" href="data:,"><link rel="stylesheet" href="/one.css">'),
        "/one.css": ("text/css", "@import '/two.css'; html { background: url(/dots.svg) }"),
        "/two.css": ("text/css", "body { margin: 0 }"),
        "/dots.svg": ("image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'),
    }

    def answer(route: Route) -> None:
        kind, body = site[urlsplit(route.request.url).path]
        route.fulfill(content_type=kind, body=body)

    page.route("http://127.0.0.1:9/**", answer)
    wire = Wire.of(page.context.new_cdp_session(page))
    page.goto("http://127.0.0.1:9/", wait_until="networkidle")
    found = {address.removeprefix("http://127.0.0.1:9"): depth for address, depth in wire.depths.items()}
    assert found == {"/": 0, "/one.css": 1, "/two.css": 2, "/dots.svg": 2}
    assert wire.deepest == 2


def test_static_files_and_covers_are_kept_for_ever_under_names_of_their_own(page: Page, production: str) -> None:
    page.goto(production)
    named = page.locator("[href^='/static/'], [src^='/static/']").evaluate_all(
        "all => all.map(one => one.getAttribute('href') || one.getAttribute('src'))"
    )
    assert len(named) >= 3
    for path in named:
        assert re.fullmatch(r"/static/[a-z-]+\.[0-9a-f]{12}\.(css|js|svg)", path)
        answer = page.request.get(production + path)
        assert (answer.status, answer.headers["cache-control"]) == (200, FOR_EVER)
        assert "cookie" not in answer.headers.get("vary", "").lower()
    sheet = page.request.get(production + next(path for path in named if path.endswith(".css")))
    assert sheet.headers["content-encoding"] in {"br", "gzip"}
    cover = page.locator(".shelf img").first.get_attribute("src") or ""
    assert page.request.get(production + cover).headers["cache-control"] == "public, max-age=31536000, immutable"


def test_second_view_fetches_the_page_alone(page: Page, production: str) -> None:
    page.goto(production, wait_until="networkidle")
    page.goto(f"{production}/", wait_until="networkidle")
    fetched = page.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.transferSize > 0).map(one => one.name)"
    )
    assert fetched == []


def test_pictures_keep_their_place_and_wait_below_the_fold(page: Page, shop: Shop) -> None:
    page.set_viewport_size(WIDE)
    page.goto(shop.url)

    pictures = page.locator("img")
    for picture in pictures.all():
        assert int(picture.get_attribute("width") or 0) > 0
        assert int(picture.get_attribute("height") or 0) > 0
    below = page.locator(".shelf img").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().top > innerHeight).map(one => one.loading)"
    )
    assert set(below) <= {"lazy"}
    assert page.locator(".shelf img").first.get_attribute("loading") is None
