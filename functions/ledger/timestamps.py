"""Timestamps: from RFC 3339 to UTC text of a fixed width, whose text order is time order."""

import re
from datetime import UTC, datetime

from ledger.violations import BrokenRuleError

# For `fullmatch`: `$` would accept a trailing newline. [0-9], because `\d` accepts the digits of any script.
DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


def utc_timestamp(value: object) -> str:
    """Return an RFC 3339 date-time with an offset as UTC text of a fixed width: `2026-01-31T23:59:59.000000Z`.

    `datetime.fromisoformat` accepts far more than RFC 3339, so the pattern decides, and `fromisoformat` only converts.

    Raises:
        BrokenRuleError: the value is not text, is not a date-time, or is one that the ledger cannot keep exactly.
    """
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    match = DATE_TIME.fullmatch(value)
    if match is None:
        raise BrokenRuleError("timestamp")
    date, hour_minute, second, fraction, sign, offset_hour, offset_minute = match.groups()
    offset = f"{sign}{offset_hour}:{offset_minute}" if sign else "+00:00"
    # A leap second can occur only at the end of a UTC day, so the minute in UTC decides which rule is broken.
    is_leap = second == "60"
    try:
        moment = datetime.fromisoformat(f"{date}T{hour_minute}:{'59' if is_leap else second}{offset}")
    except ValueError:
        raise BrokenRuleError("timestamp") from None
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise BrokenRuleError("timestamp_range") from None
    if is_leap:
        raise BrokenRuleError("leap_second" if (moment.hour, moment.minute) == (23, 59) else "timestamp")
    if fraction and len(fraction) > 6:
        raise BrokenRuleError("timestamp_precision")
    return f"{moment.replace(tzinfo=None).isoformat()}.{fraction or '':0<6}Z"
