"""Paddle Billing's events: a transaction or a failed attempt becomes a payment, an adjustment becomes an entry.

| event | condition | start input |
|---|---|---|
| `transaction.paid`, `transaction.completed` | something was due | payment, `Success` |
| `transaction.payment_failed` | | payment, `Failure` |
| `adjustment.created`, `adjustment.updated` | a refund that is approved | `Refunded` |
| the same | a chargeback that is approved, or that was reversed later | `Disputed` |
| the same | a reversal of a chargeback that is approved | `DisputeWon` |
| the same | a refund that is not approved; a credit, or its reversal | ignored |
| the same | a warning of a chargeback, and whatever else an adjustment can be | rejected by `kind` |

A transaction has all attempts to pay it. It is paid by those that were captured, and an adjustment names only the
transaction: so the transaction is the payment that succeeded. An attempt that failed is a payment of its own, because
its transaction is mostly paid later.

The reversal of a chargeback does not name the chargeback. So the EntryID of a chargeback is made of its transaction's
ID. A second chargeback of one transaction is a conflict, which an operator sees.

A warning of a chargeback can move money: Paddle's reports list it among the movements of the balance, and Paddle may
refund the payment to prevent the chargeback. No page says whether that refund is an adjustment of its own. So the
warning is rejected, and an operator records what happened. A credit reduces what is due, so it pays nothing back.

Source: Paddle's API reference, transactions, adjustments and currencies; its pages "Adjustment created", "How webhooks
work", "Test webhooks" and "Understanding chargebacks with Paddle"; its SDK for Go, `pkg/paddlenotification` (what each
field means); its SDK for Python, `BalanceMovementType`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ledger.formats.mapping import (
    UNDOCUMENTED,
    code,
    entry,
    iso_decimals,
    major_units,
    member,
    microseconds,
    payment,
    upper,
)
from ledger.violations import InvalidEntryError, InvalidPaymentError, Violation

CURRENCIES = frozenset(
    "ARS AUD BRL CAD CHF CLP CNY COP CZK DKK EUR GBP HKD HUF ILS INR JPY KRW MXN NOK NZD PEN PLN RUB SEK SGD THB TRY "
    "TWD UAH USD VND ZAR".split()
)
"""Currencies in which Paddle takes payments. Its amounts are in the lowest denomination, so they have ISO 4217's
decimals. Source: Paddle's API reference, currencies; its Python SDK 1.16.1, `CurrencyCode`."""

SIMULATED = "ntfsimevt_"
"""Beginning of the IDs of simulated events. They have sample data, are validly signed, and reach live endpoints too."""

UNITS = re.compile(r"[0-9]{1,64}")


