"""Checks of the stack's parameters, as CloudFormation makes them before it deploys anything. moto makes none."""

import re
from collections.abc import Mapping
from typing import Any


class ParameterError(ValueError):
    """A parameter is unknown, missing, or outside its range. The message names it and says which values are allowed."""


def validate_parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every parameter, including the template's defaults.

    Raises:
        ParameterError: a constraint or rule of the template does not hold. The message is about the first one.

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
        if "MaxValue" in constraints:
            lowest, highest = constraints["MinValue"], constraints["MaxValue"]
            if not _is_in_range(values[name], lowest, highest):
                raise ParameterError(f"{name}: {lowest} to {highest}")
        if not re.fullmatch(constraints.get("AllowedPattern", r"(?s:.*)"), values[name]):
            raise ParameterError(f"{name}: {constraints['ConstraintDescription']}")
    for rule in template.get("Rules", {}).values():
        if holds(rule.get("RuleCondition", True), values):
            for assertion in rule["Assertions"]:
                if not holds(assertion["Assert"], values):
                    raise ParameterError(assertion["AssertDescription"])
    return values


def _is_in_range(value: str, lowest: int, highest: int) -> bool:
    return value.isascii() and value.isdecimal() and lowest <= int(value) <= highest


def holds(condition: Any, values: Mapping[str, str], conditions: Mapping[str, Any] | None = None) -> bool:
    """Return whether a condition holds for a stack whose parameters have these *values*.

    Args:
        condition: a rule's condition function, or a condition of the template: its name or its definition.
        values: every parameter's value, as `validate_parameters` returns them.
        conditions: the template's section of that name. A rule does not need it.

    Raises:
        ParameterError: the condition uses a function that the engine does not support. The template uses none.

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
        return str(left) == str(right)  # a template may write a number, and the value of a parameter is text
    if function == "Fn::Not":
        return not holds(arguments[0], values, conditions)
    if function in {"Fn::And", "Fn::Or"}:
        combine = all if function == "Fn::And" else any
        return combine(holds(argument, values, conditions) for argument in arguments)
    raise ParameterError(f"a condition uses {function}, which the engine does not support")
