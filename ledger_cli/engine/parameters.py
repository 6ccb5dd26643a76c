"""The stack's parameters as CloudFormation checks them, before anything is deployed. moto does not."""

import re
from collections.abc import Mapping
from typing import Any


class ParameterError(ValueError):
    """A parameter is unknown, missing, or outside its range; the message names it and says what it may be."""


def checked(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Every parameter's value, the template's defaults included.

    Raises:
        ParameterError: the first constraint or rule of the template that does not hold.

    Source: CloudFormation User Guide, parameters, and rules.
    """
    declared = template["Parameters"]
    for name in given:
        if name not in declared:
            raise ParameterError(f"{name}: the template has no such parameter")
    values = {}
    for name, constraints in declared.items():
        value = given.get(name, constraints.get("Default"))
        if value is None:
            raise ParameterError(f"{name}: a value is needed")
        values[name] = str(value)
        allowed = [str(allowed_value) for allowed_value in constraints.get("AllowedValues", [])]
        if allowed and values[name] not in allowed:
            raise ParameterError(f"{name}: one of {', '.join(allowed)}")
        if "MaxValue" in constraints and not _within(values[name], constraints["MinValue"], constraints["MaxValue"]):
            raise ParameterError(f"{name}: {constraints['MinValue']} to {constraints['MaxValue']}")
        if not re.fullmatch(constraints.get("AllowedPattern", r"(?s:.*)"), values[name]):
            raise ParameterError(f"{name}: {constraints['ConstraintDescription']}")
    for rule in template.get("Rules", {}).values():
        if _holds(rule.get("RuleCondition", True), values):
            for assertion in rule["Assertions"]:
                if not _holds(assertion["Assert"], values):
                    raise ParameterError(assertion["AssertDescription"])
    return values


def _within(value: str, lowest: int, highest: int) -> bool:
    return value.isascii() and value.isdecimal() and lowest <= int(value) <= highest


def _holds(condition: Any, values: Mapping[str, str]) -> bool:
    """A rule's condition function, of those that the template uses."""
    if isinstance(condition, bool):
        return condition
    ((function, arguments),) = condition.items()
    if function == "Fn::Equals":
        left, right = (values[side["Ref"]] if isinstance(side, dict) else side for side in arguments)
        return bool(left == right)
    if function == "Fn::Not":
        return not _holds(arguments[0], values)
    if function == "Fn::And":
        return all(_holds(argument, values) for argument in arguments)
    raise ParameterError(f"a rule uses {function}, which the engine does not know")
