"""The catalogues say everything that the sources say, and what is compiled is what was written."""

import re
from collections import Counter

import pytest
from babel.messages.catalog import Message
from django.conf import settings

from tests.translations import (
    FUNCTIONS,
    LANGUAGES,
    compiled,
    extracted,
    folder,
    is_translated,
    messages,
    sources,
    written,
)

PLACE = re.compile(r"%\(\w+\)s|%%|%[a-z]")
TAG = re.compile(r"</?\w+[^>]*>")

pytestmark = pytest.mark.parametrize("language", LANGUAGES)


def forms(text: object) -> list[str]:
    """The singular and plural of a message's id or translation."""
    return [str(one) for one in text] if isinstance(text, (list, tuple)) else [str(text)]


def parts(pattern: re.Pattern[str], message: Message) -> list[tuple[Counter[str], Counter[str]]]:
    """What must stay as it is, of each form of the id and of its translation."""
    pairs = zip(forms(message.id), forms(message.string), strict=True)
    return [(Counter(pattern.findall(source)), Counter(pattern.findall(translated))) for source, translated in pairs]


def test_every_language_of_the_shop_but_english_has_a_catalog(language: str) -> None:
    assert {code for code, _name in settings.LANGUAGES} == {"en", *LANGUAGES}


def test_every_string_of_the_sources_is_in_the_catalog_and_no_other(language: str) -> None:
    """`make messages` brings them here."""
    asked = {(message.id, message.context) for message in messages(extracted())}
    assert {(message.id, message.context) for message in messages(written(language))} == asked
    assert len(asked) > 400


def test_every_string_is_translated(language: str) -> None:
    assert [message.id for message in messages(written(language)) if not is_translated(message)] == []


def test_every_placeholder_and_tag_is_in_the_translation(language: str) -> None:
    for message in messages(written(language)):
        for pattern in (PLACE, TAG):
            for source, translated in parts(pattern, message):
                assert source == translated, message.id


def test_blanks_and_line_ends_are_those_of_the_source(language: str) -> None:
    for message in messages(written(language)):
        for source, translated in zip(forms(message.id), forms(message.string), strict=True):
            assert translated == translated.strip(), message.id
            assert source.count("\n") == translated.count("\n"), message.id


def test_what_is_compiled_is_what_was_written(language: str) -> None:
    said = {
        (message.context, tuple(forms(message.id))): forms(message.string) for message in messages(written(language))
    }
    for message in messages(compiled(language)):
        assert said.pop((message.context, tuple(forms(message.id)))) == forms(message.string)
    assert said == {}


def test_nothing_obsolete_or_fuzzy_is_kept(language: str) -> None:
    text = (folder(language) / "django.po").read_text()
    assert "#~" not in text
    assert ", fuzzy" not in text


def test_every_name_that_gettext_goes_by_is_read(language: str) -> None:
    code = "".join(source for path, source in sources() if path.endswith(".py"))
    imported = re.findall(r"^from django\.utils\.translation import (.+)$", code, re.MULTILINE)
    names = {one.rpartition(" as ")[2].strip() for line in imported for one in line.split(",") if "gettext" in one}
    assert names <= set(FUNCTIONS)
    assert names >= {"_", "lazy", "gettext", "gettext_lazy", "gettext_noop"}


def test_reader_finds_strings_of_every_kind(language: str) -> None:
    """Does it bite?"""
    found = {message.id for message in messages(extracted())}
    assert "Library" in found  # {% translate %}
    assert ("%(pages)s page", "%(pages)s pages") in found  # {% blocktranslate count %}
    assert "no address" in found  # _("…") in a filter's argument
    assert "Price" in found  # gettext_lazy
    assert "Stripe does not give back so small an amount." in found  # gettext_noop
    read = {path.partition("/")[0] for path, _source in sources()}
    assert read == {"templates", "accounts", "catalog", "orders", "fulfillment", "storefront"}
