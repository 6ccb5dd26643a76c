"""The workflows' definitions, with the texts that the template puts into them."""

import json
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine import template

TEMPLATE = template.load(ROOT / "template.yaml")["Resources"]


def definition_of(machine: str) -> dict[str, Any]:
    """Return the definition of a state machine. Its functions' placeholders stay as they are."""
    properties = TEMPLATE[machine]["Properties"]
    text = (ROOT / properties["DefinitionS3Location"]).read_text()
    for name, value in properties["DefinitionSubstitutions"].items():
        if isinstance(value, str):
            text = text.replace(f"${{{name}}}", value)
    definition: dict[str, Any] = json.loads(text)
    return definition


def standard_states(machine: str) -> dict[str, dict[str, Any]]:
    """Return the states of a Standard workflow, without the retriers that make no attempt.

    `tests/contract/test_asl.py` shows that these match nothing there.
    """
    states: dict[str, dict[str, Any]] = definition_of(machine)["States"]
    for state in states.values():
        if "Retry" in state:
            state["Retry"] = [retrier for retrier in state["Retry"] if retrier["MaxAttempts"]]
    return states
