"""Binds pages into a PDF: cover, title page, contents, the text, page numbers, outline, links."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from catalog.demo.drawing import Drawing, rgb
from catalog.demo.lines import FONTS, width_of, wrapped
from catalog.demo.typeset import GRAY, INK, PALE, Heading, Layout, Page, Setter

PUBLISHER = "Paper Lantern Editions"
CARD = 2  # pages of text; so short a book needs no title page


@dataclass(frozen=True)
class Words:
    """What the binding itself says, in the book's language."""

    contents: str
    edition: str
    imprint: tuple[str, str]


WORDS = {
    "en-US": Words(
        "Contents",
        "Edition {number}",
        ("Written and drawn for the demonstration shop.", "You may copy, change and share this book freely."),
    ),
    "de-DE": Words(
        "Inhalt",
        "{number}. Auflage",
        (
            "Für den Vorführladen geschrieben und gezeichnet.",
            "Sie dürfen dieses Buch kopieren, ändern und weitergeben.",
        ),
    ),
}


@dataclass(frozen=True)
class Title:
    """What the book calls itself."""

    name: str
    summary: str
    language: str = "en-US"
    edition: int = 1

    @property
    def words(self) -> Words:
        return WORDS[self.language]


@dataclass(frozen=True)
class Row:
    """A line of the contents: where it stands, and what it leads to."""

    page: int  # among the pages of the contents, from 0
    y: float
    heading: Heading


def bind(path: Path, title: Title, *, layout: Layout, cover: Drawing, text: Setter) -> None:
    """Write the book. The same arguments give the same bytes, so its SHA-256 is stable."""
    front, rows = [cover_page(cover, layout)], contents_rows(text, layout)
    card = len(text.pages) <= CARD
    if not card:
        front.append(title_page(title, layout))
    first = len(front)  # page of the contents
    front += contents_pages(rows, title, layout, shift=first + 1 + rows[-1].page)
    if card:
        imprint(front[-1], title, layout)
    for number, page in enumerate(text.pages, len(front) + 1):
        footer(page, number, title.name, layout)
    with pikepdf.new() as pdf:
        fonts = pdf.make_indirect(Dictionary({f"/{key}": font(base) for key, base in FONTS.items()}))
        for page in [*front, *text.pages]:
            add_page(pdf, page, layout, fonts)
        link_contents(pdf, rows, first, layout)
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem(title.words.contents, first))
            outline.root += outline_items(text.headings, shift=len(front))
        describe(pdf, title)
        pdf.save(path, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def describe(pdf: pikepdf.Pdf, title: Title) -> None:
    pdf.docinfo["/Title"], pdf.docinfo["/Author"], pdf.docinfo["/Subject"] = title.name, PUBLISHER, title.summary
    pdf.Root.Lang = String(title.language)
    pdf.Root.PageMode = Name.UseOutlines
    pdf.Root.ViewerPreferences = Dictionary(DisplayDocTitle=True)


def outline_items(headings: Sequence[Heading], *, shift: int) -> list[pikepdf.OutlineItem]:
    """The headings as a tree, each leading to its place; `shift` is how many pages stand before the text."""
    items: list[pikepdf.OutlineItem] = []
    open_items: list[pikepdf.OutlineItem] = []  # the last one of each level
    for heading in headings:
        item = pikepdf.OutlineItem(heading.title, heading.page + shift, "XYZ", left=0, top=heading.top)
        item.is_closed = heading.level > 1
        del open_items[heading.level - 1 :]
        (open_items[-1].children if open_items else items).append(item)
        open_items.append(item)
    return items


def font(base: str) -> Dictionary:
    return Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name(f"/{base}"), Encoding=Name.WinAnsiEncoding)


def add_page(pdf: pikepdf.Pdf, page: Page, layout: Layout, fonts: pikepdf.Object) -> None:
    added = pdf.add_blank_page(page_size=(layout.width, layout.height))
    added.Resources = Dictionary(Font=fonts)
    added.Contents = pdf.make_stream("".join(page.operators).encode("latin-1"))


def cover_page(cover: Drawing, layout: Layout) -> Page:
    """The cover over the whole page, cut at the sides or below where the page has another shape."""
    page = Page()
    width = max(layout.width, layout.height * cover.width / cover.height)
    page.operators.append(cover.pdf((layout.width - width) / 2, layout.height, width))
    return page


