"""The catalog with 100,000 products: what the database takes to find the first page of whatever is asked for."""

import itertools
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from benchmarks import stand
from benchmarks.report import Figure, Section

PRODUCTS, WORDS, CATEGORIES, TAGS = 100_000, 80, 12, 200
REPEATS = 7
LIMIT = 50  # ms
COMMON, MIDDLING, RARE = "handbook", "gardening", "sourdough"  # in so many descriptions, and in some of the names
SHARES = {COMMON: 0.9, MIDDLING: 0.037, RARE: 0.0002}
ASKED = {
    "the catalog, newest first": "",
    "the catalog, by price": "sort=price",
    "a rare word": f"q={RARE}",
    "a middling word": f"q={MIDDLING}",
    f"a word in {SHARES[COMMON]:.0%} of the texts": f"q={COMMON}",
    "two letters, as somebody begins to type": "q=ha",
    "a prefix": "q=garden",
    "a frequent and a middling word": f"q={COMMON}+{MIDDLING}",
    "a frequent word by title": f"q={COMMON}&sort=title",
    "a middling word, PDF, 5 to 20, best-selling": f"q={MIDDLING}&type=pdf&least=5&most=20&sort=best-selling",
    "a frequent word, category, tag": f"q={COMMON}&category=category-3&tag=tag-7",
    "videos by price": "type=video&sort=price-down",
    "a misspelled word, and what is near it": "q=sourdouhg",
}
COLUMNS = """id, name, slug, summary, description, status, price, currency, cover, cover_height, cover_failed,
    created_at, updated_at, published_at, sales, kinds"""


def run() -> Section:
    found = Section("search")
    with stand.servers() as servers, servers.connect() as database:
        began = time.monotonic()
        fill(database)
        found.notes.append(f"{PRODUCTS:,} products of {WORDS} words written in {time.monotonic() - began:.0f} s")
        os.environ.update(servers.environment)
        set_up()
        for name, query in ASKED.items():
            measure(found, name, query)
    return found


def set_up() -> None:
    import django
    from django.conf import settings
    from django.test.utils import setup_test_environment

    django.setup()
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    setup_test_environment(debug=False)  # so that an answer tells what its page was made of


def fill(database: psycopg.Connection[Any]) -> None:
    """Without the triggers: that each has a file is promised by nobody here."""
    chance = random.Random(7)
    database.execute("ALTER TABLE catalog_product DISABLE TRIGGER USER")
    with database.cursor().copy(f"COPY catalog_product ({COLUMNS}) FROM STDIN") as copy:
        for row in products(chance):
            copy.write_row(row)
    for kind, many in (("category", CATEGORIES), ("tag", TAGS)):
        plural = {"category": "categories", "tag": "tags"}[kind]
        database.execute(
            f"INSERT INTO catalog_{kind} (name, slug) SELECT '{kind} ' || n, '{kind}-' || n"  # noqa: S608 - ours
            f" FROM generate_series(1, {many}) AS n"
        )
        database.execute(
            f"INSERT INTO catalog_product_{plural} (product_id, {kind}_id)"  # noqa: S608 - ours
            f" SELECT n, 1 + n * 7919 % {many} FROM generate_series(1, {PRODUCTS}) AS n"
        )
    database.execute("VACUUM ANALYZE")


def products(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    """Words as frequent as in a language: the n-th is used 1/n as often as the first."""
    parts = [first + last for first in "bdfgklmnprstvz" for last in "aeiou"]
    words = ["".join(chance.choices(parts, k=chance.randint(2, 4))) for _ in range(20_000)]
    weights = list(itertools.accumulate(1 / n for n in range(1, len(words) + 1)))
    for n in range(1, PRODUCTS + 1):
        text = chance.choices(words, cum_weights=weights, k=WORDS)
        text += [word for word, share in SHARES.items() if chance.random() < share]
        name = chance.choices(words, cum_weights=weights, k=3)
        name += [word for word, share in SHARES.items() if chance.random() < share / 5]
        kinds = chance.choices(["{pdf}", "{pdf,epub}", "{epub}", "{audio}", "{video}"], [60, 20, 15, 4.8, 0.2])[0]
        at = f"2026-01-01 00:00:00+00:{n % 60:02}"
        yield (
            n, f"{' '.join(name)} {n}", f"product-{n}", " ".join(text[:12]), " ".join(text), "published",
            chance.randrange(0, 5000, 50), "usd", "", 0, False, at, at, at, int(chance.paretovariate(1)), kinds,
        )  # fmt: skip


def measure(found: Section, name: str, query: str) -> None:
    """What the server itself says that all the page's statements took together, and the plan of each."""
    from django.db import connection
    from django.test import Client

    with statements_of(connection) as statements:
        answer = Client(headers={"host": "127.0.0.1"}).get(f"/?{query}")
    assert answer.status_code == 200, answer
    runs = [[explained(connection, *statement) for statement in statements] for _ in range(REPEATS)]
    took = statistics.median(sum(milliseconds for milliseconds, _ in run) for run in runs)
    total: Any = answer.context["total"]
    shown = f"{len(answer.context['products'])} of {'many' if total is None else total}"
    found.figures.append(Figure(f"{name}: {shown}", took, "ms", at_most=LIMIT))
    found.notes.append(f"/?{query}")
    found.notes += [f"  {milliseconds:.1f} ms: {plan}" for milliseconds, plan in runs[-1]]


@contextmanager
def statements_of(connection: Any) -> Iterator[list[tuple[str, Any]]]:
    """Each statement that is sent meanwhile, with its values."""
    sent: list[tuple[str, Any]] = []

    def noted(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(noted):
        yield sent


def explained(connection: Any, sql: str, params: Any) -> tuple[float, str]:
    """Milliseconds to plan and execute it, and the nodes of its plan with the rows of each, the outermost first."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) {sql}", params)
        lines = [line.strip() for (line,) in cursor.fetchall()]
    took = sum(float(line.split()[2]) for line in lines if line.startswith(("Planning Time", "Execution Time")))
    nodes = (line.removeprefix("->  ").replace("actual ", "") for line in lines if "(actual" in line)
    return took, " / ".join(nodes)
