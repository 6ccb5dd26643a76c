"""What a webhook says: from a processor's own format to the contract's start input.

A format is how a processor signs and how it writes a payment down. To add one, add a function here and its line in
`FORMATS`; the contract judges what comes of it.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger.currencies import MINOR_UNITS
from ledger.identifiers import ORIGINAL_TRANSACTION_ID, mapped_identifier
from ledger.payment import CONTRACT_FIELDS, MAX_GUESSED, InvalidPaymentError, Violation, meant_field, valid_id
from ledger.signature import STANDARD_WEBHOOKS, STRIPE, Scheme


@dataclass(frozen=True, slots=True)
class Format:
    """One processor's way; `start_input` gives None for a message that is not about a payment's outcome."""

    scheme: Scheme
    start_input: Callable[[Any, str], dict[str, Any] | None]


def _of_the_contract(message: Any, processor_id: str) -> dict[str, Any] | None:
    """Return the message's payment, which is a start input already; None if the message is not about a payment.

    The type of an event does not decide what is recorded: the contract's fields say what happened. It only decides
    that a message of the group `payment` is never ignored.

    Raises:
        InvalidPaymentError: the message is not an object, or names another processor than the one that signed it.
    """
    if not isinstance(message, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_object")])
    payment = _content(message)
    if not _is_about_a_payment(message, payment):
        return None
    if payment.get("ProcessorID", processor_id) != processor_id:
        raise InvalidPaymentError(
            [Violation("ProcessorID", "another_processor")], transaction_id=valid_id(payment, "TransactionID")
        )
    return payment


def _content(message: dict[str, Any]) -> dict[str, Any]:
    """Return what an event says: its `data`, or its own fields beside `type` and `timestamp`.

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

    An event of another group may have fields like `status` of its own. A message without a type is the contract's, or
    a test, which has few fields: there, a misspelled field is a payment that went wrong.
    """
    if isinstance(message.get("type"), str):
        return bool(PAYMENT_EVENT.match(message["type"])) or any(name in CONTRACT_FIELDS for name in content)
    names = {*message, *content} - {"timestamp"}
    return len(names) > MAX_GUESSED or any(map(meant_field, names))


PAYMENT_EVENT = re.compile(r"payments?([^a-z]|$)", re.IGNORECASE)
"""How the types of the group `payment` begin, however a sender separates their parts."""

STRIPE_ZERO_DECIMAL = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()  # as Stripe's page lists them
)
STRIPE_TWO_DECIMAL = frozenset({"ISK", "UGX"})
STRIPE_THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""How many decimals Stripe's integers have in the currencies that Stripe's documentation, currencies, lists; in all
others they have two.

ISK and UGX have no minor unit, and Stripe writes them with two decimals all the same, as special cases: its API takes
multiples of 100 only. The contract refuses any other amount by `decimals`.
"""

STRIPE_EVENTS = frozenset({"charge.succeeded", "charge.captured", "charge.updated", "charge.failed"})
"""The events that can carry a payment's outcome."""


def _of_a_stripe_charge(message: Any, processor_id: str, *, live: bool) -> dict[str, Any] | None:
    """Return the payment of a charge that failed, or that succeeded and was captured for good; None for other events.

    A charge can be authorised only, or captured in several parts: Stripe sets `captured` once no more can be captured,
    and `amount_captured` is then the total. Before that, or if nothing was captured, there is no outcome. Test events
    come to live endpoints too. What is missing or of another type is handed on as null, which the contract refuses by
    its field.

    Source: Stripe's API reference, event and charge objects; its guides "Capture a payment multiple times" (webhooks),
    "Place a hold on a payment method", and Connect webhooks.

    Raises:
        InvalidPaymentError: it is not an event about a charge, or Stripe's documentation does not say how much its
            amount is.
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
    except InvalidPaymentError as refused:
        raise InvalidPaymentError(refused.violations, transaction_id=valid_id(payment, "TransactionID")) from None
    return payment


def _stripe_token(charge: dict[str, Any]) -> tuple[Any, str | None]:
    """Return the ID of what the charge was made with, and the charge's field that has it; nothing is made up.

    A payment on a connected account that the platform's transfer made (`py_…`) has no payment method, and the
    platform's account for a source: the transfer is what made it. Charges of old API versions have a source, which
    is an object with an ID, or an ID.
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

    Stripe does not charge in the currencies whose ISO 4217 decimals are others than those it documents (IQD, for one):
    a message with such a currency says two things about its amount.
    """
    if amount is None or currency is None:
        return None
    if currency in STRIPE_ZERO_DECIMAL:
        return str(amount)
    if currency in STRIPE_THREE_DECIMAL:
        decimals = 3
    elif currency in STRIPE_TWO_DECIMAL or MINOR_UNITS.get(currency, 2) == 2:  # the contract judges other codes
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
    "standard-webhooks": Format(STANDARD_WEBHOOKS, _of_the_contract),
    "stripe": Format(STRIPE, functools.partial(_of_a_stripe_charge, live=True)),
    "stripe-test": Format(STRIPE, functools.partial(_of_a_stripe_charge, live=False)),
}
"""By the name that a processor's secret has for its format."""
