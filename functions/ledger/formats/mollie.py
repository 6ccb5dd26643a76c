"""Mollie's events with their entity: a payment that was paid or failed; its refunds and chargebacks are entries.

| event | start input |
|---|---|
| `payment.paid` | payment, `Success`, of what was captured |
| `payment.failed` | payment, `Failure` |
| `refund.processing`, `refund.refunded` | `Refunded` |
| `refund.failed` | `RefundFailed` |
| `chargeback.received` | `Disputed` |
| `chargeback.reversed` | `DisputeWon` |

All other events are ignored. A payment is `authorized` for as long as it can be captured, and then `paid`, which is
definitive. So `payment.paid` has the total of all captures, and `capture.succeeded` would add them twice. A refund that
is queued or pending has not left the balance, and can be canceled. A payment that failed never succeeds: the customer
who tries again makes another payment.

All events about one refund or chargeback show the same entity, whose `createdAt` is the time of the entry: a refund has
no time of its success or failure.

Only the type says what happened, because `status` repeats it. What Mollie computes in other fields (`amountRefunded`,
`amountRemaining`, `amountChargedBack`, `settlementAmount`) changes with time.

Source: Mollie's API reference, webhook event, payment, refund, chargeback and capture objects, and "Release payment
authorization"; its guides "Next-gen webhooks", "Handling payment status" (definitive statuses), "Refunds".
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ledger.formats.mapping import code, entry, member, payment
from ledger.violations import BrokenRuleError, InvalidEntryError, InvalidPaymentError, Violation

TOKENS = (("mandateId",), ("details", "cardFingerprint"), ("customerId",), ("profileId",))
"""Where a payment has the ID of what it was made with: the first that is present is the token.

A mandate is a stored method, and a fingerprint is a card. Most other payments name no method: then the customer stands
for it, and at last the profile, which every payment has.
"""

OBJECTS = {"payment": "tr_", "refund": "re_", "chargeback": "chb_", "capture": "cpt_"}
"""Objects that move money, and what their IDs begin with."""


def start_input(message: Any, processor_id: str, *, live: bool) -> dict[str, Any] | None:
    """Return the payment or the entry that an event reports, as the module describes it; None for any other event.

    An event without its entity cannot be completed, because nothing leaves the stack to ask Mollie. It is rejected if
    it is about an object that moves money; a test of the webhook is about none.

    A chargeback does not show its mode. Only the secret protects a ledger then: Mollie has one for each subscription,
    and a subscription is in one mode.

    Raises:
        InvalidInputError: the message is not an event, or has no entity, or no mode that Mollie documents; or a payment
            was paid and nothing captured.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    event_type, entity = message["type"], member(message, "_embedded", "entity")
    if not isinstance(entity, dict):
        _reject(event_type, message.get("entityId"))
        return None
    read, mode = EVENTS.get(event_type), entity.get("mode")
    if read is None or mode == ("test" if live else "live"):
        return None
    if mode not in ("live", "test") and (mode is not None or not event_type.startswith("chargeback.")):
        _reject(event_type, None)
    return read(_Report(message, entity, processor_id))


def _reject(event_type: str, entity_id: Any) -> None:
    """Raise an error if an event without its entity, or without a mode, is about an object that moves money."""
    for name, prefix in OBJECTS.items():
        if event_type.startswith(f"{name}.") or (isinstance(entity_id, str) and entity_id.startswith(prefix)):
            if name == "payment":
                raise InvalidPaymentError([Violation("Payment", "not_an_event")])
            raise InvalidEntryError([Violation("Entry", "not_an_event")])


class _Report(NamedTuple):
    """An event, its entity, and the processor that sent it."""

    event: dict[str, Any]
    entity: dict[str, Any]
    processor_id: str


def _paid(report: _Report) -> dict[str, Any]:
    """Return a payment of what was captured: if only a part was, `amount` still is what was authorised.

    A payment that is paid with a total of zero contradicts itself. It is rejected, because its record would stay.
    """
    captured = report.entity.get("amountCaptured")
    money = report.entity.get("amount") if captured is None else captured
    value = _text(member(money, "value"))

    def amount() -> str | None:
        if captured is not None and value is not None and not value.strip("0."):
            raise BrokenRuleError("cumulative_amount")
        return value

    return _payment(report, "Success", money, amount, report.entity.get("paidAt"))


def _failed(report: _Report) -> dict[str, Any]:
    money = report.entity.get("amount")
    return _payment(report, "Failure", money, lambda: _text(member(money, "value")), report.entity.get("failedAt"))


def _payment(report: _Report, status: str, money: Any, amount: Callable[[], str | None], time: Any) -> dict[str, Any]:
    event, entity, processor_id = report
    tokens = ((".".join(names), member(entity, *names)) for names in TOKENS)
    field, token = next(((field, value) for field, value in tokens if value is not None), (None, None))
    return payment(
        processor_id,
        transaction_id=entity.get("id"),
        token=token,
        status=status,
        currency=_text(member(money, "currency")),
        amount=amount,
        timestamp=lambda: time,
        metadata={
            "mollie.event": code(event.get("id")),
            "mollie.method": code(entity.get("method")),
            "mollie.reason": code(member(entity, "statusReason", "code")),
            "mollie.token": field if field != "mandateId" else None,
        },
    )


def _refunded(report: _Report) -> dict[str, Any]:
    return _entry(report, "Refunded", report.entity.get("createdAt"))


def _refund_failed(report: _Report) -> dict[str, Any]:
    return _entry(report, "RefundFailed", report.entity.get("createdAt"))


def _disputed(report: _Report) -> dict[str, Any]:
    return _entry(report, "Disputed", report.entity.get("createdAt"))


def _dispute_won(report: _Report) -> dict[str, Any]:
    return _entry(report, "DisputeWon", report.entity.get("reversedAt"))


def _entry(report: _Report, kind: str, time: Any) -> dict[str, Any]:
    event, entity, processor_id = report
    return entry(
        processor_id,
        transaction_id=entity.get("paymentId"),
        entry_id=entity.get("id"),
        kind=kind,
        currency=_text(member(entity, "amount", "currency")),
        amount=lambda: _text(member(entity, "amount", "value")),
        timestamp=lambda: time,
        metadata={"mollie.event": code(event.get("id")), "mollie.reason": code(member(entity, "reason", "code"))},
    )


def _text(value: Any) -> str | None:
    """Return text; None for anything else. Mollie writes amounts as text in major units."""
    return value if isinstance(value, str) else None


EVENTS: Mapping[str, Callable[[_Report], dict[str, Any]]] = {
    "payment.paid": _paid,
    "payment.failed": _failed,
    **dict.fromkeys(("refund.processing", "refund.refunded"), _refunded),
    "refund.failed": _refund_failed,
    "chargeback.received": _disputed,
    "chargeback.reversed": _dispute_won,
}
"""Types of the events that report a payment or an entry, and the function that reads the event's entity."""
