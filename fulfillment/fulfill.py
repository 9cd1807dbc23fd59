"""The one way an order is fulfilled. Every door ends here: webhook, success page, sweep, reconcile, replay."""

from fulfillment.converge import Outcome, converge
from orders import stripe_api
from orders.models import Order
from orders.stripe_api import Patience
from storefront.celery import enqueue

TRIES = 5  # each try that meets another door's progress asks Stripe again


def fulfill(session_id: str, *, door: str, patience: Patience = Patience.WORKER) -> Outcome:
    """Ask Stripe about a Checkout Session and make our rows agree; a mail that is due wakes a worker.

    May be repeated at will and run at once by every door. An outcome that is still stale after a few tries means that
    others are making progress on the same order; whoever asked tries again later.
    Raises stripe_api.StripeUnavailable, StripeRefused or SessionUnknown: nothing was written then.
    """
    outcome = Outcome(stale=True)
    for _ in range(TRIES):
        seen = Order.objects.facts_version(session_id)
        facts = stripe_api.fetch_facts(session_id, patience)
        outcome = converge(facts, seen=seen, door=door)
        if not outcome.stale:
            break
    if outcome.due:
        enqueue("fulfillment.tasks.send_due_mails")
    return outcome
