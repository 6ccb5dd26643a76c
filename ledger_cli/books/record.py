"""A recorded payment or entry, in the form that the books need."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.totals import CHANGES
from ledger_cli.books.amounts import signed

PAYMENT = "Payment"
"""Kind of a record that is a payment. An entry's kind is one of `ledger.entry.KINDS`."""

DIRECTIONS = {"captured": 1, "refunded": -1, "disputed": -1}
"""The direction in which each of a payment's totals changes the merchant's balance."""


class Record(NamedTuple):
    """A payment or an entry.

    Attributes:
        transaction_id: the payment's ID.
        entry_id: the entry's own ID; None for a payment.
        kind: `PAYMENT`, or the entry's kind.
        amount: the recorded amount, which is never negative.
        currency: its currency.
        processor_id: the processor that reported it.
        timestamp: when it happened, in the ledger's form of UTC.
        status: the payment's status; `Success` for an entry.
        reverses: the EntryID of what the entry undoes or decides; None if it does neither.
    """

    transaction_id: str
    entry_id: str | None
    kind: str
    amount: Decimal
    currency: str
    processor_id: str
    timestamp: str
    status: str
    reverses: str | None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Record":
        """Return the record of a payment or an entry, which is given under the contract's names."""
        return cls(
            transaction_id=facts["TransactionID"],
            entry_id=facts.get("EntryID"),
            kind=facts.get("Kind", PAYMENT),
            amount=Decimal(facts["Amount"]),
            currency=facts["Currency"],
            processor_id=facts["ProcessorID"],
            timestamp=facts["Timestamp"],
            status=facts.get("Status", "Success"),
            reverses=facts.get("Reverses"),
        )

    @property
    def total(self) -> str | None:
        """The total that the record changes: `captured`, `refunded` or `disputed`; None if it changes none."""
        if self.kind == PAYMENT:
            return "captured" if self.status == "Success" else None
        return CHANGES[self.kind][0] if self.kind in CHANGES else None

    @property
    def change(self) -> Decimal:
        """What the record adds to its total; 0 if it changes none."""
        if self.total is None:
            return Decimal(0)
        return self.amount if self.kind == PAYMENT else signed(self.amount, CHANGES[self.kind][1])

    @property
    def moved(self) -> Decimal:
        """What the record adds to the merchant's balance: negative for a refund or a dispute, 0 if no money moved."""
        return self.change if self.total is None else signed(self.change, DIRECTIONS[self.total])
