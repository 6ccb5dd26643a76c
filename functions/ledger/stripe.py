"""Stripe's events: a charge becomes a payment; a refund or a dispute becomes an entry of its charge's payment.

| event | condition | start input |
|---|---|---|
| `charge.succeeded`, `.captured`, `.updated` | succeeded, and no more can be captured | payment, `Success` |
| `charge.failed` | | payment, `Failure` |
| `refund.created`, `.updated`, `.failed`, `charge.refund.updated` | money left the balance | `Refunded` |
| the same | the money is back in the balance | `RefundFailed` |
| `charge.dispute.created` | money left the balance | `Disputed` |
| `charge.dispute.funds_withdrawn` | | `Disputed` |
| `charge.dispute.funds_reinstated` | | `DisputeWon` |
| `charge.dispute.closed` | won, and the money is back in the balance | `DisputeWon` |
| `charge.dispute.closed` | lost, and money stays away | `DisputeLost` |

Each message is read alone, and messages may come twice, late and in any order. So an entry depends only on what every
event about its fact shows in the same way: never on an event's own ID or time, except in the metadata. Stripe sends
several events about one fact (a refund that fails has three), and sometimes two of one type.

No event becomes `Captured` or `Voided`. The payment is recorded after its last capture with the total, so its captures
would be added twice, and what was not captured is not in the ledger. `amount_captured` and `amount_refunded` are
totals, so `charge.refunded` becomes nothing either.

Source: Stripe's API reference, event, charge, refund and dispute objects; its pages "Types of events", "Receive Stripe
events in your webhook endpoint" (duplicate events), "Refund and cancel payments", and those named below.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ledger.currencies import MINOR_UNITS
from ledger.entry import KIND_BEFORE
from ledger.identifiers import ORIGINAL_TRANSACTION_ID, mapped_identifier
from ledger.payment import valid_id
from ledger.violations import InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation

ZERO_DECIMAL = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()  # as Stripe's page lists them
)
TWO_DECIMAL = frozenset({"ISK", "UGX"})
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Currencies that Stripe's documentation lists, by the decimals of its integers. In all others they have two.

ISK and UGX have no minor unit, but Stripe writes them with two decimals, as special cases: its API accepts multiples of
100 only. The contract rejects any other amount by the rule `decimals`. Source: Stripe's documentation, currencies.
"""

ORIGINAL_ENTRY_ID = "original.EntryID"
"""Metadata key that keeps the ID of Stripe's refund or dispute if the EntryID is mapped."""

SUFFIXES = {"RefundFailed": "_failed", "DisputeWon": "_won", "DisputeLost": "_lost"}
"""What follows the ID of a refund or dispute in the EntryID of an entry that undoes or decides another one."""

REASON = re.compile(r"[a-z_]{1,64}")
"""Form of Stripe's reasons of refunds, failures and disputes. Anything else could be free text."""


