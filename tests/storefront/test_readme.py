"""What the README says is what there is: targets, variables, commands, files."""

import re
from pathlib import Path

from django.core.management import get_commands

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))


def variables_read() -> set[str]:
    """Every environment variable that the settings read."""
    source = (ROOT / "storefront" / "settings.py").read_text()
    return set(re.findall(r'(?:required|optional|number|words|switch)\(\s*"([A-Z_]+)"', source))


def test_every_make_command_is_a_target() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    assert {"run", "test", "check", "help"} <= named <= TARGETS


def test_every_target_is_explained_by_make_help() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == TARGETS


def test_every_variable_stands_in_the_table_and_in_the_example() -> None:
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    example = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    # For tests, and the last one for the demo.
    internal = {"BOOKS_GRACE_SECONDS", "OPEN_ORDER_SECONDS", "SWEEP_GRACE_SECONDS", "STATIC_AS_IS"}
    assert table == variables_read() - internal
    assert example == table


def test_every_management_command_exists() -> None:
    named = set(re.findall(r"manage\.py (\w+)", README))
    assert {"sweep", "load_demo"} <= named <= set(get_commands())


def test_every_file_that_is_linked_exists() -> None:
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target


def test_every_dependency_is_pinned_and_has_its_reason() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "sandbox/requirements.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+ +# \S.*", line), line
