"""Binds pages into a PDF: cover, title page, contents, the text, page numbers, outline, links."""

from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from catalog.demo.drawing import Drawing, rgb
from catalog.demo.lines import FONTS, width_of, wrapped
from catalog.demo.typeset import GRAY, INK, PALE, Layout, Page, Setter

FRONT = 3  # pages before the text: cover, title, contents
PUBLISHER = "Paper Lantern Editions"
IMPRINT = (
    "Written and drawn for the demonstration shop.",
    "You may copy, change and share this book freely.",
)


def bind(path: Path, *, name: str, summary: str, layout: Layout, cover: Drawing, text: Setter) -> None:
    """Write the book. The same arguments give the same bytes, so its SHA-256 is stable."""
    pages = [cover_page(cover, layout), title_page(name, summary, layout), contents_page(text, layout), *text.pages]
    for number, page in enumerate(pages[FRONT:], FRONT + 1):
        footer(page, number, name, layout)
    with pikepdf.new() as pdf:
        fonts = pdf.make_indirect(Dictionary({f"/{key}": font(base) for key, base in FONTS.items()}))
        for page in pages:
            add_page(pdf, page, layout, fonts)
        link_contents(pdf, text, layout)
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Contents", FRONT - 1))
            outline.root += [pikepdf.OutlineItem(each.title, each.page + FRONT) for each in text.chapters]
        pdf.docinfo["/Title"], pdf.docinfo["/Author"], pdf.docinfo["/Subject"] = name, PUBLISHER, summary
        pdf.Root.Lang = String("en-US")
        pdf.Root.ViewerPreferences = Dictionary(DisplayDocTitle=True)
        pdf.save(path, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)


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


def title_page(name: str, summary: str, layout: Layout) -> Page:
    page = Page()
    y, middle = layout.height * 0.66, layout.width / 2
    for line in wrapped([("G", word) for word in name.split()], 27, layout.measure):
        page.centered(middle, y, "".join(word for _, word in line), "G", 27)
        y -= 33
    page.rule(middle - 22, y + 6, 44, layout.accent, 2)
    y -= 24
    for line in wrapped([("I", word) for word in summary.split()], 12, layout.measure - 30):
        page.centered(middle, y, "".join(word for _, word in line), "I", 12, GRAY)
        y -= 17
    for number, imprint in enumerate((*reversed(IMPRINT), PUBLISHER)):
        page.centered(middle, layout.margin + number * 12 + (6 if number == len(IMPRINT) else 0), imprint, "H", 8, GRAY)
    return page


LINE = 23  # points between the lines of the contents


def contents_top(layout: Layout) -> float:
    return layout.height - layout.margin - 96


def contents_page(text: Setter, layout: Layout) -> Page:
    page, y = Page(), contents_top(layout)
    page.text(layout.margin, y + 44, "Contents", "G", 21)
    page.rule(layout.margin, y + 31, 42, layout.accent, 2)
    for chapter in text.chapters:
        number = str(chapter.page + FRONT + 1)
        page.text(layout.margin, y, chapter.title, "R", 11.5)
        right = layout.margin + layout.measure - width_of(number, "R", 11.5)
        page.text(right, y, number, "R", 11.5)
        start = layout.margin + width_of(chapter.title, "R", 11.5) + 8
        page.operators.append(
            f"[0.1 4] 0 d 1 J {rgb(PALE)} RG 1 w {start:.2f} {y + 2:.2f} m {right - 8:.2f} {y + 2:.2f} l S\n"
        )
        page.operators.append("[] 0 d 0 J\n")
        y -= LINE
    return page


def link_contents(pdf: pikepdf.Pdf, text: Setter, layout: Layout) -> None:
    links = Array()
    for number, chapter in enumerate(text.chapters):
        y = contents_top(layout) - number * LINE
        target = Array([pdf.pages[chapter.page + FRONT].obj, Name.Fit])
        rect = Array([layout.margin, y - 6, layout.margin + layout.measure, y + 14])
        link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=rect, Border=Array([0, 0, 0]), Dest=target)
        links.append(pdf.make_indirect(link))
    pdf.pages[FRONT - 1].Annots = links


def footer(page: Page, number: int, name: str, layout: Layout) -> None:
    y = layout.margin - 22
    page.text(layout.margin, y, name, "H", 7.5, GRAY)
    text = str(number)
    page.text(layout.margin + layout.measure - width_of(text, "G", 8), y, text, "G", 8, INK)
