"""The `ledger` command, and the embedded engine that runs the whole stack without an AWS account."""

from pathlib import Path

_PACKAGED = Path(__file__).resolve().parent / "project"

ROOT = _PACKAGED if _PACKAGED.is_dir() else _PACKAGED.parent.parent
"""The folder of `template.yaml`, `functions/`, `statemachine/` and `events/`: the clone, or their copy in a wheel."""

REGION = "us-east-1"
"""The region of the embedded engine."""

STACK_NAME = "payment-ledger"
"""The name of the embedded engine's stack, and of the stack that the command asks if none is named."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""The hosts of URLs that reach this machine without a network."""
