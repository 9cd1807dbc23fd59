"""What a newcomer with a slow phone feels: the list and a product's page, cold, in a Chromium held back."""

import re
import statistics
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import stand
from benchmarks.report import Figure, Section
from benchmarks.visit import DOWN, ROUND_TRIP, SLOWER, Felt, Wire, visit
from sandbox.parts import manage
from sandbox.process import running
from tests.journeys.browsing import ARGUMENTS, PHONE, chromium

VISITS = 7
PAGES = {"list": "/", "product": "/products/slow-bread/"}
Visited = tuple[Felt, Wire]
LIMIT = 100_000  # bytes, of the list's first view


def run() -> Section:
    found = Section("vitals")
    found.notes.append(
        f"a phone of {PHONE['width']} x {PHONE['height']}, {SLOWER} times slower than this machine, {ROUND_TRIP} ms "
        f"from the shop, {DOWN * 8 / 1e6:.1f} Mbit/s; medians of {VISITS} visits, nothing cached; a task is long from "
        "50 ms on, and 0 means that there was none"
    )
    program = chromium()
    if not program:
        raise SystemExit("no Chromium: apt-get install chromium, or set CHROMIUM")
    with stand.servers() as servers, sync_playwright() as playwright:
        prepare(servers)
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        visits = visits_of(browser, servers)
        browser.close()
    for name in PAGES:
        describe(found, name, visits[name])
    found.figures.append(Figure("list with Link: preload: LCP", median(visits["hinted"], "largest_paint"), "s"))
    return found


def visits_of(browser: Browser, servers: stand.Servers) -> dict[str, list[Visited]]:
    """The pages in turn, and the list with a hint, so that whatever else this machine does disturbs all alike."""
    visits: dict[str, list[Visited]] = {}
    with stand.web("storefront.wsgi:application", servers.environment) as (port, _):
        addresses = {name: f"http://127.0.0.1:{port}{path}" for name, path in PAGES.items()}
        environment = {**servers.environment, "HINT": hint_for(browser, addresses["list"])}
        with stand.web("benchmarks.hinted:application", environment) as (hinted, _):
            addresses["hinted"] = f"http://127.0.0.1:{hinted}/"
            for _ in range(VISITS + 1):
                for name, address in addresses.items():
                    with newcomer(browser) as page:
                        visits.setdefault(name, []).append(visit(page, address))
    return {name: each[1:] for name, each in visits.items()}  # the first ones warm the servers, and Chromium itself


def prepare(servers: stand.Servers) -> None:
    """The demo's books, and the static files as production has them: hashed and compressed."""
    for command, options, changed in (
        ("load_demo", [], {"DEBUG": "true"}),
        ("collectstatic", ["--noinput", "--verbosity=0"], {}),
    ):
        process = manage(command, *options, env={**servers.environment, **changed})
        with running(process, servers.postgres.folder.parent / f"{command}.log"):
            pass


def describe(found: Section, name: str, visits: list[Visited]) -> None:
    felt, wire = visits[0]
    found.figures += [
        Figure(f"{name}: LCP", median(visits, "largest_paint"), "s", at_most=1.0),
        Figure(f"{name}: CLS", median(visits, "shift"), at_most=0),
        Figure(f"{name}: longest task", median(visits, "longest_task"), "ms", at_most=50),
        Figure(f"{name}: first paint", median(visits, "first_paint"), "s"),
        Figure(f"{name}: first byte", median(visits, "first_byte"), "s"),
        Figure(f"{name}: on the wire", wire.weight / 1000, "kB", at_most=LIMIT / 1000 if name == "list" else None),
        Figure(f"{name}: requests", len(wire.weights)),
        Figure(f"{name}: request chains", wire.deepest, "deep", at_most=1),
    ]
    heaviest = sorted(wire.weights.items(), key=lambda item: -item[1])[:3]
    told = ", ".join(f"{path_of(url)} {weight / 1000:.1f} kB" for url, weight in heaviest)
    found.notes.append(f"{name}: the largest paint is {felt.largest}; the heaviest are {told}")


@contextmanager
def newcomer(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)
    yield context.new_page()
    context.close()


def median(visits: list[Visited], name: str) -> float:
    return float(statistics.median(getattr(felt, name) for felt, _ in visits))


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def hint_for(browser: Browser, address: str) -> str:
    """A Link header for what the list's first paint needs: the style sheet and the first cover."""
    with newcomer(browser) as visitor:
        page = visitor.request.get(address).text()
    sheet, cover = re.search(r'rel="stylesheet" href="([^"]+)', page), re.search(r'src="(/covers/[^"]+)', page)
    assert sheet
    assert cover
    return f"<{sheet[1]}>; rel=preload; as=style, <{cover[1]}>; rel=preload; as=image; fetchpriority=high"
