"""Prints the workflow's definition as it is deployed: `python -m ledger_cli.asl`, for tools that check it."""

import json

from ledger_cli import ROOT
from ledger_cli.engine.template import expand


def definition() -> str:
    """The definition with something in the place of each reference."""
    machine = expand(ROOT / "template.yaml", {})["Resources"]["PaymentLedgerWorkflow"]["Properties"]
    parts = machine["DefinitionString"]["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else "aws" for part in parts)


if __name__ == "__main__":
    print(json.dumps(json.loads(definition()), indent=2))  # noqa: T201
