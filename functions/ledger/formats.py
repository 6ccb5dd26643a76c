"""Formats of webhooks: from a processor's own message to the contract's start input.

A format defines how a processor signs its messages and how it describes a payment. To add a format, add a function here
and its line in `FORMATS`. The contract checks the start input that the function returns.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger.currencies import MINOR_UNITS
from ledger.fields import MAX_CORRECTED_FIELDS, intended_field
from ledger.identifiers import ORIGINAL_TRANSACTION_ID, mapped_identifier
from ledger.payment import CONTRACT_FIELDS, valid_id
from ledger.signature import STANDARD_WEBHOOKS, STRIPE, Scheme
from ledger.violations import InvalidPaymentError, Violation


@dataclass(frozen=True, slots=True)
class Format:
    """The format of a processor. `start_input` returns None if a message is not about a payment's outcome."""

    scheme: Scheme
    start_input: Callable[[Any, str], dict[str, Any] | None]


def _from_contract_message(message: Any, processor_id: str) -> dict[str, Any] | None:
    """Return the message's payment, which is a start input already; None if the message is not about a payment.

    The contract's fields say what happened, and the type of the event does not. The type only ensures that a message of
    the group `payment` is never ignored.

    Raises:
        InvalidPaymentError: the message is not an object, or names another processor than the one that signed it.
    """
    if not isinstance(message, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_object")])
    payment = _payment_fields(message)
    if not _is_about_a_payment(message, payment):
        return None
    if payment.get("ProcessorID", processor_id) != processor_id:
        raise InvalidPaymentError(
            [Violation("ProcessorID", "another_processor")], transaction_id=valid_id(payment, "TransactionID")
        )
    return payment


def _payment_fields(message: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event's payment: its `data`, or its own fields without `type` and `timestamp`.

    Source: the Standard Webhooks specification, version 1.0.0, payload structure, which recommends both forms.
    """
    data = message.get("data")
    if isinstance(data, dict) and not any(name in CONTRACT_FIELDS for name in message):
        return data
    if isinstance(message.get("type"), str):
        return {name: value for name, value in message.items() if name not in {"type", "timestamp"}}
    return message


def _is_about_a_payment(message: dict[str, Any], content: dict[str, Any]) -> bool:
    """Return False for tests of the endpoint and for events about something else, which a processor sends as well.

    An event of another group may have fields like `status` of its own. A message without a type is either the
    contract's or a test, which has few fields. So if it has a misspelled field, it is a payment with an error.
    """
    if isinstance(message.get("type"), str):
        return bool(PAYMENT_EVENT.match(message["type"])) or any(name in CONTRACT_FIELDS for name in content)
    names = {*message, *content} - {"timestamp"}
    return len(names) > MAX_CORRECTED_FIELDS or any(intended_field(name, CONTRACT_FIELDS) for name in names)


PAYMENT_EVENT = re.compile(r"payments?([^a-z]|$)", re.IGNORECASE)
"""Beginning of the types of the group `payment`, however a sender separates their parts."""

STRIPE_ZERO_DECIMAL = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()  # as Stripe's page lists them
)
STRIPE_TWO_DECIMAL = frozenset({"ISK", "UGX"})
STRIPE_THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Currencies that Stripe's documentation lists, by the decimals of its integers. In all others they have two.

ISK and UGX have no minor unit, but Stripe writes them with two decimals, as special cases: its API accepts multiples of
100 only. The contract rejects any other amount by the rule `decimals`. Source: Stripe's documentation, currencies.
"""

STRIPE_EVENTS = frozenset({"charge.succeeded", "charge.captured", "charge.updated", "charge.failed"})
"""Events that can carry a payment's outcome."""


def _from_stripe_charge(message: Any, processor_id: str, *, live: bool) -> dict[str, Any] | None:
    """Return the payment of a charge that failed, or that succeeded and was finally captured; None for other events.

    A charge can be only authorised, or captured in several parts. Stripe sets `captured` once no more can be captured,
    and then `amount_captured` is the total. Before that, or if nothing was captured, there is no outcome. Test events
    are sent to live endpoints too. If a value is missing or has another type, the start input has null in its place,
    which the contract rejects by the name of the field.

    Source: Stripe's API reference, event and charge objects; its guides "Capture a payment multiple times" (webhooks),
    "Place a hold on a payment method", and Connect webhooks.

    Raises:
        InvalidPaymentError: the message is not an event about a charge, or Stripe's documentation does not define the
            unit of its amount.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    kind = message["type"]
    if kind not in STRIPE_EVENTS or message.get("livemode") is not live:
        return None
    charge = message["data"].get("object") if isinstance(message.get("data"), dict) else None
    if not isinstance(charge, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    status, captured = charge.get("status"), charge.get("captured")
    if kind == "charge.failed":
        status, amount = "Failure", _integer(charge.get("amount"))
    else:
        amount = _integer(charge.get("amount_captured")) if captured is True else None
        if status in ("pending", "failed") or captured is False or amount == 0:
            return None
        status = "Success" if status == "succeeded" else status
    charge_id = charge.get("id")
    transaction_id = mapped_identifier(charge_id) if isinstance(charge_id, str) else None
    currency = charge["currency"].upper() if isinstance(charge.get("currency"), str) else None
    token, made_with = _stripe_token(charge)
    metadata = {
        "stripe.event": message.get("id"),
        "stripe.payment_intent": charge.get("payment_intent"),
        "stripe.account": message.get("account"),
        "stripe.token": made_with if made_with != "payment_method" else None,
        ORIGINAL_TRANSACTION_ID: charge_id if transaction_id != charge_id else None,
    }
    payment = {
        "TransactionID": transaction_id,
        "SecureToken": token,
        "Currency": currency,
        "ProcessorID": processor_id,
        "Status": status,
        "Metadata": {name: text for name, text in metadata.items() if text is not None},
    }
    try:
        payment["Amount"] = _major_units(amount, currency)
        payment["Timestamp"] = _rfc_3339(_integer(charge.get("created")))
    except InvalidPaymentError as invalid:
        raise InvalidPaymentError(invalid.violations, transaction_id=valid_id(payment, "TransactionID")) from None
    return payment


def _stripe_token(charge: dict[str, Any]) -> tuple[Any, str | None]:
    """Return the ID that stands for the charge's payment method, and the charge's field that has the ID.

    No ID is invented. If a platform's transfer made a payment on a connected account (`py_…`), the payment has no
    payment method, and its source is the platform's account: then the ID is the transfer's. Charges of old API versions
    have a source, which is an object with an ID, or an ID.
    """
    for field in ("payment_method", "source_transfer", "source"):
        value = charge.get(field)
        if value is not None:
            return (value.get("id") if isinstance(value, dict) else value), field
    return None, None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _major_units(amount: int | None, currency: str | None) -> str | None:
    """Return Stripe's smallest units as decimal text, without superfluous decimals.

    Some currencies have other decimals in ISO 4217 than Stripe documents (IQD, for example), and Stripe does not charge
    in them. In a message with such a currency, the amount would be ambiguous.
    """
    if amount is None or currency is None:
        return None
    if currency in STRIPE_ZERO_DECIMAL:
        return str(amount)
    if currency in STRIPE_THREE_DECIMAL:
        decimals = 3
    elif currency in STRIPE_TWO_DECIMAL or MINOR_UNITS.get(currency, 2) == 2:  # the contract checks other codes
        decimals = 2
    else:
        raise InvalidPaymentError([Violation("Amount", "amount_unit")])
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
    "standard-webhooks": Format(STANDARD_WEBHOOKS, _from_contract_message),
    "stripe": Format(STRIPE, functools.partial(_from_stripe_charge, live=True)),
    "stripe-test": Format(STRIPE, functools.partial(_from_stripe_charge, live=False)),
}
"""Formats by the name that a processor's secret gives."""