def title_page(title: Title, layout: Layout) -> Page:
    page = Page()
    y, middle = layout.height * 0.66, layout.width / 2
    for line in wrapped([("G", word) for word in title.name.split()], 27, layout.measure):
        page.centered(middle, y, "".join(word for _, word in line), "G", 27)
        y -= 33
    page.rule(middle - 22, y + 6, 44, layout.accent, 2)
    y -= 24
    for line in wrapped([("I", word) for word in title.summary.split()], 12, layout.measure - 30):
        page.centered(middle, y, "".join(word for _, word in line), "I", 12, GRAY)
        y -= 17
    if title.edition > 1:
        page.centered(middle, y - 14, title.words.edition.format(number=title.edition), "H", 9, layout.accent)
    imprint(page, title, layout)
    return page


def imprint(page: Page, title: Title, layout: Layout) -> None:
    lines = (*reversed(title.words.imprint), PUBLISHER)
    for number, line in enumerate(lines):
        y = layout.margin + number * 12 + (6 if line == PUBLISHER else 0)
        page.centered(layout.width / 2, y, line, "H", 8 if layout.measure > 240 else 7.5, GRAY)


LINES = {1: 23.0, 2: 15.5}  # points from the line before, by level; deeper headings stand in the outline alone
TIGHT = 0.86  # of these, where that saves a page
INDENT = 15


def contents_rows(text: Setter, layout: Layout) -> list[Row]:
    """Chapters and sections, over as many pages as they take."""
    listed = [heading for heading in text.headings if heading.level in LINES]
    loose, tight = placed(listed, layout, 1), placed(listed, layout, TIGHT)
    return tight if tight[-1].page < loose[-1].page else loose


def placed(headings: Sequence[Heading], layout: Layout, scale: float) -> list[Row]:
    rows: list[Row] = []
    page, y = 0, contents_top(layout)
    for heading in headings:
        y -= LINES[heading.level] * scale if rows else 0
        if y < layout.bottom + (LINES[2] if heading.level == 1 and heading is not headings[-1] else 0):
            page, y = page + 1, layout.height - layout.margin - 12  # no chapter at the foot without its sections
        rows.append(Row(page, y, heading))
    return rows


def contents_top(layout: Layout) -> float:
    return layout.height - layout.margin - 72


def contents_pages(rows: Sequence[Row], title: Title, layout: Layout, *, shift: int) -> list[Page]:
    pages = [Page() for _ in range(rows[-1].page + 1)]
    top = contents_top(layout)
    pages[0].text(layout.margin, top + 44, title.words.contents, "G", 21)
    pages[0].rule(layout.margin, top + 31, 42, layout.accent, 2)
    for row in rows:
        contents_line(pages[row.page], row, layout, number=str(row.heading.page + shift + 1))
    return pages


def contents_line(page: Page, row: Row, layout: Layout, *, number: str) -> None:
    size, indent, color = (11.5, 0, INK) if row.heading.level == 1 else (9.5, INDENT, GRAY)
    left, right = layout.margin + indent, layout.width - layout.margin - width_of(number, "R", size)
    page.text(left, row.y, row.heading.title, "R", size, color)
    page.text(right, row.y, number, "R", size, color)
    start, level = left + width_of(row.heading.title, "R", size) + 8, row.y + 2
    if start < right - 8:
        dots = f"{start:.2f} {level:.2f} m {right - 8:.2f} {level:.2f} l S"
        page.operators.append(f"[0.1 4] 0 d 1 J {rgb(PALE)} RG 1 w {dots}\n[] 0 d 0 J\n")


def link_contents(pdf: pikepdf.Pdf, rows: Sequence[Row], first: int, layout: Layout) -> None:
    shift = first + rows[-1].page + 1
    for row in rows:
        target = Array([pdf.pages[row.heading.page + shift].obj, Name.XYZ, 0, row.heading.top, 0])
        above = 14 if row.heading.level == 1 else 10
        rect = Array([layout.margin, row.y - 4, layout.width - layout.margin, row.y + above])
        link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=rect, Border=Array([0, 0, 0]), Dest=target)
        page = pdf.pages[first + row.page]
        if "/Annots" not in page:
            page.Annots = Array()
        page.Annots.append(pdf.make_indirect(link))


def footer(page: Page, number: int, name: str, layout: Layout) -> None:
    y = layout.margin - 22
    page.text(layout.margin, y, name, "H", 7.5, GRAY)
    text = str(number)
    page.text(layout.margin + layout.measure - width_of(text, "G", 8), y, text, "G", 8, INK)
