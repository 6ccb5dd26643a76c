"""Linters check the template as it is deployed: in the SAM source they cannot see what the transform makes."""

import copy
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ledger_cli import ROOT
from tests.proof.rules.data import WORKFLOWS
from tools.asl import definitions

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
CHECKOV = (ROOT / ".venv/checkov/bin/checkov", "--config-file", ROOT / "tests/proof/checkov/config.yaml", "--file")


def run(*command: str | Path) -> str:
    """Return what the linter reports, or nothing if it accepts the template."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)  # noqa: S603
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def reports(expanded: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what each linter reports of the expanded template with the definitions in it, and of broken ones."""
    template = copy.deepcopy(expanded)
    for machine, definition in definitions(expanded).items():
        template["Resources"][machine]["Properties"]["DefinitionString"] = definition
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
    # W1028: the transform repeats a conditional API's condition in its paths. W1030: the template says why.
    checks = ("--include-checks", "I", "--ignore-checks", "W1028", "W1030")
    commands: dict[str, tuple[str | Path, ...]] = {
        "checkov deployed": (*CHECKOV, files["deployed"]),
        "checkov unrotated": (*CHECKOV, files["unrotated"]),
        "cfn-lint deployed": (CFN_LINT, *checks, "--", files["deployed"]),
        "cfn-lint misspelt": (CFN_LINT, "--format", "json", "--", files["misspelt"]),
    }
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(commands, pool.map(lambda command: run(*command), commands.values()), strict=True))


def test_cfn_lint_accepts_the_deployed_template(reports: dict[str, str]) -> None:
    """cfn-lint finds circles that only the transform closes, and checks a definition only if it is inline."""
    assert reports["cfn-lint deployed"] == ""


def test_cfn_lint_reports_a_broken_definition(expanded: dict[str, Any], reports: dict[str, str]) -> None:
    """Without this, the test above would not show that each definition is checked."""
    found = json.loads(reports["cfn-lint misspelt"])
    broken = {one["Location"]["Path"][1] for one in found if one["Rule"]["Id"] == "E3601"}
    assert broken == definitions(expanded).keys() == WORKFLOWS.keys()


def test_checkov_accepts_the_deployed_template(reports: dict[str, str]) -> None:
    """Each check that checkov skips has its reason in its configuration."""
    assert reports["checkov deployed"] == ""


def test_checkov_reports_a_broken_template(reports: dict[str, str]) -> None:
    """A configuration that skipped every check would accept every template."""
    assert "CKV_AWS_7" in reports["checkov unrotated"]
