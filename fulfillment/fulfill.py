"""The one way an order is fulfilled. Every door ends here: webhook, success page, sweep, reconcile, replay."""

import logging
import random
import time

from django.db import OperationalError

from fulfillment.converge import Outcome, converge
from orders import stripe_api
from orders.facts import Facts
from orders.models import Order
from orders.stripe_api import Patience
from storefront import trace
from storefront.celery import enqueue

log = logging.getLogger(__name__)

TRIES = 5  # each try that meets another door's progress asks Stripe again
# PostgreSQL undid a transaction because it met another one, and says to try again: serialization failure, deadlock.
# https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html
CROSSED = ("40001", "40P01")
CROSSED_TRIES = 3


def fulfill(session_id: str, *, door: str, patience: Patience = Patience.WORKER) -> Outcome:
    """Ask Stripe about a Checkout Session and make our rows agree; a mail that is due wakes a worker.

    May be repeated at will and run at once by every door. An outcome that is still stale after a few tries means that
    others are making progress on the same order; whoever asked tries again later.
    Raises stripe_api.StripeUnavailable, StripeRefused or SessionUnknown: nothing was written then.
    """
    trace.note(session=session_id)
    outcome = Outcome(stale=True)
    for _ in range(TRIES):
        seen = Order.objects.facts_version(session_id)
        facts = stripe_api.fetch_facts(session_id, patience)
        outcome = _converge(facts, seen=seen, door=door)
        if not outcome.stale:
            break
    if outcome.order is not None:
        trace.note(order=outcome.order.reference)
    if outcome.due:
        enqueue("fulfillment.tasks.send_due_mails")
    return outcome


def _converge(facts: Facts, *, seen: int, door: str) -> Outcome:
    """`converge`, three times at most where its transaction meets another; the last error goes to whoever asked."""
    tries = 1
    while True:
        try:
            return converge(facts, seen=seen, door=door)
        except OperationalError as error:
            if tries == CROSSED_TRIES or getattr(error.__cause__, "sqlstate", "") not in CROSSED:
                raise
            log.warning("session %s met another transaction, once more: %s", facts.session_id, error)
        tries += 1
        time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - two that met must not go on in step
