"""Sealed logs without a stack: records, the seals that have them, checkpoints, and an export of all of it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import checkpoint_text, signed_note, verifier_key
from ledger.leaf import leaf_of
from ledger.merkle import leaf_hash
from ledger.payment import Payment
from ledger.seal import MAX_RECORDS, Seal, SealedRecord, following, seal_view
from ledger_cli.books.export import Writer, line_of, line_of_seal, position_of

ORIGIN = "payment-ledger/123456789012/us-east-1/PaymentLedger"
SEALED_AT = "2026-11-23T09:00:00.000000Z"


class LogKey:
    """A key of a log.

    Attributes:
        text: the verifier key.
    """

    def __init__(self, seed: int = 1, origin: str = ORIGIN) -> None:
        self.origin = origin
        self._private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self._public = self._private.public_key().public_bytes_raw()
        self.text = verifier_key(origin, self._public)

    def sign(self, size: int, root: bytes) -> str:
        """Return a checkpoint."""
        text = checkpoint_text(self.origin, size, root)
        return signed_note(text, self.origin, self._public, self._private.sign(text.encode()))

    def checkpoint(self, seal: Seal) -> str:
        """Return the checkpoint of a seal."""
        return self.sign(seal.tree.size, seal.tree.root)


def payment_facts(number: int, **changes: Any) -> dict[str, Any]:
    """Return the facts of a payment whose ID has this number."""
    amount, timestamp = f"{number % 1000}.50", "2026-11-23T08:30:00.000000Z"
    payment = Payment(
        f"txn-2026-{number:09}", amount, "EUR", "acme-pay", "Success", timestamp, {"order": f"A-{number}"}
    )._replace(**changes)
    execution = f"arn:aws:states:us-east-1:123456789012:execution:PaymentLedger:{payment.transaction_id}"
    recorded = {"Fingerprint": payment.fingerprint, "Execution": execution, "RecordedAt": "2026-11-23T08:30:02.000000Z"}
    return {**payment.as_state(), **recorded}


def ciphertext_hash_of(facts: Mapping[str, Any]) -> bytes:
    """Return a hash for the payment of a record that stands for the hash of its ciphertext."""
    return hashlib.sha256(facts["TransactionID"].encode()).digest()


def sealed(facts: Mapping[str, Any]) -> SealedRecord:
    """Return what a seal has of a record."""
    ciphertext_hash = ciphertext_hash_of(facts)
    return SealedRecord(position_of(facts), leaf_hash(leaf_of(facts, ciphertext_hash)), ciphertext_hash)


def seals_of(groups: Iterable[Sequence[Mapping[str, Any]]], origin: str = ORIGIN) -> list[Seal]:
    """Return the log in which each group of records has a seal."""
    made: list[Seal] = []
    for group in groups:
        made.append(following(made[-1] if made else None, origin, SEALED_AT, [sealed(facts) for facts in group]))
    return made


def write_export(
    path: Path,
    seals: Iterable[Seal | str],
    records: Iterable[Mapping[str, Any] | str],
    unreadable: Sequence[Mapping[str, Any]] = (),
    **added: Any,
) -> Path:
    """Write an export as of the last seal. A text is written as it is, in place of a seal or a record.

    *added* are more fields of the first line.
    """
    records, seals = list(records), list(seals)
    header = {
        "stack": "payment-ledger", "taken_at": SEALED_AT, "version": "0", "processors": None, "from": None, "to": None,
        "as_of_seal": len(seals), "as_of": None, "records": len(records), "unreadable": list(unreadable), **added,
    }  # fmt: skip
    lines = [seal if isinstance(seal, str) else line_of_seal(seal_view(seal)) for seal in seals]
    with path.open("wb") as file:
        writer = Writer(file, header, lines)
        for facts in records:
            line = facts if isinstance(facts, str) else line_of(facts)
            writer.write(line, is_entry='"EntryID"' in line)
        writer.end()
    return path


def write_log(folder: Path, leaves: int) -> None:
    """Write an export of so many payments, its checkpoint and its key."""
    seals = seals_of(
        [payment_facts(number) for number in range(first, min(first + MAX_RECORDS, leaves))]
        for first in range(0, leaves, MAX_RECORDS)
    )
    key = LogKey()
    write_export(folder / "sealed.jsonl", seals, map(payment_facts, range(leaves)))
    (folder / "checkpoint.txt").write_text(key.checkpoint(seals[-1]))
    (folder / "key.txt").write_text(key.text)
