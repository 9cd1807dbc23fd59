"""What the sending domain tells mail servers about us: SPF, DKIM and DMARC. Without them mails end as spam.

https://www.rfc-editor.org/rfc/rfc7208, rfc6376, rfc7489; https://support.google.com/mail/answer/81126
"""

import base64
import binascii
import re
from collections.abc import Iterator

from django.conf import settings

from storefront.production import dns_records
from storefront.production.configuration import is_nobodys
from storefront.production.lines import Line, ok, warning, wrong
from storefront.production.mail_server import HERE

# What providers ask their customers to include, by a part of their mail server's name.
INCLUDES = {
    "amazonaws.com": "amazonses.com",
    "google.com": "_spf.google.com",
    "gmail.com": "_spf.google.com",
    "mailgun.org": "mailgun.org",
    "mailjet.com": "spf.mailjet.com",
    "messagingengine.com": "spf.messagingengine.com",
    "fastmail.com": "spf.messagingengine.com",
    "office365.com": "spf.protection.outlook.com",
    "postmarkapp.com": "spf.mtasv.net",
    "sendgrid.net": "sendgrid.net",
}
# The names that providers give their keys; nobody can list those of a domain.
SELECTORS = tuple(
    "default dkim mail smtp mx s1 s2 k1 k2 k3 selector1 selector2 google pm fm1 fm2 fm3 mg mta mailjet brevo resend"
    " sig1 zmail protonmail".split()
)
MOST_LOOKUPS = 10  # RFC 7208, section 4.6.4: with more the whole record counts as broken
SHORT_KEY = 200  # bytes: a key of 1024 bits has 162 of them, one of 2048 has 294


def check() -> Iterator[Line]:
    domain = settings.MAIL_DOMAIN
    if is_nobodys(domain):
        yield wrong("sending domain", f"{domain} is nobody's", "Set DEFAULT_FROM_EMAIL to an address of your domain.")
        return
    try:
        yield _spf(domain)
        yield _dkim(domain)
        yield _dmarc(domain)
    except dns_records.DnsSilent as error:
        yield wrong("dns", f"cannot be asked: {error}", "Mend this machine's name servers, or set DNS_SERVERS.")


def _spf(domain: str) -> Line:
    records = _spf_records(domain)
    if not records:
        return wrong("spf", f"none for {domain}", f'Add a TXT record at {domain}: "v=spf1 {_mechanism()} ~all"')
    if len(records) > 1:
        return wrong("spf", f"{len(records)} records, so none counts", f"Put them together into one, at {domain}.")
    return _spf_trouble(domain, records[0].lower().split()[1:]) or ok("spf", records[0][:120])


def _spf_trouble(domain: str, words: list[str]) -> Line | None:
    """What is not well about the one record, and how it should read instead."""

    def instead(*parts: str) -> str:
        return f'The TXT record at {domain} should be "{" ".join(["v=spf1", *parts])}"'

    others = [word for word in words if word.lstrip("+-~?") != "all"]
    if "+all" in words or "all" in words:
        return wrong("spf", "everybody may send as you", instead(*others, "~all"))
    if (include := _include()) and not _includes(domain, include):
        found = f"does not name the mail server that EMAIL_URL uses, {settings.EMAIL_HOST}"
        return wrong("spf", found, instead(f"include:{include}", *words))
    if (lookups := _lookups(domain)) > MOST_LOOKUPS:
        found = f"takes {lookups} look-ups or more, and more than {MOST_LOOKUPS} break it"
        return wrong("spf", found, "Take out of it what you no longer use.")
    if not {"~all", "-all"} & set(words) and not any(word.startswith("redirect=") for word in words):
        return warning("spf", "does not say that others may not send as you", instead(*others, "~all"))
    return None


def _mechanism() -> str:
    """How the record names the server that sends our mail."""
    if include := _include():
        return f"include:{include}"
    return "a" if settings.EMAIL_HOST in HERE else f"a:{settings.EMAIL_HOST}"


def _spf_records(domain: str) -> list[str]:
    return [text for text in dns_records.texts(domain) if text.lower().split(" ")[0] == "v=spf1"]


def _include() -> str:
    """What the provider of our mail server wants to stand in the record; "" for one that we do not know."""
    host = str(settings.EMAIL_HOST).lower()
    return next((include for part, include in INCLUDES.items() if host == part or host.endswith(f".{part}")), "")


