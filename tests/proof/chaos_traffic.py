"""The buyers of a chaos run: real browsers' requests to the shop, and what happens to their money at Stripe."""

import json
import random
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

import requests
import stripe

from tests.proof.chaos_plan import Buyer
from tests.proof.chaos_shop import BOOKS

PATIENCE = 40.0  # seconds that a buyer goes on trying; then they leave
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
DECLINED_CARD, DISPUTED_CARD = "4000000000000002", "4000000000000259"
PRICED = [(slug, price) for slug, price, _ in BOOKS if price]
FREE = [slug for slug, price, _ in BOOKS if not price]


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

    def serve(self, buyer: Buyer) -> None:
        """Everything that this buyer does. Whatever goes wrong with it is kept as a sentence."""
        visit = Visit(self, buyer.kind, random.Random(buyer.seed), f"buyer{buyer.number}@example.com")
        try:
            SCRIPTS[buyer.kind](visit)
            self.count("kinds", buyer.kind)
        except LeftForGood:
            self.count("kinds", f"{buyer.kind}, gave up")
        except Exception as error:  # noqa: BLE001 - a script that fails is a finding, and the others go on
            with self.lock:
                self.wrong.append(f"buyer {buyer.number} ({buyer.kind}): {type(error).__name__}: {error}")

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


Script = Callable[[Visit], object]


def pay_by_card(visit: Visit, *, card: str = "4242424242424242", clicks: int = 1) -> str:
    """The id of the session, "" where nothing was paid."""
    session = visit.begin(clicks=clicks)
    if session:
        visit.wait(0, 2)
        if not visit.pay(session, card=card):
            return ""
        visit.come_back(session)
    return session


def buy_as_member(visit: Visit) -> None:
    visit.sign_in()
    pay_by_card(visit)


def buy_with_many_clicks(visit: Visit) -> None:
    if visit.chance.random() < 0.5:
        visit.sign_in()
    pay_by_card(visit, clicks=visit.chance.randint(2, 5))


def take_free(visit: Visit) -> None:
    """A free book goes into a member's library; one who has it already finds no button."""
    visit.sign_in()
    slug = visit.chance.choice(FREE)
    page = visit.ask("GET", f"/products/{slug}/")
    if f"/products/{slug}/buy/" in page.text:
        visit.click_buy(slug, clicks=visit.chance.choice((1, 1, 3)))


def pay_by_link(visit: Visit, slug: str) -> None:
    with urllib.request.urlopen(visit.crowd.links[slug], timeout=30) as page:  # opens a Checkout page of its own
        session = page.geturl().rpartition("/")[2]
    visit.pay(session)


def pay_by_debit(visit: Visit, result: str) -> None:
    if session := visit.begin():
        visit.pay(session, method="bank_debit")
        visit.come_back(session)
        visit.wait(0.5, 6)
        visit.settle(session, result)
        visit.come_back(session)


def be_declined(visit: Visit, *, pays_then: bool) -> None:
    if session := visit.begin():
        visit.be_declined(session)
        if pays_then:
            visit.wait(0, 2)
            visit.pay(session)
            visit.come_back(session)


def let_expire(visit: Visit) -> None:
    if session := visit.begin():
        visit.wait(0, 4)
        visit.crowd.control(f"expire/{session}", {})


def be_refunded(visit: Visit, *, part: float = 1.0, fails: bool = False) -> None:
    """In one go or in two; one that fails does so later, and some are pending for a while."""
    if not (session := pay_by_card(visit)):
        return
    visit.wait(0.2, 6)
    (found,) = visit.crowd.control(f"ledger?session={session}")["sessions"]
    total = found["amount_total"]
    amounts = [total] if part == 1.0 and visit.chance.random() < 0.6 else [total // 3, total - total // 3]
    refund: dict[str, Any] = {}
    for amount in amounts[:1] if part < 1 else amounts:
        pending = visit.chance.random() < 0.3
        refund = visit.crowd.control("refund", {"session": session, "amount": amount, "pending": pending})
        visit.wait(0, 2)
        if pending and not fails:
            visit.crowd.control(f"refund/{refund['id']}/succeed", {})
    if fails:
        visit.crowd.control(f"refund/{refund['id']}/fail", {})


def dispute(visit: Visit, result: str) -> None:
    if not (session := pay_by_card(visit, card=visit.chance.choice(("4242424242424242", DISPUTED_CARD)))):
        return
    visit.wait(0, 4)
    (found,) = visit.crowd.control(f"ledger?session={session}")["sessions"]
    case = found["dispute"] or visit.crowd.control("dispute", {"session": session})["id"]
    visit.wait(0, 4)
    if result != "open":
        visit.crowd.control(f"dispute/{case}/close", {"status": result})


SCRIPTS: dict[str, Script] = {
    "card": pay_by_card,
    "member": buy_as_member,
    "double click": buy_with_many_clicks,
    "link": lambda visit: pay_by_link(visit, visit.chance.choice(PRICED)[0]),
    "free link": lambda visit: pay_by_link(visit, visit.chance.choice(FREE)),
    "free": take_free,
    "debit": lambda visit: pay_by_debit(visit, "succeeded"),
    "failed debit": lambda visit: pay_by_debit(visit, "failed"),
    "declined": lambda visit: be_declined(visit, pays_then=True),
    "declined and left": lambda visit: be_declined(visit, pays_then=False),
    "expired": let_expire,
    "abandoned": lambda visit: visit.begin(),
    "refunded": be_refunded,
    "partly refunded": lambda visit: be_refunded(visit, part=0.3),
    "refund fails": lambda visit: be_refunded(visit, fails=True),
    "dispute won": lambda visit: dispute(visit, "won"),
    "dispute lost": lambda visit: dispute(visit, "lost"),
    "dispute open": lambda visit: dispute(visit, "open"),
}


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
