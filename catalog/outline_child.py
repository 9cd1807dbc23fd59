"""Reads a PDF's outline and finds its contents page. For children that are confined (catalog.confined): no Django."""

import codecs
import itertools
import re
from collections.abc import Iterator
from typing import Any

from pypdfium2 import PdfiumError

LOADED = codecs.lookup("utf-16-le")  # what PDFium's texts are in; a sealed process cannot load it later
DEEPEST = 3  # levels
MOST_ENTRIES = 300
LOOKED_THROUGH = 20  # pages, of which one may be the contents
HEADING_LINES = 5  # a heading stands among the first lines of its page
HEADING = re.compile(
    r"(table of )?contents|(detailed |brief )?contents|(inhalts)?verzeichnis|inhalt|inhaltsverzeichnis"
    r"|sommaire|table des matières|índice|indice|sommario|sumário|inhoud|spis treści|innehåll|indhold",
    re.IGNORECASE,
)


def outline(pdf: Any) -> list[dict[str, Any]]:
    """Title, level (from 0) and page (from 1, or null) of the first entries, in the order in which they are read.

    The titles are as the file has them: catalog.outlines.cleaned makes them fit to be stored and shown.
    """
    return list(itertools.islice(_entries(pdf), MOST_ENTRIES))


def _entries(pdf: Any) -> Iterator[dict[str, Any]]:
    for bookmark in pdf.get_toc(max_depth=DEEPEST):
        try:
            title = bookmark.get_title()
        except UnicodeDecodeError:  # half of a surrogate pair
            continue
        place = bookmark.get_dest()
        index = place.get_index() if place else None
        page = index + 1 if index is not None and index < len(pdf) else None
        yield {"title": title, "level": bookmark.level, "page": page}


def contents_page(pdf: Any, entries: list[dict[str, Any]]) -> int | None:
    """The page, from 1, that the outline or a heading among the first pages calls the contents."""
    for entry in entries:
        if entry["page"] and HEADING.fullmatch(" ".join(entry["title"].split())):
            return int(entry["page"])
    for index in range(min(len(pdf), LOOKED_THROUGH)):
        if any(HEADING.fullmatch(line) for line in _first_lines(pdf, index)):
            return index + 1
    return None


def _first_lines(pdf: Any, index: int) -> list[str]:
    """A page that cannot be read has none: whether it can be drawn is for others to find out."""
    try:
        text = pdf[index].get_textpage().get_text_bounded()
    except (PdfiumError, UnicodeDecodeError):
        return []
    lines = (" ".join(line.split()) for line in text.splitlines())
    return list(itertools.islice(filter(None, lines), HEADING_LINES))
