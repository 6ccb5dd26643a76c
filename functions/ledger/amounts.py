"""Amounts in each of their forms: as the sender wrote them, as canonical text, and as a DynamoDB number.

An amount is text from end to end. No number type is on its way, so nothing can round it.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal

from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS
from ledger.violations import BrokenRuleError

MAX_DIGITS = 38
"""Digits that a DynamoDB number holds. Source: DynamoDB Developer Guide, data types, Number."""

MAX_FLOAT_DIGITS = 15
"""Decimal digits that always survive a conversion to a double (C's `DBL_DIG`)."""

# Both are for `fullmatch`: `$` would accept a trailing newline. [0-9], because `\d` accepts the digits of any script.
DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
NEGATIVE_DECIMAL = re.compile(r"-[0-9]+(?:\.[0-9]+)?")


def minor_unit(currency: str, timestamp: str | None) -> int | None:
    """Return how many decimals an amount in *currency* had at *timestamp*; None if it was not a currency then.

    Args:
        currency: any text.
        timestamp: a timestamp in canonical form; None stands for the time of the first list that is known.
    """
    for until, decimals in FORMER_MINOR_UNITS.get(currency, ()):
        if (timestamp or "") < until:
            return decimals
    return MINOR_UNITS.get(currency)


def parse_amount(value: object, decimals: int | None) -> str:
    """Return the sender's amount as decimal text with the currency's decimals.

    Args:
        value: the amount as the sender wrote it: text, or a JSON number.
        decimals: the currency's decimals; None if the currency is invalid. Then the decimals are not checked.

    Raises:
        BrokenRuleError: the value is not an amount, or is one that the ledger cannot keep exactly.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BrokenRuleError("type")
    if isinstance(value, str):
        text = value
    elif isinstance(value, int):
        # Compare the number and do not print it: Python itself does not print the decimal text of a huge integer.
        if abs(value) >= 10**MAX_DIGITS:
            raise BrokenRuleError("negative" if value < 0 else "digits")
        text = str(value)
    else:
        text = _float_text(value, decimals or 0)
    return canonical_amount(text, decimals)


def canonical_amount(text: str, decimals: int | None) -> str:
    """Return decimal text without superfluous leading zeros and with exactly *decimals* decimals.

    Raises:
        BrokenRuleError: the text is not an amount with at most that many decimals, and with at most 38 digits.
    """
    if NEGATIVE_DECIMAL.fullmatch(text):
        raise BrokenRuleError("negative")
    match = DECIMAL.fullmatch(text)
    if match is None:
        raise BrokenRuleError("decimal")
    whole, fraction = match[1], match[2] or ""
    if decimals is not None and len(fraction) > decimals:
        raise BrokenRuleError("decimals")
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise BrokenRuleError("digits")
    whole = whole.lstrip("0") or "0"
    fraction = fraction.ljust(decimals or 0, "0")
    return f"{whole}.{fraction}" if fraction else whole


def to_dynamodb_number(amount: str) -> str:
    """Return the amount as DynamoDB gives it back: at most 38 digits, and no superfluous zeros."""
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def from_dynamodb_number(number: str) -> Iterator[str]:
    """Yield each amount that DynamoDB stores as this number, the one with the fewest decimals first.

    DynamoDB does not keep how many decimals a number was written with.
    """
    whole, _, fraction = format(Decimal(number), "f").partition(".")
    fraction = fraction.rstrip("0")
    for decimals in range(len(fraction), MAX_DIGITS + 1):
        yield f"{whole}.{fraction:0<{decimals}}" if decimals else whole


def _float_text(value: float, decimals: int) -> str:
    """Return the decimal text that the sender wrote for a JSON number with a point, if the text is certain.

    The runtime's parser makes a double of the number before any code of the ledger runs. The text is certain if no
    other decimal with the currency's decimals has the same double. That is so if the distance to the next double is at
    most one minor unit, and the shortest text that reads back as this double has at most 15 digits.
    """
    if math.isnan(value):  # `strict_json.loads` found digits that a double does not keep
        raise BrokenRuleError("float_digits")
    if not math.isfinite(value):
        raise BrokenRuleError("decimal")
    shortest = Decimal(repr(value)).normalize()
    one_unit = Decimal(1).scaleb(-decimals)
    if len(shortest.as_tuple().digits) > MAX_FLOAT_DIGITS or Decimal(math.ulp(value)) > one_unit:
        raise BrokenRuleError("float_digits")
    return format(shortest, "f")
