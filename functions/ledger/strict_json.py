"""Strict JSON: without the parts that two parsers read differently. No duplicate names, no NaN, nothing but UTF-8.

A number with a point or an exponent becomes a double, as it does in the Lambda runtime, which parses a start input
before any code of the ledger runs. So the ledger treats a payment in the same way however it comes, with one exception:
here the sender's digits are known, so a number that a double does not keep becomes not-a-number.
"""

import json
import math
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_INTEGER_DIGITS = 64
"""Digits of an integer that are read. Reading more would take long, and every longer integer is too large anyway."""


class StrictJSONError(ValueError):
    """The text is not JSON, or has a duplicate name. `rule` is stable, and the message repeats nothing of the text."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(rule)


def loads(text: bytes | str) -> Any:
    """Return the value of *text* (UTF-8).

    Raises:
        StrictJSONError: `not_json`; or `duplicate_name`, if an object has the same name twice.
    """
    try:
        return json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_int=lambda digits: int(digits[:MAX_INTEGER_DIGITS]),
            parse_float=_parse_double,
            parse_constant=_reject_constant,
            object_pairs_hook=_reject_duplicate_names,
        )
    except StrictJSONError:
        raise
    except (ValueError, RecursionError):
        raise StrictJSONError("not_json") from None


def _parse_double(text: str) -> float:
    """Return the number; not-a-number if a double rounds it, which the contract rejects by the rule `float_digits`."""
    number = float(text)
    try:
        is_kept = math.isinf(number) or Decimal(text) == Decimal(repr(number))
    except InvalidOperation:  # the exponent is too large for a Decimal
        is_kept = False
    return number if is_kept else math.nan


def _reject_constant(_constant: str) -> None:
    raise StrictJSONError("not_json")


def _reject_duplicate_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object, unless a name is duplicate.

    Parsers disagree on which of two equal names counts. So what is checked here could differ from what a later reader
    sees.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        raise StrictJSONError("duplicate_name")
    return made
