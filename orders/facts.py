"""What Stripe says about one Checkout Session, as plain values. Amounts are minor units, times are aware."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Refund:
    id: str
    amount: int
    status: str  # pending, requires_action, succeeded, failed, canceled
    order_line: str  # the id of the line it was made for, from our own metadata; "" where nobody said


@dataclass(frozen=True, kw_only=True)
class Dispute:
    id: str
    status: str


@dataclass(frozen=True, kw_only=True)
class PaidLine:
    """One line of a Checkout Session as Stripe bills it, before discounts and taxes."""

    name: str
    price_id: str
    slug: str  # metadata product_slug of its price, else of its product at Stripe; "" where neither has one
    quantity: int
    amount: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    session_id: str
    livemode: bool
    status: str  # open, complete, expired
    payment_status: str  # paid, unpaid, no_payment_required
    client_reference_id: str
    metadata: dict[str, str]
    payment_link: str
    email: str
    amount_subtotal: int
    amount_total: int
    currency: str
    customer_id: str
    payment_intent_id: str
    payment_intent_status: str
    paid_at: datetime | None
    refunds: tuple[Refund, ...]
    disputes: tuple[Dispute, ...]
    lines: tuple[PaidLine, ...] = ()
    locale: str = ""  # the language of Stripe's page, where it was asked for one
    charge_id: str = ""  # of the latest try to pay
    paid_by: str = ""  # its payment method: card, paypal, …
    paid_brand: str = ""  # visa, …; "" where the method has none
    paid_last4: str = ""  # the last digits of a card or an account; "" where the method has none
    recovered_from: str = ""  # the id of the expired session that this one is a copy of

    @property
    def digest(self) -> str:
        """The same for the same facts; tells whether two answers of Stripe differ."""
        return hashlib.sha256(repr(self).encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class ListedSession:
    """A complete session as Stripe's list shows it. `is_marked`: it came by a Payment Link or bears our metadata."""

    id: str
    is_paid: bool
    amount_total: int
    currency: str
    is_marked: bool


@dataclass(frozen=True, kw_only=True)
class TakenBack:
    """What lists say about the refunds and disputes of one payment: those of a period, and in `refunded` the sum of
    all that was ever given back of it."""

    payment_intent_id: str = ""
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    refunded: int = 0


@dataclass(frozen=True)
class Happened:
    """That something happened at Stripe, never what: `about` is the id of the session or the PaymentIntent."""

    at: datetime
    type: str
    about: str


@dataclass(frozen=True, kw_only=True)
class SessionLine:
    name: str
    slug: str
    unit_price: int
    quantity: int
    image_url: str


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """What a Checkout Session is made of. Everything comes from the order's own rows, and `mark` says whose it is."""

    reference: str
    mark: dict[str, str] = field(default_factory=dict)
    currency: str
    lines: tuple[SessionLine, ...]
    email: str
    language: str = ""  # of Stripe's page; "" is the browser's
    success_url: str
    cancel_url: str


@dataclass(frozen=True, kw_only=True)
class CheckoutSession:
    id: str
    url: str
