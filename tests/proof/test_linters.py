"""Linters over the template as it is deployed: the SAM source hides from them what the transform makes."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.asl import definition


def run(*command: str | Path) -> str:
    """What the linter says; nothing where it is content."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture
def inlined(expanded: dict[str, Any], tmp_path: Path) -> Path:
    """The expanded template in a file, the workflow's definition in it as text."""
    template = copy.deepcopy(expanded)
    template["Resources"]["PaymentLedgerWorkflow"]["Properties"]["DefinitionString"] = definition(expanded)
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template, indent=1))
    return file


def test_cfn_lint_on_what_is_deployed(inlined: Path) -> None:
    """It finds circles that only the transform closes, and checks a definition only where it is inline."""
    # W1028: the transform writes a conditional API's condition into its paths once more. W1030: as in the template.
    checks = ("--include-checks", "I", "--ignore-checks", "W1028", "W1030")
    assert run(Path(sys.executable).with_name("cfn-lint"), *checks, "--", inlined) == ""


def test_cfn_lint_sees_the_definition(inlined: Path) -> None:
    """Else the test above would say nothing of it."""
    inlined.write_text(inlined.read_text().replace('\\"Type\\": \\"Task\\"', '\\"Type\\": \\"Tsak\\"'))
    assert "E3601" in run(Path(sys.executable).with_name("cfn-lint"), "--", inlined)


def test_checkov_on_what_is_deployed(inlined: Path) -> None:
    """Each thing that it must not say has its reason in its configuration."""
    checkov = ROOT / ".venv/checkov/bin/checkov"
    assert run(checkov, "--config-file", ROOT / "tests/proof/checkov/config.yaml", "--file", inlined) == ""


def test_checkov_speaks(inlined: Path) -> None:
    """Told to skip everything, it would be content with anything."""
    inlined.write_text(inlined.read_text().replace('"EnableKeyRotation": true', '"EnableKeyRotation": false'))
    checkov = ROOT / ".venv/checkov/bin/checkov"
    assert "CKV_AWS_7" in run(checkov, "--config-file", ROOT / "tests/proof/checkov/config.yaml", "--file", inlined)
