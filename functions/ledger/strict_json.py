"""JSON as it was written: no name twice, no NaN, and no number that a double would have rounded."""

import json
from typing import Any

MAX_INTEGER_DIGITS = 64
"""Longer ones stay text, which no rule of the contract takes for a number: making them one takes long."""


class StrictJSONError(ValueError):
    """The text is not JSON, or says something twice. `rule` is stable; the message repeats nothing of the text."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(rule)


def loads(text: bytes | str) -> Any:
    """The value of *text* (UTF-8); a number with a point or an exponent is the text that was written.

    Raises:
        StrictJSONError: `not_json`, or `duplicate_name` where an object has a name twice.
    """
    try:
        return json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_float=str,
            parse_int=lambda digits: int(digits) if len(digits) <= MAX_INTEGER_DIGITS else digits,
            parse_constant=_no_constant,
            object_pairs_hook=_each_name_once,
        )
    except StrictJSONError:
        raise
    except (ValueError, RecursionError):
        raise StrictJSONError("not_json") from None


def _no_constant(_constant: str) -> None:
    raise StrictJSONError("not_json")


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two, one parser takes the first and another the last: who checks would not see what is written down."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise StrictJSONError("duplicate_name")
    return made
