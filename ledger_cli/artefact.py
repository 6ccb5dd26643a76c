"""A check that the artefact of `sam build` is fresh: `sam local` runs it, however old it is."""

import re
from pathlib import Path
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine import template

BUILT = ROOT / ".aws-sam/build"
REWRITTEN = {"CodeUri", "DefinitionS3Location", "Metadata"}
"""The properties that `sam build` changes in the template."""


class StaleArtefactError(Exception):
    """The artefact is missing, or was made from other files. The message says what to do."""


def require_fresh(built: Path = BUILT, source: Path = ROOT) -> None:
    """Compare the artefact with the template, the modules and the pinned packages from which it was made.

    Raises:
        StaleArtefactError: the message names the first file that differs.
    """
    if not (built / "template.yaml").is_file():
        raise StaleArtefactError(f"{_shown(built)} is not there: run `make build` or `sam build` first")
    if _as_it_was(template.load(built / "template.yaml")) != _as_it_was(template.load(source / "template.yaml")):
        raise _stale("template.yaml")
    functions = source / "functions"
    patterns = ("*.py", "ledger/**/*.py", "ledger/sdk_data/**/*.*")
    modules = {file.relative_to(functions) for pattern in patterns for file in functions.glob(pattern)}
    pins = re.findall(
        r"^([\w.-]+)==([\w.]+)", (functions / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    for name, resource in template.load(source / "template.yaml")["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            for module in sorted(modules):
                artefact = built / name / module
                if not artefact.is_file() or artefact.read_bytes() != (functions / module).read_bytes():
                    raise _stale(f"functions/{module}")
            for package, version in pins:
                if not (built / name / f"{package.replace('-', '_')}-{version}.dist-info").is_dir():
                    raise _stale("functions/requirements.txt")


def _stale(file: str) -> StaleArtefactError:
    return StaleArtefactError(f"{file} has changed since it was built: run `make build` or `sam build` again")


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _as_it_was(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _as_it_was(value) for name, value in part.items() if name not in REWRITTEN}
    return [_as_it_was(value) for value in part] if isinstance(part, list) else part
