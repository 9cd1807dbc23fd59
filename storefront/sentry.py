"""Errors to Sentry, when SENTRY_DSN is set: nobody's address, no key and no token leaves with them.

Imported only then. https://docs.sentry.io/platforms/python/configuration/options/
"""

import re
import time
from typing import TYPE_CHECKING, Any

import sentry_sdk
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber
from sentry_sdk.utils import BadDsn

if TYPE_CHECKING:
    from sentry_sdk.types import Breadcrumb, BreadcrumbHint, Event, Hint

MOST_ALIKE, ALIKE_WINDOW = 10, 900.0  # of one error from one process, in so many seconds: an outage fills no quota

# What is found in a text, and what stands there instead.
SECRETS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\b(whsec|[srp]k)_\w+"), r"\1_[secret]"),
    (re.compile(r"(/links/)[^/\s\"'?#]+"), r"\1[token]"),
    (re.compile(r"\b[2-9A-HJ-NP-Z]{16}\.[\w-]{4,12}\.[\w-]{20,}"), "[token]"),  # of a link, wherever it stands
    (re.compile(r"((?:__Host-)?(?:session|sessionid|csrf|csrftoken)=)[^;,\s\"']+", re.IGNORECASE), r"\1[secret]"),
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+@"), r"\1[secret]@"),
    (
        re.compile(r"((?:X-Amz-)?(?:Signature|Credential|Security-Token|AccessKeyId)=)[^&\s\"']+", re.IGNORECASE),
        r"\1[secret]",
    ),
    (re.compile(r"(\bv[01]=)[0-9a-fA-F]{64}"), r"\1[signature]"),
    (re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+"), "[e-mail]"),
]
DENIED = [*DEFAULT_DENYLIST, "__Host-session", "__Host-csrf", "csrf", "token", "stripe-signature", "email"]

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
    return cleaned


def before_breadcrumb(crumb: "Breadcrumb", hint: "BreadcrumbHint") -> "Breadcrumb | None":
    """Statements may carry values, and tell little about an error."""
    return None if crumb.get("category") == "query" else crumb


def clean(value: Any) -> Any:
    """The same value with every secret in every text replaced, keys of dictionaries included."""
    if isinstance(value, str):
        return _cleaned(value)
    if isinstance(value, dict):
        return {clean(key): clean(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean(one) for one in value]
    return value


def _cleaned(text: str) -> str:
    for secret in _own_secrets():
        text = text.replace(secret, "[secret]")
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def _own_secrets() -> list[str]:
    """The values in the settings that must never be seen, whatever they look like."""
    password = str(settings.EMAIL_HOST_PASSWORD or "")
    values = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS, settings.METRICS_TOKEN, password]
    values += [settings.STRIPE_SECRET_KEY, *settings.STRIPE_WEBHOOK_SECRETS]
    return [value for value in values if value and len(value) >= 6]


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
