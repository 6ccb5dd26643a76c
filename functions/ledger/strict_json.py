"""JSON without what two parsers read in two ways: no name twice, no NaN, nothing but UTF-8.

A number with a point or an exponent is a double, as it is to the Lambda runtime, which parses a start input before any
code of ours. So a payment meets the same verdict by whichever way it comes, with one exception: here the digits that
were written are known, and a number that a double does not keep is none.
"""

import json
import math
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_INTEGER_DIGITS = 64
"""The rest of a longer integer is not read, which would take long: no rule tells the two apart, both are too large."""


class StrictJSONError(ValueError):
    """The text is not JSON, or says something twice. `rule` is stable; the message repeats nothing of the text."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(rule)


def loads(text: bytes | str) -> Any:
    """The value of *text* (UTF-8).

    Raises:
        StrictJSONError: `not_json`, or `duplicate_name`, if an object has a name twice.
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
    """Return the number; not-a-number if a double rounds it, which the contract refuses by `float_digits`."""
    number = float(text)
    try:
        is_kept = math.isinf(number) or Decimal(text) == Decimal(repr(number))
    except InvalidOperation:  # an exponent that is beyond a Decimal
        is_kept = False
    return number if is_kept else math.nan


def _reject_constant(_constant: str) -> None:
    raise StrictJSONError("not_json")


def _reject_duplicate_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two, one parser takes the first and another the last: who checks would not see what is written down."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise StrictJSONError("duplicate_name")
    return made
