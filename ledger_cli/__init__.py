"""The `ledger` command, and the embedded engine that runs the whole stack without an AWS account."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: `template.yaml`, `functions/` and `events/` are read from it."""

REGION = "us-east-1"
"""Where the embedded engine is."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""The hosts of a URL that leads to this machine, over no network."""
