"""Events: the record of every change, and the start of its way to the webhook endpoints."""

from sandbox.world.account import Account
from sandbox.world.objects.account import event as build
from sandbox.world.store import Body
from sandbox.world.webhooks import endpoints_for, enqueue


def emit(account: Account, kind: str, subject: Body, *, previous: Body | None = None) -> Body:
    """Record an event and queue it for every endpoint that wants it; to be called in the change's own transaction."""
    call = account.call
    body = build(kind, subject, previous=previous, request_id=call.request_id, key=call.key)
    endpoints = endpoints_for(account.store, kind)
    body["pending_webhooks"] = len(endpoints)
    with account.store.transaction():
        account.store.add(body)
        for endpoint in endpoints:
            enqueue(account, body, endpoint["id"])
    return body
