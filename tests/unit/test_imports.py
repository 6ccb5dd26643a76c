"""The directions of imports, and what `--help` waits for."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger_cli import ROOT

FORBIDDEN = {
    "functions/ledger": ("ledger_cli", "boto3"),
    "ledger_cli/stack": ("ledger_cli.commands", "ledger_cli.views", "ledger_cli.engine", "click", "rich"),
    "ledger_cli/views": ("ledger_cli.commands", "ledger_cli.engine", "ledger_cli.stack.client"),
    "ledger_cli/engine": ("ledger_cli.commands", "ledger_cli.views", "tools"),
    "ledger_cli/commands": ("ledger_cli.cli",),
}
"""What the modules of a folder must not import: imports point one way, and `stack` prints nothing."""


def imports_of(file: Path) -> Iterator[str]:
    """Yield the name of every module that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_one_way(folder: str) -> None:
    """A reader of one room need not know the rooms above it."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        wrong = [
            name for name in imports_of(file) if f"{name}.".startswith(tuple(f"{one}." for one in FORBIDDEN[folder]))
        ]
        assert not wrong, file.name


DOMAIN = (
    "amounts", "cards", "entry", "fields", "identifiers", "item", "outcome", "payment", "signature", "strict_json",
    "totals",
)  # fmt: skip


FORMATS = sorted(f"formats/{file.stem}" for file in (ROOT / "functions/ledger/formats").glob("*.py"))


@pytest.mark.parametrize("module", [*DOMAIN, *FORMATS, "timestamps", "violations"])
def test_the_domain_knows_neither_the_sdk_nor_lambda(module: str) -> None:
    """A rule of the contract can be read, tested and changed without AWS."""
    names = imports_of(ROOT / f"functions/ledger/{module}.py")
    assert not [name for name in names if name.partition(".")[0] in {"boto3", "botocore", "aws_lambda_powertools"}]


def modules() -> dict[str, Path]:
    """Return the file of each module of the functions, the command and the tools."""
    folders = {ROOT / "functions": ROOT / "functions", ROOT / "ledger_cli": ROOT, ROOT / "tools": ROOT}
    return {
        ".".join(file.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): file
        for folder, base in folders.items()
        for file in folder.rglob("*.py")
    }


def test_no_modules_import_each_other_in_a_circle() -> None:
    """In a circle, a reader cannot understand one module before the others. Imports for types alone do not count."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, file in known.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for_types = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ]
        for node in for_types:
            node.body = [ast.Pass()]
        found = {
            name
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [f"{node.module}.{alias.name}" for alias in node.names]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        graph[name] = {one if one in known else one.rpartition(".")[0] for one in found} & known.keys() - {name}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_help_waits_for_no_library_that_takes_long() -> None:
    """The shell's completion runs the command at each press of the tab key; boto3 takes a third of a second."""
    script = "import sys, ledger_cli.cli; print({'boto3', 'moto', 'samtranslator'} & sys.modules.keys())"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "set()\n"
