"""Widths of text in PDF's standard fonts, and the breaking of paragraphs into lines.

The widths are those of Adobe's Core 14 font metrics, for the characters of Windows code page 1252.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

WIDTHS: dict[str, list[int]] = json.loads((Path(__file__).parent / "widths.json").read_text())  # per mille, from 32
FONTS = {
    "R": "Times-Roman",
    "B": "Times-Bold",
    "I": "Times-Italic",
    "H": "Helvetica",
    "G": "Helvetica-Bold",
    "C": "Courier",
}
Word = tuple[str, str]  # font and text


def encoded(text: str) -> bytes:
    """WinAnsi is Windows code page 1252. Raises UnicodeEncodeError for a letter that it lacks."""
    return text.encode("cp1252")


def width_of(text: str, font: str, size: float) -> float:
    """Points."""
    return sum(WIDTHS[FONTS[font]][byte - 32] for byte in encoded(text)) * size / 1000


def words(text: str) -> list[Word]:
    """Words with the fonts that `*`, `**` and backquotes give them; "" as font glues a piece to the one before."""
    found: list[Word] = []
    for bold, italic, code, plain in re.findall(r"\*\*(.+?)\*\*|\*(.+?)\*|`(.+?)`|([^*`]+)", text, re.DOTALL):
        font = "B" if bold else "I" if italic else "C" if code else "R"
        piece = bold or italic or code or plain
        found += [(font, part) for part in re.findall(r"\s+|\S+", piece)]
    return found


def wrapped(pieces: list[Word], size: float, measure: float) -> Iterator[list[Word]]:
    """Lines of pieces, broken between words; a word may be of several fonts, as in *one*."""
    line: list[Word] = []
    used = 0.0
    for word in joined(pieces):
        wide = sum(width_of(text, font, size) for font, text in word)
        space = width_of(" ", "R", size) if line else 0
        if line and used + space + wide > measure:
            yield line
            line, used, space = [], 0.0, 0.0
        line += ([("R", " ")] if space else []) + word
        used += space + wide
    if line:
        yield line


def joined(pieces: list[Word]) -> Iterator[list[Word]]:
    """Whole words, each a list of pieces. Pieces without any white space among them are words already."""
    if not any(text.isspace() for _, text in pieces):
        yield from ([piece] for piece in pieces)
        return
    word: list[Word] = []
    for font, text in pieces:
        if not text.isspace():
            word.append((font, text))
        elif word:
            yield word
            word = []
    if word:
        yield word
