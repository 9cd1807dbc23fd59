"""Whose a Checkout Session is: one Stripe account may serve several shops, and applications that are none."""

from collections.abc import Mapping

from django.conf import settings

SITE = "storefront_site"  # in the metadata of what we make: the host that made it


def mark() -> dict[str, str]:
    """What the metadata of our sessions and Payment Links says of whose they are."""
    return {SITE: settings.STRIPE_SITES[0]}


def other_site(metadata: Mapping[str, str]) -> str:
    """The site that a session names, where it is none of ours; "" also for what names none: older sessions, and
    Payment Links that a person made in the dashboard."""
    site = metadata.get(SITE, "").strip().lower()
    return "" if site in settings.STRIPE_SITES else site


def is_marked(payment_link: str, metadata: Mapping[str, str]) -> bool:
    """Whether a session is ours to keep, by what it says of itself: made by a Payment Link, or with the metadata that
    this shop writes and reads, and by no other shop.

    What carries neither was made by another application of the same Stripe account.
    """
    marked = payment_link or metadata.get("storefront_order") or metadata.get("product_slug")
    return bool(marked) and not other_site(metadata)
