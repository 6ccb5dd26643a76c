"""Polar's events: an order that is paid becomes a payment; a refund becomes an entry of its order's payment.

| event | condition | start input |
|---|---|---|
| `order.paid` | something was due | payment, `Success` |
| `refund.created`, `refund.updated` | pending or succeeded | `Refunded` |
| `refund.updated` | failed or canceled | `RefundFailed` |
| `refund.created` | failed or canceled | ignored: it took nothing |
| the same two | any other status | rejected by `kind` |

A refund takes money while it is pending. If only a refund that succeeded counted, one that fails later would have
nothing to undo, and no message shows whether a failed refund had succeeded before.

`order.refunded` and `order.updated` have the sum of all refunds, so they become nothing. Polar sends no event about a
payment that failed, a capture, or a dispute. It does not name the payment method either, so the customer's ID is the
token.

Source: Polar's own code (`polarsource/polar`, 2026-08): `server/polar/webhook`, `order`, `refund`, `dispute`,
`kit/currency.py`; its SDK for Python 1.0.2, models of 2026-04, 2026-10 and 2027-01.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ledger.formats.mapping import (
    UNDOCUMENTED,
    code,
    entry,
    integer,
    listed_decimals,
    major_units,
    microseconds,
    payment,
    upper,
)
from ledger.violations import InvalidEntryError, InvalidPaymentError, Violation

ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
TWO_DECIMAL = frozenset({"ISK", "UGX"})
"""Currencies by the decimals of Polar's integers, if ISO 4217 has others; Polar offers none with three. The units are
Stripe's, with which Polar charges. Source: `get_currency_decimal_factor` and `PresentmentCurrency`."""

_decimals = listed_decimals(zero=ZERO_DECIMAL, two=TWO_DECIMAL)
"""Decimals of a currency in Polar's integers."""


def start_input(message: Any, processor_id: str) -> dict[str, Any] | None:
    """Return the payment or the entry that an event reports, as the module describes it; None for any other event.

    A message does not show whether it is from Polar's sandbox, which has its own endpoints and secrets.

    Raises:
        InvalidInputError: the message is not an event with an object, or Polar's code does not define the unit of its
            amount.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    read = EVENTS.get(message["type"])
    if read is None:
        return None
    reported = message.get("data")
    if not isinstance(reported, dict):
        if read is _payment:
            raise InvalidPaymentError([Violation("Payment", "not_an_event")])
        raise InvalidEntryError([Violation("Entry", "not_an_event")])
    return read(reported, processor_id)


def _payment(order: dict[str, Any], processor_id: str) -> dict[str, Any] | None:
    """Return the payment of an order that is paid; None if nothing was due.

    `due_amount` is what was charged, after the customer's balance was applied. It does not fall to zero afterwards.
    The order does not have the time of its payment, so the time is that of its creation.
    """
    units = integer(order.get("due_amount"))
    if units == 0:
        return None
    currency = upper(order.get("currency"))
    return payment(
        processor_id,
        transaction_id=order.get("id"),
        token=order.get("customer_id"),
        status="Success",
        currency=currency,
        amount=lambda: major_units(units, currency, _decimals),
        timestamp=lambda: microseconds(order.get("created_at")),
        metadata={
            "polar.billing_reason": code(order.get("billing_reason")),
            "polar.checkout": code(order.get("checkout_id")),
            "polar.subscription": code(order.get("subscription_id")),
        },
    )


def _created_refund(refund: dict[str, Any], processor_id: str) -> dict[str, Any] | None:
    """Return the entry of a new refund; None if it failed at once."""
    return None if refund.get("status") in ("failed", "canceled") else _refund(refund, processor_id)


def _refund(refund: dict[str, Any], processor_id: str) -> dict[str, Any]:
    """Return the entry of a refund. `amount` is without the tax, which is paid back too."""
    kind = UNDOCUMENTED
    match refund.get("status"):
        case "pending" | "succeeded":
            kind = "Refunded"
        case "failed" | "canceled":
            kind = "RefundFailed"
    net, tax = integer(refund.get("amount")), integer(refund.get("tax_amount"))
    units = None if net is None or tax is None else net + tax
    currency = upper(refund.get("currency"))
    dispute = refund.get("dispute")
    return entry(
        processor_id,
        transaction_id=refund.get("order_id"),
        entry_id=refund.get("id"),
        kind=kind,
        currency=currency,
        amount=lambda: major_units(units, currency, _decimals),
        timestamp=lambda: microseconds(refund.get("created_at")),
        metadata={
            "polar.reason": code(refund.get("reason")),
            "polar.dispute": code(dispute.get("id")) if isinstance(dispute, dict) else None,
        },
    )


EVENTS: Mapping[str, Callable[[dict[str, Any], str], dict[str, Any] | None]] = {
    "order.paid": _payment,
    "refund.created": _created_refund,
    "refund.updated": _refund,
}
"""Types of the events that can report a payment or an entry, and the function that reads the event's object."""
