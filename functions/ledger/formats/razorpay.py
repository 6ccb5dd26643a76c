"""Razorpay's events: a payment becomes a payment; a refund or a dispute becomes an entry of its payment.

| event | condition | start input |
|---|---|---|
| `payment.captured` | | payment, `Success` |
| the same | the amount is 0: a mandate was registered | none |
| `payment.failed` | | payment, `Failure`, under the ID with `_failed` |
| `refund.created`, `.processed`, `.speed_changed` | pending or processed | `Refunded` |
| `refund.failed`, or another one of them | failed | `RefundFailed` |
| all four | the payment was never captured | none: Razorpay releases what it did not take |
| `payment.dispute.lost`, `.closed` | money was deducted | `Disputed` |
| the same | at most half of the payment was deducted | rejected by the rule `kind` |
| `payment.dispute.created`, `.under_review`, `.action_required`, `.won` | money was deducted | rejected: `kind` |
| all six | nothing was deducted | none |

A payment that failed may be authorised later, under the same ID (late authorisation). Under its own ID, the failure
would be in the way of the success, and taken money would be missing. So the failure has an ID of its own.

A refund takes the money when it is created, and each of its events has the same ID, amount and `created_at`. So there
is a `Refunded` for each `RefundFailed`, whatever comes first.

Razorpay deducts the money of a dispute when it is lost, and there is no entry for the decision: nothing comes after.

`payment.amount_refunded` is a running total. The same payment also comes in `order.paid`, `invoice.paid` and others.
No message shows a test mode or an event's ID: test mode has a webhook and a secret of its own, and the ID is in a
header that is not signed.

Source: Razorpay's documentation (razorpay/markdown-docs at ab3bda5, 2026-04-09), webhooks/payments.md, refunds.md and
disputes.md, api/payments/entity.md, api/refunds/entity.md and api/disputes/entity.md; its pages "Late authorisation",
"Auto-refunds", "Chargeback fees & penalties", and those named below.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ledger.formats.mapping import (
    UNDOCUMENTED,
    code,
    entry,
    first_text,
    integer,
    listed_decimals,
    major_units,
    member,
    payment,
    unix_time,
    upper,
)
from ledger.violations import InvalidEntryError, InvalidPaymentError, Violation

ZERO_DECIMAL = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
THREE_DECIMAL = frozenset({"BHD", "IQD", "JOD", "KWD", "OMR", "TND"})
"""Currencies without decimals and with three in Razorpay's integers. Source: "International payments", supported
currencies."""

REFUNDS: Mapping[str | None, str] = {"pending": "Refunded", "processed": "Refunded", "failed": "RefundFailed"}

_decimals = listed_decimals(zero=ZERO_DECIMAL, three=THREE_DECIMAL)
"""Decimals of a currency in Razorpay's integers. An amount with three decimals ends in 0, which senders must ensure.
Any other one is not ambiguous either."""


def start_input(message: Any, processor_id: str) -> dict[str, Any] | None:
    """Return the payment or the entry that an event reports, as the module describes it; None for any other event.

    If a value is missing or has another type, the start input has null in its place, which the contract rejects by the
    name of the field.

    Raises:
        InvalidInputError: the message is not an event with its entity, or Razorpay's documentation does not define the
            unit of its amount, or its time is out of range.
    """
    if not isinstance(message, dict) or not isinstance(message.get("event"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    if message["event"] not in EVENTS:
        return None
    name, read = EVENTS[message["event"]]
    reported = member(message, "payload", name, "entity")
    if not isinstance(reported, dict):
        if read is _payment:
            raise InvalidPaymentError([Violation("Payment", "not_an_event")])
        raise InvalidEntryError([Violation("Entry", "not_an_event")])
    return read(message, reported, processor_id)


def _payment(event: dict[str, Any], charged: dict[str, Any], processor_id: str) -> dict[str, Any] | None:
    """Return the payment; None if 0 was captured. If it is not said to be captured, it has no status."""
    payment_id, units = charged.get("id"), integer(charged.get("amount"))
    failed = event["event"] == "payment.failed"
    if units == 0 and not failed:
        return None
    token, field = _token(event, charged)
    currency = upper(charged.get("currency"))
    return payment(
        processor_id,
        transaction_id=f"{payment_id}_failed" if failed and payment_id and isinstance(payment_id, str) else payment_id,
        token=token,
        status="Failure" if failed else "Success" if charged.get("captured") is True else None,
        currency=currency,
        amount=lambda: major_units(units, currency, _decimals),
        timestamp=lambda: unix_time(integer(charged.get("created_at"))),
        metadata={
            "razorpay.account": code(event.get("account_id")) if field != "account_id" else None,
            "razorpay.order": code(charged.get("order_id")) if field != "order_id" else None,
            "razorpay.payment": code(payment_id) if failed else None,
            "razorpay.reason": code(charged.get("error_reason")) if failed else None,
            "razorpay.token": field if field != "token_id" else None,
        },
    )


def _token(event: dict[str, Any], charged: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the ID of what the payment was made with, and the field that has it.

    A stored method has a token, and a card an ID. Net banking, wallets and UPI have neither (`vpa` is a person's
    address), so the order stands in for them, or the account if the payment has no order.
    """
    fields = ("token_id", "card_id", "order_id")
    return first_text({**{name: charged.get(name) for name in fields}, "account_id": event.get("account_id")})


