"""The file of an export: every recorded payment and entry as one line of JSON, between a first and a last line.

    {"record": "export", "format": 1, "stack": …, "taken_at": …, "version": …, "processors": …, "from": …, "to": …,
     "records": …, "unreadable": …}
    {"record": "payment", "TransactionID": …, …}
    {"record": "entry", "TransactionID": …, "Entry": 1, …}
    {"record": "end", "payments": …, "entries": …, "sha256": …}

An export as of a seal of the sealed log has the seals up to that one behind its first line, in their order:

    {"record": "seal", "Seal": 1, "Size": …, "Root": …, "Keys": …, "LeafHashes": …, …}

A line between them has the facts of one record under the contract's names, as an outcome event has them. The lines are
in the order of the TransactionID, and each payment is followed by its entries. Each line is canonical JSON (RFC 8785),
so the same records give the same text. The last line has the SHA-256 of all bytes before it.

The JSON Schema is `events/schemas/export.schema.json`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

from ledger.chain import facts_hash
from ledger.entry import KINDS, Entry
from ledger.fields import IDENTIFIER, PUBLISHED, QUIET
from ledger.leaf import canonical
from ledger.payment import STATUSES, Payment
from ledger.strict_json import StrictJSONError, loads
from ledger_cli.errors import CommandError
from ledger_cli.reading import open_regular

FORMAT, FORMAT_WITH_SEALS = 1, 2
"""The numbers of the two forms. A later form that this version cannot read has another number."""

MAX_LINE_BYTES = 512 * 1024
"""More than the largest item of DynamoDB, 400 KB, has as JSON of ASCII text. A longer line is of no export."""

PAYMENT, ENTRY, SEAL = "payment", "entry", "seal"


class UnreadableExportError(CommandError):
    """A file is not an export, or was changed or cut off. The message names the file and the line."""


def line_of(facts: Mapping[str, Any]) -> str:
    """Return the line of a payment or an entry, whose facts are given under the contract's names."""
    return canonical({"record": ENTRY if "EntryID" in facts else PAYMENT, **facts})


def line_of_seal(seal: Mapping[str, Any]) -> str:
    """Return the line of a seal, as `ledger.seal.seal_view` gives it."""
    return canonical({"record": SEAL, **seal})


def position_of(facts: Mapping[str, Any]) -> tuple[str, int]:
    """Return the place of a record in the order of an export."""
    return facts["TransactionID"], facts.get("Entry", 0)


class Writer:
    """Writes an export to an open file, line by line, and counts and hashes what it writes."""

    def __init__(self, file: IO[bytes], header: Mapping[str, Any], seals: Iterable[str] = ()) -> None:
        """Write the first line, and the lines of the seals, as `line_of_seal` returns them."""
        self._file, self._hash = file, hashlib.sha256()
        self._counts = {PAYMENT: 0, ENTRY: 0}
        lines = iter(seals)
        first = next(lines, None)
        self._write(canonical({"record": "export", "format": FORMAT if first is None else FORMAT_WITH_SEALS, **header}))
        for line in () if first is None else chain([first], lines):
            self._write(line)

    def write(self, line: str, *, is_entry: bool) -> None:
        """Write the line of a record, as `line_of` returns it."""
        self._counts[ENTRY if is_entry else PAYMENT] += 1
        self._write(line)

    def end(self) -> None:
        """Write the last line."""
        counts = {"payments": self._counts[PAYMENT], "entries": self._counts[ENTRY]}
        self._write(canonical({"record": "end", **counts, "sha256": self._hash.hexdigest()}))

    def _write(self, line: str) -> None:
        encoded = f"{line}\n".encode()
        self._hash.update(encoded)
        self._file.write(encoded)


