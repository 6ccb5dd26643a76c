"""The template's conditions: which of them hold, and which resources a stack therefore has."""

import copy
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine.parameters import ParameterError, holds
from ledger_cli.engine.template import created_resources, load, transformed

CONDITIONS = {
    "IsOpen": {"Fn::Equals": [{"Ref": "Webhook"}, "open"]},
    "IsClosed": {"Fn::Not": [{"Condition": "IsOpen"}]},
    "IsDev": {"Fn::Equals": ["dev", {"Ref": "Stage"}]},
}


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("IsOpen", True),
        ("IsClosed", False),
        ("IsDev", False),
        (True, True),
        ({"Fn::Equals": [{"Ref": "Years"}, 0]}, True),  # a parameter's value is text, also that of a number
        ({"Fn::And": [{"Condition": "IsOpen"}, {"Condition": "IsDev"}]}, False),
        ({"Fn::And": [{"Condition": "IsOpen"}, {"Fn::Not": [{"Condition": "IsDev"}]}]}, True),
        ({"Fn::Or": [{"Condition": "IsOpen"}, {"Condition": "IsDev"}]}, True),
        ({"Fn::Or": [{"Condition": "IsClosed"}, {"Condition": "IsDev"}]}, False),
    ],
)
def test_a_condition_is_evaluated_as_cloudformation_does(condition: Any, held: Any) -> None:
    """A condition may name another one, and stand on either side of an equation."""
    assert holds(condition, {"Webhook": "open", "Stage": "prod", "Years": "0"}, CONDITIONS) is held


def test_an_unknown_function_is_named() -> None:
    """A condition that is silently false would take a resource out of every proof."""
    with pytest.raises(ParameterError, match="Fn::Contains"):
        holds({"Fn::Contains": [["open"], "open"]}, {}, CONDITIONS)


@pytest.mark.parametrize(("webhook", "names"), [("open", {"Always", "Api"}), ("closed", {"Always", "Notice"})])
def test_a_resource_exists_if_its_condition_holds(webhook: str, names: set[str]) -> None:
    """A resource without a condition always exists."""
    resources = {"Always": {}, "Api": {"Condition": "IsOpen"}, "Notice": {"Condition": "IsClosed"}}
    template = {"Conditions": CONDITIONS, "Resources": resources}
    assert created_resources(template, {"Webhook": webhook, "Stage": "dev"}).keys() == names


def test_a_transformed_template_is_left_as_it_was() -> None:
    """One loaded template is transformed under several sections' parameters; SAM's translator writes into its input."""
    declared = load(ROOT / "template.yaml")
    before = copy.deepcopy(declared)
    assert transformed(declared, {})["Resources"].keys() > declared["Resources"].keys()
    assert declared == before
