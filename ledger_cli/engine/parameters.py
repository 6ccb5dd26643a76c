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
        if holds(rule.get("RuleCondition", True), values):
            for assertion in rule["Assertions"]:
                if not holds(assertion["Assert"], values):
                    raise ParameterError(assertion["AssertDescription"])
    return values


def _within(value: str, lowest: int, highest: int) -> bool:
    return value.isascii() and value.isdecimal() and lowest <= int(value) <= highest


def holds(condition: Any, values: Mapping[str, str], conditions: Mapping[str, Any] | None = None) -> bool:
    """Return whether a condition holds for a stack whose parameters have these *values*.

    Args:
        condition: a rule's condition function, or one of the template's conditions, by its name or written out.
        values: every parameter's value, as `checked` returns them.
        conditions: the template's section of that name; rules do without it.

    Raises:
        ParameterError: the condition uses a function that the template does not use today.

    Source: CloudFormation User Guide, condition functions.
    """
    if isinstance(condition, bool):
        return condition
    if isinstance(condition, str):
        return holds((conditions or {})[condition], values, conditions)
    ((function, arguments),) = condition.items()
    if function == "Condition":
        return holds(arguments, values, conditions)
    if function == "Fn::Equals":
        left, right = (values[side["Ref"]] if isinstance(side, dict) else side for side in arguments)
        return bool(left == right)
    if function == "Fn::Not":
        return not holds(arguments[0], values, conditions)
    if function in {"Fn::And", "Fn::Or"}:
        combine = all if function == "Fn::And" else any
        return combine(holds(argument, values, conditions) for argument in arguments)
    raise ParameterError(f"a condition uses {function}, which the engine does not know")
