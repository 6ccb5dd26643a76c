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
from typing import Any, NamedTuple

from ledger.formats.mapping import entry, integer, listed_decimals, major_units, member, payment, unix_time, upper
from ledger.violations import InvalidEntryError, InvalidPaymentError, Violation

ZERO_DECIMAL = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()  # as Stripe's page lists them
)
TWO_DECIMAL = frozenset({"ISK", "UGX"})
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Currencies that Stripe's documentation lists, by the decimals of its integers. In all others they have two.

ISK and UGX have no minor unit, but Stripe writes them with two decimals, as special cases: its API accepts multiples of
100 only. The contract rejects any other amount by the rule `decimals`. Source: Stripe's documentation, currencies.
"""

REASON = re.compile(r"[a-z_]{1,64}")
"""Form of Stripe's reasons of refunds, failures and disputes. Anything else could be free text."""

_decimals = listed_decimals(zero=ZERO_DECIMAL, three=THREE_DECIMAL, two=TWO_DECIMAL)
"""Decimals of a currency in Stripe's integers. Some currencies have other decimals in ISO 4217 than Stripe documents
(IQD, for example), and Stripe does not charge in them."""


def start_input(message: Any, processor_id: str, *, live: bool) -> dict[str, Any] | None:
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
    kind = message["type"].removeprefix("v1.")  # a thin event's type begins with it, and such an event has no object
    read = EVENTS.get(kind)
    if read is None or message.get("livemode") is not live:
        return None
    reported = member(message, "data", "object")
    if not isinstance(reported, dict) or kind != message["type"]:
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
        status, units = "Failure", integer(charge.get("amount"))
    else:
        units = integer(charge.get("amount_captured")) if captured is True else None
        if status in ("pending", "failed") or captured is False or units == 0:
            return None
        status = "Success" if status == "succeeded" else status
    token, made_with = _token(charge)
    currency = upper(charge.get("currency"))
    return payment(
        processor_id,
        transaction_id=charge.get("id"),
        token=token,
        status=status,
        currency=currency,
        amount=lambda: major_units(units, currency, _decimals),
        timestamp=lambda: unix_time(integer(charge.get("created"))),
        metadata={
            "stripe.event": event.get("id"),
            "stripe.payment_intent": charge.get("payment_intent"),
            "stripe.account": event.get("account"),
            "stripe.token": made_with if made_with != "payment_method" else None,
        },
    )


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
    return _entry(report, kind, integer(refund.get("amount")), refund.get("created"))


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
        units = integer(dispute.get("amount"))
        if reinstated:
            returned = units if dispute.get("status") == "won" or returned == taken else None
        taken = units if withdrawn else 0
    taken_at = withdrawn[0].get("created") if withdrawn else None
    return _Funds(taken, taken_at, returned, reinstated[0].get("created") if reinstated else None)


def _has_amount(transaction: Any) -> bool:
    return isinstance(transaction, dict) and integer(transaction.get("amount")) is not None


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
        taken, taken_at = integer(dispute.get("amount")), dispute.get("created")
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
    currency = upper(reported.get("currency"))
    reason = reported.get("failure_reason" if kind == "RefundFailed" else "reason")
    return entry(
        processor_id,
        transaction_id=_id_in(reported.get("charge")),
        entry_id=reported.get("id"),
        kind=kind,
        currency=currency,
        amount=lambda: major_units(units, currency, _decimals),
        timestamp=lambda: unix_time(integer(seconds)),
        metadata={
            "stripe.event": event.get("id"),
            "stripe.reason": reason if isinstance(reason, str) and REASON.fullmatch(reason) else None,
        },
    )


def _id_in(value: Any) -> Any:
    """Return the ID of an object that Stripe may have expanded."""
    return value.get("id") if isinstance(value, dict) else value


EVENTS: Mapping[str, Callable[[_Report], dict[str, Any] | None]] = {
    **dict.fromkeys(("charge.succeeded", "charge.captured", "charge.updated", "charge.failed"), _payment),
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"), _refund),
    "charge.dispute.created": _disputed,
    "charge.dispute.funds_withdrawn": _disputed,
    "charge.dispute.funds_reinstated": _dispute_won,
    "charge.dispute.closed": _dispute_closed,
}
"""Types of the events that can report a payment or an entry, and the function that reads the event's object."""
