"""Verification: whether an export has exactly the records of the sealed log, and the log those of its checkpoints.

It needs an export with seals, checkpoints and a key, and asks nobody. Each record's leaf is made again from the export
and compared with the log's; the log's root is made again from all leaves and compared with each checkpoint's.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ledger.leaf import ciphertext_hash_of, leaf_of
from ledger.merkle import HASH_BYTES, Tree, leaf_hash
from ledger.seal import key_text, packed_hashes, parse_key, unpacked_hashes
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError
from ledger_cli.books.export import ENTRY, PAYMENT, SEAL, Export, line_of, line_of_seal, position_of
from ledger_cli.errors import CommandError
from ledger_cli.sealed_log.notes import Checkpoint, NoteError

SEALED_WITHIN = timedelta(hours=1)
"""Age beyond which a record without a seal is no longer waiting for one. The sealer runs every five minutes."""

TOKEN_FIELDS = {"SecureToken", "TokenKey"}
"""What `--ciphertext` adds to a payment. It is no part of the facts: the leaf has the hash of the first."""


class UnverifiableExportError(CommandError):
    """The export has not what a verification needs. The message says what to do."""


class Step(NamedTuple):
    """A seal in the log: its number, the sizes of the log before and after it, and when it was made."""

    number: int
    before: int
    size: int
    sealed_at: str


class Head(NamedTuple):
    """A checkpoint whose signature was verified, and the name by which a person knows it."""

    name: str
    checkpoint: Checkpoint


@dataclass(slots=True)
class Findings:
    """What a verification has found. Each list names records as `TransactionID` or `TransactionID#Entry`.

    Attributes:
        proven: how many records are in the log as they are in the export, up to the newest checkpoint that holds.
        changed: records that differ from what was sealed, or that are damaged in the ledger.
        missing: sealed records that the export does not have.
        extra: records that no seal has although they are old enough, or that are there twice.
        unsealed: records that no seal has yet.
        repeated: records that two seals have, alike. That proves no less.
        later: how many records were sealed after the newest checkpoint.
        faults: sentences about what is wrong with the log, a checkpoint or the file.
    """

    proven: int = 0
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    later: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_wrong(self) -> bool:
        """Whether something is not as it was sealed."""
        return bool(self.changed or self.missing or self.extra or self.faults)

    @property
    def is_all_proven(self) -> bool:
        """Whether each record is proven."""
        return not (self.is_wrong or self.unsealed or self.later)


class SealedLog:
    """The log that the seals of an export make, with the root that it had at some sizes.

    Attributes:
        origin: its name; empty as long as it has no seal.
        steps: its seals, in order.
        tree: its tree.
        positions: the index of each record's leaf, by the record's key as text.
        roots: the root at each of the sizes that were asked for.
    """

    def __init__(self, sizes: Sequence[int], findings: Findings) -> None:
        self.origin = ""
        self.steps: list[Step] = []
        self.tree = Tree()
        self.positions: dict[str, int] = {}
        self.roots = {0: self.tree.root} if 0 in sizes else {}
        self._sizes = frozenset(sizes)
        self._leaf_hashes, self._ciphertext_hashes = bytearray(), bytearray()
        self._findings = findings

    def add(self, seal: Mapping[str, Any]) -> None:
        """Add a seal, as `ledger.seal.seal_view` gives it. What is wrong with it is a fault.

        Raises:
            UnverifiableExportError: it is not a seal at all.
        """
        number, before, previous_root = len(self.steps) + 1, self.tree.size, self.tree.root
        try:
            keys = [parse_key(text) for text in seal["Keys"]]
            hashes, ciphertexts = (unpacked_hashes(seal[name]) for name in ("LeafHashes", "CiphertextHashes"))
            leaves = list(zip(seal["Keys"], hashes, ciphertexts, strict=True))
            origin, sealed_at = str(seal["Log"]), seal["SealedAt"]
            _moment(sealed_at)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UnverifiableExportError(f"seal {number} of the export is damaged: export again") from None
        self.origin = self.origin or origin
        for text, hashed, _ in leaves:
            self.tree.append(hashed)
            if self.tree.size in self._sizes:
                self.roots[self.tree.size] = self.tree.root
            first = self.positions.setdefault(text, self.tree.size - 1)
            if first != self.tree.size - 1:
                self._note_repetition(text, is_same=first < before and self.leaf_hash(first) == hashed)
        self._leaf_hashes += b"".join(hashes)
        self._ciphertext_hashes += b"".join(ciphertexts)
        self.steps.append(Step(number, before, self.tree.size, sealed_at))
        faults = self._findings.faults
        if seal.get("Seal") != number or origin != self.origin:
            faults.append(f"seal {number} is missing, or is of another log")
        if not keys or keys != sorted(set(keys)):
            faults.append(f"seal {number}: its records are not in order")
        made = {
            "Size": self.tree.size, "Root": packed_hashes([self.tree.root]),
            "PreviousRoot": packed_hashes([previous_root]), "Peaks": packed_hashes(self.tree.peaks),
        }  # fmt: skip
        if any(seal.get(name) != value for name, value in made.items()):
            faults.append(f"seal {number}: its size or root is not that of the records up to it")
        if seal.get("Checkpoint") is not None and not self._is_own(seal["Checkpoint"]):
            faults.append(f"seal {number}: its checkpoint is not that of the records up to it")

    def _note_repetition(self, text: str, *, is_same: bool) -> None:
        if is_same:
            self._findings.repeated.append(text)
        else:
            self._findings.faults.append(f"{text} was sealed twice, with different contents")

    def _is_own(self, note: Any) -> bool:
        """Return whether a note is a checkpoint of the log as it is now. Its signature is not looked at."""
        try:
            checkpoint = Checkpoint.parse(note)
        except (NoteError, TypeError, AttributeError):
            return False
        return (checkpoint.origin, checkpoint.size, checkpoint.root) == (self.origin, self.tree.size, self.tree.root)

    def leaf_hash(self, position: int) -> bytes:
        """Return the hash of the leaf at this position."""
        return bytes(self._leaf_hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES])

    def ciphertext_hash(self, position: int) -> bytes:
        """Return the hash of the encrypted token that belongs to the leaf at this position."""
        return bytes(self._ciphertext_hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES])

    def seals_between(self, before: int, size: int) -> str:
        """Return the seals that added the leaves from *before* to *size*, for a sentence."""
        numbers = [step.number for step in self.steps if step.before < size and step.size > before]
        if not numbers:
            return "two logs were shown, which"
        return f"seal {numbers[0]}" if len(numbers) == 1 else f"seals {numbers[0]} to {numbers[-1]}"


def verify(export: Export, heads: Sequence[Head], findings: Findings) -> Iterator[None]:
    """Verify an export against checkpoints, and yield after each line; what is found is in *findings*.

    Args:
        export: an export as of a seal.
        heads: at least one checkpoint whose signature was verified.
        findings: where what is found is added.

    Raises:
        UnverifiableExportError: the export has no seals, or a seal of it is damaged.
        UnreadableExportError: the file cannot be read.
    """
    if not export.has_seals:
        raise UnverifiableExportError(
            f"{export.path}: has no seals: make an export that has them with `ledger export FILE --as-of-seal last`"
        )
    log = SealedLog([head.checkpoint.size for head in heads], findings)
    records: _Records | None = None
    digest, end = hashlib.sha256(), None
    for number, line in enumerate(export.lines(), 1):
        yield
        value = _object(line)
        kind = None if value is None else value.pop("record", None)
        if end is not None:
            findings.faults.append(f"line {number} of the export is behind its last line")
            break
        if kind == "end":
            end = value
            continue
        digest.update(line)
        if number == 1:
            continue
        if kind == SEAL and records is None and value is not None:
            if line.decode("utf-8", "replace") != f"{line_of_seal(value)}\n":
                findings.faults.append(f"line {number} of the export is not in the form of a seal")
            log.add(value)
            continue
        if records is None:
            records = _Records(log, _proven_size(log, heads, findings), findings, export.header)
        if kind not in (PAYMENT, ENTRY) or value is None or not records.check(line, value):
            findings.faults.append(f"line {number} of the export is not a record")
    records = records or _Records(log, _proven_size(log, heads, findings), findings, export.header)
    records.check_frame(end, digest.hexdigest())
    records.name_missing()


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None if it has none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _proven_size(log: SealedLog, heads: Sequence[Head], findings: Findings) -> int:
    """Return the size of the largest checkpoint that the log holds to. Each one that it does not hold to is a fault."""
    proven = 0
    for name, checkpoint in sorted(heads, key=lambda head: head.checkpoint.size):
        if log.origin not in ("", checkpoint.origin):
            findings.faults.append(f"{name}: a checkpoint of another log, {checkpoint.origin}")
        elif checkpoint.size > log.tree.size:
            findings.faults.append(
                f"{name}: the checkpoint has {checkpoint.size:,} records, and the log only {log.tree.size:,}: "
                "records were removed, or the export is older than the checkpoint"
            )
        elif log.roots[checkpoint.size] != checkpoint.root:
            where = log.seals_between(proven, checkpoint.size)
            findings.faults.append(
                f"{name}: the log is not the one that was signed: {where} had other records when the checkpoint of "
                f"{checkpoint.size:,} was made"
            )
        else:
            proven = checkpoint.size
    return proven


class _Records:
    """The records of an export, one after another, against the log.

    Attributes:
        counts: how many payments and entries there were.
    """

    def __init__(self, log: SealedLog, proven_size: int, findings: Findings, header: Mapping[str, Any]) -> None:
        self.log, self.proven_size, self.findings, self.header = log, proven_size, findings, header
        self.counts = {PAYMENT: 0, ENTRY: 0}
        self.seen = bytearray(log.tree.size)
        self.last: tuple[str, int] = ("", 0)
        self.has_ciphertexts = header.get("ciphertext") is True
        self.oldest = _moved(log.steps[-1].sealed_at, -1) if log.steps else ""
        self.newest = _moved(header.get("taken_at"), 1)

    def check(self, line: bytes, facts: dict[str, Any]) -> bool:
        """Compare one record with the log; False if it is not a record."""
        try:
            position = position_of(facts)
            key, recorded_at = key_text(position), str(facts["RecordedAt"])
            in_order, self.last = position >= self.last, position
            is_canonical = line == f"{line_of(facts)}\n".encode()
        except (KeyError, TypeError, ValueError):
            return False
        self.counts[ENTRY if "EntryID" in facts else PAYMENT] += 1
        if not in_order:
            self.findings.faults.append(f"{key} is out of order")
        at = self.log.positions.get(key)
        if at is None:
            waits = self.oldest <= recorded_at <= self.newest
            (self.findings.unsealed if waits else self.findings.extra).append(key)
        elif self.seen[at]:
            self.findings.extra.append(key)
        else:
            self.seen[at] = 1
            if not is_canonical or not self._is_as_sealed(facts, at):
                self.findings.changed.append(key)
            elif at < self.proven_size:
                self.findings.proven += 1
            else:
                self.findings.later += 1
        return True

    def _is_as_sealed(self, facts: dict[str, Any], at: int) -> bool:
        ciphertext_hash = self.log.ciphertext_hash(at)
        added = {name: facts.pop(name) for name in TOKEN_FIELDS & facts.keys()}
        if set(added) != (TOKEN_FIELDS if self.has_ciphertexts and "EntryID" not in facts else set()):
            return False
        try:
            if added and _hash_of_text(added["SecureToken"]) != ciphertext_hash:
                return False
            return leaf_hash(leaf_of(facts, ciphertext_hash)) == self.log.leaf_hash(at)
        except (TypeError, ValueError):
            return False

    def check_frame(self, end: Mapping[str, Any] | None, digest: str) -> None:
        """Compare the first and the last line of the export with what is between them."""
        header, faults = self.header, self.findings.faults
        if end is None:
            faults.append("the export is cut off: its last line is missing")
        elif (end.get("payments"), end.get("entries"), end.get("sha256")) != (*self.counts.values(), digest):
            faults.append("the export was changed after it was written: its last line has other sums")
        if any(header.get(name) is not None for name in ("processors", "from", "to", "as_of")):
            faults.append("the first line of the export says that it has only a part of the ledger")
        if header.get("as_of_seal") != len(self.log.steps):
            faults.append("the first line of the export names another seal than its last one")
        if header.get("records") != sum(self.counts.values()):
            faults.append("the first line of the export has another number of records")

    def name_missing(self) -> None:
        """Name the sealed records that the export does not have."""
        damaged = {item.get("TransactionID") for item in self.header["unreadable"]}
        for key, at in self.log.positions.items():
            if not self.seen[at]:
                is_damaged = key.partition("#")[0] in damaged
                (self.findings.changed if is_damaged else self.findings.missing).append(key)


def _moment(timestamp: Any) -> datetime:
    """Return a time of the ledger's form.

    Raises:
        ValueError: it does not have that form.
    """
    try:
        if utc_timestamp(timestamp) == timestamp:
            return datetime.fromisoformat(timestamp)
    except BrokenRuleError:
        pass
    raise ValueError("not a time of the ledger's form")


def _moved(timestamp: Any, direction: int) -> str:
    """Return a time, moved by `SEALED_WITHIN`; an empty text if it is not a time."""
    try:
        return utc_timestamp((_moment(timestamp) + direction * SEALED_WITHIN).isoformat())
    except (ValueError, OverflowError):
        return ""


def _hash_of_text(ciphertext: str) -> bytes:
    return ciphertext_hash_of(base64.b64decode(ciphertext, validate=True), 0)
