"""The demo's books are real: they pass our own inspection, can be read, and come out the same each time."""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from defusedxml import ElementTree

from catalog import money
from catalog.cover_images import render_image_cover
from catalog.demo.binding import contents_rows
from catalog.demo.drawing import Drawing, quarter, rgb
from catalog.demo.lines import FONTS, width_of, words, wrapped
from catalog.demo.typeset import Layout, Setter, set_text
from catalog.demo_books import DemoBook, books
from catalog.inspection import inspect_file

PAGES = {
    "slow-bread": 12,
    "twelve-knots": 9,
    "roadside-bike-card": 4,
    "five-slow-soundscapes": 10,
    "liebe-gruesse": 11,
    "first-washes": 18,
    "the-quiet-sky": 12,
    "lisbon-on-foot": 12,
    "small-python-habits": 14,
    "fifty-two-small-walks": 63,
    "espresso-at-home": 9,
    "rescue-your-houseplants": 13,
}
each_book = pytest.mark.parametrize("book", books(), ids=lambda book: book.slug)


def printed(path: Path) -> list[str]:
    """The text of each page."""
    with pypdfium2.PdfDocument(path) as pdf:
        return [pdf[number].get_textpage().get_text_bounded() for number in range(len(pdf))]


@each_book
def test_book_passes_inspection(book: DemoBook, tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    book.write_pdf(path)
    seen = inspect_file(path, f"{book.name}.pdf")
    assert (seen.media_type, seen.name, seen.pages, seen.replacement) == (
        "application/pdf",
        f"{book.name}.pdf",
        PAGES[book.slug],
        None,
    )


@each_book
def test_book_is_the_same_each_time(book: DemoBook, tmp_path: Path) -> None:
    book.write_pdf(tmp_path / "one.pdf")
    book.write_pdf(tmp_path / "two.pdf")
    one, two = (sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("one.pdf", "two.pdf"))
    assert one == two


@each_book
def test_contents_and_outline_lead_to_the_headings(book: DemoBook, tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    book.write_pdf(path)
    pages = printed(path)
    headings = [(len(marks), title) for marks, title in re.findall(r"^(#{1,3}) (.+)$", book.text, re.MULTILINE)]
    with pikepdf.open(path) as pdf, pdf.open_outline() as outline:
        start, *items = outline.root
        assert start.title == {"en-US": "Contents", "de-DE": "Inhalt"}[book.language]
        tree = list(flat(items))
        assert [(level, item.title) for level, item in tree] == headings
        places = [pdf.pages.index(pikepdf.Page(item.destination[0])) for _, item in tree]  # type: ignore[index]
        listed = [at for at, (level, _) in enumerate(headings) if level < 3]
        contents = range(pdf.pages.index(pikepdf.Page(start.destination[0])), places[0])  # type: ignore[index]
        links = [link for number in contents for link in pdf.pages[number].Annots]
        assert [pdf.pages.index(pikepdf.Page(link.Dest[0])) for link in links] == [places[at] for at in listed]
    shown = "".join("".join(pages[number].split()) for number in contents)
    for at, ((_, title), place) in enumerate(zip(headings, places, strict=True)):
        assert title in " ".join(pages[place].split())
        if at in listed:
            assert f"{title}{place + 1}".replace(" ", "") in shown


def flat(items: Iterable[pikepdf.OutlineItem], level: int = 1) -> Iterator[tuple[int, pikepdf.OutlineItem]]:
    """An outline's items in reading order, each with its level."""
    for item in items:
        yield level, item
        yield from flat(item.children, level + 1)


@each_book
def test_pdf_says_what_it_is_and_has_nothing_to_complain_of(book: DemoBook, tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    book.write_pdf(path)
    with pikepdf.open(path) as pdf:
        assert pdf.check_pdf_syntax() == []  # what `qpdf --check` looks at
        told = [str(pdf.docinfo[key]) for key in ("/Title", "/Author", "/Subject")]
        assert told == [book.name, "Paper Lantern Editions", book.summary]
        assert str(pdf.Root.Lang) == book.language


@each_book
def test_text_is_whole_and_inside_the_margins(book: DemoBook, tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    book.write_pdf(path)
    with pypdfium2.PdfDocument(path) as pdf:
        for number in range(1, len(pdf)):
            letters = pdf[number].get_textpage()
            boxes = [letters.get_charbox(at) for at in range(letters.count_chars())]
            assert min(left for left, *_ in boxes) >= book.layout.margin - 3
            assert max(right for _, _, right, _ in boxes) <= book.layout.width - book.layout.margin + 3
            assert min(bottom for _, bottom, _, _ in boxes) >= book.layout.margin - 26
    text = " ".join(body(page, book.name) for page in printed(path))
    paragraphs = [part for part in re.split(r"\n\n+", book.text) if re.match(r"[A-Z][^*`\[]+$", part)]
    assert paragraphs
    assert [part for part in paragraphs if part.strip() not in text] == []


def body(page: str, name: str) -> str:
    """A page's text as one line, without its footer."""
    return re.sub(rf" {re.escape(name)} \d+$", "", " ".join(page.split()))


@each_book
def test_cover_is_a_drawing_without_text(book: DemoBook) -> None:
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(book.cover_svg).iter()}
    assert tags == {"svg", "path"}
    cover = render_image_cover(book.cover_svg.encode())
    assert cover.large_height in {853, 854}


@each_book
def test_shop_entry_can_be_sold(book: DemoBook) -> None:
    assert 3 <= len(book.name) <= 120
    assert len(book.summary) <= 200
    assert 120 <= len(book.description.split()) <= 200
    assert book.description.count("\n\n") >= 2
    assert 1 <= len(book.categories) <= 3
    assert 2 <= len(book.tags) <= 3
    assert book.price == 0 or book.price >= money.MINIMUM[book.currency]


def test_books_differ() -> None:
    assert [book.slug for book in books()] == list(PAGES)
    assert len({book.name for book in books()}) == 12
    assert len({book.cover_svg for book in books()}) == 12
    assert len({(book.layout.width, book.layout.height) for book in books()}) == 7
    assert sorted(book.currency for book in books()) == ["eur", "eur", "gbp", "jpy", *["usd"] * 8]
    assert [book.slug for book in books() if book.price == 0] == ["espresso-at-home"]
    assert [book.slug for book in books() if book.language != "en-US"] == ["liebe-gruesse"]
    assert [book.slug for book in books() if book.sounds] == ["five-slow-soundscapes"]
    assert [book.slug for book in books() if len(book.editions) > 1] == ["small-python-habits"]


def test_second_edition_adds_what_its_notes_promise(tmp_path: Path) -> None:
    book = named("small-python-habits")
    first, second = book.editions
    assert (first.number, first.notes, second.number) == (1, "", 2)
    assert second.notes.startswith("Four new habits:")
    before, after = (re.findall(r"^## \d+\. (.+)$", edition.text, re.MULTILINE) for edition in book.editions)
    assert (len(before), len(after)) == (20, 24)
    assert [title for title in after if title in before] == before
    for edition in book.editions:
        book.write_pdf(tmp_path / f"{edition.number}.pdf", edition)
    old, new = printed(tmp_path / "1.pdf"), printed(tmp_path / "2.pdf")
    assert ("Edition 2" in old[1], "Edition 2" in new[1]) == (False, True)


def test_long_book_has_an_outline_of_three_levels() -> None:
    found = re.findall(r"^(#{1,3}) ", named("fifty-two-small-walks").text, re.MULTILINE)
    assert [found.count("#" * level) for level in (1, 2, 3)] == [7, 14, 52]


def test_contents_flow_over_as_many_pages_as_they_take() -> None:
    text = set_text("".join(f"# Chapter {number}\n\nText.\n\n" for number in range(30)), Layout())
    rows = contents_rows(text, Layout())
    assert [row.page for row in rows] == [0] * 18 + [1] * 12
    assert min(row.y for row in rows) >= Layout().bottom


def named(slug: str) -> DemoBook:
    return next(book for book in books() if book.slug == slug)


# Widths from Adobe's Core 14 AFM files: Helvetica "A" 667, Times-Roman "m" 778, Times-Bold "W" 1000, Courier 600.
@pytest.mark.parametrize(
    "text, font, width",
    [("A", "H", 6.67), ("m", "R", 7.78), ("W", "B", 10.0), ("il", "H", 4.44), ("é", "C", 6.0), ("—", "R", 10.0)],
)
def test_width_is_that_of_the_standard_font(text: str, font: str, width: float) -> None:
    assert width_of(text, font, 10) == pytest.approx(width)


def test_letter_outside_winansi_is_an_error() -> None:
    assert set(FONTS) == set("RBIHGC")
    with pytest.raises(UnicodeEncodeError):
        width_of("日", "R", 10)


def test_lines_are_broken_between_words_only() -> None:
    lines = list(wrapped(words("one *two*, three"), 10, width_of("one two,", "R", 10) + 1))
    assert lines == [[("R", "one"), ("R", " "), ("I", "two"), ("R", ",")], [("R", "three")]]


def test_no_line_of_a_paragraph_stands_alone() -> None:
    setter = Setter(Layout())
    setter.new_page()
    setter.y = setter.layout.bottom + 3 * setter.layout.leading  # room for three of the four lines
    setter.paragraph("word " * 48)
    assert [len(page.operators) for page in setter.pages] == [2, 2]


def test_exercise_stays_with_its_frames() -> None:
    setter = set_text("# A\n\n" + "word\n\n" * 15 + "## Exercise\n\nPaint.\n\n[boxes 1 1] Here", Layout())
    assert len(setter.pages) == 2
    assert any("(Exercise)" in line for line in setter.pages[1].operators)


def test_drawing_in_both_languages() -> None:
    drawing = Drawing(10, 20)
    drawing.rect(1, 2, 3, 4, "#ff8000")
    assert rgb("#ff8000") == "1 0.502 0"
    path = "M1.00 2.00 L4.00 2.00 L4.00 6.00 L1.00 6.00 Z"
    assert f'<path d="{path}" fill="#ff8000"/>' in drawing.svg()
    assert "1 0.502 0 rg \n1.00 2.00 m\n4.00 2.00 l\n4.00 6.00 l\n1.00 6.00 l\nh\nf\n" in drawing.pdf(0, 20, 10)
    start, *handles = quarter("h", (0, 0), (10, 10))
    assert start == "C"
    assert handles == pytest.approx([5.523, 0, 10, 4.477, 10, 10])
