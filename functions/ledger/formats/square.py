"""Square's events: a payment becomes a payment; a refund or a dispute becomes an entry of its payment.

| event | condition | start input |
|---|---|---|
| `payment.created`, `payment.updated` | `COMPLETED` | payment, `Success` |
| the same | `FAILED` | payment, `Failure` |
| the same | `APPROVED`, `PENDING`, `CANCELED` | none: no money was taken |
| `refund.created`, `refund.updated` | `COMPLETED` | `Refunded` |
| the same | `FAILED` or `REJECTED`, with a fee | `RefundFailed` |
| the same | `FAILED` or `REJECTED`, without a fee; `PENDING` | none: no money was paid back |
| `dispute.created`, `dispute.state.updated`, `dispute.state.changed` | `EVIDENCE_REQUIRED`, `PROCESSING` | `Disputed` |
| the same | `WON` | `DisputeWon` |
| the same | `LOST`, `ACCEPTED` | `DisputeLost` |
| the same | `INQUIRY_…` | none: no money is withheld |

Any other status or state is rejected by the rule `status` or `kind`: it could mean that money moved.

Square sends an event for every change of a payment, also for a fee or a refund. So nothing here depends on what such a
change changes: `updated_at`, `version`, `processing_fee`, and `refunded_money`, which is a running total. `created_at`
never changes, so it is the time of all entries of one refund or dispute, and of a payment that is completed later.

A payment is captured once, in full, with its final `total_money`, which has the tip. So no event becomes `Captured` or
`Voided`. `COMPLETED`, `CANCELED` and `FAILED` are final: a payment that failed never succeeds under the same ID.

No message shows a test mode: the sandbox has a subscription and a key of its own.

Source: Square's connect-api-specification, release 2025-08-20, Payment, PaymentRefund, Dispute, DisputeState and the
examples of their events; Square's pages "Payments API webhooks", "Refunds API webhooks" and "Disputes API overview"; a
post of Square's staff in its developer forum, 2026-11-23, on inquiries that become chargebacks under the same ID.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ledger.formats.mapping import (
    UNDOCUMENTED,
    code,
    entry,
    first_text,
    integer,
    iso_decimals,
    major_units,
    member,
    microseconds,
    payment,
    upper,
)
from ledger.violations import InvalidEntryError, InvalidPaymentError, Violation

CURRENCIES = frozenset({"AUD", "CAD", "EUR", "GBP", "JPY", "USD"})
"""Currencies whose smallest unit Square documents: ISO 4217's. Source: "Working with monetary amounts"."""

STATUSES: Mapping[str | None, str | None] = {
    "COMPLETED": "Success",
    "FAILED": "Failure",
    **dict.fromkeys(("APPROVED", "PENDING", "CANCELED")),
}
DISPUTES: Mapping[str | None, str | None] = {
    **dict.fromkeys(("EVIDENCE_REQUIRED", "PROCESSING"), "Disputed"),
    "WON": "DisputeWon",
    **dict.fromkeys(("LOST", "ACCEPTED"), "DisputeLost"),
    **dict.fromkeys(("INQUIRY_EVIDENCE_REQUIRED", "INQUIRY_PROCESSING", "INQUIRY_CLOSED")),
}
"""What the statuses of payments and the states of disputes mean; None if no money moved."""


def start_input(message: Any, processor_id: str) -> dict[str, Any] | None:
    """Return the payment or the entry that an event reports, as the module describes it; None for any other event.

    If a value is missing or has another type, the start input has null in its place, which the contract rejects by the
    name of the field. So a refund of no payment (`unlinked`) is rejected by its TransactionID.

    Raises:
        InvalidInputError: the message is not an event with its object, or Square's documentation does not define the
            unit of its amount.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    if message["type"] not in EVENTS:
        return None
    name, read = EVENTS[message["type"]]
    reported = member(message, "data", "object", name)
    if not isinstance(reported, dict):
        if read is _payment:
            raise InvalidPaymentError([Violation("Payment", "not_an_event")])
        raise InvalidEntryError([Violation("Entry", "not_an_event")])
    return read(message, reported, processor_id)


def _payment(event: dict[str, Any], paid: dict[str, Any], processor_id: str) -> dict[str, Any] | None:
    status = STATUSES.get(code(paid.get("status")), UNDOCUMENTED)
    if status is None:
        return None
    token, field = _token(paid)
    currency, amount = _money(paid.get("total_money"))
    return payment(
        processor_id,
        transaction_id=paid.get("id"),
        token=token,
        status=status,
        currency=currency,
        amount=amount,
        timestamp=lambda: microseconds(paid.get("created_at")),
        metadata={
            **_source(event, paid),
            "square.order": code(paid.get("order_id")) if field != "order_id" else None,
            "square.token": field if field != "card_details.card.id" else None,
        },
    )


def _token(paid: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the ID of what the payment was made with, and the field that has it.

    Only a card on file has an ID. Square derives a fingerprint from a card's or an account's number. The other sources
    have no ID: a wallet, a purchase that is paid later, cash, and what the seller took elsewhere. For them the order
    stands in, which every payment has. Source: connect-api-specification, Payment; "Refunds API webhooks".
    """
    fields = (
        "card_details.card.id",
        "card_details.card.fingerprint",
        "bank_account_details.fingerprint",
        "square_account_details.payment_source_token",
        "order_id",
    )
    return first_text({field: member(paid, *field.split(".")) for field in fields})


