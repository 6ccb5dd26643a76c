"""The `ledger` command, and the embedded engine that runs the whole stack without an AWS account."""

from pathlib import Path

_PACKAGED = Path(__file__).resolve().parent / "project"

ROOT = _PACKAGED if _PACKAGED.is_dir() else _PACKAGED.parent.parent
"""The folder of `template.yaml`, `functions/`, `statemachine/` and `events/`: the clone, or their copy in a wheel."""

REGION = "us-east-1"
"""Where the embedded engine is."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""The hosts of a URL that leads to this machine, over no network."""
