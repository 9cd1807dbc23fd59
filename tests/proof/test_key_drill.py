"""Every key of the running shop is changed while people buy: as planned, with an overlap, and as after a theft."""

import random
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import requests

from tests.proof import chaos_checks as checks
from tests.proof.brokers import find_broker
from tests.proof.chaos import open_shop
from tests.proof.chaos_plan import Buyer
from tests.proof.chaos_scripts import serve
from tests.proof.chaos_traffic import Crowd
from tests.proof.stack import Stack

KINDS = ("card", "member", "link", "refunded")
LINK = re.compile(r"https?://\S+/links/\S+")


@contextmanager
def buying(crowd: Crowd, *, every: float = 0.4) -> Iterator[None]:
    """Somebody begins to buy each so many seconds; at the end all of them have left."""
    closed, chance = threading.Event(), random.Random(66)

    def come(pool: ThreadPoolExecutor) -> None:
        number = 0
        while not closed.wait(every):
            number += 1
            buyer = Buyer(at=0, number=number, kind=chance.choice(KINDS), seed=chance.randrange(1_000_000))
            pool.submit(serve, crowd, buyer)

    with ThreadPoolExecutor(64) as pool:
        door = threading.Thread(target=come, args=(pool,))
        door.start()
        try:
            yield
        finally:
            closed.set()
            door.join()


def change_webhook_secret(stack: Stack, crowd: Crowd) -> None:
    """With an overlap, as docs/going-live.md says."""
    old, new = stack.environment["STRIPE_WEBHOOK_SECRETS"], "whsec_changed_as_planned"
    crowd.control("endpoints/roll", {"secret": new})
    stack.deploy(STRIPE_WEBHOOK_SECRETS=f"new={new},old={old}")
    crowd.control("endpoints/expire", {})
    stack.deploy(STRIPE_WEBHOOK_SECRETS=new)


def change_api_key(stack: Stack, crowd: Crowd) -> None:
    crowd.control("keys/roll", {"key": "sk_test_changed_as_planned"})
    stack.deploy(STRIPE_SECRET_KEY="sk_test_changed_as_planned")
    crowd.control("keys/expire", {})


def replace_stolen_keys(stack: Stack, crowd: Crowd) -> None:
    """Both stop working at once; people go on buying for some seconds before the shop has the new ones."""
    crowd.control("keys/roll", {"key": "sk_test_after_the_theft"})
    crowd.control("endpoints/roll", {"secret": "whsec_after_the_theft"})
    crowd.control("keys/expire", {})
    crowd.control("endpoints/expire", {})
    time.sleep(4)
    stack.deploy(STRIPE_SECRET_KEY="sk_test_after_the_theft", STRIPE_WEBHOOK_SECRETS="whsec_after_the_theft")


def change_secret_key(stack: Stack) -> None:
    old = stack.environment["SECRET_KEY"]
    stack.deploy(SECRET_KEY="changed-as-planned-" * 4, SECRET_KEY_FALLBACKS=old)


def some_mailed_link(crowd: Crowd) -> str:
    """One that a buyer got, once the first mail is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for mail in crowd.control("mails?limit=50")["mails"]:
            if found := LINK.search(mail["text"]):
                return found[0]
        time.sleep(0.2)
    raise AssertionError("no mail with a link has come")


def test_s66_every_key_is_changed_under_load_without_losing_an_order(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "run", find_broker("valkey", tmp_path / "broker"))
    try:
        stack.start()
        crowd = open_shop(stack)
        reader = crowd.members.pop()  # comes back only at the end: a session gets another key with the first visit
        with buying(crowd):
            link = some_mailed_link(crowd)
            change_webhook_secret(stack, crowd)
            change_api_key(stack, crowd)
            change_secret_key(stack)
            replace_stolen_keys(stack, crowd)
            time.sleep(2)
        assert crowd.wrong == []
        assert requests.get(link, timeout=20).status_code == 200  # mailed under the former SECRET_KEY
        library = requests.get(
            f"{stack.site}/library/", cookies={crowd.cookie: reader["session"]}, timeout=20, allow_redirects=False
        )
        assert library.status_code == 200  # signed in under it; anybody else is led to the sign-in page
        assert checks.drain(stack, crowd, datetime.now(UTC)) == []
        assert checks.once_more(stack, crowd)[0] == []
        assert len(crowd.bought) > 30
    finally:
        stack.stop()
