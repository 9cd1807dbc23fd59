"""A refund from the first question to the order that shows it: Stripe is asked, then the order is brought in line."""

import logging

from fulfillment.fulfill import fulfill
from orders import refunds, stripe_api
from orders.refund_models import RefundRequest

log = logging.getLogger(__name__)


def carry_out(request_id: int, *, door: str = "sweep") -> bool:
    """Go on with one refund where it stands, unless somebody else does; True when nothing more is to do for it.

    May be repeated, and stopped anywhere: what is missing is done next time, by the sweep if by nobody else.
    """
    row = refunds.claim(request_id)
    if row is None:
        return False
    try:
        refunds.ask(row)
        _enter(row, door)  # after a refusal too: then Stripe knows something that the order does not
    except (stripe_api.StripeUnavailable, stripe_api.StripeRefused) as error:
        log.warning("order %s: a refund waits: %s", row.order.reference, error)
        refunds.postpone(row, str(error))
        return False
    return True


def _enter(row: RefundRequest, door: str) -> None:
    """Lines and access follow from what Stripe says, here as everywhere."""
    known = refunds.accepted(row.order)  # read before Stripe is asked, so that its answer has them all
    if fulfill(str(row.order.stripe_session_id), door=door).stale:
        raise stripe_api.StripeUnavailable("others are changing the same order")
    refunds.settle(known)
