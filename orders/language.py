"""Which of the shop's languages a buyer reads: kept with the order, told to Stripe, and used for every mail."""

from django.conf import settings
from django.utils import translation


def of_reader() -> str:
    """The language of the page that is being answered, or "" where it is none of the shop's."""
    language = translation.get_language()
    return language if language in dict(settings.LANGUAGES) else ""


def of_stripe(locale: str) -> str:
    """The shop's language for the one of Stripe's page, such as "de" or "en-GB"; "" for "auto" and what we lack.

    https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-locale
    """
    try:
        return translation.get_supported_language_variant(locale)
    except LookupError:
        return ""


def of_mails(language: str) -> str:
    """The language that mails are written in: an order's own, or the shop's where it has none that we still speak."""
    return language if language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
