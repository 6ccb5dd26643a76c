"""Verification: whether an export has exactly the records of the sealed log, and the log those of its checkpoints.

It needs an export with seals, checkpoints and a key, and asks nobody. Each record's leaf is made again from the export
and compared with the log's; the log's root is made again from all leaves and compared with each checkpoint's.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ledger.leaf import leaf_of
from ledger.merkle import HASH_BYTES, Tree, leaf_hash
from ledger.seal import key_text, parse_key
from ledger_cli.books.export import ENTRY, PAYMENT, SEAL, Export, line_of, position_of
from ledger_cli.errors import CommandError
from ledger_cli.sealed_log.notes import Checkpoint

SEALED_WITHIN = timedelta(days=1)
"""Age beyond which a record without a seal is no longer waiting for one. The sealer runs every five minutes."""

TOKEN_FIELDS = ("SecureToken", "TokenKey")
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
        later: how many records were sealed after the newest checkpoint.
        faults: sentences about what is wrong with the log, a checkpoint or the file.
    """

    proven: int = 0
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)
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
        origin: its name; None as long as it has no seal.
        steps: its seals, in order.
        tree: its tree.
        positions: the index of each record's leaf, by the record's key as text.
        roots: the root at each of the sizes that were asked for.
    """

    def __init__(self, sizes: Sequence[int], findings: Findings) -> None:
        self.origin: str | None = None
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
        number = len(self.steps) + 1
        try:
            keys = [parse_key(text) for text in seal["Keys"]]
            hashes, ciphertexts = (_packed(seal[name], len(keys)) for name in ("LeafHashes", "CiphertextHashes"))
            named, origin, sealed_at = int(seal["Seal"]), str(seal["Log"]), str(seal["SealedAt"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UnverifiableExportError(f"seal {number} of the export is damaged: export again") from None
        faults = self._findings.faults
        if named != number or origin != (self.origin or origin):
            faults.append(f"seal {number} is missing, or is of another log")
        if keys != sorted(set(keys)):
            faults.append(f"seal {number}: its records are not in order")
        self.origin = origin
        before = self.tree.size
        for at, text in enumerate(seal["Keys"]):
            self.tree.append(hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES])
            if self.tree.size in self._sizes:
                self.roots[self.tree.size] = self.tree.root
            if self.positions.setdefault(text, self.tree.size - 1) != self.tree.size - 1:
                faults.append(f"{text} was sealed twice")
        self._leaf_hashes += hashes
        self._ciphertext_hashes += ciphertexts
        self.steps.append(Step(number, before, self.tree.size, sealed_at))
        if (seal.get("Size"), seal.get("Root")) != (self.tree.size, base64.b64encode(self.tree.root).decode()):
            faults.append(f"seal {number}: its size or root is not that of the records up to it")

    def leaf_hash(self, position: int) -> bytes:
        """Return the hash of the leaf at this position."""
        return bytes(self._leaf_hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES])

    def ciphertext_hash(self, position: int) -> bytes:
        """Return the hash of the encrypted token that belongs to the leaf at this position."""
        return bytes(self._ciphertext_hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES])

    def seals_between(self, before: int, size: int) -> str:
        """Return the seals that added the leaves from *before* to *size*, for a sentence."""
        numbers = [step.number for step in self.steps if step.before < size and step.size > before]
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
    for number, (text, value) in enumerate(export.lines(), 2):
        yield
        kind = None if value is None else value.pop("record", None)
        if kind == SEAL and records is None and value is not None:
            log.add(value)
            continue
        if records is None:
            records = _Records(log, _proven_size(log, heads, findings), findings)
        if kind == "end":
            break
        if kind not in (PAYMENT, ENTRY) or value is None or not records.check(text, value):
            findings.faults.append(f"line {number} of the export is not a record")
    else:
        findings.faults.append("the export is cut off: its last line is missing")
    if records is None:
        records = _Records(log, _proven_size(log, heads, findings), findings)
    records.end({item.get("TransactionID") for item in export.header["unreadable"]})


def _proven_size(log: SealedLog, heads: Sequence[Head], findings: Findings) -> int:
    """Return the size of the largest checkpoint that the log holds to. Each one that it does not hold to is a fault."""
    proven = 0
    for name, checkpoint in sorted(heads, key=lambda head: head.checkpoint.size):
        if log.origin not in (None, checkpoint.origin):
            findings.faults.append(f"{name}: a checkpoint of another log, {checkpoint.origin}")
        elif checkpoint.size > log.tree.size:
            findings.faults.append(
                f"{name}: the checkpoint has {checkpoint.size:,} records, and the log only {log.tree.size:,}: "
                "records were removed, or the export is older than the checkpoint"
            )
        elif log.roots[checkpoint.size] != checkpoint.root:
            where = log.seals_between(proven, checkpoint.size) if checkpoint.size else "seal 0"
            findings.faults.append(
                f"{name}: the log is not the one that was signed: {where} had other records when the checkpoint of "
                f"{checkpoint.size:,} was made"
            )
        else:
            proven = checkpoint.size
    return proven


class _Records:
    """The records of an export, one after another, against the log."""

    def __init__(self, log: SealedLog, proven_size: int, findings: Findings) -> None:
        self.log, self.proven_size, self.findings = log, proven_size, findings
        self.seen = bytearray(log.tree.size)
        self.last: tuple[str, int] = ("", 0)
        last_sealed = datetime.fromisoformat(log.steps[-1].sealed_at) if log.steps else None
        self.old = (last_sealed - SEALED_WITHIN).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if last_sealed else ""

    def check(self, text: str, facts: dict[str, Any]) -> bool:
        """Compare one record with the log; False if it is not a record."""
        try:
            position = position_of(facts)
            key, recorded_at = key_text(position), str(facts["RecordedAt"])
            in_order, self.last = position >= self.last, position
            is_canonical = text == f"{line_of(facts)}\n"
        except (KeyError, TypeError, ValueError):
            return False
        if not in_order:
            self.findings.faults.append(f"{key} is out of order")
        at = self.log.positions.get(key)
        if at is None:
            (self.findings.extra if recorded_at < self.old else self.findings.unsealed).append(key)
        elif self.seen[at]:
            self.findings.extra.append(key)
        elif not is_canonical or not self._is_as_sealed(facts, at):
            self.seen[at] = 1
            self.findings.changed.append(key)
        else:
            self.seen[at] = 1
            if at < self.proven_size:
                self.findings.proven += 1
            else:
                self.findings.later += 1
        return True

    def _is_as_sealed(self, facts: dict[str, Any], at: int) -> bool:
        ciphertext_hash = self.log.ciphertext_hash(at)
        token = facts.pop("SecureToken", None)
        facts.pop("TokenKey", None)
        try:
            if token is not None and hashlib.sha256(base64.b64decode(token, validate=True)).digest() != ciphertext_hash:
                return False
            return leaf_hash(leaf_of(facts, ciphertext_hash)) == self.log.leaf_hash(at)
        except (TypeError, ValueError):
            return False

    def end(self, damaged: set[Any]) -> None:
        """Name the sealed records that the export does not have."""
        for key, at in self.log.positions.items():
            if not self.seen[at]:
                is_damaged = key.partition("#")[0] in damaged
                (self.findings.changed if is_damaged else self.findings.missing).append(key)


def _packed(text: str, number: int) -> bytes:
    packed = base64.b64decode(text, validate=True)
    if len(packed) != number * HASH_BYTES:
        raise ValueError("not one hash for each record")
    return packed
