"""`pip install .` gives a command that works without the clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from ledger_cli import ROOT


def test_the_command_runs_from_a_wheel(tmp_path: Path) -> None:
    """The wheel brings the template, the workflow, the functions and the samples."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(ROOT)], check=True, timeout=120)  # noqa: S603
    (wheel,) = tmp_path.glob("payment_ledger-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")  # our own wheel
    ran = subprocess.run(
        [sys.executable, "-m", "ledger_cli", "run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("\n12 executions, 5 payments, 1 entry, 12 events\n")
    assert "installed/ledger_cli/project/events/start/01-success.json" in ran.stdout.replace("\n", "")
