"""Linters over the template as it is deployed: the SAM source hides from them what the transform makes."""

import copy
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ledger_cli import ROOT
from tools.asl import definition

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
CHECKOV = (ROOT / ".venv/checkov/bin/checkov", "--config-file", ROOT / "tests/proof/checkov/config.yaml", "--file")


def run(*command: str | Path) -> str:
    """What the linter says; nothing where it is content."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)  # noqa: S603
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def said(expanded: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each linter says of the expanded template with the workflow's definition in it, and of a broken one."""
    template = copy.deepcopy(expanded)
    template["Resources"]["PaymentLedgerWorkflow"]["Properties"]["DefinitionString"] = definition(expanded)
    text = json.dumps(template, indent=1)
    texts = {
        "deployed": text,
        "misspelt": text.replace('\\"Type\\": \\"Task\\"', '\\"Type\\": \\"Tsak\\"'),
        "unrotated": text.replace('"EnableKeyRotation": true', '"EnableKeyRotation": false'),
    }
    assert len(set(texts.values())) == len(texts)
    files = {name: tmp_path_factory.mktemp(name) / "template.json" for name in texts}
    for name, file in files.items():
        file.write_text(texts[name])
    # W1028: the transform writes a conditional API's condition into its paths once more. W1030: as in the template.
    checks = ("--include-checks", "I", "--ignore-checks", "W1028", "W1030")
    commands: dict[str, tuple[str | Path, ...]] = {
        "checkov deployed": (*CHECKOV, files["deployed"]),
        "checkov unrotated": (*CHECKOV, files["unrotated"]),
        "cfn-lint deployed": (CFN_LINT, *checks, "--", files["deployed"]),
        "cfn-lint misspelt": (CFN_LINT, "--", files["misspelt"]),
    }
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(commands, pool.map(lambda command: run(*command), commands.values()), strict=True))


def test_cfn_lint_on_what_is_deployed(said: dict[str, str]) -> None:
    """It finds circles that only the transform closes, and checks a definition only where it is inline."""
    assert said["cfn-lint deployed"] == ""


def test_cfn_lint_sees_the_definition(said: dict[str, str]) -> None:
    """Else the test above would say nothing of it."""
    assert "E3601" in said["cfn-lint misspelt"]


def test_checkov_on_what_is_deployed(said: dict[str, str]) -> None:
    """Each thing that it must not say has its reason in its configuration."""
    assert said["checkov deployed"] == ""


def test_checkov_speaks(said: dict[str, str]) -> None:
    """Told to skip everything, it would be content with anything."""
    assert "CKV_AWS_7" in said["checkov unrotated"]
