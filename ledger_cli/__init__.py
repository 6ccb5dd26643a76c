"""The `ledger` command, and the embedded engine that runs the whole stack without an AWS account."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: `template.yaml`, `functions/` and `events/` are read from it."""

REGION = "us-east-1"
"""Where the embedded engine is."""
