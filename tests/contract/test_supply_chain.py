"""Everything that others publish and the project installs or runs is pinned to its content, so nobody can change it."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from ledger_cli import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
REQUIREMENTS = [ROOT / "functions/requirements.txt", *sorted((ROOT / "requirements").glob("*.txt"))]
LOCKS = sorted(file for file in ROOT.glob("tests/**/package-lock.json") if "node_modules" not in file.parts)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.name)
def test_each_action_is_pinned_by_its_commit(workflow: Path) -> None:
    """A tag can move to other code, and a commit cannot. The version behind it is for people and for updates."""
    text = workflow.read_text(encoding="utf-8")
    actions = re.findall(r"uses: (.+)", text)
    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.name)
def test_the_pipeline_may_only_read(workflow: Path) -> None:
    """A job that runs other people's packages must not be able to push, and must find no credentials on the disk."""
    text = workflow.read_text(encoding="utf-8")
    assert re.findall(r"^permissions: (.+)", text, re.MULTILINE) == ["{contents: read}"]
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "secrets." not in text


def test_all_requirements_and_locks_are_found() -> None:
    """If a file were missing here, the tests below would not check it."""
    found = {str(file.relative_to(ROOT)) for file in (*REQUIREMENTS, *LOCKS)}
    assert {"functions/requirements.txt", "requirements/dev.txt", "tests/node/package-lock.json"} <= found
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    assert {f"requirements/{name}.txt" for name in groups.keys() - {"functions"}} <= found


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_each_requirement_has_its_version_and_hashes(file: Path) -> None:
    """The package that an index serves later must be the package that was tested."""
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines
    pinned = re.compile(r"[\w.-]+(\[[\w,-]+\])?==\S+.* --hash=sha256:[0-9a-f]{64}")
    assert [line for line in lines if not pinned.match(line)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda file: str(file.relative_to(ROOT)))
def test_each_package_of_node_has_its_hash(lock: Path) -> None:
    """npm, too, must install the package that was tested."""
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    ours = {"", "left-out"}
    fetched = {name: one for name, one in packages.items() if name not in ours and not one.get("link")}
    assert fetched
    assert [name for name, one in fetched.items() if not one.get("integrity", "").startswith("sha512-")] == []
