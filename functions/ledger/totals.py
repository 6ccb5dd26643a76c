"""A payment's totals: what was captured, refunded and disputed, after each entry.

The arithmetic is exact: amounts become whole numbers of the smallest unit that any of them has. No float is on the way.
This module knows nothing of AWS.

A recorded payment with the status `Success` counts as captured in full: its amount is what was taken.
What each kind of entry does:

| kind | does |
|---|---|
| `Captured` | adds to `captured`: more was taken later, beyond the payment's own amount |
| `Voided` | changes no total: what was not taken was released, so nothing can be captured any more |
| `Refunded` | adds to `refunded` |
| `RefundFailed` | takes from `refunded`: the refund that it names did not reach the customer |
| `Disputed` | adds to `disputed`: the processor has taken the money back |
| `DisputeWon` | takes from `disputed`: the money of the dispute that it names came back |
| `DisputeLost` | changes no total: the money of the dispute that it names stays away |
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ledger.entry import KIND_BEFORE, Entry
from ledger.payment import Payment
from ledger.violations import Violation

MAX_ENTRIES = 1000
"""Entries of one payment. Each entry reads all entries before it, so this bounds what one costs."""

CHANGES: Mapping[str, tuple[str, int]] = {
    "Captured": ("captured", 1),
    "Refunded": ("refunded", 1),
    "RefundFailed": ("refunded", -1),
    "Disputed": ("disputed", 1),
    "DisputeWon": ("disputed", -1),
}
"""The total that a kind changes, and the direction. The other kinds change none."""


class Totals(NamedTuple):
    """The totals of a payment after its recorded entries. Each is decimal text, with the same number of decimals.

    `accepted_entries` is how many of the entries broke rules, and are recorded because an operator accepted them.
    """

    captured: str
    refunded: str
    disputed: str
    accepted_entries: int = 0

    @property
    def refundable(self) -> str:
        """What could still be refunded or disputed. It is negative only after an entry that an operator accepted."""
        decimals = decimals_of(self.captured)
        captured, refunded, disputed = (_units(text, decimals) for text in self[:3])
        return _text(captured - refunded - disputed, decimals)

    def as_dict(self) -> dict[str, Any]:
        """Return the totals as items, events and answers have them."""
        return {
            "Captured": self.captured,
            "Refunded": self.refunded,
            "Disputed": self.disputed,
            "Refundable": self.refundable,
            "AcceptedEntries": self.accepted_entries,
        }


def decimals_of(amount: str) -> int:
    """Return how many decimals an amount is written with."""
    return len(amount.partition(".")[2])


def opening(payment: Payment) -> Totals:
    """Return the totals before the first entry: a successful payment counts as captured in full."""
    nothing = _text(0, decimals_of(payment.amount))
    return Totals(payment.amount if payment.status == "Success" else nothing, nothing, nothing)


def after(totals: Totals, entry: Entry, *, accepted: bool = False) -> Totals:
    """Return the totals after one more entry."""
    decimals = max(decimals_of(totals.captured), decimals_of(entry.amount))
    units = {name: _units(getattr(totals, name), decimals) for name in ("captured", "refunded", "disputed")}
    if entry.kind in CHANGES:
        name, sign = CHANGES[entry.kind]
        units[name] += sign * _units(entry.amount, decimals)
    texts = {name: _text(number, decimals) for name, number in units.items()}
    return Totals(**texts, accepted_entries=totals.accepted_entries + accepted)


def violations(payment: Payment, recorded: Sequence[Entry], totals: Totals, entry: Entry) -> list[Violation]:
    """Return every rule that *entry* breaks as the next entry of *payment*.

    Args:
        payment: the recorded payment.
        recorded: its entries so far, in order.
        totals: the totals after them.
        entry: the next one. Its EntryID is not among those of *recorded*.
    """
    broken = []
    if payment.status != "Success":
        broken.append(Violation("TransactionID", "failed_payment"))
    if entry.processor_id != payment.processor_id:
        broken.append(Violation("ProcessorID", "processor"))
    if len(recorded) >= MAX_ENTRIES:
        broken.append(Violation("Entry", "too_many_entries"))
    if entry.kind in {"Captured", "Voided"} and any(one.kind == "Voided" for one in recorded):
        broken.append(Violation("Kind", "voided"))
    in_the_currency = entry.currency == payment.currency
    if not in_the_currency:  # then nothing can be said about its amount
        broken.append(Violation("Currency", "currency"))
    elif entry.kind in {"Refunded", "Disputed"} and after(totals, entry).refundable.startswith("-"):
        broken.append(Violation("Amount", "exceeds_captured"))
    if entry.kind in KIND_BEFORE:
        broken.extend(_reversal_violations(recorded, entry, in_the_currency=in_the_currency))
    return broken


def _reversal_violations(recorded: Sequence[Entry], entry: Entry, *, in_the_currency: bool) -> list[Violation]:
    """Return the rules that an entry breaks against the entry that it names.

    Several entries may undo or decide parts of one, up to its amount.
    """
    named = [one for one in recorded if one.entry_id == entry.reverses and one.kind == KIND_BEFORE[entry.kind]]
    if not named:
        return [Violation("Reverses", "unknown_entry")]
    # An entry that an operator accepted may name one that its kind does not undo.
    kinds = {kind for kind, before in KIND_BEFORE.items() if before == named[0].kind}
    parts = [one.amount for one in recorded if one.reverses == entry.reverses and one.kind in kinds]
    decimals = max(map(decimals_of, [entry.amount, named[0].amount, *parts]))
    left = _units(named[0].amount, decimals) - sum(_units(amount, decimals) for amount in parts)
    if left <= 0:
        return [Violation("Reverses", "already_reversed")]
    if in_the_currency and _units(entry.amount, decimals) > left:
        return [Violation("Amount", "exceeds_refunded" if named[0].kind == "Refunded" else "exceeds_disputed")]
    return []


def _units(amount: str, decimals: int) -> int:
    """Return decimal text, with a minus sign or without, as a whole number of units of 10 ** -*decimals*."""
    whole, _, fraction = amount.partition(".")
    return int(f"{whole}{fraction:0<{decimals}}")


def _text(units: int, decimals: int) -> str:
    """Return what `_units` has read as decimal text with exactly *decimals* decimals."""
    digits = f"{abs(units):0{decimals + 1}}"
    text = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    return f"-{text}" if units < 0 else text
