"""What `make run` starts, and with which settings, given what the environment already names."""

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
ADMIN = "admin@example.com"  # the account that load_demo makes, with the password "admin"


class CannotRun(Exception):
    """Something a person must change first; the message says what."""


@dataclass(frozen=True)
class Ports:
    shop: int
    world: int  # the local Stripe, and the page of the mailbox
    smtp: int


@dataclass(frozen=True)
class Embedded:
    """The parts of the outside world that are ours. What the environment names is somebody else's, and wins."""

    postgres: bool
    valkey: bool
    stripe: bool
    mail: bool

    @property
    def world(self) -> bool:
        return self.stripe or self.mail


def parts_embedded(environment: Mapping[str, str]) -> Embedded:
    """An empty value counts as not set: that is what a copied .env.example has."""
    return Embedded(
        postgres=not environment.get("DATABASE_URL"),
        valkey=not environment.get("CELERY_BROKER_URL"),
        stripe=not (environment.get("STRIPE_SECRET_KEY") or environment.get("STRIPE_API_BASE")),
        mail=not environment.get("EMAIL_URL"),
    )


def ports_from(environment: Mapping[str, str]) -> Ports:
    text = environment.get("PORT") or "8000"
    if not text.isdecimal() or not 1 <= int(text) <= 65533:
        raise CannotRun(f"PORT must be a number from 1 to 65533, not {text!r}.")
    return Ports(int(text), int(text) + 1, int(text) + 2)


def check_ports(ports: Ports, embedded: Embedded) -> None:
    """Raise CannotRun when a port that we are going to need is taken."""
    needed = {"the shop": ports.shop}
    if embedded.world:
        needed |= {"the local Stripe and the mailbox": ports.world, "the mailbox's SMTP server": ports.smtp}
    for use, port in needed.items():
        with socket.socket() as probe:
            # As the servers do: a port whose last connections are still closing may be taken over.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise CannotRun(
                    f"Port {port}, needed for {use}, cannot be used: {error.strerror}.\n"
                    "Choose other ports: make run PORT=9000 takes 9000, 9001 and 9002."
                ) from None


def settings_for(environment: Mapping[str, str], ports: Ports, var: Path) -> dict[str, str]:
    """The settings that the environment does not name; those of PostgreSQL and Valkey are not among them.

    Secrets are made once and kept in `var`, so sessions and links survive a restart.
    """
    embedded = parts_embedded(environment)
    ours = {
        "SECRET_KEY": kept_secret(var / "secret_key"),
        "DEBUG": "true",
        "ALLOWED_HOSTS": f"{HOST},localhost",
        "SITE_URL": f"http://{HOST}:{ports.shop}",
        "DEFAULT_FROM_EMAIL": f"{environment.get('SITE_NAME') or 'Paper Lantern'} <orders@example.com>",
        "STORAGE_URL": f"file://{var}/files",
    }
    if embedded.mail:
        ours |= {"EMAIL_URL": f"smtp://{HOST}:{ports.smtp}", "ADMINS": ADMIN}
    if embedded.stripe:
        ours |= {
            "STRIPE_SECRET_KEY": kept_secret(var / "stripe_key", prefix="sk_test_sandbox"),
            "STRIPE_WEBHOOK_SECRETS": kept_secret(var / "webhook_secret", prefix="whsec_"),
            "STRIPE_API_BASE": f"http://{HOST}:{ports.world}",
        }
    return {name: value for name, value in ours.items() if not environment.get(name)}


def kept_secret(path: Path, *, prefix: str = "") -> str:
    """The secret in this file, which is made (mode 0600) when it is missing."""
    if not path.exists():
        partial = path.with_suffix(".partial")  # a run that is killed here leaves no empty secret
        partial.touch(mode=0o600)
        partial.write_text(prefix + secrets.token_hex(32))
        partial.rename(path)
    return path.read_text().strip()


def wants_demo(environment: Mapping[str, str]) -> bool:
    """Whether to load the demo. It makes an administrator whose password everybody knows, so never on debug=off,
    and never into a database that somebody named without also asking for DEBUG.
    """
    debug = environment.get("DEBUG", "").lower()
    if debug:
        return debug in {"true", "1", "yes", "on", "ok", "y"}  # what django-environ calls true
    return parts_embedded(environment).postgres


def banner(environment: Mapping[str, str], ports: Ports, var: Path) -> str:
    """Where everything is, for the first lines on the screen."""
    embedded = parts_embedded(environment)
    shop, world = f"http://{HOST}:{ports.shop}", f"http://{HOST}:{ports.world}"
    admin = f"{ADMIN} / admin" if wants_demo(environment) else "your own accounts"
    rows = [
        ("Shop", f"{shop}/", ""),
        ("Admin", f"{shop}/admin/", admin),
        ("Stripe", f"{world}/", "a local one: no account, no money")
        if embedded.stripe
        else ("Stripe", "your account", "STRIPE_SECRET_KEY is set"),
        ("Mailbox", f"{world}/mailbox/", "every mail the shop sends")
        if embedded.mail
        else ("Mail", "is really sent", "EMAIL_URL is set"),
        ("Data", str(var), "kept until you delete it"),
    ]
    return "\n".join(f"  {name:<9}{where:<33} {what}".rstrip() for name, where, what in rows)
