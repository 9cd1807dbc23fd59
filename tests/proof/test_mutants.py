"""The mutants fit the source, so that they cannot rot, and two quick ones are caught. `make prove` tries them all."""

from pathlib import Path

import pytest
from django.db import connection

from tests.proof.mutant_list import MUTANTS, Edit, Mutant
from tests.proof.mutants import Result, Stillborn, mutate, one_trial

ROOT = Path(__file__).parents[2]
NAMES = [mutant.name for mutant in MUTANTS]


def test_there_are_enough_and_each_has_a_name() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 14


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_mutant_fits_the_source(mutant: Mutant, tmp_path: Path) -> None:
    for edit in mutant.edits:
        (tmp_path / edit.file).parent.mkdir(exist_ok=True)
        (tmp_path / edit.file).write_text((ROOT / edit.file).read_text())
    for app in ("orders", "fulfillment"):
        (tmp_path / app / "migrations").mkdir(parents=True)
        (tmp_path / app / "migrations" / "0001_initial.py").touch()
    mutate(tmp_path, mutant)


@pytest.mark.django_db
@pytest.mark.parametrize("sql", [mutant.sql for mutant in MUTANTS if mutant.sql])
def test_constraint_that_a_mutant_drops_exists(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_mutant_that_no_longer_fits_is_told_from_one_that_survives(tmp_path: Path) -> None:
    (tmp_path / "fulfillment").mkdir()
    (tmp_path / "fulfillment" / "inbox.py").write_text("nothing of that kind\n")
    stale = Mutant(name="stale", proof=MUTANTS[0].proof, edits=(Edit("fulfillment/inbox.py", "something", ""),))
    with pytest.raises(Stillborn, match=r"^fulfillment/inbox.py has 0 times:\nsomething$"):
        mutate(tmp_path, stale)


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("mail: marked as sent before it is sent", "mail, killed after COMMIT: I7 copies at the mail server: "),
        ("money: completed counts as paid", "delayed, fails, killed fulfillment/"),
    ],
)
def test_mutant_is_caught(name: str, sentence: str, tmp_path: Path) -> None:
    result: Result = one_trial(MUTANTS[NAMES.index(name)], tmp_path / "copy", 0)
    assert result.wrong == ""
    assert result.caught.startswith(sentence)
