"""docs/reliability.md says what the tests' names say."""

from pathlib import Path

import pytest

from tests import reliability


def test_document_is_what_the_script_writes() -> None:
    written = reliability.DOCUMENT.read_text()
    assert written == reliability.document(), "run: make reliability"


def test_every_number_has_one_row_and_every_test_a_number_that_exists() -> None:
    rows = [row.number for part in reliability.read_parts() for row in part.rows]
    assert sorted(rows) == sorted(reliability.EVERY_NUMBER)
    assert set(reliability.numbered_tests()) <= reliability.EVERY_NUMBER


def test_row_without_test_says_why_and_no_other_does() -> None:
    tests = reliability.numbered_tests()
    rows = [row for part in reliability.read_parts() for row in part.rows]
    assert [row.number for row in rows if (row.number in tests) == bool(row.open)] == []


@pytest.mark.parametrize(
    "name, numbers",
    [
        ("test_f5_f35_twenty_copies", ["F5", "F35"]),
        ("test_s19_every_address", ["S19"]),
        ("test_i7_i8_f31_mail", ["I7", "I8", "F31"]),
        ("test_f999_unknown", ["F999"]),
        ("test_250_events_of_one_moment", []),
        ("test_first_view", []),
        ("test_page_f5", []),
    ],
)
def test_numbers_stand_at_the_beginning_of_a_name(name: str, numbers: list[str]) -> None:
    assert reliability.numbers_in(name) == numbers


def test_tests_are_found_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Does it bite?"""
    (tmp_path / "tests" / "deep").mkdir(parents=True)
    (tmp_path / "tests" / "deep" / "test_x.py").write_text("@decorated\ndef test_f1_f2_new() -> None: ...\n")
    monkeypatch.setattr(reliability, "ROOT", tmp_path)
    assert reliability.numbered_tests() == {n: ["tests/deep/test_x.py::test_f1_f2_new"] for n in ("F1", "F2")}


def test_figures_are_shown_as_they_were_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability, "FIGURES", tmp_path)
    assert reliability.document().count("not measured.") == 4
    (tmp_path / "kill.json").write_text('{"measured_at": "2026-11-25", "points": 12345, "caught": true}')
    bench = '{"measured_at": "2026-11-24", "figures": {"p99_ms": 4.2}, "web": {"mb": 9}, "rows": [1]}'
    (tmp_path / "bench.json").write_text(bench)
    text = reliability.document()
    assert "**Kill sweeps** (`make prove`), 2026-11-25\n\n| | |\n|---|---:|\n| points | 12,345 |\n" in text
    assert "| caught | yes |\n" in text
    assert "| p99 ms | 4.2 |\n| web: mb | 9 |\n" in text
    assert "rows" not in text.partition("## Measured")[2].partition("## ")[0]  # a list is for those who read the file
    assert text.count("not measured.") == 2