def start_input(message: Any, processor_id: str) -> dict[str, Any] | None:
    """Return the payment or the entry that an event reports, as the module describes it; None for any other event.

    A message does not show whether it is from Paddle's sandbox, which is another account with other secrets.

    Raises:
        InvalidInputError: the message is not an event with an object, or Paddle does not take its currency.
    """
    if not isinstance(message, dict) or not isinstance(message.get("event_type"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    read = EVENTS.get(message["event_type"])
    event_id = message.get("event_id")
    if read is None or (isinstance(event_id, str) and event_id.startswith(SIMULATED)):
        return None
    reported = message.get("data")
    if not isinstance(reported, dict):
        if read is _entry:
            raise InvalidEntryError([Violation("Entry", "not_an_event")])
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    return read(reported, processor_id, code(event_id))


def _success(transaction: dict[str, Any], processor_id: str, event_id: str | None) -> dict[str, Any] | None:
    """Return the payment of a transaction that is paid; None if nothing was due, as in a trial.

    Both events have the same attempts. If something was due and no attempt was captured, the payment has no amount.
    `payout_totals` are in the currency of the seller's balance, and `total` is before credits, so neither is read.
    """
    captured = _attempts(transaction, "captured")
    amounts = [amount for attempt in captured if (amount := _units(attempt.get("amount"))) is not None]
    units = sum(amounts) if len(amounts) == len(captured) else None
    if units == 0 and _units(member(transaction, "details", "totals", "grand_total")) == 0:
        return None
    last = _latest(captured, "captured_at")
    return _payment(
        transaction,
        last,
        processor_id,
        transaction_id=transaction.get("id"),
        status="Success",
        units=units or None,
        timestamp=last.get("captured_at"),
        metadata={"paddle.event": event_id, "paddle.attempt": code(last.get("payment_attempt_id"))},
    )


def _failure(transaction: dict[str, Any], processor_id: str, event_id: str | None) -> dict[str, Any]:
    """Return the payment of the newest attempt that failed. The event has the older attempts too."""
    failed = _latest(_attempts(transaction, "error"), "created_at")
    return _payment(
        transaction,
        failed,
        processor_id,
        transaction_id=failed.get("payment_attempt_id"),
        status="Failure",
        units=_units(failed.get("amount")),
        timestamp=failed.get("created_at"),
        metadata={
            "paddle.event": event_id,
            "paddle.error_code": code(failed.get("error_code")),
            "paddle.transaction": code(transaction.get("id")),
        },
    )


def _payment(
    transaction: dict[str, Any],
    attempt: dict[str, Any],
    processor_id: str,
    *,
    transaction_id: Any,
    status: str,
    units: int | None,
    timestamp: Any,
    metadata: Mapping[str, Any],
) -> dict[str, Any]:
    token, field = _token(transaction, attempt)
    currency = upper(transaction.get("currency_code"))
    return payment(
        processor_id,
        transaction_id=transaction_id,
        token=token,
        status=status,
        currency=currency,
        amount=lambda: major_units(units, currency, _decimals),
        timestamp=lambda: microseconds(timestamp),
        metadata={
            **metadata,
            "paddle.origin": code(transaction.get("origin")),
            "paddle.subscription": code(transaction.get("subscription_id")),
            "paddle.token": field if field != "payment_method_id" else None,
        },
    )


def _token(transaction: dict[str, Any], attempt: dict[str, Any]) -> tuple[Any, str | None]:
    """Return the ID that stands for the payment method, and the field that has the ID.

    `payment_method_id` may be null, and `stored_payment_method_id` is its older form. If there is neither, the customer
    stands in for them.
    """
    fields = ((attempt, "payment_method_id"), (attempt, "stored_payment_method_id"), (transaction, "customer_id"))
    for holder, field in fields:
        if holder.get(field) is not None:
            return holder[field], field
    return None, None


def _attempts(transaction: dict[str, Any], status: str) -> list[dict[str, Any]]:
    attempts = transaction.get("payments")
    every = attempts if isinstance(attempts, list) else []
    return [attempt for attempt in every if isinstance(attempt, dict) and attempt.get("status") == status]


def _latest(attempts: list[dict[str, Any]], field: str) -> dict[str, Any]:
    """Return the attempt with the latest time in *field*; an empty one if there is none. All times are in UTC."""

    def time(attempt: dict[str, Any]) -> str:
        value = attempt.get(field)
        return value.removesuffix("Z") if isinstance(value, str) else ""

    return max(attempts, key=time, default={})


def _entry(adjustment: dict[str, Any], processor_id: str, event_id: str | None) -> dict[str, Any] | None:
    """Return the entry of an adjustment; None if it moved no money.

    An adjustment has its own amount, and its `created_at` stays the same when its status changes.
    """
    kind = UNDOCUMENTED
    match adjustment.get("action"), adjustment.get("status"):
        case ("credit" | "credit_reverse", _) | ("refund", "pending_approval" | "rejected"):
            return None
        case "refund", "approved":
            kind = "Refunded"
        case "chargeback", "approved" | "reversed":
            kind = "Disputed"
        case "chargeback_reverse", "approved":
            kind = "DisputeWon"
    transaction_id, adjustment_id = adjustment.get("transaction_id"), adjustment.get("id")
    is_chargeback = kind in ("Disputed", "DisputeWon") and isinstance(transaction_id, str)
    currency = upper(adjustment.get("currency_code"))
    return entry(
        processor_id,
        transaction_id=transaction_id,
        entry_id=f"{transaction_id}_chargeback" if is_chargeback else adjustment_id,
        kind=kind,
        currency=currency,
        amount=lambda: major_units(_units(member(adjustment, "totals", "total")), currency, _decimals),
        timestamp=lambda: microseconds(adjustment.get("created_at")),
        metadata={"paddle.event": event_id, "paddle.adjustment": code(adjustment_id) if is_chargeback else None},
    )


def _units(value: Any) -> int | None:
    """Return an amount, which Paddle writes as text of digits; None if it is anything else."""
    return int(value) if isinstance(value, str) and UNITS.fullmatch(value) else None


def _decimals(currency: str) -> int | None:
    return iso_decimals(currency) if currency in CURRENCIES else None


EVENTS: Mapping[str, Callable[[dict[str, Any], str, str | None], dict[str, Any] | None]] = {
    **dict.fromkeys(("transaction.paid", "transaction.completed"), _success),
    "transaction.payment_failed": _failure,
    **dict.fromkeys(("adjustment.created", "adjustment.updated"), _entry),
}
"""Types of the events that can report a payment or an entry, and the function that reads the event's object."""
