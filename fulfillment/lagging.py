"""What an event told and Stripe's answer does not say yet: it may come from a copy of Stripe's data that lags behind.

What is missing is learned by asking again, never taken from the event. What was paid is looked after by `converge`.
"""

from orders import payments
from orders.facts import Facts

# Times that an event waits for an answer to catch up, over three minutes. Then the answer is taken as it is: somebody
# may have told of a thing that was never part of this payment, and reconcile looks at it again in any case.
PATIENT_TRIES = 3


def missing(kind: str, object_id: str, facts: Facts) -> str:
    """What `facts` should say after an event of this type about this object, or "" when they say it."""
    if kind.startswith("charge.dispute."):
        return _of_dispute(kind, object_id, facts)
    if kind == "charge.refunded":
        return "" if facts.refunds else "the charge's refund"
    if kind.startswith("refund.") or kind == "charge.refund.updated":
        return _of_refund(kind, object_id, facts)
    return ""


def _of_dispute(kind: str, object_id: str, facts: Facts) -> str:
    found = next((one for one in facts.disputes if one.id == object_id), None)
    if found is None:
        return f"dispute {object_id}"
    is_behind = kind == "charge.dispute.closed" and found.status in payments.DISPUTE_OPEN
    return f"the end of dispute {object_id}" if is_behind else ""


def _of_refund(kind: str, object_id: str, facts: Facts) -> str:
    found = next((one for one in facts.refunds if one.id == object_id), None)
    if found is None:
        return f"refund {object_id}"
    is_behind = kind == "refund.failed" and found.status in payments.REFUND_STANDS
    return f"the failure of refund {object_id}" if is_behind else ""
