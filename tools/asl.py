"""Prints the workflow's definition as it is deployed: `python -m tools.asl`, for tools that check it."""

import json
from collections.abc import Mapping
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine.template import expand


def definition(expanded: Mapping[str, Any]) -> str:
    """Return the definition in an expanded template, with a placeholder for each reference."""
    machine = expanded["Resources"]["PaymentLedgerWorkflow"]["Properties"]
    parts = machine["DefinitionString"]["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else "aws" for part in parts)


if __name__ == "__main__":
    print(json.dumps(json.loads(definition(expand(ROOT / "template.yaml", {}))), indent=2))
