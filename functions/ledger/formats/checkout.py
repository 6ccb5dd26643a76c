"""Checkout.com's events: a first capture becomes a payment; later captures, refunds and disputes become its entries.

| event | condition | start input |
|---|---|---|
| `payment_captured` | its `amount` is all that was captured | payment, `Success` |
| `payment_captured` | more was captured before it | `Captured` |
| `payment_declined` | not a payout | payment, `Failure`, under the ID with `_failed` |
| `payment_voided` | something was captured, and nothing more can be | `Voided` |
| `payment_refunded` | | `Refunded` |
| `payment_returned` | not a payout | rejected: `capture_failed` |
| `dispute_evidence_required` | | `Disputed` |
| `dispute_won`, `dispute_canceled`, `dispute_arbitration_won` | | `DisputeWon` |
| `dispute_lost`, `dispute_expired`, `dispute_accepted` | | `DisputeLost` |
| `dispute_resolved` | the customer was not refunded before | rejected: `capture_failed` |

Each capture and each refund is an action with an ID, an amount and a time of its own. What `balances` has are totals:
they never become an amount, and only show which capture was the first. Nothing else in a message shows it, because
messages come in any order.

All other events are ignored, because they move no money of a payment: an authorisation (`payment_approved`); a capture,
void or refund that is pending or was declined; the steps of a dispute's procedure; a lost arbitration, which costs a
fee. Payouts have a `destination`.

The time of an envelope is in `created_on` or in `timestamp`, and a sandbox's events look like live ones. So the mapping
reads neither.

Source: Checkout.com's documentation, "Webhook event types" with a page for each type, "Format the amount value",
"Capture a payment" (multiple partial captures), "Smart Dunning retries", "Disputes API", "How disputes work".
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ledger.formats.mapping import (
    code,
    entry,
    integer,
    listed_decimals,
    major_units,
    member,
    microseconds,
    payment,
    upper,
)
from ledger.payment import valid_id
from ledger.violations import BrokenRuleError, InvalidEntryError, InvalidPaymentError, Violation

ZERO_DECIMAL = frozenset("BIF DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
TWO_DECIMAL = frozenset({"CLP"})
THREE_DECIMAL = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
"""Currencies that Checkout.com's page lists, by the decimals of its integers. In all others they have two.

CLP has no minor unit in ISO 4217, but the page has it among those that are divided by 100. The contract rejects an
amount in CLP that is not a multiple of 100, by the rule `decimals`. Source: "Format the amount value".
"""

_decimals = listed_decimals(zero=ZERO_DECIMAL, three=THREE_DECIMAL, two=TWO_DECIMAL)
"""Decimals of a currency in Checkout.com's integers."""