def from_stripe_event(message: Any, processor_id: str, *, live: bool) -> dict[str, Any] | None:
    """Return the payment or the entry that an event reports, as the module describes it; None for any other event.

    Test events are sent to live endpoints too. If a value is missing or has another type, the start input has null in
    its place, which the contract rejects by the name of the field. So a refund that belongs to no charge is rejected by
    its TransactionID. Source: Stripe's guide "Connect webhooks", and its API reference.

    Raises:
        InvalidInputError: the message is not an event with an object, or Stripe's documentation does not define the
            unit of its amount, or its time is out of range.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InvalidPaymentError([Violation("Payment", "not_an_event")])
    read = EVENTS.get(message["type"])
    if read is None or message.get("livemode") is not live:
        return None
    reported = message["data"].get("object") if isinstance(message.get("data"), dict) else None
    if not isinstance(reported, dict):
        if read is _payment:
            raise InvalidPaymentError([Violation("Payment", "not_an_event")])
        raise InvalidEntryError([Violation("Entry", "not_an_event")])
    return read(_Report(message, reported, processor_id))


class _Report(NamedTuple):
    """An event, the object that it is about, and the processor that sent it."""

    event: dict[str, Any]
    object: dict[str, Any]
    processor_id: str


def _payment(report: _Report) -> dict[str, Any] | None:
    """Return the payment of a charge that failed, or that succeeded and was finally captured; None for any other.

    A charge can be only authorised, or captured in several parts. Stripe sets `captured` once no more can be captured,
    and then `amount_captured` is the total. Before that, or if nothing was captured, there is no outcome.

    Source: Stripe's guides "Capture a payment multiple times" (webhooks) and "Place a hold on a payment method".
    """
    event, charge, processor_id = report
    status, captured = charge.get("status"), charge.get("captured")
    if event["type"] == "charge.failed":
        status, units = "Failure", _integer(charge.get("amount"))
    else:
        units = _integer(charge.get("amount_captured")) if captured is True else None
        if status in ("pending", "failed") or captured is False or units == 0:
            return None
        status = "Success" if status == "succeeded" else status
    charge_id = charge.get("id")
    transaction_id = _mapped(charge_id)
    token, made_with = _token(charge)
    payment = {
        "TransactionID": transaction_id,
        "SecureToken": token,
        "Currency": _currency(charge),
        "ProcessorID": processor_id,
        "Status": status,
        "Metadata": _present(
            {
                "stripe.event": event.get("id"),
                "stripe.payment_intent": charge.get("payment_intent"),
                "stripe.account": event.get("account"),
                "stripe.token": made_with if made_with != "payment_method" else None,
                ORIGINAL_TRANSACTION_ID: charge_id if transaction_id != charge_id else None,
            }
        ),
    }
    return _completed(payment, units, charge.get("created"), InvalidPaymentError)


def _token(charge: dict[str, Any]) -> tuple[Any, str | None]:
    """Return the ID that stands for the charge's payment method, and the charge's field that has the ID.

    No ID is invented. If a platform's transfer made a payment on a connected account (`py_…`), the payment has no
    payment method, and its source is the platform's account: then the ID is the transfer's. Charges of old API versions
    have a source, which is an object with an ID, or an ID.
    """
    for field in ("payment_method", "source_transfer", "source"):
        value = charge.get(field)
        if value is not None:
            return _id_in(value), field
    return None, None


def _refund(report: _Report) -> dict[str, Any] | None:
    """Return the entry of a refund that took money from the balance, or whose money came back; None for any other.

    The status does not show what happened to the money. The release of an authorisation is a refund that succeeded, and
    moved nothing. A refund to a bank takes the money while it is pending. One that succeeded may require action again,
    and fail then; one that waits for funds may fail without ever taking any. The two balance transactions show it, in
    every event alike: `balance_transaction` that the money left, and `failure_balance_transaction`, after a failure or
    a cancellation, that it came back. So before each `RefundFailed`, Stripe has sent an event that is `Refunded`.

    Both have the time at which the refund was created: the refund has no time of its failure.

    Source: Stripe's page "Refund and cancel payments" (failed refunds, cancellations, refunds that require action) and
    its API's changelog, 2024-10-28.acacia (events of all refunds). Its API's fixtures have a refund of an uncaptured
    charge: it succeeded, without a balance transaction.
    """
    refund = report.object
    if refund.get("balance_transaction") is None:
        return None
    if refund.get("failure_balance_transaction") is not None:
        kind = "RefundFailed"
    elif refund.get("status") in ("failed", "canceled"):
        return None
    else:
        kind = "Refunded"
    return _entry(report, kind, _integer(refund.get("amount")), refund.get("created"))


class _Funds(NamedTuple):
    """What Stripe has taken for a dispute, and what it has given back, in units of the dispute's currency.

    The times are those of the balance transactions. What the message does not show is None.
    """

    taken: int | None
    taken_at: Any
    returned: int | None
    returned_at: Any


UNREADABLE = _Funds(None, None, None, None)


def _funds(dispute: dict[str, Any]) -> _Funds:
    """Return what the dispute's balance transactions show; `UNREADABLE` if one of them has no amount.

    There are none for an inquiry, otherwise a withdrawal, and a reinstatement after it. If there were more, the entry
    would have another amount than the recorded one, and the ledger would report the conflict.

    A balance may have another currency than the dispute. Then the withdrawal stands for the dispute's amount. The
    reinstatement does too, if the dispute is won, or if it is as large. Otherwise it is a part, or has another exchange
    rate, and nothing shows which.

    Source: Stripe's API reference, dispute object, `balance_transactions`; its page "Conversions on disputes and
    refunds"; Stripe Support, "Dispute for full charge amount after a partial refund was issued": a dispute that is lost
    may be reinstated in part.
    """
    transactions = dispute.get("balance_transactions")
    if not isinstance(transactions, list) or not all(map(_has_amount, transactions)):
        return UNREADABLE
    withdrawn = [one for one in transactions if one["amount"] < 0]
    reinstated = [one for one in transactions if one["amount"] > 0]
    taken: int | None = -sum(one["amount"] for one in withdrawn)
    returned: int | None = sum(one["amount"] for one in reinstated)
    if any(one.get("currency") != dispute.get("currency") for one in transactions):
        units = _integer(dispute.get("amount"))
        if reinstated:
            returned = units if dispute.get("status") == "won" or returned == taken else None
        taken = units if withdrawn else 0
    taken_at = withdrawn[0].get("created") if withdrawn else None
    return _Funds(taken, taken_at, returned, reinstated[0].get("created") if reinstated else None)


def _has_amount(transaction: Any) -> bool:
    return isinstance(transaction, dict) and _integer(transaction.get("amount")) is not None


def _disputed(report: _Report) -> dict[str, Any] | None:
    """Return the entry of a dispute that took money from the balance; None for an inquiry, which takes none.

    `charge.dispute.created` is also sent before the money is taken. `charge.dispute.funds_withdrawn` says that it was.

    Source: Stripe's page "Testing use cases" (charge inquiry opened, inquiry lost).
    """
    event, dispute, _ = report
    taken, taken_at, *_ = _funds(dispute)
    if taken == 0:
        if event["type"] == "charge.dispute.created":
            return None
        taken, taken_at = _integer(dispute.get("amount")), dispute.get("created")
    return _entry(report, "Disputed", taken, taken_at)


def _dispute_won(report: _Report) -> dict[str, Any] | None:
    """Return the entry of a dispute whose money came back, or a part of it; None if only its end will show which.

    After the end, nothing will show it any more: then the entry has no amount, so that an operator learns of it.
    """
    funds = _funds(report.object)
    if funds.returned is None and funds is not UNREADABLE and report.object.get("status") != "lost":
        return None
    return _entry(report, "DisputeWon", funds.returned or None, funds.returned_at)


def _dispute_closed(report: _Report) -> dict[str, Any] | None:
    """Return the entry of a dispute that was won or lost; None if it moved no money, or if no money stays away.

    A dispute that is won comes here too, and is the same entry as `charge.dispute.funds_reinstated`. What stays away
    after a loss has the time at which it was taken: the dispute has no time of its end.
    """
    funds, status = _funds(report.object), report.object.get("status")
    if status == "won" and funds.returned != 0:
        return _dispute_won(report)
    if status != "lost" or funds.taken == 0:
        return None
    left = None if funds.taken is None or funds.returned is None else funds.taken - funds.returned
    if left is not None and left <= 0:
        return None
    return _entry(report, "DisputeLost", left, funds.taken_at)


def _entry(report: _Report, kind: str, units: int | None, seconds: Any) -> dict[str, Any]:
    """Return an entry of the charge's payment.

    The EntryID is the ID of the refund or dispute for what it took, and has a suffix for what undoes or decides that.
    The metadata are few: even with the longest IDs of Stripe, they are small enough for an entry.
    """
    event, reported, processor_id = report
    charge_id, reported_id = _id_in(reported.get("charge")), reported.get("id")
    full_id = f"{reported_id}{SUFFIXES.get(kind, '')}" if isinstance(reported_id, str) else None
    transaction_id, entry_id = _mapped(charge_id), _mapped(full_id)
    reason = reported.get("failure_reason" if kind == "RefundFailed" else "reason")
    entry = {
        "TransactionID": transaction_id,
        "EntryID": entry_id,
        "Kind": kind,
        "Currency": _currency(reported),
        "ProcessorID": processor_id,
        "Metadata": _present(
            {
                "stripe.event": event.get("id"),
                "stripe.reason": reason if isinstance(reason, str) and REASON.fullmatch(reason) else None,
                ORIGINAL_TRANSACTION_ID: charge_id if transaction_id not in (None, charge_id) else None,
                ORIGINAL_ENTRY_ID: reported_id if entry_id != full_id else None,
            }
        ),
    }
    if kind in KIND_BEFORE:
        entry["Reverses"] = _mapped(reported_id)
    return _completed(entry, units, seconds, InvalidEntryError)


def _completed(
    start_input: dict[str, Any], units: int | None, seconds: Any, error: type[InvalidInputError]
) -> dict[str, Any]:
    """Return the start input with its amount and its time, from Stripe's units and a Unix time.

    Raises:
        InvalidInputError: an *error*, as `from_stripe_event` describes it.
    """
    try:
        start_input["Amount"] = _major_units(units, start_input["Currency"])
        start_input["Timestamp"] = _rfc_3339(_integer(seconds))
    except InvalidInputError as invalid:
        ids = {"transaction_id": valid_id(start_input, "TransactionID"), "entry_id": valid_id(start_input, "EntryID")}
        raise error(invalid.violations, **ids) from None
    return start_input


def _present(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: text for name, text in metadata.items() if text is not None}


def _id_in(value: Any) -> Any:
    """Return the ID of an object that Stripe may have expanded."""
    return value.get("id") if isinstance(value, dict) else value


def _mapped(original: Any) -> str | None:
    return mapped_identifier(original) if isinstance(original, str) else None


def _currency(reported: dict[str, Any]) -> str | None:
    currency = reported.get("currency")
    return currency.upper() if isinstance(currency, str) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _major_units(units: int | None, currency: str | None) -> str | None:
    """Return Stripe's smallest units as decimal text, without superfluous decimals.

    Some currencies have other decimals in ISO 4217 than Stripe documents (IQD, for example), and Stripe does not charge
    in them. In a message with such a currency, the amount would be ambiguous.
    """
    if units is None or currency is None:
        return None
    if currency in ZERO_DECIMAL:
        return str(units)
    if currency in THREE_DECIMAL:
        decimals = 3
    elif currency in TWO_DECIMAL or MINOR_UNITS.get(currency, 2) == 2:  # the contract checks other codes
        decimals = 2
    else:
        raise InvalidInputError([Violation("Amount", "amount_unit")])
    whole, fraction = divmod(abs(units), 10**decimals)
    kept = f"{fraction:0{decimals}d}".rstrip("0")
    return ("-" if units < 0 else "") + (f"{whole}.{kept}" if kept else f"{whole}")


def _rfc_3339(unix_s: int | None) -> str | None:
    if unix_s is None:
        return None
    try:
        return datetime.fromtimestamp(unix_s, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise InvalidInputError([Violation("Timestamp", "timestamp_range")]) from None


EVENTS: Mapping[str, Callable[[_Report], dict[str, Any] | None]] = {
    **dict.fromkeys(("charge.succeeded", "charge.captured", "charge.updated", "charge.failed"), _payment),
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"), _refund),
    "charge.dispute.created": _disputed,
    "charge.dispute.funds_withdrawn": _disputed,
    "charge.dispute.funds_reinstated": _dispute_won,
    "charge.dispute.closed": _dispute_closed,
}
"""Types of the events that can report a payment or an entry, and the function that reads the event's object."""
