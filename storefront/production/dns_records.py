"""What the domain name system says, asked with dnspython."""

from typing import Any
from urllib.parse import urlsplit

import dns.exception
import dns.nameserver
import dns.resolver
from django.conf import settings

SECONDS = 4.0  # for one question, all servers and retries included


class DnsSilent(Exception):
    """No name server gave an answer: nothing is known."""


def texts(name: str) -> list[str]:
    """The TXT records of a name, each put together from its parts; none where the name is not there."""
    return [b"".join(record.strings).decode("utf-8", "replace") for record in _ask(name, "TXT")]


def takes_mail(domain: str) -> bool:
    """Whether mail for this domain has somewhere to go. RFC 5321, section 5.1; RFC 7505 for those that want none."""
    hosts = [str(record.exchange) for record in _ask(domain, "MX")]
    if hosts:
        return hosts != ["."]
    return bool(_ask(domain, "A") or _ask(domain, "AAAA"))


def _ask(name: str, kind: str) -> list[Any]:
    try:
        return list(_resolver().resolve(name, kind, lifetime=SECONDS, search=False))
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise DnsSilent(" ".join(str(error).split())[:160]) from error


def _resolver() -> dns.resolver.Resolver:
    """The system's, or one that asks DNS_SERVERS."""
    if not settings.DNS_SERVERS:
        return dns.resolver.Resolver()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [_server(word) for word in settings.DNS_SERVERS]
    return resolver


def _server(word: str) -> dns.nameserver.Do53Nameserver:
    """An IPv6 address stands in brackets where a port follows."""
    at = urlsplit(f"//[{word}]" if word.count(":") > 1 and "[" not in word else f"//{word}")
    return dns.nameserver.Do53Nameserver(at.hostname or "", at.port or 53)
