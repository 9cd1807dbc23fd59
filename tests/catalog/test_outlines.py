"""What is inside: outlines read from real files, cleaned, shown as a tree, given to the search as text."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, OutlineItem, String

from catalog.inspection import Inspected, inspect_file
from catalog.models import File, Product
from catalog.outlines import LONGEST_TITLE, Entry, cleaned, contents, contents_of, nested
from tests.catalog.samples import book
from tests.factories import EditionFactory, FileFactory, ProductFactory


def entry(title: str, level: int = 0, page: int | None = 1) -> Entry:
    return {"title": title, "level": level, "page": page}


# Read from a file


@pytest.fixture
def inspect(tmp_path: Path) -> Callable[[bytes], Inspected]:
    def look(data: bytes) -> Inspected:
        (tmp_path / "upload").write_bytes(data)
        return inspect_file(tmp_path / "upload", "book.pdf")

    return look


def changed(change: Callable[[pikepdf.Pdf], Any], pages: int = 4) -> bytes:
    with pikepdf.new() as document:
        for _ in range(pages):
            document.add_blank_page()
        change(document)
        document.save(file := io.BytesIO())
    return file.getvalue()


def test_outline_is_read_with_levels_and_pages(inspect: Callable[[bytes], Inspected]) -> None:
    def write(document: pikepdf.Pdf) -> None:
        with document.open_outline() as outline:
            first = OutlineItem("One", 0)
            first.children += [OutlineItem("Part\u2028of \tone", 1)]
            first.children[0].children += [OutlineItem("Third", 2)]
            first.children[0].children[0].children += [OutlineItem("Too deep", 3)]
            outline.root += [first, OutlineItem("Zwei – 二", 3)]

    assert inspect(changed(write)).outline == [
        entry("One", 0, 1),
        entry("Part of one", 1, 2),
        entry("Third", 2, 3),
        entry("Zwei – 二", 0, 4),
    ]


def test_file_without_outline_has_an_empty_one(inspect: Callable[[bytes], Inspected]) -> None:
    assert inspect(book(3)).outline == []


def test_outline_that_goes_in_circles_is_read_once(inspect: Callable[[bytes], Inspected]) -> None:
    def write(document: pikepdf.Pdf) -> None:
        first, second = (document.make_indirect(Dictionary(Title=String(name))) for name in ("One", "Two"))
        first.Next, second.Next, second.First = second, first, first
        document.Root.Outlines = document.make_indirect(Dictionary(Type=Name.Outlines, First=first, Last=second))

    assert inspect(changed(write)).outline == [entry("One", 0, None), entry("Two", 0, None)]


def test_of_an_endless_outline_the_beginning_is_kept(inspect: Callable[[bytes], Inspected]) -> None:
    found = inspect(book(3, outline=[(f"Chapter {number}", 2) for number in range(5_000)])).outline
    assert len(found) == 300
    assert found[-1] == entry("Chapter 299", 0, 2)


@pytest.mark.parametrize(
    "title",
    [b"\xfe\xff\xd8\x00", b"\xfe\xff\x00A\xdc\x00", b"\x00\x01\x02", b"\xfe\xff", b"", b"\xfe\xff\x20\x2e\x20\x2d"],
)
def test_s61_title_that_is_no_text_is_left_out(inspect: Callable[[bytes], Inspected], title: bytes) -> None:
    def write(document: pikepdf.Pdf) -> None:
        odd = document.make_indirect(Dictionary(Title=String(title)))
        good = document.make_indirect(Dictionary(Title=String("Good"), Dest=Array([9_999, Name.Fit])))
        odd.Next = good
        document.Root.Outlines = document.make_indirect(Dictionary(Type=Name.Outlines, First=odd, Last=good))

    titles = [each["title"] for each in inspect(changed(write)).outline]
    assert titles[-1] == "Good"
    assert titles[:-1] in ([], ["A"])


# Cleaned


@pytest.mark.parametrize(
    "title, shown",
    [
        ("  A \n b\t", "A b"),
        ("a\x00b\x07c", "a b c"),
        ("x\u202efdp.exe", "xfdp.exe"),
        ("half\ud800", "half"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("<script>", "<script>"),
        ("x" * 500, "x" * LONGEST_TITLE),
    ],
)
def test_s61_title_is_fit_to_be_stored(title: str, shown: str) -> None:
    assert cleaned([{"title": title, "level": 0, "page": None}]) == [entry(shown, 0, None)]


@pytest.mark.parametrize("title", ["", " ", "\x00", "\ud800", "\u202e"])
def test_title_without_a_letter_is_left_out(title: str) -> None:
    assert cleaned([{"title": title, "level": 0, "page": 1}]) == []


# Shown


def test_entries_become_a_tree_however_odd_their_levels() -> None:
    def names(entries: list[Entry]) -> list[Any]:
        def named(nodes: list[Any]) -> list[Any]:
            return [(node.title, named(node.children)) if node.children else node.title for node in nodes]

        return named(nested(entries))

    assert names([]) == []
    assert names([entry("a"), entry("b", 1), entry("c", 2), entry("d", 1), entry("e")]) == [
        ("a", [("b", ["c"]), "d"]),
        "e",
    ]
    assert names([entry("a", 2), entry("b", 1), entry("c", 0), entry("d", 2)]) == ["a", "b", ("c", ["d"])]


def test_after_twelve_entries_the_others_are_folded_away() -> None:
    entries = [entry(f"{n}", level=min(n % 3, 1)) for n in range(20)]
    files = [File(outline=entries), File(outline=[]), File(outline=None), File(outline=entries[:12])]
    first, second = contents(files)
    assert (first.file, first.more, second.more, second.folded) == (files[0], 8, 0, [])
    assert [node.title for node in first.folded] == ["12", "15", "18"]


@pytest.mark.django_db
def test_search_is_given_the_titles_of_the_edition_on_sale() -> None:
    product: Product = ProductFactory()
    File.objects.update(outline=[entry("Old")])
    second = EditionFactory(product=product, number=2)
    FileFactory(edition=second, outline=[entry("One"), entry("Below", 1)])
    FileFactory(edition=second, outline=None)
    FileFactory(edition=second, outline=[entry("Two")])
    FileFactory(edition=EditionFactory(product=product, number=3, published_at=None), outline=[entry("Secret")])
    assert contents_of(product) == "One\nBelow\nTwo"
    assert contents_of(ProductFactory(content=None, status="draft")) == ""
