"""The `ledger` command, and the embedded engine that runs the whole stack without an AWS account."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, which has `template.yaml`, `functions/` and `events/`."""

REGION = "us-east-1"
"""The region of the embedded engine."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""The hosts of URLs that reach this machine without a network."""