def start_input(message: Any, processor_id: str) -> dict[str, Any] | None:
    """Return the payment or the entry that an event reports, as the module describes it; None for any other event.

    Raises:
        InvalidInputError: the message is not an event with its data, may have moved money in a way that no kind of
            entry stands for, or contradicts its own totals; or the unit of its amount is not documented.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    read = EVENTS.get(message["type"])
    if read is None:
        return None
    data = message.get("data")
    if not isinstance(data, dict):
        if read in (_captured, _declined):
            raise InvalidPaymentError([Violation("Payment", "not_an_event")])
        raise InvalidEntryError([Violation("Entry", "not_an_event")])
    return read(_Report(message, data, processor_id))


class _Report(NamedTuple):
    """An event, the data about its payment or dispute, and the processor that sent it."""

    event: dict[str, Any]
    data: dict[str, Any]
    processor_id: str


def _captured(report: _Report) -> dict[str, Any]:
    """Return the payment of a first capture, or the entry of a later one.

    A message without balances is taken for the first capture: if it was not, the ledger reports a conflict.
    """
    data = report.data
    units, total = integer(data.get("amount")), integer(member(data, "balances", "total_captured"))
    if units is not None and total is not None and total > units:
        return _action(report, "Captured")

    def amount() -> str | None:
        if units is not None and total != units and data.get("balances") is not None:
            raise BrokenRuleError("cumulative_amount")
        return _amount(data)

    return _payment(report, data.get("id"), "Success", amount)


def _declined(report: _Report) -> dict[str, Any] | None:
    """Return the payment that was declined; None for a payout.

    Checkout.com may try a payment again under its ID for weeks, and the message does not show whether it will. Source:
    "Smart Dunning retries".
    """
    data = report.data
    if data.get("destination") is not None:
        return None
    payment_id = data.get("id")
    failed_id = f"{payment_id}_failed" if isinstance(payment_id, str) else None
    return _payment(report, failed_id, "Failure", lambda: _amount(data))


def _payment(report: _Report, transaction_id: Any, status: str, amount: Callable[[], str | None]) -> dict[str, Any]:
    """Return a payment. A capture has no source: then its own ID is the token, and stands in no other field."""
    event, data, processor_id = report
    source_id = member(data, "source", "id")
    return payment(
        processor_id,
        transaction_id=transaction_id,
        token=data.get("action_id") if source_id is None else source_id,
        status=status,
        currency=upper(data.get("currency")),
        amount=amount,
        timestamp=lambda: microseconds(data.get("processed_on")),
        metadata={
            "checkout.event": code(event.get("id")),
            "checkout.response": code(data.get("response_code")),
            "checkout.token": "action_id" if source_id is None else None,
        },
    )


def _voided(report: _Report) -> dict[str, Any] | None:
    """Return the release of what is left after a capture; None if nothing is recorded, or more can be captured."""
    captured, left = (member(report.data, "balances", name) for name in ("total_captured", "available_to_capture"))
    return _action(report, "Voided") if integer(captured) and not integer(left) else None


def _refunded(report: _Report) -> dict[str, Any]:
    return _action(report, "Refunded")


def _returned(report: _Report) -> None:
    """Reject a payment that its bank took back; return None for a payout that came back.

    Checkout.com shows no example of such a payment, so neither its amount nor its time is certain.
    """
    data = report.data
    if data.get("destination") is None:
        raise _fits_no_kind(data.get("id"), data.get("action_id"))


def _action(report: _Report, kind: str) -> dict[str, Any]:
    """Return the entry of an action on a payment."""
    data = report.data
    return _entry(report, kind, data.get("id"), data.get("action_id"), data.get("processed_on"))


def _disputed(report: _Report) -> dict[str, Any]:
    return _dispute(report, "Disputed")


def _dispute_won(report: _Report) -> dict[str, Any]:
    return _dispute(report, "DisputeWon")


def _dispute_lost(report: _Report) -> dict[str, Any]:
    return _dispute(report, "DisputeLost")


def _dispute_resolved(report: _Report) -> None:
    """Reject a dispute that the card scheme resolved; return None if the customer had been refunded before.

    Checkout.com does not say whether the scheme's refund has an event of its own.
    """
    data = report.data
    if data.get("resolved_reason") != "already_refunded":
        raise _fits_no_kind(data.get("payment_id"), data.get("id"))


def _dispute(report: _Report, kind: str) -> dict[str, Any]:
    """Return the entry of a dispute: `id` is the dispute's, and `payment_id` the payment's."""
    data = report.data
    return _entry(report, kind, data.get("payment_id"), data.get("id"), data.get("date"))


def _entry(report: _Report, kind: str, transaction_id: Any, entry_id: Any, time: Any) -> dict[str, Any]:
    event, data, processor_id = report
    return entry(
        processor_id,
        transaction_id=transaction_id,
        entry_id=entry_id,
        kind=kind,
        currency=upper(data.get("currency")),
        amount=lambda: _amount(data),
        timestamp=lambda: microseconds(time),
        metadata={
            "checkout.event": code(event.get("id")),
            "checkout.response": code(data.get("response_code")),
            "checkout.reason": code(data.get("reason_code")),
        },
    )


def _amount(data: dict[str, Any]) -> str | None:
    return major_units(integer(data.get("amount")), upper(data.get("currency")), _decimals)


def _fits_no_kind(transaction_id: Any, entry_id: Any) -> InvalidEntryError:
    """Return the rejection of what may have taken money from a recorded payment. It names the IDs that are valid."""
    ids = {"TransactionID": transaction_id, "EntryID": entry_id}
    named = {"transaction_id": valid_id(ids, "TransactionID"), "entry_id": valid_id(ids, "EntryID")}
    return InvalidEntryError([Violation("Entry", "capture_failed")], **named)


EVENTS: Mapping[str, Callable[[_Report], dict[str, Any] | None]] = {
    "payment_captured": _captured,
    "payment_declined": _declined,
    "payment_voided": _voided,
    "payment_refunded": _refunded,
    "payment_returned": _returned,
    "dispute_evidence_required": _disputed,
    **dict.fromkeys(("dispute_won", "dispute_canceled", "dispute_arbitration_won"), _dispute_won),
    **dict.fromkeys(("dispute_lost", "dispute_expired", "dispute_accepted"), _dispute_lost),
    "dispute_resolved": _dispute_resolved,
}
"""Types of the events that can report a payment or an entry, and the function that reads the event's data."""
