"""Errors to Sentry, when SENTRY_DSN is set: nobody's address, no key and no token leaves with them.

Imported only then. https://docs.sentry.io/platforms/python/configuration/options/
"""

import time
from typing import TYPE_CHECKING, Any

import sentry_sdk
from django.core.exceptions import ImproperlyConfigured
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber
from sentry_sdk.utils import BadDsn

from storefront import trace
from storefront.scrub import EMAIL, without_secrets

if TYPE_CHECKING:
    from sentry_sdk.types import Breadcrumb, BreadcrumbHint, Event, Hint

MOST_ALIKE, ALIKE_WINDOW = 10, 900.0  # of one error from one process, in so many seconds: an outage fills no quota

DENIED = [*DEFAULT_DENYLIST, "__Host-session", "__Host-csrf", "csrf", "token", "choice", "stripe-signature", "email"]

_seen: dict[str, list[float]] = {}  # when each kind of error was sent lately; monotonic seconds


def start(dsn: str) -> None:
    """From here on unhandled errors of requests, tasks and commands are reported, and what is logged as an error.

    Raises ImproperlyConfigured for an address that is none.
    """
    try:
        sentry_sdk.init(
            dsn=dsn,
            send_default_pii=False,
            include_local_variables=False,  # they hold addresses and amounts, under any name
            max_request_body_size="never",
            event_scrubber=EventScrubber(denylist=DENIED, recursive=True),
            before_send=before_send,
            before_breadcrumb=before_breadcrumb,
            # No tracing, no sessions, and nothing of Sentry's in what goes to Stripe or through the broker.
            trace_propagation_targets=[],
            auto_session_tracking=False,
            auto_enabling_integrations=False,
            integrations=[
                DjangoIntegration(middleware_spans=False, signals_spans=False),
                CeleryIntegration(propagate_traces=False),
            ],
        )
    except BadDsn as error:
        raise ImproperlyConfigured(f"SENTRY_DSN is not the address of a project in Sentry: {error}.") from error
    ignore_logger("fulfillment.alerts")  # alerts are reported as such


def before_send(event: "Event", hint: "Hint") -> "Event | None":
    if _too_often(_kind(event)):
        return None
    cleaned: Event = clean(event)
    cleaned.setdefault("tags", {}).update({name: str(value) for name, value in trace.current().items()})
    return cleaned


def before_breadcrumb(crumb: "Breadcrumb", hint: "BreadcrumbHint") -> "Breadcrumb | None":
    """Statements may carry values, and tell little about an error."""
    return None if crumb.get("category") == "query" else crumb


def clean(value: Any) -> Any:
    """The same value without secrets and addresses in any text, keys of dictionaries included."""
    if isinstance(value, str):
        return EMAIL.sub("[e-mail]", without_secrets(value))
    if isinstance(value, dict):
        return {clean(key): clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean(one) for one in value]
    return value


def _kind(event: "Event") -> str:
    """The same for the same error, whatever it was about."""
    thrown = (event.get("exception") or {}).get("values") or [{}]
    frames = (thrown[-1].get("stacktrace") or {}).get("frames") or [{}]
    where = f"{frames[-1].get('module')}:{frames[-1].get('lineno')}"
    logged = (event.get("logentry") or {}).get("message", "")
    return f"{event.get('logger')} {logged} {event.get('message')} {thrown[-1].get('type')} {where}"


def _too_often(kind: str) -> bool:
    now = time.monotonic()
    lately = [at for at in _seen.get(kind, []) if at > now - ALIKE_WINDOW]
    if len(lately) >= MOST_ALIKE:
        return True
    if len(_seen) > 1000:
        _seen.clear()
    _seen[kind] = [*lately, now]
    return False