def _refund(event: dict[str, Any], refund: dict[str, Any], processor_id: str) -> dict[str, Any] | None:
    """Return the entry of a refund; None if Razorpay gives back what was authorised and never captured.

    `refund.processed` is also said to report a failure, so the status counts. Source: "Refunds", FAQs; "Auto-refunds".
    """
    if member(event, "payload", "payment", "entity", "captured") is False:
        return None
    status = "failed" if event["event"] == "refund.failed" else code(refund.get("status"))
    return _entry(event, refund, processor_id, REFUNDS.get(status, UNDOCUMENTED), integer(refund.get("amount")))


def _dispute(event: dict[str, Any], dispute: dict[str, Any], processor_id: str) -> dict[str, Any] | None:
    """Return the entry of a dispute for which Razorpay deducted money; None if it deducted nothing.

    Razorpay's documentation contradicts itself in two points. There the entry has no documented kind, so that the
    contract rejects it and an operator looks:

    - What is deducted before the end, and when a dispute is won: nothing, or (in an example) the part that was not
      contested. Money that is deducted at the onset may come back, and no event need say so.
    - Whether a lost dispute sends a refund as well. After more than half of the payment, the ledger refuses the second
      one by itself (`exceeds_captured`). A smaller amount would count twice, and nobody would notice.

    Source: api/disputes/entity.md and fetch.md (won); "Auto-refunds" (lost); "Chargeback fees & penalties" (onset).
    """
    units = integer(dispute.get("amount_deducted"))
    if units == 0:
        return None
    paid = integer(member(event, "payload", "payment", "entity", "amount"))
    counts_once = units is not None and paid is not None and 2 * units > paid
    is_lost = event["event"] in ("payment.dispute.lost", "payment.dispute.closed")
    kind = "Disputed" if counts_once and is_lost else UNDOCUMENTED
    return _entry(event, dispute, processor_id, kind, units)


def _entry(
    event: dict[str, Any], reported: dict[str, Any], processor_id: str, kind: str, units: int | None
) -> dict[str, Any]:
    currency = upper(reported.get("currency"))
    return entry(
        processor_id,
        transaction_id=reported.get("payment_id"),
        entry_id=reported.get("id"),
        kind=kind,
        currency=currency,
        amount=lambda: major_units(units, currency, _decimals),
        timestamp=lambda: unix_time(integer(reported.get("created_at"))),
        metadata={
            "razorpay.account": code(event.get("account_id")),
            "razorpay.reason": code(reported.get("reason_code")),
            "razorpay.phase": code(reported.get("phase")),
        },
    )


EVENTS: Mapping[str, tuple[str, Callable[[dict[str, Any], dict[str, Any], str], dict[str, Any] | None]]] = {
    **dict.fromkeys(("payment.captured", "payment.failed"), ("payment", _payment)),
    **dict.fromkeys(
        ("refund.created", "refund.processed", "refund.speed_changed", "refund.failed"), ("refund", _refund)
    ),
    **dict.fromkeys(
        (f"payment.dispute.{step}" for step in ("created", "under_review", "action_required", "won", "lost", "closed")),
        ("dispute", _dispute),
    ),
}
"""Types of the events that can report a payment or an entry, each with the name and the reader of its entity."""
