"""Count that a product's page was shown. No cookie, no address, no row about anybody: a number per product and day."""

import logging
import random
import re
from datetime import timedelta

from django.db import Error, connection, transaction
from django.http import HttpRequest
from django.utils import timezone

from catalog.models import Product
from catalog.view_models import SLOTS

log = logging.getLogger(__name__)

# What programs call themselves that nobody sits before. A browser's name holds none of these words
# (Cubot makes telephones).
PROGRAMS = re.compile(
    r"(?<!cu)bot|crawl|spider|slurp|scrape|fetch|preview|monitor|uptime|pingdom|lighthouse|headless|facebookexternalhit|"
    r"embedly|archive|validator|wget|curl|python|java/|go-http|okhttp|libwww|httpclient|node|axios|ruby|perl|php",
    re.IGNORECASE,
)
AHEAD_OF_A_CLICK = ("Sec-Purpose", "Purpose", "X-Moz")  # "prefetch", "prefetch;prerender", "preview"

# A locked row may cost the page a tenth of a second and no more; and a crash of the server
# may cost the last views, so that nobody waits for a disk.
COUNT = """
    SET LOCAL lock_timeout = '100ms';
    SET LOCAL synchronous_commit = off;
    INSERT INTO catalog_productviews (product_id, day, slot, count) VALUES (%s, %s, %s, 1)
    ON CONFLICT (day, product_id, slot) DO UPDATE SET count = catalog_productviews.count + 1"""

# The slots of days that are over, put together: a long period reads a fourth of the rows.
FOLD = """
    WITH gone AS (
        DELETE FROM catalog_productviews WHERE slot > 0 AND day < %s RETURNING product_id, day, count
    )
    INSERT INTO catalog_productviews (product_id, day, slot, count)
    SELECT product_id, day, 0, sum(count) FROM gone GROUP BY product_id, day
    ON CONFLICT (day, product_id, slot) DO UPDATE SET count = catalog_productviews.count + EXCLUDED.count"""


def count(request: HttpRequest, product: Product) -> None:
    """Count this view, if it is a shopper's. Call it once the page is made. Never an error: a view that could not be
    counted is missing from a figure, and its page is shown all the same."""
    if not is_a_shoppers(request):
        return
    try:
        with transaction.atomic():  # SET LOCAL ends with it
            _add(product)
    except Error as error:
        log.warning("a view could not be counted: %s", error)


def is_a_shoppers(request: HttpRequest) -> bool:
    """Whether a person looks who may buy: no program, no page fetched ahead of a click, nobody of the shop."""
    agent = request.headers.get("User-Agent", "")
    if request.method != "GET" or not agent or PROGRAMS.search(agent):
        return False
    if any(request.headers.get(name) for name in AHEAD_OF_A_CLICK):
        return False
    return not getattr(request.user, "is_staff", False)


def fold() -> None:
    """One row instead of some for each product and day before yesterday. The sums stay; may be repeated."""
    with connection.cursor() as cursor:
        cursor.execute(FOLD, [timezone.localdate() - timedelta(days=1)])


def _add(product: Product) -> None:
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [product.pk, timezone.localdate(), random.randrange(SLOTS)])  # noqa: S311 - no secret
