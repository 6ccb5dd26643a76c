"""Payments with their entries, as the ledger records them, and exports of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ledger.chain import RecordedEntry
from ledger.entry import Entry
from ledger.payment import Payment
from ledger.totals import after, opening
from ledger_cli.books.export import Writer, line_of, position_of

AT = "2026-11-23T08:30:00.000000Z"
TAKEN_AT = "2026-12-31T00:00:00.000000Z"
RECORDED_AT = "2026-11-23T08:30:05.000000Z"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:PaymentLedger:one"
WHOLE = {"stack": "payment-ledger", "processors": ["acme-pay"], "from": None, "to": None, "unreadable": []}
"""The first line of an export of everything, but for what `exported` adds."""


def payment(transaction_id: str = "txn-1", amount: str = "100.00", **fields: Any) -> Payment:
    """Return a payment; *fields* are attributes of `Payment`."""
    values = {"currency": "EUR", "processor_id": "acme-pay", "status": "Success", "timestamp": AT, "metadata": {}}
    return Payment(transaction_id, amount, **{**values, **fields})


def entry(kind: str, amount: str, entry_id: str = "", **fields: Any) -> Entry:
    """Return an entry; *fields* are attributes of `Entry`, and its payment is given when it is recorded."""
    values = {"currency": "EUR", "processor_id": "acme-pay", "timestamp": AT, "reverses": None, "metadata": {}}
    values |= {"transaction_id": "", "entry_id": entry_id or f"{kind.lower()}-1", "kind": kind, "amount": amount}
    return Entry(**{**values, **fields})


def life(made: Payment, *entries: Entry) -> list[dict[str, Any]]:
    """Return the facts of a payment and of its entries, as the ledger has them."""
    facts = [
        {**made.as_state(), "Fingerprint": made.fingerprint, "Execution": EXECUTION, "RecordedAt": RECORDED_AT},
    ]
    totals, previous = opening(made), made.fingerprint
    for number, one in enumerate(entries, 1):
        its = one._replace(transaction_id=made.transaction_id, currency=made.currency, processor_id=made.processor_id)
        totals = after(totals, its)
        recorded = RecordedEntry(number, its, totals, previous, EXECUTION, RECORDED_AT)
        previous = recorded.hash
        facts.append(recorded.facts())
    return facts


def exported(path: Path, facts: Iterable[Mapping[str, Any]], **header: Any) -> Path:
    """Write an export of the facts to *path*, and return *path*."""
    ordered: Sequence[Mapping[str, Any]] = sorted(facts, key=position_of)
    with path.open("wb") as file:
        writer = Writer(file, {**WHOLE, "taken_at": TAKEN_AT, "version": "0.1.0", "records": len(ordered), **header})
        for one in ordered:
            writer.write(line_of(one), is_entry="EntryID" in one)
        writer.end()
    return path
