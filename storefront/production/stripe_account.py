"""The key and the account at Stripe: which mode, what the key may do, whether the account may charge."""

from collections.abc import Iterator

from django.conf import settings

from orders import stripe_api, stripe_setup
from storefront.production.lines import Line, brief, ok, warning, wrong

KEYS = "https://dashboard.stripe.com/apikeys"
REACH = "May this machine reach api.stripe.com, port 443? Is Stripe well: https://status.stripe.com"


def unanswered(error: Exception) -> str:
    """Stripe's words; the library's own, where it reached nobody, fill a page."""
    if getattr(error.__cause__, "http_status", None):
        return f"Stripe answers: {brief(error)}"
    return "Stripe cannot be reached"


def check() -> Iterator[Line]:
    yield _mode()
    try:
        yield _account()
        yield from _scopes()
    except stripe_setup.KeyRefused as error:
        yield wrong("stripe key", f"Stripe does not take it: {brief(error)}", f"Copy a key that is in force: {KEYS}")
    except (stripe_api.StripeUnavailable, stripe_api.StripeRefused) as error:
        yield wrong("stripe", unanswered(error), REACH)


def _mode() -> Line:
    name, key = "stripe mode", settings.STRIPE_SECRET_KEY
    if not key.startswith(("sk_", "rk_")):
        return wrong(name, "the key is no secret or restricted one", f"STRIPE_SECRET_KEY is the sk_… or rk_… of {KEYS}")
    if settings.STRIPE_API_BASE != stripe_api.STRIPE:
        return wrong(name, f"{settings.STRIPE_API_BASE} stands in for Stripe", "Remove STRIPE_API_BASE.")
    if stripe_api.is_live() and (settings.DEBUG or not settings.HTTPS):
        return wrong(
            name, "a live key in a shop for development", "Use a test key until DEBUG is off and SITE_URL https."
        )
    if not stripe_api.is_live():
        return warning(name, "test: no real money moves", f"Before you open the shop, use a live key: {KEYS}")
    return ok(name, "live")


def _account() -> Line:
    name = "stripe account"
    try:
        account = stripe_setup.account()
    except stripe_setup.KeyRefused as error:
        if not error.is_known:
            raise
        return ok(name, "the key may not read it, which is well: the shop does not need to")
    where = account.country or "no country"
    if not account.may_charge:
        do = "Answer what Stripe still asks: https://dashboard.stripe.com/account/onboarding"
        return wrong(
            name, f"{where}, may not charge{'' if account.is_complete else ': its details are incomplete'}", do
        )
    return ok(name, f"{where}, may charge")


def _scopes() -> Iterator[Line]:
    """One line for each permission that is missing, or one for all."""
    missing = 0
    for scope in stripe_setup.SCOPES:
        try:
            stripe_setup.try_scope(scope)
        except stripe_setup.KeyRefused as error:
            if not error.is_known:
                raise
            missing += 1
            named = f" ({error.permission})" if error.permission else ""
            do = f"Give the restricted key “{scope.name}”: {scope.access}{named}, at {KEYS}"
            yield wrong(f"stripe scope {scope.name}", f"the key may not {scope.access}", do)
    if missing:
        return
    if settings.STRIPE_SECRET_KEY.startswith("rk_"):
        yield ok(
            "stripe scopes", f"the restricted key may do all {len(stripe_setup.SCOPES)} things that the shop needs"
        )
    else:
        yield ok("stripe scopes", "a secret key may do everything; a restricted one would limit what a thief could do")
