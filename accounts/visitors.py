"""Where a request came from: what logs of sign-ins, purchases and downloads note about a visitor."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

AGENT_LENGTH = 200
SIGN_IN = "sign_in"  # where a session keeps the id of the sign-in that it began with


def address_of(request: HttpRequest) -> str | None:
    """The client's address, as the outermost of our own proxies saw it; None for what is not one."""
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    trusted = settings.TRUSTED_PROXY_COUNT
    claimed = forwarded[-trusted] if 0 < trusted <= len(forwarded) else request.META.get("REMOTE_ADDR", "")
    try:
        return str(ipaddress.ip_address(claimed.strip()))
    except ValueError:
        return None


def agent_of(request: HttpRequest) -> str:
    """What the browser calls itself. Anybody can send anything, a NUL too."""
    return request.headers.get("User-Agent", "").replace("\x00", "")[:AGENT_LENGTH]


# The first that is found in what a browser calls itself: nearly all call themselves Safari, and most of those Chrome.
BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip


def device_of(agent: str) -> str:
    """What its owner calls a device: "Firefox, Windows"; what the browser calls itself where that is not known."""
    found = (next((name for mark, name in names if mark in agent), "") for names in (BROWSERS, SYSTEMS))
    return ", ".join(filter(None, found)) or agent