@dataclass(slots=True)
class Export:
    """An export that is read line by line.

    Attributes:
        path: the file.
        header: the first line.
    """

    path: Path
    header: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "Export":
        """Read the first line.

        Raises:
            UnreadableExportError: the file cannot be read, or does not begin as an export does.
        """
        with open_regular(path, UnreadableExportError) as file:
            header = _object(path, 1, file.readline(MAX_LINE_BYTES))
        if header.get("record") != "export":
            raise UnreadableExportError(f"{path}: not an export of `ledger export`")
        if header.get("format") not in (FORMAT, FORMAT_WITH_SEALS):
            raise UnreadableExportError(
                f"{path}: another format than {FORMAT} and {FORMAT_WITH_SEALS}: use the `ledger` that wrote it"
            )
        if not _is_header(header):
            raise UnreadableExportError(f"{path}:1: not the first line of an export")
        return cls(path, header)

    @property
    def has_seals(self) -> bool:
        """Whether the export has the seals of the sealed log, and so can be verified."""
        return bool(self.header["format"] == FORMAT_WITH_SEALS)

    def lines(self) -> Iterator[bytes]:
        """Yield each line as it is, the first one too. Nothing is checked."""
        with open_regular(self.path, UnreadableExportError) as file:
            while line := file.readline(MAX_LINE_BYTES):
                yield line

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the facts of each payment and entry, in order. Memory does not grow with the file.

        What was changed is found at the latest after the last record, so a caller acts on nothing before that.

        Raises:
            UnreadableExportError: a line is not what `ledger export` has written there, or the end is missing.
        """
        is_whole = self.header.get("from") is None and self.header.get("to") is None
        damaged = {item.get("TransactionID") for item in self.header["unreadable"]}
        digest, counts, before = hashlib.sha256(), {PAYMENT: 0, ENTRY: 0}, NOTHING
        with open_regular(self.path, UnreadableExportError) as file:
            digest.update(file.readline(MAX_LINE_BYTES))
            number = 1
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                facts = _object(self.path, number, line)
                record = facts.pop("record", None)
                if record == "end":
                    self._check_end(facts, counts, digest.hexdigest(), rest=file.readline(1))
                    return
                if record == SEAL and before is NOTHING and self.has_seals:
                    digest.update(line)
                    continue
                why_not = _fault(record, facts, before, is_whole=is_whole and facts.get("TransactionID") not in damaged)
                if why_not:
                    raise UnreadableExportError(f"{self.path}:{number}: {why_not}")
                digest.update(line)
                counts[record] += 1
                before = facts
                yield facts
        raise UnreadableExportError(f"{self.path}: cut off: the last line is missing; export again")

    def _check_end(self, end: Mapping[str, Any], counts: Mapping[str, int], digest: str, *, rest: bytes) -> None:
        if rest:
            raise UnreadableExportError(f"{self.path}: has lines behind its last line")
        if (end.get("payments"), end.get("entries")) != (counts[PAYMENT], counts[ENTRY]):
            raise UnreadableExportError(f"{self.path}: records are missing or too many: its last line has other counts")
        if end.get("sha256") != digest:
            raise UnreadableExportError(f"{self.path}: changed after it was written: its SHA-256 differs")


def _is_header(header: Mapping[str, Any]) -> bool:
    unreadable, processors = header.get("unreadable"), header.get("processors")
    damaged = isinstance(unreadable, list) and all(
        isinstance(item, dict) and isinstance(item.get("TransactionID"), str) for item in unreadable
    )
    named = processors is None or (isinstance(processors, list) and all(isinstance(one, str) for one in processors))
    return damaged and named and all(isinstance(header.get(name), str | None) for name in ("from", "to"))


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Return the object of a line.

    Raises:
        UnreadableExportError: the line is not one whole object of JSON.
    """
    try:
        value = loads(line.decode())
    except (UnicodeDecodeError, StrictJSONError):
        value = None
    if not line.endswith(b"\n") or not isinstance(value, dict):
        raise UnreadableExportError(f"{path}:{number}: not a line of an export, or cut off")
    return value


IDENTIFIERS = ("TransactionID", "EntryID", "ProcessorID", "Reverses")
CURRENCY = re.compile(r"[A-Z]{3}")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
AMOUNT = re.compile(r"[0-9]{1,38}(\.[0-9]{1,38})?")

NOTHING: Mapping[str, Any] = {"TransactionID": "", "Entry": 0}
"""What is before the first record."""


def _fault(record: object, facts: Mapping[str, Any], before: Mapping[str, Any], *, is_whole: bool) -> str | None:
    """Return what is wrong with a record; None if nothing is.

    Args:
        record: what the line says it is.
        facts: the rest of the line.
        before: the facts in the line before.
        is_whole: whether the export has the payment and all of its entries.
    """
    if record not in (PAYMENT, ENTRY) or not _is_as_written(facts, is_entry=record == ENTRY):
        return "not a record as the ledger has written it"
    position, last = position_of(facts), position_of(before)
    if position <= last:
        return "out of order, or there twice"
    follows = position == (last[0], last[1] + 1)
    if record == ENTRY and follows and facts["Previous"] != _hash(before):
        return "its hash of the record before is another one"
    if record == ENTRY and is_whole and not follows:
        return "the record before it is missing"
    return None


OTHERS = frozenset({"metadata", "reverses", "imported"})
"""Attributes of a payment or an entry that are not text, or may be None."""


def _is_as_written(facts: Mapping[str, Any], *, is_entry: bool) -> bool:
    """Return whether a record has the fields that the ledger writes, and the fingerprint that belongs to them."""
    made = Entry if is_entry else Payment
    texts = ("Fingerprint", "RecordedAt", "Execution", *(("Previous",) if is_entry else ()))
    try:
        recorded: Payment | Entry = made.from_state(facts)
        values = [value for name, value in recorded._asdict().items() if name not in OTHERS]
        return (
            all(isinstance(value, str) for value in (*values, *(facts[name] for name in texts)))
            and isinstance(recorded.metadata, dict)
            and all(IDENTIFIER.fullmatch(facts[name]) for name in IDENTIFIERS if name in facts)
            and CURRENCY.fullmatch(recorded.currency) is not None
            and TIME.fullmatch(recorded.timestamp) is not None
            and recorded.imported in {None, QUIET, PUBLISHED}
            and AMOUNT.fullmatch(recorded.amount) is not None
            and (facts["Kind"] in KINDS and _is_number(facts["Entry"]) if is_entry else facts["Status"] in STATUSES)
            and recorded.fingerprint == facts["Fingerprint"]
        )
    except (KeyError, TypeError):  # a field is missing, or has another type
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _hash(facts: Mapping[str, Any]) -> str:
    """Return what the next entry of the payment has as `Previous`: see `ledger.chain`."""
    return facts_hash(facts) if "EntryID" in facts else str(facts["Fingerprint"])
