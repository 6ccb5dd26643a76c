"""Prints the workflows' definitions as they are deployed: `python -m tools.asl`, for tools that check them."""

import json
from collections.abc import Mapping
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine.template import expand


def definitions(expanded: Mapping[str, Any]) -> dict[str, str]:
    """Return the definition of each state machine in an expanded template, with a placeholder for each reference."""
    machines = {
        name: resource["Properties"]["DefinitionString"]["Fn::Join"][1]
        for name, resource in expanded["Resources"].items()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    }
    return {
        name: "".join(part if isinstance(part, str) else "aws" for part in parts) for name, parts in machines.items()
    }


if __name__ == "__main__":
    texts = definitions(expand(ROOT / "template.yaml", {}))
    print(json.dumps({name: json.loads(text) for name, text in texts.items()}, indent=2))
