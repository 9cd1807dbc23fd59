"""What the admin writes, and what is shown of it: whatever is asked for, never the whole."""

import itertools
import random

import pytest

from catalog.page_choice import MOST, Unclear, chosen, most, normalized, parsed


@pytest.mark.parametrize(
    "text, ranges, written",
    [
        ("1-5, 12", [(1, 5), (12, 12)], "1-5, 12"),
        ("", [], ""),
        ("0", [], ""),
        (" 0 ", [], ""),
        ("7", [(7, 7)], "7"),
        ("7-7", [(7, 7)], "7"),
        ("1 – 5;12 ,  20—22", [(1, 5), (12, 12), (20, 22)], "1-5, 12, 20-22"),
        ("3,\n4,", [(3, 3), (4, 4)], "3, 4"),
        ("0012", [(12, 12)], "12"),
        ("99999", [(99_999, 99_999)], "99999"),
    ],
)
def test_choice_is_read(text: str, ranges: list[tuple[int, int]], written: str) -> None:
    assert parsed(text) == ranges
    assert normalized(text) == written
    assert parsed(written) == ranges


@pytest.mark.parametrize(
    "text",
    ["x", "1-", "-1", "5-1", "0-3", "1, 0", "1.5", "1-2-3", "999999", "１-５", "1\x00", "all", "٣", "\ud800", "1e3"],
)
def test_s61_what_is_no_choice_is_refused(text: str) -> None:
    with pytest.raises(Unclear):
        parsed(text)


@pytest.mark.parametrize(
    "pages, contents, text, shown",
    [
        (60, None, "1-5", [1, 2, 3, 4, 5]),
        (60, 7, "1-5", [1, 2, 3, 4, 5, 7]),
        (60, 3, "10-12", [1, 3, 10, 11, 12]),
        (60, 3, "", []),
        (12, 3, "1-5", [1, 2, 3, 4]),  # the cover and the contents come before what was chosen
        (9, 8, "1-5", [1, 2, 8]),
        (6, 5, "1-5", [1, 5]),
        (3, 2, "1-5", [1]),
        (3, None, "3", [1]),
        (2, None, "1-5", []),
        (1, None, "1", []),
        (0, None, "1", []),
        (60, None, "59-99999", [1, 59, 60]),
        (60, None, "70", [1]),
        (20_000, None, "1-99999", list(range(1, 31))),
    ],
)
def test_pages_shown(pages: int, contents: int | None, text: str, shown: list[int]) -> None:
    assert chosen(parsed(text), pages=pages, contents=contents) == shown


def test_never_more_than_a_third_of_any_document() -> None:
    numbers = random.Random(20261125)
    for pages, _ in itertools.product(range(120), range(40)):
        ends = [sorted(numbers.choices(range(1, 2 * pages + 3), k=2)) for _ in range(numbers.randint(0, 4))]
        ranges = [(first, last) for first, last in ends]
        contents = numbers.choice([None, numbers.randint(1, pages + 1)])
        shown = chosen(ranges, pages=pages, contents=contents)
        assert len(shown) <= most(pages) <= min(pages / 3, MOST)
        assert shown == sorted(set(shown))
        assert all(1 <= number <= pages for number in shown)
        wanted = {number for first, last in ranges for number in range(first, last + 1)}
        assert set(shown) <= wanted | {1, contents}
        if ranges and most(pages):
            assert shown[0] == 1
