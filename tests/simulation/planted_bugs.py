"""Bugs that are planted into a copy of the project, one at a time: the simulation or the suite must find each of them.

A bug is a patch file in `bugs/`, named after what is wrong; `bugs/README.md` says how to add or refresh one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ledger_cli import ROOT
from tests.support.patches import apply_patch

COPIED = (
    "events",
    "functions",
    "ledger_cli",
    "statemachine",
    "tests",
    "tools",
    "template.yaml",
    "pyproject.toml",
    "samconfig.toml",
)
SUITES = [
    [
        "tests/contract",
        "tests/functions",
        "tests/workflow/test_outcomes.py",
        "tests/workflow/test_retries.py",
        "tests/workflow/test_entry_histories.py",
        "tests/workflow/test_imported.py",
    ],
    ["--lane", "fast", "tests/fast_lane"],
]
TIMEOUT_S = 400

PATCHES = {patch.stem: patch for patch in sorted((Path(__file__).parent / "bugs").glob("*.patch"))}
"""The planted bugs: each name, and the patch that plants it."""


def find(patch: Path) -> str | None:
    """Plant a bug and return what finds it: `simulation` or `suite`; None if nothing does."""
    with tempfile.TemporaryDirectory(prefix="payment-ledger-bug-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "node_modules")
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy(source, copy / name)
        apply_patch(patch, copy)
        environment = {
            **os.environ,
            "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'functions'}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        simulated = _run([sys.executable, "-m", "tests.simulation", "--quick"], copy, environment)
        if simulated.returncode == 1 and "VIOLATION" in simulated.stdout:
            return "simulation"
        suites = (_run([sys.executable, "-m", "pytest", "-x", "-q", *suite], copy, environment) for suite in SUITES)
        return "suite" if any(suite.returncode == 1 for suite in suites) else None


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
