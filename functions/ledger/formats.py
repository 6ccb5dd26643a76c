"""What a webhook says: from a processor's own format to the contract's start input.

A format is how a processor signs and how it writes a payment down. To add one, add a function here and its line in
`FORMATS`; the contract judges what comes of it.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger.currencies import MINOR_UNITS
from ledger.payment import InvalidPaymentError, Violation, valid_id
from ledger.signature import STANDARD_WEBHOOKS, STRIPE, Scheme


@dataclass(frozen=True, slots=True)
class Format:
    """One processor's way; `start_input` gives None for a message that is not about a payment's outcome."""

    scheme: Scheme
    start_input: Callable[[Any, str], dict[str, Any] | None]


def _of_the_contract(message: Any, processor_id: str) -> dict[str, Any]:
    """The message is a start input already; it must be about the processor's own payment.

    Raises:
        InvalidPaymentError: it is no object, or names another processor than the one that signed it.
    """
    if not isinstance(message, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_object")])
    if message.get("ProcessorID", processor_id) != processor_id:
        raise InvalidPaymentError(
            [Violation("ProcessorID", "another_processor")], transaction_id=valid_id(message, "TransactionID")
        )
    return message


STRIPE_ZERO_DECIMAL = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()  # noqa: SIM905  # as Stripe's page lists them
)
STRIPE_THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
STRIPE_TWO_DECIMAL = frozenset({"ISK"} | {code for code, decimals in MINOR_UNITS.items() if decimals == 2})
"""ISK has no minor unit, and is written with two decimals all the same. Source: Stripe's documentation, currencies.

UGX is in none: that page counts it among the zero-decimal currencies, and says that it is written with two decimals.
Recording a hundredth or a hundredfold is no choice for a ledger, so such a charge is refused by `amount_unit`.
"""


def _of_a_stripe_charge(message: Any, processor_id: str, *, live: bool) -> dict[str, Any] | None:
    """An event about a charge that was captured or has failed. Others tell nothing of a payment's outcome.

    A charge can succeed and be authorised only: then it is told of when it is captured, for what is captured. Test
    events come to live endpoints too. What is missing or of another type is handed on as null, which the contract
    refuses by its field.

    Source: Stripe's API reference, event and charge objects; its guides on capturing later, and on Connect webhooks.

    Raises:
        InvalidPaymentError: it is no event, or nobody can tell how much its amount is.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    kind = message["type"]
    if kind not in {"charge.succeeded", "charge.captured", "charge.failed"} or message.get("livemode") is not live:
        return None
    charge = message["data"].get("object") if isinstance(message.get("data"), dict) else None
    if not isinstance(charge, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    if kind == "charge.succeeded" and charge.get("captured") is False:
        return None
    failed = kind == "charge.failed"
    currency = charge["currency"].upper() if isinstance(charge.get("currency"), str) else None
    metadata = {"stripe.event": message.get("id"), "stripe.payment_intent": charge.get("payment_intent")}
    payment = {
        "TransactionID": charge.get("id"),
        "SecureToken": charge.get("payment_method"),
        "Currency": currency,
        "ProcessorID": processor_id,
        "Status": "Failure" if failed else "Success",
        "Metadata": {name: text for name, text in metadata.items() if text is not None},
    }
    try:
        payment["Amount"] = _major_units(_integer(charge.get("amount" if failed else "amount_captured")), currency)
        payment["Timestamp"] = _rfc_3339(_integer(charge.get("created")))
    except InvalidPaymentError as refused:
        raise InvalidPaymentError(refused.violations, transaction_id=valid_id(payment, "TransactionID")) from None
    return payment


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _major_units(amount: int | None, currency: str | None) -> str | None:
    """Stripe's smallest units as decimal text, without superfluous decimals."""
    if amount is None or currency is None:
        return None
    if currency in STRIPE_ZERO_DECIMAL or currency not in MINOR_UNITS:  # the contract refuses the latter
        return str(amount)
    if currency not in STRIPE_TWO_DECIMAL | STRIPE_THREE_DECIMAL:
        raise InvalidPaymentError([Violation("Amount", "amount_unit")])
    decimals = 3 if currency in STRIPE_THREE_DECIMAL else 2
    whole, fraction = divmod(abs(amount), 10**decimals)
    kept = f"{fraction:0{decimals}d}".rstrip("0")
    return ("-" if amount < 0 else "") + (f"{whole}.{kept}" if kept else f"{whole}")


def _rfc_3339(unix_s: int | None) -> str | None:
    if unix_s is None:
        return None
    try:
        return datetime.fromtimestamp(unix_s, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise InvalidPaymentError([Violation("Timestamp", "timestamp_range")]) from None


FORMATS: Mapping[str, Format] = {
    "standard-webhooks": Format(STANDARD_WEBHOOKS, _of_the_contract),
    "stripe": Format(STRIPE, functools.partial(_of_a_stripe_charge, live=True)),
    "stripe-test": Format(STRIPE, functools.partial(_of_a_stripe_charge, live=False)),
}
"""By the name that a processor's secret has for its format."""
