"""From what somebody types to what PostgreSQL looks for, and to the marks on what it found."""

import re
from dataclasses import dataclass

from django.contrib.postgres.search import SearchQuery, SearchRank
from django.db.models import Case, F, IntegerField, Value, When
from django.db.models.functions import Cast, Greatest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

LONGEST = 100  # characters of a search that count
MOST_TERMS = 8
# A word of so many letters finds what begins with it, too: "plant" finds "plants". The last word does in any case,
# because it may be unfinished.
PREFIX_FROM = 3
AROUND = 70  # characters of an excerpt on each side of what was found
# What Markdown writes and nobody reads: the addresses of links, and marks.
MARKDOWN = re.compile(r"(?<=\])\([^)\s]*\)|[#*_`>|\[\]]+")
SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Term:
    """One word of a search, or what is written like one: "node.js", "3.5", "e-mail"."""

    text: str
    is_prefix: bool

    @property
    def quoted(self) -> str:
        """For to_tsquery, which takes apart what stands in quotes as to_tsvector did with the text."""
        return "'{}'".format(self.text.replace("\\", "\\\\").replace("'", "''"))

    @property
    def wanted(self) -> str:
        return f"{self.quoted}:*" if self.is_prefix else self.quoted


@dataclass(frozen=True)
class Found:
    """Name and summary with what was searched marked in them, and an excerpt where it stands elsewhere."""

    name: SafeString
    summary: SafeString
    excerpt: SafeString | str


def terms(text: str) -> list[Term]:
    """The words that are looked for; none where there is no letter or digit."""
    words = [word for word in text[:LONGEST].split() if any(map(str.isalnum, word))][:MOST_TERMS]
    last = len(words) - 1
    return [Term(word, position == last or len(word) >= PREFIX_FROM) for position, word in enumerate(words)]


def matching(looked_for: list[Term]) -> SearchQuery:
    """Every word must be there."""
    return SearchQuery(" & ".join(term.wanted for term in looked_for), config="simple", search_type="raw")


def rank(looked_for: list[Term]) -> Case:
    """How well a product's name matches, from 1 up; 0 where the words stand elsewhere. The whole word counts more than
    its beginning, and a short name more than a long one. Whole numbers, so that a page can begin after one of them."""
    words = [" | ".join(term.quoted for term in looked_for), " | ".join(term.wanted for term in looked_for)]
    exact, begun = (
        SearchRank(F("name_words"), SearchQuery(either, config="simple", search_type="raw"), normalization=Value(1))
        for either in words
    )
    whole = Greatest(Value(1), Cast((exact + begun) * Value(1_000_000), IntegerField()))
    return Case(When(name_words=matching(looked_for), then=whole), default=Value(0))


def marks(looked_for: list[Term]) -> re.Pattern[str]:
    """What is to be marked. The longest first, or "art" would end the mark that "artist" began."""
    ordered = sorted(looked_for, key=lambda term: -len(term.text))
    either = "|".join(re.escape(term.text) + (r"\w*" if term.is_prefix else "") for term in ordered)
    return re.compile(rf"(?<!\w)((?:{either})(?!\w))", re.IGNORECASE)


def mark(text: str, what: re.Pattern[str]) -> SafeString:
    """The text as HTML, whatever stands in it, with <mark> around what was found."""
    parts = what.split(text)  # what was found stands at the odd places
    pieces = (format_html("<mark>{}</mark>", part) if place % 2 else part for place, part in enumerate(parts))
    return format_html_join("", "{}", ((piece,) for piece in pieces))


def excerpt(text: str, what: re.Pattern[str]) -> str:
    """Some words around the first place; "" where there is none."""
    plain = SPACE.sub(" ", MARKDOWN.sub(" ", text)).strip()
    place = what.search(plain)
    if not place:
        return ""
    start, end = max(0, place.start() - AROUND), min(len(plain), place.end() + AROUND)
    before, after = plain[start : place.start()], plain[place.end() : end]
    if start and " " in before:
        before = "… " + before.partition(" ")[2]
    if end < len(plain) and " " in after:
        after = after.rpartition(" ")[0] + " …"
    return before + place[0] + after


def found(*, name: str, summary: str, texts: tuple[str, ...], looked_for: list[Term]) -> Found:
    """`texts` are looked into, in this order, for those words that neither name nor summary has."""
    what, head = marks(looked_for), f"{name} {summary}"
    missing = [term for term in looked_for if not marks([term]).search(head)]
    around = next(filter(None, (excerpt(text, marks(missing)) for text in texts)), "") if missing else ""
    return Found(mark(name, what), mark(summary, what), mark(around, what) if around else "")
