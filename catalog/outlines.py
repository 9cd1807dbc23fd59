"""What is inside a PDF, by its outline: cleaned for the database, as a tree for pages, as text for search."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from catalog.models import File, Product

LONGEST_TITLE = 200  # characters
SHOWN = 12  # entries; the others are folded away
JOINERS = "\u200c\u200d"  # format characters that words in some scripts are spelled with


class Entry(TypedDict):
    title: str
    level: int  # 0 is the highest
    page: int | None  # from 1


def cleaned(entries: Iterable[dict[str, Any]]) -> list[Entry]:
    """What a child process read, fit to be stored as JSON and shown; entries without a title are left out."""
    named = ((_clean(entry["title"]), entry) for entry in entries)
    return [{"title": title, "level": entry["level"], "page": entry["page"]} for title, entry in named if title]


def _clean(title: str) -> str:
    """In one line, without what PostgreSQL refuses (NUL, halves of surrogate pairs) and what turns text around."""
    kept = (" " if unicodedata.category(each) == "Cc" else each for each in title if _is_text(each))
    return " ".join("".join(kept).split())[:LONGEST_TITLE].rstrip()


def _is_text(character: str) -> bool:
    return unicodedata.category(character) not in {"Cf", "Cs", "Co", "Cn"} or character in JOINERS


def contents_of(product: "Product") -> str:
    """The titles in the outlines of the edition on sale, one a line: what a search may find beside the description."""
    edition = product.edition_on_sale()
    files = edition.files.all() if edition else []
    return "\n".join(entry["title"] for file in files for entry in file.outline or [])


@dataclass
class Node:
    title: str
    page: int | None
    children: list["Node"] = field(default_factory=list)


def nested(entries: Iterable[Entry]) -> list[Node]:
    """The entries as a tree. Where a level is missing, an entry hangs below the one before it."""
    top: list[Node] = []
    above: list[tuple[int, Node]] = []
    for entry in entries:
        while above and above[-1][0] >= entry["level"]:
            above.pop()
        node = Node(entry["title"], entry["page"])
        (above[-1][1].children if above else top).append(node)
        above.append((entry["level"], node))
    return top


@dataclass
class Contents:
    """A file's outline: what is shown at once, and what is folded away."""

    file: "File"
    shown: list[Node]
    folded: list[Node]
    more: int  # entries in `folded`, those below others included


def contents(files: Iterable["File"]) -> list[Contents]:
    """For each file that has an outline."""
    return [
        Contents(
            file,
            shown=nested(file.outline[:SHOWN]),
            folded=nested(file.outline[SHOWN:]),
            more=max(0, len(file.outline) - SHOWN),
        )
        for file in files
        if file.outline
    ]
