"""Restricted keys: what a call needs, and Stripe's answer to a key that may not. https://docs.stripe.com/keys"""

from sandbox.world.errors import ApiError
from sandbox.world.objects.account import account

# The first part of a path, and what Stripe calls the permission for it. Refunds are part of charges; prices are plans.
RESOURCES = {
    "account": "accounts_kyc_basic",
    "charges": "charge",
    "checkout": "checkout_session",
    "customers": "customer",
    "disputes": "dispute",
    "events": "event",
    "payment_intents": "payment_intent",
    "payment_links": "payment_links",
    "payment_methods": "payment_method",
    "prices": "plan",
    "products": "product",
    "refunds": "charge",
    "webhook_endpoints": "webhook",
}
EVERYTHING = frozenset(f"rak_{name}_write" for name in RESOURCES.values())


def check_permission(key: str, permissions: frozenset[str], method: str, path: str) -> None:
    """Whoever may write may read too. What is missing is named in the answer."""
    name = RESOURCES[path.split("/")[2]]
    write, read = f"rak_{name}_write", f"rak_{name}_read"
    if write in permissions or (method == "GET" and read in permissions):
        return
    raise ApiError(
        f"The provided key '{key[:8]}{'*' * 12}{key[-4:]}' does not have the required permissions for this endpoint on "
        f"account '{account('')['id']}'. Having the '{read if method == 'GET' else write}' permission would allow this "
        "request to continue.",
        status=403,
    )
