"""What the mappings of processors' messages share: reading a message's values, and writing payments and entries.

A value that is missing, or has another type than its processor documents, becomes null. The contract then rejects it by
the name of the field.
"""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from ledger.cards import holds_card_number
from ledger.currencies import MINOR_UNITS
from ledger.entry import KIND_BEFORE
from ledger.identifiers import ORIGINAL_ENTRY_ID, ORIGINAL_TRANSACTION_ID, mapped_identifier
from ledger.payment import valid_id
from ledger.violations import BrokenRuleError, InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation

SUFFIXES = {"RefundFailed": "_failed", "DisputeWon": "_won", "DisputeLost": "_lost"}
"""What follows the ID of a refund or dispute in the EntryID of an entry that undoes or decides it."""

UNDOCUMENTED = "undocumented"
"""Kind of an entry, or status of a payment, whose message has a state that its processor does not document for it. The
contract rejects it by the rule `kind` or `status`, so that an operator looks at it."""

FINER = re.compile(r"(\.[0-9]{6})[0-9]+")
CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Form of a processor's codes, such as the reason of a refund. Anything else could be free text."""


def payment(
    processor_id: str,
    *,
    transaction_id: Any,
    token: Any,
    status: Any,
    currency: str | None,
    amount: Callable[[], str | None],
    timestamp: Callable[[], str | None],
    metadata: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a payment.

    Args:
        processor_id: the processor that signed the message.
        transaction_id: the processor's own ID of the payment, of any form.
        token: the ID that stands for the payment method.
        status: `Success` or `Failure`; what else the message has, to be rejected.
        currency: the currency's code.
        amount: returns the amount in major units. It may raise a BrokenRuleError.
        timestamp: returns the time of the payment. It may raise a BrokenRuleError.
        metadata: pairs of text; those with None are left out.

    Raises:
        InvalidPaymentError: the amount or the time broke a rule.
    """
    mapped_id = _mapped(transaction_id)
    start_input = {
        "TransactionID": mapped_id,
        "SecureToken": token,
        "Currency": currency,
        "ProcessorID": processor_id,
        "Status": status,
        "Metadata": _present({**metadata, ORIGINAL_TRANSACTION_ID: _original(transaction_id, mapped_id)}),
    }
    return _completed(start_input, {"Amount": amount, "Timestamp": timestamp}, InvalidPaymentError)


def entry(
    processor_id: str,
    *,
    transaction_id: Any,
    entry_id: Any,
    kind: str,
    currency: str | None,
    amount: Callable[[], str | None],
    timestamp: Callable[[], str | None],
    metadata: Mapping[str, Any],
) -> dict[str, Any]:
    """Return an entry of a payment.

    Args:
        processor_id: the processor that signed the message.
        transaction_id: the processor's own ID of the payment, of any form.
        entry_id: the processor's own ID of the capture, refund or dispute. An entry that undoes or decides one gets a
            suffix, and names it in `Reverses`.
        kind: the entry's kind.
        currency: the currency's code.
        amount: returns the amount in major units. It may raise a BrokenRuleError.
        timestamp: returns the time of what happened. It may raise a BrokenRuleError.
        metadata: pairs of text; those with None are left out.

    Raises:
        InvalidEntryError: the amount or the time broke a rule.
    """
    full_id = f"{entry_id}{SUFFIXES.get(kind, '')}" if isinstance(entry_id, str) else None
    mapped_id, mapped_entry_id = _mapped(transaction_id), _mapped(full_id)
    originals = {
        ORIGINAL_TRANSACTION_ID: _original(transaction_id, mapped_id),
        ORIGINAL_ENTRY_ID: entry_id if mapped_entry_id != full_id else None,
    }
    start_input = {
        "TransactionID": mapped_id,
        "EntryID": mapped_entry_id,
        "Kind": kind,
        "Currency": currency,
        "ProcessorID": processor_id,
        "Metadata": _present({**metadata, **originals}),
    }
    if kind in KIND_BEFORE:
        start_input["Reverses"] = _mapped(entry_id)
    return _completed(start_input, {"Amount": amount, "Timestamp": timestamp}, InvalidEntryError)


def _completed(
    start_input: dict[str, Any], read: Mapping[str, Callable[[], str | None]], error: type[InvalidInputError]
) -> dict[str, Any]:
    """Return the start input with the fields that may break a rule."""
    violations = []
    for field, value in read.items():
        try:
            start_input[field] = value()
        except BrokenRuleError as broken:
            violations.append(Violation(field, broken.rule))
    if violations:
        ids = {"transaction_id": valid_id(start_input, "TransactionID"), "entry_id": valid_id(start_input, "EntryID")}
        raise error(violations, **ids)
    return start_input


def _present(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: text for name, text in metadata.items() if text is not None}


def _mapped(original: Any) -> str | None:
    """Return the mapped ID; one with a card number unchanged, so that the contract rejects it and names it nowhere."""
    if not isinstance(original, str):
        return None
    return original if holds_card_number(original) else mapped_identifier(original)


def _original(original: Any, mapped: str | None) -> Any:
    return original if mapped not in (None, original) else None


def member(value: Any, *names: str) -> Any:
    """Return what stands in an object under these names, one in the other; None if one of them is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def code(value: Any) -> str | None:
    """Return a processor's code; None if it is none, since it could be free text."""
    return value if isinstance(value, str) and CODE.fullmatch(value) else None


def first_text(candidates: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the first value that is text and not empty, and its name; None twice if there is none."""
    for name, value in candidates.items():
        if isinstance(value, str) and value:
            return value, name
    return None, None


def integer(value: Any) -> int | None:
    """Return a whole number; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def upper(value: Any) -> str | None:
    """Return a currency's code in capital letters; None if it is not text."""
    return value.upper() if isinstance(value, str) else None


def iso_decimals(currency: str) -> int:
    """Return the decimals of a currency in ISO 4217. The contract rejects a currency that ISO 4217 does not have."""
    return MINOR_UNITS.get(currency, 2)


def listed_decimals(
    *, zero: Collection[str], three: Collection[str] = (), two: Collection[str] = ()
) -> Callable[[str], int | None]:
    """Return a function for `major_units`, for a processor that lists what deviates from two decimals.

    Args:
        zero: the currencies whose amounts have no decimals.
        three: those with three.
        two: those with two that have others in ISO 4217.

    Returns:
        A function that returns None for a currency that is not listed and has other decimals in ISO 4217: the
        processor's documentation leaves its amounts open. The contract checks codes that ISO 4217 does not have.
    """

    def decimals_of(currency: str) -> int | None:
        if currency in zero:
            return 0
        if currency in three:
            return 3
        return 2 if currency in two or iso_decimals(currency) == 2 else None

    return decimals_of


def major_units(units: int | None, currency: str | None, decimals_of: Callable[[str], int | None]) -> str | None:
    """Return an amount of the smallest units as decimal text in major units, without superfluous decimals.

    Args:
        units: the amount; None if the message has none.
        currency: its currency; None if the message has none.
        decimals_of: returns the decimals of a currency in this processor's amounts; None if it documents none.

    Raises:
        BrokenRuleError: `amount_unit`: the processor does not say what the smallest unit of the currency is.
    """
    if units is None or currency is None:
        return None
    decimals = decimals_of(currency)
    if decimals is None:
        raise BrokenRuleError("amount_unit")
    whole, fraction = divmod(abs(units), 10**decimals)
    kept = f"{fraction:0{decimals}d}".rstrip("0")
    return ("-" if units < 0 else "") + (f"{whole}.{kept}" if kept else f"{whole}")


def microseconds(time: Any) -> Any:
    """Return an RFC 3339 time without its decimals beyond six, which the contract does not take."""
    return FINER.sub(r"\1", time) if isinstance(time, str) else time


def unix_time(seconds: int | None) -> str | None:
    """Return a Unix time as RFC 3339.

    Raises:
        BrokenRuleError: `timestamp_range`.
    """
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise BrokenRuleError("timestamp_range") from None
