"""The rooms of `ledger_cli`: who imports whom, and what `--help` waits for."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger_cli import ROOT

FORBIDDEN = {
    "stack": ("ledger_cli.commands", "ledger_cli.views", "ledger_cli.engine", "click", "rich"),
    "views": ("ledger_cli.commands", "ledger_cli.engine", "ledger_cli.stack.client"),
    "commands": ("ledger_cli.cli",),
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
    files = sorted((ROOT / "ledger_cli" / folder).glob("*.py"))
    assert files
    for file in files:
        wrong = [
            name for name in imports_of(file) if f"{name}.".startswith(tuple(f"{one}." for one in FORBIDDEN[folder]))
        ]
        assert not wrong, file.name


def test_help_waits_for_no_library_that_takes_long() -> None:
    """The shell's completion runs the command at each press of the tab key; boto3 takes a third of a second."""
    script = "import sys, ledger_cli.cli; print({'boto3', 'moto', 'samtranslator'} & sys.modules.keys())"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "set()\n"
