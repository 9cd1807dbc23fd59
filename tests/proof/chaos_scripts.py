"""What each kind of buyer does in a chaos run, from the first click to what becomes of the money long after."""

import random
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.proof.chaos_plan import Buyer
from tests.proof.chaos_shop import BOOKS
from tests.proof.chaos_traffic import PRICED, Crowd, LeftForGood, Visit

GOOD_CARD, DISPUTED_CARD = "4242424242424242", "4000000000000259"
FREE = [slug for slug, price, _ in BOOKS if not price]

Script = Callable[[Visit], object]


def pay_by_card(visit: Visit, *, card: str = GOOD_CARD, clicks: int = 1) -> str:
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
    if not (session := pay_by_card(visit, card=visit.chance.choice((GOOD_CARD, DISPUTED_CARD)))):
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


def serve(crowd: Crowd, buyer: Buyer) -> None:
    """Everything that this buyer does. Whatever goes wrong with it is kept as a sentence."""
    visit = Visit(crowd, buyer.kind, random.Random(buyer.seed), f"buyer{buyer.number}@example.com")
    try:
        SCRIPTS[buyer.kind](visit)
        crowd.count("kinds", buyer.kind)
    except LeftForGood:
        crowd.count("kinds", f"{buyer.kind}, gave up")
    except Exception as error:  # noqa: BLE001 - a script that fails is a finding, and the others go on
        with crowd.lock:
            crowd.wrong.append(f"buyer {buyer.number} ({buyer.kind}): {type(error).__name__}: {error}")
