"""How often one network, or all together, may do what costs the shop or others something.

Counted in the database, one statement each. allauth's own limits take turns at a lock in the cache: whoever waits for
it longer than a second is refused, as everybody is for ten seconds after a process died while it held the lock.
"""

import ipaddress

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac

from accounts.visitors import address_of

WINDOW = 600  # seconds from the first attempt; the next one after them begins a new count
IPV6_NETWORK = 64  # bits: what one household or server gets, all of whose addresses are its own

COUNT = """
    INSERT INTO accounts_attempts AS kept (who, began_at, count) VALUES (%(who)s, now(), 1)
    ON CONFLICT (who) DO UPDATE SET
        count = CASE WHEN kept.began_at < now() - make_interval(secs => %(window)s) THEN 1 ELSE kept.count + 1 END,
        began_at = CASE WHEN kept.began_at < now() - make_interval(secs => %(window)s) THEN now() ELSE kept.began_at END
    RETURNING count"""
FORGET = "DELETE FROM accounts_attempts WHERE began_at < now() - make_interval(secs => %(window)s)"


def within(request: HttpRequest, action: str, *, per_network: int, key: str, per_key: int) -> bool:
    """Count one attempt at `action` from this network and, if that may go on, one for `key`; whether both may.

    All limits are for ten minutes. To be called outside of a transaction, which would keep others waiting.
    """
    return network_within(request, action, per_network) and key_within(action, key, per_key)


def network_within(request: HttpRequest, action: str, most: int) -> bool:
    return _count(f"{action} from {network_of(request)}") <= most


def key_within(action: str, key: str, most: int) -> bool:
    return _count(f"{action} for {key}") <= most


def network_of(request: HttpRequest) -> str:
    """The visitor's address, of IPv6 the network that one customer of a provider gets; "" where it is unknown."""
    address = address_of(request)
    if address is None:
        return ""
    parsed = ipaddress.ip_address(address)
    bits = parsed.max_prefixlen if parsed.version == 4 else IPV6_NETWORK
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


def _count(what: str) -> int:
    """How many there were in ten minutes, this one included. Nobody's address is stored; what is old goes at once."""
    who = salted_hmac("accounts.limits", what, secret=settings.SECRET_KEY).hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"who": who, "window": WINDOW})
        count: int = cursor.fetchone()[0]
        if count == 1:
            cursor.execute(FORGET, {"window": WINDOW})
    return count


def too_often(request: HttpRequest) -> HttpResponse:
    """The page that says so, with when it is worth trying again."""
    answer = render(request, "429.html", status=429)
    answer["Retry-After"] = str(WINDOW)
    return answer
