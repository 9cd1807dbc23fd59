"""E-mail addresses as keys: one spelling per mailbox, so that equality is identity."""

import re

import idna
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.translation import gettext as _

MAX_LENGTH = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
ADDRESS = re.compile(r"""[^\s<>(),;:"']+@[^\s<>(),;:"']+""")


def normalize(address: str) -> str:
    """The lower-case ASCII form under which an address is stored and compared; IDN domains as punycode.

    Raises ValidationError for what is not exactly one plain address. A local part outside ASCII is refused because
    PostgreSQL's UPPER makes "mıke" and "mike" the same (CVE-2019-19844), a quoted one because it may hold commas and
    further addresses. Tags (bob+books@) stay distinct.
    """
    local, at, domain = address.strip().rpartition("@")
    if len(address) > MAX_LENGTH or not at or not local.isascii() or '"' in local or domain.startswith("["):
        raise _invalid()
    try:
        # IDNA 2008: Python's own codec sends mail for straße.de to strasse.de, which is somebody else's.
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        raise _invalid() from None
    normal = f"{local}@{ascii_domain}".lower()
    if len(normal) > MAX_LENGTH:
        raise _invalid()
    EmailValidator(message=_invalid().message)(normal)
    return normal


def _invalid() -> ValidationError:
    return ValidationError(_("Enter one e-mail address, such as name@example.com."), code="invalid")


def masked(address: str) -> str:
    """Enough of an address to recognize it, for what is kept longer than the address itself: "a…@example.com"."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…{at}{domain}" if at else "none"


def without_addresses(text: str) -> str:
    """A text that is kept for good, such as a mail server's reply, with each address in it masked."""
    return ADDRESS.sub(lambda found: masked(found[0]), text)
