"""Texts that leave the shop, to a log or to Sentry, without keys, tokens of links, cookies and signatures."""

import re

from django.conf import settings

# What is found in a text, and what stands there instead.
SECRETS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\b(whsec|[srp]k)_\w+"), r"\1_[secret]"),
    (re.compile(r"(/(?:links|mails)/)[^/\s\"'?#]+"), r"\1[token]"),  # the latter hold an address
    (re.compile(r"(/accounts/(?:confirm-email|password/reset/key)/)[^/\s\"'?#]+"), r"\1[token]"),
    (re.compile(r"\b[2-9A-HJ-NP-Z]{16}\.[\w-]{4,12}\.[\w-]{20,}"), "[token]"),  # of a link, wherever it stands
    (re.compile(r"((?:__Host-)?(?:session|sessionid|csrf|csrftoken)=)[^;,\s\"']+", re.IGNORECASE), r"\1[secret]"),
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+@"), r"\1[secret]@"),
    (
        re.compile(r"((?:X-Amz-)?(?:Signature|Credential|Security-Token|AccessKeyId)=)[^&\s\"']+", re.IGNORECASE),
        r"\1[secret]",
    ),
    (re.compile(r"(\bv[01]=)[0-9a-fA-F]{64}"), r"\1[signature]"),
]
EMAIL = re.compile(r"[\w.+'-]{1,64}@[\w-]+(?:\.[\w-]+)+")


def without_secrets(text: str) -> str:
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
