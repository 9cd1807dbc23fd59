"""What is on sale and who has an account in a chaos run: `python -m tests.proof.chaos_shop FILE` makes it."""

import json
import sys
from pathlib import Path

import django

MEMBERS = 12
# Name and price; the last ones are free.
BOOKS = (
    ("tides", 900, "usd"),
    ("winds", 1999, "usd"),
    ("stones", 2450, "eur"),
    ("rivers", 1200, "jpy"),
    ("embers", 50_000, "usd"),
    ("seeds", 0, "usd"),
    ("moss", 0, "eur"),
)


def main(path: Path) -> None:
    django.setup()
    from django.conf import settings
    from django.test import Client

    from tests.catalog.samples import pdf
    from tests.factories import ProductFactory, UserFactory

    content = pdf(1)
    for slug, price, currency in BOOKS:
        ProductFactory(name=f"The book of {slug}", slug=slug, price=price, currency=currency, content=content)
    members = []
    for _ in range(MEMBERS):
        user, client = UserFactory(), Client()
        client.force_login(user)
        members.append({"email": user.email, "session": client.cookies[settings.SESSION_COOKIE_NAME].value})
    path.write_text(json.dumps({"members": members, "cookie": settings.SESSION_COOKIE_NAME}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
