"""Who hears of trouble: ADMINS, whether their addresses look right, and whether anybody takes mail there."""

from collections.abc import Iterator

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.addresses import normalize
from storefront.production import dns_records
from storefront.production.configuration import is_nobodys
from storefront.production.lines import Line, ok, warning, wrong

SET = "ADMINS=you@your-domain, the addresses of those who run the shop, separated by commas"


def check() -> Iterator[Line]:
    addresses = [address for _name, address in settings.ADMINS]
    if not addresses:
        yield wrong("admins", "nobody: alerts are told to nobody", SET)
        return
    broken = [number for number, address in enumerate(addresses, 1) if not _is_address(address)]
    if broken:
        yield wrong("admins", f"number {', '.join(map(str, broken))} is no address that could get mail", SET)
        return
    domains = sorted({address.rpartition("@")[2] for address in addresses})
    try:
        deaf = [domain for domain in domains if not dns_records.takes_mail(domain)]
    except dns_records.DnsSilent:
        deaf = []  # the sending domain's lines say so
    if deaf:
        yield warning("admins", f"nobody takes mail for {', '.join(deaf)}", SET)
        return
    yield ok("admins", f"{len(addresses)} {'address' if len(addresses) == 1 else 'addresses'}")


def _is_address(address: str) -> bool:
    try:
        return not is_nobodys(normalize(address).rpartition("@")[2])
    except ValidationError:
        return False
