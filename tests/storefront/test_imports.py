"""Imports run one way: catalog, accounts ← orders ← fulfillment ← storefront. Nothing imports sandbox or tests."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The exceptions by name: leaves that import no app.
LEAVES = ("storefront.broker", "storefront.celery", "storefront.trace")
MAY_IMPORT: dict[str, set[str]] = {
    "accounts": set(),
    "catalog": set(),
    "orders": {"accounts", "catalog"},
    "fulfillment": {"accounts", "catalog", "orders"},
    "storefront": {"accounts", "catalog", "orders", "fulfillment"},
    "sandbox": set(),
}
OURS = {*MAY_IMPORT, "tests", "benchmarks"}


def imported(path: Path) -> set[str]:
    """The full names of everything of ours that a module imports, wherever in the file it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            base = ".".join([*package, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in OURS}


def wrong_arrows(package: str) -> list[str]:
    allowed = MAY_IMPORT[package] | {package}
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in sorted(imported(path))
        if name.split(".")[0] not in allowed and not (name + ".").startswith(tuple(f"{leaf}." for leaf in LEAVES))
    ]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    assert wrong_arrows(package) == []


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaf_imports_no_app(leaf: str) -> None:
    assert imported(ROOT / f"{leaf.replace('.', '/')}.py") <= set(LEAVES)


def test_stripe_is_imported_in_one_file() -> None:
    importing = [
        str(path.relative_to(ROOT))
        for package in MAY_IMPORT
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "stripe" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "stripe")
    ]
    assert importing == ["orders/stripe_api.py"]


def test_walk_finds_imports_wherever_they_stand(tmp_path: Path) -> None:
    """Does it bite?"""
    path = tmp_path / "module.py"
    path.write_text("def f():\n    from fulfillment.models import Delivery\n    import orders.checkout as c, os\n")
    assert imported(path) == {"fulfillment.models.Delivery", "orders.checkout"}
