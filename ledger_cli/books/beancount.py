"""An export as double-entry postings, for the program Beancount.

Each record that moves money is one transaction. What a processor owes the merchant is its clearing account; a payout
that the bookkeeper posts takes it from there.

| record | clearing | other account |
|---|---|---|
| successful payment, `Captured` | + | `Income:Revenue` |
| `Refunded` | − | `Income:Refunds`, which reduces the income |
| `RefundFailed` | + | `Income:Refunds` |
| `Disputed` | − | `Expenses:Disputes` |
| `DisputeWon` | + | `Expenses:Disputes` |

The other records move no money: failed payments, `Voided` and `DisputeLost`.

Source: Beancount, Language Syntax.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import IO, Any

from ledger_cli.books.record import PAYMENT, Record
from ledger_cli.errors import CommandError

CLEARING = "Assets:Clearing"

ACCOUNTS = {"captured": "Income:Revenue", "refunded": "Income:Refunds", "disputed": "Expenses:Disputes"}
"""The other account of a record, by the total of its payment that the record changes."""

NARRATIONS = {
    PAYMENT: "Payment",
    "Captured": "Capture",
    "Refunded": "Refund",
    "RefundFailed": "Failed refund",
    "Disputed": "Dispute",
    "DisputeWon": "Dispute won",
}

MAX_DIGITS = 28
"""Digits with which Beancount calculates. It rounds a longer amount, and then the transaction does not balance."""


class PostingsError(CommandError):
    """A record cannot be written as postings. The message names it."""


class BeancountWriter:
    """Writes postings to an open file, line by line. The accounts come last, when all of them are known."""

    def __init__(self, file: IO[bytes], header: Mapping[str, Any], zone: tzinfo = UTC) -> None:
        """Write the comment at the beginning.

        Args:
            file: the file.
            header: what a first line of JSON Lines would say.
            zone: the time zone of the dates.
        """
        self._file, self._zone = file, zone
        self._opened: dict[tuple[str, str], tuple[date, set[str]]] = {}
        self._counts = {"payments": 0, "entries": 0, "transactions": 0}
        self._write(";; Postings of the payment ledger, by `ledger export`. To renew them, export again to a new file.")
        for name, value in {**header, "zone": str(zone)}.items():
            self._write(f";; {name}: {_json(value)}")

    def write(self, line: str, *, is_entry: bool) -> None:
        """Write the transaction of a record, as `export.line_of` returns it, if it moves money.

        Raises:
            PostingsError: Beancount would round the amount, or the time has no date in the zone.
        """
        facts = json.loads(line)
        record = Record.of(facts)
        self._counts["entries" if is_entry else "payments"] += 1
        if record.total is None or not record.amount:
            return
        self._counts["transactions"] += 1
        day = self._day(record)
        for text in _transaction(record, facts, day):
            self._write(text)
        for name in (CLEARING, ACCOUNTS[record.total]):
            first, currencies = self._opened.setdefault((name, record.processor_id), (day, set()))
            self._opened[name, record.processor_id] = min(first, day), currencies | {record.currency}

    def end(self) -> None:
        """Write the accounts, each with its currencies and from the day of its first posting."""
        self._write("")
        for (name, processor_id), (first, currencies) in sorted(self._opened.items()):
            account = f"{name}:{component_of(processor_id)}"
            self._write(f"{first.isoformat()} open {account} {','.join(sorted(currencies))}")
            self._write(f"  processor: {_quoted(processor_id)}")
        self._write("")
        for name, count in self._counts.items():
            self._write(f";; {name}: {count}")

    def _write(self, line: str) -> None:
        self._file.write(f"{line}\n".encode())

    def _day(self, record: Record) -> date:
        try:
            return datetime.fromisoformat(record.timestamp).astimezone(self._zone).date()
        except OverflowError:
            raise PostingsError(f"{_name(record)}: its time has no date in the zone {self._zone}") from None


def _transaction(record: Record, facts: Mapping[str, Any], day: date) -> list[str]:
    """Return the lines of a transaction, with an empty one before it.

    Raises:
        PostingsError: Beancount would round the amount.
    """
    if len(record.amount.as_tuple().digits) > MAX_DIGITS:
        raise PostingsError(
            f"{_name(record)}: its amount has more than the {MAX_DIGITS} digits with which Beancount calculates: "
            "export in another format"
        )
    amount, counted = facts["Amount"], f"-{facts['Amount']}"
    if record.moved < 0:
        amount, counted = counted, amount
    details = {
        "transaction-id": record.transaction_id,
        "entry-id": record.entry_id,
        "reverses": record.reverses,
        "timestamp": record.timestamp,
        **{name.lower(): _json(facts[name]) for name in ("Metadata", "Acceptance") if facts.get(name)},
    }
    processor = component_of(record.processor_id)
    payee, narration = _quoted(record.processor_id), _quoted(NARRATIONS[record.kind])
    return [
        "",
        f"{day.isoformat()} * {payee} {narration} ^{_link(record.transaction_id)}",
        *(f"  {name}: {_quoted(value)}" for name, value in details.items() if value is not None),
        f"  {CLEARING}:{processor}  {amount} {record.currency}",
        f"  {ACCOUNTS[str(record.total)]}:{processor}  {counted} {record.currency}",
    ]


def component_of(processor_id: str) -> str:
    """Return the part of an account's name that stands for a processor. Two processors never share one.

    It begins with a capital letter or a digit, and has letters, digits and hyphens. A ProcessorID of another form gets
    the beginning of its SHA-256, since what it has instead of its own characters may be another's ID.
    """
    if re.fullmatch(r"[a-z0-9][A-Za-z0-9-]*", processor_id):
        return processor_id[0].upper() + processor_id[1:]
    plain = re.sub(r"[^A-Za-z0-9]+", "-", processor_id).strip("-")
    digest = hashlib.sha256(processor_id.encode()).hexdigest()[:12]
    return f"{plain[:1].upper()}{plain[1:]}-{digest}" if plain else f"X-{digest}"


def _link(transaction_id: str) -> str:
    """Return the link that a payment and its entries share."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", transaction_id):
        return transaction_id
    return f"sha256-{hashlib.sha256(transaction_id.encode()).hexdigest()}"


def _json(value: Any) -> str:
    """Return JSON in one line. What is not a visible character is escaped, and a letter of any script stays."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1].replace("\x7f", r"\u007f") for char in text)


def _quoted(text: str) -> str:
    """Return a string of Beancount's. An ID and JSON have no line breaks."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _name(record: Record) -> str:
    return record.transaction_id if record.entry_id is None else f"{record.transaction_id} entry {record.entry_id}"
