"""History from elsewhere: payments with their entries, read from a file and checked whole before anything starts.

The file is an export of `ledger export`, or lines of JSON with the contract's fields and `record`, as in an export:

    {"record": "payment", "TransactionID": …, "Amount": …, …}
    {"record": "entry", "TransactionID": …, "EntryID": …, "Kind": …, …}

The lines of a payment stand together: the payment first, if it is in the file, then its entries in their order. A
payment may have a token (`SecureToken` or `SealedToken`).
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from ledger.entry import TOKENS, Entry, parse_entry
from ledger.payment import Payment, parse_payment
from ledger.strict_json import StrictJSONError, loads
from ledger.totals import Totals, after, opening, violations
from ledger.violations import InvalidInputError
from ledger_cli.books.export import ENTRY, MAX_LINE_BYTES, PAYMENT, Export, position_of
from ledger_cli.errors import CommandError
from ledger_cli.reading import open_regular

NO_TOKEN = "imported-without-token"  # noqa: S105  # it says that there is none
"""The token of a payment whose history has none. The ledger encrypts it as any other."""

MAX_SHOWN = 20
"""Broken lines that an error names."""


class InvalidHistoryError(CommandError):
    """The file cannot be imported. The message names the file, the lines and the rules."""


class Step(NamedTuple):
    """One payment or entry of the history.

    Attributes:
        line: the line of the file; the first one has the number 1.
        start_input: the start input, without a field `Import`.
    """

    line: int
    start_input: dict[str, Any]

    @property
    def is_entry(self) -> bool:
        """Whether it is an entry."""
        return "EntryID" in self.start_input


class Summary(NamedTuple):
    """What a file holds.

    Attributes:
        payments: the number of payments.
        entries: the number of entries.
        without_token: how many of the payments have no token.
        accepted: how many of the entries break rules about the totals, since an operator accepted them elsewhere.
    """

    payments: int = 0
    entries: int = 0
    without_token: int = 0
    accepted: int = 0

    @property
    def records(self) -> int:
        """The number of payments and entries."""
        return self.payments + self.entries


def histories(path: Path) -> Iterator[list[Step]]:
    """Yield the steps of each payment, in the order of the file. Of the others, only their IDs are kept.

    Raises:
        InvalidHistoryError: a line is not one of a history, or the lines of a payment do not stand together.
        UnreadableExportError: the file is an export that was changed or cut off.
    """
    seen: set[object] = set()
    for transaction_id, steps in groupby(_steps(path), key=_payment_of):
        history = list(steps)
        misplaced = [step for step in history[1:] if not step.is_entry]
        if transaction_id in seen or misplaced:
            line = (misplaced or history)[0].line
            raise InvalidHistoryError(f"{path}:{line}: the lines of a payment do not stand together, the payment first")
        seen.add(transaction_id)
        yield history


def _payment_of(step: Step) -> object:
    """Return the ID of a step's payment; of an invalid ID, the line, so that no two of them belong together."""
    transaction_id = step.start_input.get("TransactionID")
    return transaction_id if isinstance(transaction_id, str) else step.line


def _steps(path: Path) -> Iterator[Step]:
    if _is_export(path):
        before = ("", 0)
        for number, facts in enumerate(Export.open(path).records(), 2):
            position = position_of(facts)
            if position[1] > 1 and position != (before[0], before[1] + 1):
                raise InvalidHistoryError(f"{path}:{number}: the entry before this one is not in the export")
            before = position
            fields = {name: value for name, value in facts.items() if name not in FACTS}
            yield _step(path, number, ENTRY if "EntryID" in facts else PAYMENT, fields)
        return
    with open_regular(path, InvalidHistoryError) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
            if line.strip():
                facts = _object(path, number, line)
                yield _step(path, number, facts.pop("record", None), facts)


def _is_export(path: Path) -> bool:
    with open_regular(path, InvalidHistoryError) as file:
        return b'"record":"export"' in file.readline(MAX_LINE_BYTES)


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = loads(line)
    except (StrictJSONError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise InvalidHistoryError(f"{path}:{number}: not one object of JSON")
    return value


FACTS = (
    "Acceptance", "Entry", "Execution", "Fingerprint", "Import", "Previous", "RecordedAt", "SecureToken", "TokenKey",
    "Totals",
)  # fmt: skip
"""Fields of an export that say what the other ledger did. This one does that itself."""


def _step(path: Path, number: int, record: object, fields: dict[str, Any]) -> Step:
    """Return the step of a line's fields. A payment without a token gets one that says so.

    Raises:
        InvalidHistoryError: the line does not say whether it is a payment or an entry, or says it wrongly.
    """
    if record not in (PAYMENT, ENTRY) or ("EntryID" in fields) is not (record == ENTRY):
        raise InvalidHistoryError(f"{path}:{number}: `record` is neither payment nor entry, or does not fit")
    if record == PAYMENT and not TOKENS & fields.keys():
        fields = {**fields, "SecureToken": NO_TOKEN}
    return Step(number, fields)


def check(path: Path, *, default_currency: str) -> Iterator[Summary]:
    """Check a file whole, and yield after each payment what was read so far.

    Every rule of the contracts is checked, and every rule about money that the file alone can break. Whether a payment
    that is not in the file is in the ledger, only the ledger knows.

    Raises:
        InvalidHistoryError: a line breaks a rule. The message names the first of them.
        UnreadableExportError: the file is an export that was changed or cut off.
    """
    payments = entries = without_token = accepted = 0
    faults: list[str] = []
    for history in histories(path):
        totals: Totals | None = None
        payment: Payment | None = None
        chain: list[Entry] = []
        for step in history:
            try:
                if step.is_entry:
                    entries += 1
                    entry = parse_entry(step.start_input)
                    if payment is not None and totals is not None:
                        broken = violations(payment, chain, totals, entry)
                        accepted += bool(broken)
                        totals = after(totals, entry)
                    chain.append(entry)
                else:
                    payments += 1
                    without_token += step.start_input.get("SecureToken") == NO_TOKEN
                    payment, _ = parse_payment(step.start_input, default_currency=default_currency)
                    totals = opening(payment)
            except InvalidInputError as invalid:
                rules = ", ".join(f"{one.field}: {one.rule}" for one in invalid.violations)
                faults.append(f"line {step.line}: {rules}")
        if len(faults) >= MAX_SHOWN:
            break
        yield Summary(payments, entries, without_token, accepted)
    if faults:
        raise InvalidHistoryError(f"{path}: nothing was imported: {'; '.join(faults[:MAX_SHOWN])}")
    if not payments and not entries:
        raise InvalidHistoryError(f"{path}: holds no payment and no entry")
