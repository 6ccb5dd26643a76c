"""The `ledger` command, run by a test."""

import os
import subprocess
import sys
from pathlib import Path

from ledger_cli import ROOT


def ledger(
    *arguments: str, stdin: str = "", folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the `ledger` command in a process of its own."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "ledger_cli", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "120", **environment},
    )