def _refund(event: dict[str, Any], refund: dict[str, Any], processor_id: str) -> dict[str, Any] | None:
    """Return the entry of a refund that was paid back, or that failed after that; None for any other.

    A refund that fails while it is pending has moved nothing, and Square documents no later failure. If one comes all
    the same, only a fee shows it: Square assesses fees when it carries a refund out. Such a failure undoes the recorded
    refund, and is refused visibly if there is none.
    """
    status = refund.get("status")
    if status in ("FAILED", "REJECTED"):
        kind = "RefundFailed" if refund.get("processing_fee") else None
    elif status == "PENDING":
        kind = None
    else:
        kind = "Refunded" if status == "COMPLETED" else UNDOCUMENTED
    return _entry(event, refund, processor_id, kind=kind, payment_id=refund.get("payment_id"))


def _dispute(event: dict[str, Any], dispute: dict[str, Any], processor_id: str) -> dict[str, Any] | None:
    """Return the entry of a dispute whose money is withheld, or that was decided; None for an inquiry.

    From the chargeback until the decision, Square withholds the disputed amount. `dispute.state.changed` is the older
    form of `dispute.state.updated`, with the same values, and the ID under another name.
    """
    kind = DISPUTES.get(code(dispute.get("state")), UNDOCUMENTED)
    payment_id = member(dispute, "disputed_payment", "payment_id")
    return _entry(event, dispute, processor_id, kind=kind, payment_id=payment_id)


def _entry(
    event: dict[str, Any], reported: dict[str, Any], processor_id: str, *, kind: str | None, payment_id: Any
) -> dict[str, Any] | None:
    """Return an entry of this kind; None if it has none. The reason of a refund is free text, and is not kept."""
    if kind is None:
        return None
    currency, amount = _money(reported.get("amount_money"))
    return entry(
        processor_id,
        transaction_id=payment_id,
        entry_id=reported.get("id") or reported.get("dispute_id"),
        kind=kind,
        currency=currency,
        amount=amount,
        timestamp=lambda: microseconds(reported.get("created_at")),
        metadata={
            **_source(event, reported),
            "square.reason": code(reported.get("reason")) if "state" in reported else None,
        },
    )


def _source(event: dict[str, Any], reported: dict[str, Any]) -> dict[str, str | None]:
    """Return the metadata that name the event, the seller and the location."""
    return {
        "square.event": code(event.get("event_id")),
        "square.merchant": code(event.get("merchant_id")),
        "square.location": code(reported.get("location_id") or event.get("location_id")),
    }


def _money(money: Any) -> tuple[str | None, Callable[[], str | None]]:
    """Return the currency of an amount, and a function that returns the amount in major units."""
    currency, units = upper(member(money, "currency")), integer(member(money, "amount"))
    return currency, lambda: major_units(units, currency, _decimals)


def _decimals(currency: str) -> int | None:
    return iso_decimals(currency) if currency in CURRENCIES else None


EVENTS: Mapping[str, tuple[str, Callable[[dict[str, Any], dict[str, Any], str], dict[str, Any] | None]]] = {
    **dict.fromkeys(("payment.created", "payment.updated"), ("payment", _payment)),
    **dict.fromkeys(("refund.created", "refund.updated"), ("refund", _refund)),
    **dict.fromkeys(("dispute.created", "dispute.state.updated", "dispute.state.changed"), ("dispute", _dispute)),
}
"""Types of the events that can report a payment or an entry, each with the name and the reader of its object."""
