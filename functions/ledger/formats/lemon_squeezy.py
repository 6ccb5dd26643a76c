"""Lemon Squeezy's events: an order, or an invoice of a subscription, becomes a payment; its full refund, an entry.

| event | condition | start input |
|---|---|---|
| `order_created` | paid | payment, `Success` |
| `subscription_payment_success`, `_recovered` | paid, and not the subscription's first invoice | payment, `Success` |
| `subscription_payment_failed` | | payment, `Failure` |
| `order_refunded`, `subscription_payment_refunded` | the whole total is refunded | `Refunded` |
| the same | a part is refunded | rejected by `cumulative_amount` |
| an order or invoice of nothing; the first invoice | | ignored |
| any other status, such as `pending` | something is due | rejected by `status` |

A new subscription has an order and an invoice for one payment. They have different IDs, and the invoice does not name
its order. So the order counts, and the first invoice does not. If a message says that the first invoice was refunded,
the ledger has no such payment: the entry is refused by `unknown_payment`, because nothing documents that Lemon Squeezy
reports the refund of the order as well.

`refunded_amount` is the sum of all refunds, and no message has a refund's own amount or ID. So only the refund of the
whole total is certain. A part is rejected under an EntryID that has the sum, so that each further part is reported too.

A failed invoice may be paid later under the same ID, so its failure has an ID of its own. No message names an attempt:
all failures of one invoice are the same payment. Orders and invoices are numbered apart, so both IDs have a prefix.

There is no payment method in any message, so the customer stands in for it. Its number is too short to be searched for
in the other fields, so the token has a prefix too. No event reports a dispute: Lemon Squeezy refunds the order.

Source: Lemon Squeezy's documentation, "Webhook requests", "Event types", "Signing requests" and "Refunds and
chargebacks"; its API reference, orders and subscription invoices; its SDK for JavaScript 4.0.0 (the fields' types).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ledger.formats.mapping import (
    UNDOCUMENTED,
    code,
    entry,
    integer,
    iso_decimals,
    major_units,
    member,
    microseconds,
    payment,
    upper,
)
from ledger.violations import BrokenRuleError, InvalidEntryError, InvalidPaymentError, Violation

PAID = ("paid", "refunded", "partial_refund")
"""Statuses of an order or invoice that was paid. A message may come after a refund."""

ID_PREFIXES = {"orders": "order", "subscription-invoices": "invoice"}


class _Report(NamedTuple):
    """The ID of the payment, the attributes of the order or invoice, and the processor that sent them."""

    transaction_id: str | None
    attributes: dict[str, Any]
    processor_id: str


def start_input(message: Any, processor_id: str, *, live: bool) -> dict[str, Any] | None:
    """Return the payment or the entry that an event reports, as the module describes it; None for any other event.

    Raises:
        InvalidInputError: the message is not an event with an order or invoice that shows its mode, or Lemon Squeezy
            does not document the unit of its amount, or it has only a sum of refunds.
    """
    event_name = member(message, "meta", "event_name")
    if not isinstance(event_name, str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    if event_name not in EVENTS:
        return None
    object_type, read = EVENTS[event_name]
    attributes, object_id = member(message, "data", "attributes"), member(message, "data", "id")
    is_test = member(attributes, "test_mode")
    if member(message, "data", "type") != object_type or not isinstance(is_test, bool):
        if read is _refund:
            raise InvalidEntryError([Violation("Entry", "not_an_event")])
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    if is_test is live:
        return None
    transaction_id = f"{ID_PREFIXES[object_type]}-{object_id}" if isinstance(object_id, str) and object_id else None
    return read(_Report(transaction_id, attributes, processor_id))


def _order(report: _Report) -> dict[str, Any] | None:
    is_paid = report.attributes.get("status") in PAID
    return _payment(report, report.transaction_id, "Success" if is_paid else UNDOCUMENTED)


def _invoice(report: _Report) -> dict[str, Any] | None:
    """Return the payment of an invoice; None for the first invoice of a subscription, whose order is the payment."""
    reason = report.attributes.get("billing_reason")
    if not isinstance(reason, str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    return None if reason == "initial" else _order(report)


def _failure(report: _Report) -> dict[str, Any] | None:
    return _payment(report, report.transaction_id and f"{report.transaction_id}_failed", "Failure")


def _payment(report: _Report, transaction_id: str | None, status: str) -> dict[str, Any] | None:
    """Return the payment of an order or invoice; None if its total is zero, as in a trial."""
    attributes = report.attributes
    units, currency = integer(attributes.get("total")), upper(attributes.get("currency"))
    customer = _text(attributes, "customer_id")
    if units == 0:
        return None
    return payment(
        report.processor_id,
        transaction_id=transaction_id,
        token=customer and f"customer-{customer}",
        status=status,
        currency=currency,
        amount=lambda: major_units(units, currency, _decimals),
        timestamp=lambda: microseconds(attributes.get("created_at")),
        metadata={
            "lemon-squeezy.billing_reason": code(attributes.get("billing_reason")),
            "lemon-squeezy.order_number": _text(attributes, "order_number"),
            "lemon-squeezy.store": _text(attributes, "store_id"),
            "lemon-squeezy.subscription": _text(attributes, "subscription_id"),
        },
    )


def _refund(report: _Report) -> dict[str, Any]:
    """Return the entry of a refund of the whole total, whose `refunded_at` is set.

    Raises:
        InvalidEntryError: only a part is refunded.
    """
    transaction_id, attributes, processor_id = report
    refunded, currency = integer(attributes.get("refunded_amount")), upper(attributes.get("currency"))
    is_full = refunded == integer(attributes.get("total")) and attributes.get("status") == "refunded"

    def amount() -> str | None:
        if refunded is not None and not is_full:
            raise BrokenRuleError("cumulative_amount")
        return major_units(refunded, currency, _decimals)

    return entry(
        processor_id,
        transaction_id=transaction_id,
        entry_id=transaction_id and f"{transaction_id}-refund{'' if is_full else f'-{refunded}'}",
        kind="Refunded",
        currency=currency,
        amount=amount,
        timestamp=lambda: microseconds(attributes.get("refunded_at")),
        metadata={"lemon-squeezy.store": _text(attributes, "store_id")},
    )


def _text(attributes: dict[str, Any], name: str) -> str | None:
    """Return the digits of a number that Lemon Squeezy gives a customer, a store, an order or a subscription."""
    number = integer(attributes.get(name))
    return None if number is None else f"{number}"


def _decimals(currency: str) -> int | None:
    """Return 2 for a currency that has as many in ISO 4217; None for others.

    Lemon Squeezy documents cents only: whether 1000 JPY are `1000` or `100000` is open.
    """
    return 2 if iso_decimals(currency) == 2 else None


EVENTS: Mapping[str, tuple[str, Callable[[_Report], dict[str, Any] | None]]] = {
    "order_created": ("orders", _order),
    "order_refunded": ("orders", _refund),
    "subscription_payment_success": ("subscription-invoices", _invoice),
    "subscription_payment_recovered": ("subscription-invoices", _invoice),
    "subscription_payment_failed": ("subscription-invoices", _failure),
    "subscription_payment_refunded": ("subscription-invoices", _refund),
}
"""Names of the events that can report a payment or an entry; the type of the object, and the function that reads it."""
