"""Keeps locale/ in line with the sources: `python -m tests.translations`, which is what `make messages` calls.

New strings come into each django.po with nothing in their place, to be translated there; those that are gone go. Then
each is compiled into the django.mo beside it, which is committed, too: neither the shop nor its tests need more.
Babel does it, which the shop has for amounts of money: Django's makemessages wants GNU gettext on the machine.
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).parents[1]
LOCALE = ROOT / "locale"
LANGUAGES = tuple(sorted(path.name for path in LOCALE.iterdir()))  # beside English, which stands in the sources
PACKAGES = ("accounts", "catalog", "orders", "fulfillment", "storefront")
FUNCTIONS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "lazy": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
WIDTH = 120
HEADER = "# The shop in {language}. `make messages` brings new strings here and compiles what is translated."


def sources() -> Iterator[tuple[str, str]]:
    """The path below the project's folder, and Python in which each string to be translated is a call."""
    for path in sorted((ROOT / "templates").rglob("*.*")):
        # Between parentheses Python does not mind where a line begins.
        yield str(path.relative_to(ROOT)), f"({templatize(path.read_text())}\n)"
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def extracted() -> Catalog:
    """Every string of the sources, with the files that it stands in."""
    found = Catalog(fuzzy=False)
    for path, source in sources():
        for _line, text, _comments, context in extract("python", BytesIO(source.encode()), FUNCTIONS):
            if text:
                found.add(text, locations=[(path, 0)], context=context)
    return found


def folder(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES"


def written(language: str) -> Catalog:
    """What stands in the language's django.po."""
    with (folder(language) / "django.po").open("rb") as file:
        return read_po(file, locale=language)


def compiled(language: str) -> Catalog:
    """What stands in the language's django.mo, as Django reads it."""
    with (folder(language) / "django.mo").open("rb") as file:
        catalog = read_mo(file)
    for message in catalog:
        context: Any = message.context  # Babel decodes everything but this
        if isinstance(context, bytes):
            message.context = context.decode()
    return catalog


def is_translated(message: Message) -> bool:
    strings = message.string if isinstance(message.string, (list, tuple)) else [message.string]
    return all(strings) and not message.fuzzy


def messages(catalog: Catalog) -> list[Message]:
    """All but the header."""
    return [message for message in catalog if message.id]


def update(language: str) -> list[Message]:
    """Write the language's two files anew; the messages that still wait for a translation."""
    catalog, found = written(language), extracted()
    found.creation_date = catalog.creation_date  # or each run would change the file
    catalog.update(found, no_fuzzy_matching=True)
    catalog.header_comment = HEADER.format(language=catalog.locale.english_name if catalog.locale else language)
    with (folder(language) / "django.po").open("wb") as file:
        write_po(file, catalog, width=WIDTH, include_lineno=False, ignore_obsolete=True)
    with (folder(language) / "django.mo").open("wb") as file:
        write_mo(file, catalog)
    return [message for message in messages(catalog) if not is_translated(message)]


def main() -> int:
    """Non-zero while anything waits for a translation."""
    waiting = {language: update(language) for language in LANGUAGES}
    for language, missing in waiting.items():
        sys.stdout.write(f"{folder(language).relative_to(ROOT)}/django.po: {len(missing)} to be translated\n")
        for message in missing:
            sys.stdout.write(f"  {message.id!r}\n")
    return 1 if any(waiting.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