def _terms(domain: str) -> list[str]:
    records = _spf_records(domain)
    return [word.lstrip("+-~?") for word in records[0].lower().split()[1:]] if len(records) == 1 else []


def _named(terms: list[str]) -> list[str]:
    """The domains whose records count as part of this one."""
    parts = (re.split("[:=]", word, maxsplit=1) for word in terms)
    return [part[1] for part in parts if len(part) == 2 and part[0] in ("include", "redirect") and "%" not in part[1]]


def _includes(domain: str, wanted: str, depth: int = 0) -> bool:
    named = _named(_terms(domain))
    return wanted in named or (depth < 3 and any(_includes(one, wanted, depth + 1) for one in named))


def _lookups(domain: str, spent: int = 0) -> int:
    """How many further questions whoever reads the record must ask; counting ends where there are too many anyway."""
    terms = _terms(domain)
    spent += sum(re.split("[:=/]", word)[0] in ("include", "redirect", "a", "mx", "ptr", "exists") for word in terms)
    for named in _named(terms):
        if spent > MOST_LOOKUPS:
            break
        spent = _lookups(named, spent)
    return spent


def _dkim(domain: str) -> Line:
    selectors = settings.DKIM_SELECTORS or SELECTORS
    keys = {one: text for one in selectors for text in dns_records.texts(f"{one}._domainkey.{domain}") if "p=" in text}
    if not keys:
        named = ", ".join(settings.DKIM_SELECTORS)
        do = f'Publish what your mail provider shows: a TXT record at NAME._domainkey.{domain}: "v=DKIM1; k=rsa; p=…"'
        if named:
            return wrong("dkim", f"no key under {named}", do.replace("NAME", settings.DKIM_SELECTORS[0]))
        return warning("dkim", "no key under any usual name", f"{do}. If there is one, name it: DKIM_SELECTORS=NAME")
    if missing := [one for one in settings.DKIM_SELECTORS if one not in keys]:
        return wrong(
            "dkim", f"no key under {', '.join(missing)}", "Publish it too, or take the name out of DKIM_SELECTORS."
        )
    sizes = {one: _key_size(text) for one, text in keys.items()}
    if not any(sizes.values()):
        return wrong(
            "dkim", f"the key under {', '.join(keys)} is withdrawn or broken", "Publish your provider's key anew."
        )
    if weak := [one for one, text in keys.items() if 0 < sizes[one] < SHORT_KEY and "k=ed25519" not in text]:
        return warning("dkim", f"the key under {', '.join(weak)} is short", "Let your provider make one of 2048 bits.")
    return ok("dkim", f"a key under {', '.join(one for one in keys if sizes[one])}")


def _key_size(text: str) -> int:
    """Bytes of the public key; 0 where it is withdrawn (an empty p=) or no base64."""
    key = _tags(text).get("p", "")
    try:
        return len(base64.b64decode(re.sub(r"\s", "", key), validate=True))
    except (binascii.Error, ValueError):
        return 0


def _dmarc(domain: str) -> Line:
    records, where = _dmarc_records(domain)
    if not records:
        do = f'Add a TXT record at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:dmarc@{domain}"'
        return wrong("dmarc", f"none for {domain}", do)
    if len(records) > 1:
        return wrong("dmarc", f"{len(records)} records, so none counts", f"Keep one at _dmarc.{where}.")
    policy = _tags(records[0]).get("p", "").lower()
    if policy not in ("none", "quarantine", "reject"):
        return wrong("dmarc", f"without a policy: {records[0][:80]}", f'At _dmarc.{where}: "v=DMARC1; p=none"')
    return ok("dmarc", f"p={policy}, at _dmarc.{where}")


def _dmarc_records(domain: str) -> tuple[list[str], str]:
    """Those of the domain, else of one that it belongs to, and where they stand."""
    labels = domain.split(".")
    for first in range(max(1, len(labels) - 1)):
        where = ".".join(labels[first:])
        found = [text for text in dns_records.texts(f"_dmarc.{where}") if text.lower().startswith("v=dmarc1")]
        if found:
            return found, where
    return [], domain


def _tags(text: str) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in text.split(";") if "=" in part)
    return {name.strip().lower(): value.strip() for name, value in pairs}
