"""The buyers of a chaos run: real browsers' requests to the shop, and what happens to their money at Stripe."""

import json
import random
import re
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

import requests
import stripe

from tests.proof.chaos_shop import BOOKS

PATIENCE = 40.0  # seconds that a buyer goes on trying; then they leave
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
DECLINED_CARD = "4000000000000002"
PRICED = [(slug, price) for slug, price, _ in BOOKS if price]


class LeftForGood(Exception):
    """The shop did not answer for so long that the buyer went elsewhere, unpaid."""


@dataclass
class Purchase:
    """What a buyer did, for the timings: `paid_at` is when the money went, by this machine's clock."""

    kind: str
    session: str
    paid_at: float


@dataclass
class Crowd:
    """All buyers, and what they saw."""

    site: str
    world_url: str
    secret_key: str
    members: list[dict[str, str]]
    cookie: str
    bought: list[Purchase] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open_links(self) -> None:
        """A Payment Link for each book, as its owner makes them in Stripe's dashboard."""
        client = stripe.StripeClient(self.secret_key, base_addresses={"api": self.world_url})
        for slug, amount, currency in BOOKS:
            price = client.v1.prices.create(
                params={"currency": currency, "unit_amount": amount, "product_data": {"name": slug}}
            )
            link = client.v1.payment_links.create(
                params={"line_items": [{"price": price.id, "quantity": 1}], "metadata": {"product_slug": slug}}
            )
            self.links[slug] = link.url

    def count(self, what: str, key: str) -> None:
        with self.lock:
            getattr(self, what)[key] += 1

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The sandbox's control API, which no fault touches."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.world_url}/_control/{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise Refused(error.code, error.read().decode()) from None


class Refused(Exception):
    """The sandbox would not do that; the first argument is its status."""


class Visit:
    """One browser: its cookies, its patience, its owner's address."""

    def __init__(self, crowd: Crowd, kind: str, chance: random.Random, email: str) -> None:
        self.crowd, self.kind, self.chance, self.email = crowd, kind, chance, email
        self.browser = requests.Session()
        self.browser.trust_env = False

    def sign_in(self) -> None:
        member = self.chance.choice(self.crowd.members)
        self.email = member["email"]
        self.browser.cookies.set(self.crowd.cookie, member["session"], domain="127.0.0.1", path="/")

    def ask(self, method: str, path: str, data: dict[str, str] | None = None) -> requests.Response:
        """The shop's answer, tried again while there is none or an apology. Raises LeftForGood."""
        leave_at = time.monotonic() + PATIENCE
        while time.monotonic() < leave_at:
            try:
                answer = self.browser.request(
                    method, f"{self.crowd.site}{path}", data=data, timeout=20, allow_redirects=False
                )
            except requests.RequestException:
                self.crowd.count("answers", "none")
            else:
                self.crowd.count("answers", str(answer.status_code))
                if answer.status_code < 500:
                    return answer
            time.sleep(self.chance.uniform(0.3, 1.5))
        raise LeftForGood

    def click_buy(self, slug: str, *, clicks: int = 1) -> str:
        """Open the book's page and click; returns where that leads. Each click is a request of its own, all at once."""
        page = self.ask("GET", f"/products/{slug}/")
        token = TOKEN.search(page.text)
        assert token is not None, f"no form on the page of {slug}: {page.status_code}"
        led_to: list[str] = []

        def click() -> None:
            try:
                answer = self.ask("POST", f"/products/{slug}/buy/", {"csrfmiddlewaretoken": token[1]})
            except LeftForGood:
                return
            assert answer.status_code in (302, 303), f"Buy answered {answer.status_code}"
            led_to.append(answer.headers["Location"])

        others = [threading.Thread(target=click, daemon=True) for _ in range(clicks - 1)]
        for thread in others:
            thread.start()
        click()
        for thread in others:
            thread.join()
        if not led_to:
            raise LeftForGood
        return led_to[0]

    def begin(self, *, clicks: int = 1) -> str:
        """From the shop to Stripe's page; the session's id. A member who has this book is not sold it again."""
        slug, _ = self.chance.choice(PRICED)
        where = self.click_buy(slug, clicks=clicks)
        return where.rpartition("/")[2] if "/c/pay/" in where else ""

    def pay(self, session: str, **payer: str) -> bool:
        """False when the same member has just paid this session in another window."""
        at = time.time()
        try:
            self.crowd.control(f"pay/{session}", {"email": self.email, **payer})
        except Refused as refusal:
            if "checkout_session_not_open" in str(refusal):
                return False
            raise
        if payer.get("method") != "bank_debit":
            self.paid(session, at)
        return True

    def be_declined(self, session: str) -> None:
        try:
            self.crowd.control(f"pay/{session}", {"email": self.email, "card": DECLINED_CARD})
        except Refused as refusal:
            if refusal.args[0] == 402 or "checkout_session_not_open" in str(refusal):
                return
            raise
        raise AssertionError(f"{DECLINED_CARD} was not declined")

    def settle(self, session: str, result: str) -> None:
        at = time.time()
        self.crowd.control(f"settle/{session}", {"result": result})
        if result == "succeeded":
            self.paid(session, at)

    def paid(self, session: str, at: float) -> None:
        with self.crowd.lock:
            self.crowd.bought.append(Purchase(self.kind, session, at))

    def come_back(self, session: str) -> None:
        """Two of three buyers see the success page, and some reload it."""
        if self.chance.random() < 0.67:
            for _ in range(self.chance.choice((1, 1, 1, 3, 8))):
                page = self.ask("GET", f"/checkout/done/?session_id={session}")
                assert page.status_code == 200, f"the success page answered {page.status_code}"

    def wait(self, least: float, most: float) -> None:
        time.sleep(self.chance.uniform(least, most))


def provoke(crowd: Crowd, chance: random.Random) -> None:
    """A stranger posts what Stripe never signed: refused, whatever else is going on."""
    header, body = chance.choice(MALFORMED)
    try:
        answer = requests.post(
            f"{crowd.site}/webhooks/stripe/", data=body, headers={"Stripe-Signature": header}, timeout=20
        )
    except requests.RequestException:
        crowd.count("answers", "strangers: none")
        return
    crowd.count("answers", f"strangers: {answer.status_code}")
    if answer.status_code not in (400, 413):
        with crowd.lock:
            crowd.wrong.append(f"I19 malformed: {header[:40]!r} {body[:40]!r} was answered {answer.status_code}")


MALFORMED = (
    ("", b"{}"),
    ("t=1,v1=00", b'{"id": "evt_1"}'),
    ("v1=" + "0" * 64, b"[]"),
    ("t=nan,v1=\xe9", b"null"),
    ("t=1", b"\xff\xfe not text"),
    ("t=1,v1=00", b"x" * 300_000),
)
