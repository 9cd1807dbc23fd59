"""Which pages of a PDF anybody may see before buying: what the admin wrote, and what of it is shown. No Django."""

import re
from collections.abc import Iterable

DEFAULT = "1-5"
SHARE = 3  # one page of so many at most: a document of three pages shows one, and a shorter one none
MOST = 30  # pages, however long the document is
LAST = 99_999  # the highest number of a page that can be named
LONGEST = 100  # characters
PART = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


class Unclear(ValueError):
    """Its argument is the part that is no page and no range of pages."""


def parsed(text: str) -> list[tuple[int, int]]:
    """The ranges, both ends included, counted from 1: "1-5, 12" is [(1, 5), (12, 12)]. Nothing and "0" choose nothing.

    Raises Unclear.
    """
    text = re.sub(r"\s*[-–—]\s*", "-", text.strip())
    if text in {"", "0"}:
        return []
    return [_range(part) for part in re.split(r"[\s,;]+", text.strip(",; "))]


def _range(part: str) -> tuple[int, int]:
    found = PART.fullmatch(part)
    if not found:
        raise Unclear(part)
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last:
        raise Unclear(part)
    return first, last


def normalized(text: str) -> str:
    """The same choice, always written in the same way. Raises Unclear."""
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parsed(text))


def most(pages: int) -> int:
    """How many pages of a document may be shown: never the whole."""
    return min(pages // SHARE, MOST)


def chosen(ranges: Iterable[tuple[int, int]], *, pages: int, contents: int | None) -> list[int]:
    """The pages to show, in their order: the first one, that with the contents, and those of `ranges`, as far as a
    document of so many pages allows. Nothing when nothing is asked for."""
    ranges = list(ranges)
    if not ranges:
        return []
    wanted = [1, *([contents] if contents else [])]
    for first, last in ranges:
        wanted += range(first, min(last, pages, first + MOST) + 1)
    within = dict.fromkeys(number for number in wanted if 1 <= number <= pages)
    return sorted(list(within)[: most(pages)])
