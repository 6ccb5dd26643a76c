"""A seal: how the table `PaymentSeals` keeps one step of the sealed log.

The log is the sequence of all seals. Seal n + 1 has the leaves that it adds, in the order of their keys, and the whole
log's size and root after it. To seal, the ledger reads the last seal, finishes it, reads records that no seal has, and
puts the next number under the condition that nobody has taken it:

    last seal n ─▶ finish n ─▶ read unsealed records ─▶ put n + 1 if it is free ─▶ finish n + 1
         ▲                                                   │ taken: another run was faster
         └───────────────────────────────────────────────────┘

To finish a seal is to sign its root, to mark each of its records with its number, and to publish it. All of that is
derived from the seal, so it may be repeated. The number is free only while every record of the seals before is marked,
so no record is sealed twice.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ledger.merkle import HASH_BYTES, Tree

MAX_RECORDS = 3000
"""Records of one seal. With the longest keys, its item has 402 KB. Source: DynamoDB Developer Guide, quotas, 400 KB of
1,024 bytes for an item."""

Key = tuple[str, int]
"""The key of a record: the TransactionID, and the entry's number; 0 for the payment itself."""


class UnreadableSealError(Exception):
    """The item of a seal is damaged. Nothing more is sealed until an operator has looked. The message is its number."""

    def __init__(self, number: str) -> None:
        super().__init__(f"seal {number} is damaged")


class SealedRecord(NamedTuple):
    """What a seal has of one record: its key, the hash of its leaf, and the random part of its leaf."""

    key: Key
    leaf_hash: bytes
    ciphertext_hash: bytes


class Seal(NamedTuple):
    """One step of the log.

    Attributes:
        origin: the log's name.
        number: 1 for the first seal.
        sealed_at: when the run that sealed was due.
        records: what the seal adds, in the order of their keys.
        tree: the whole log's tree after it.
        previous_root: the root before it.
        note: the signed checkpoint; None if the seal is not finished yet.
        key: the key of that signature, as `verifier_key` returns it; None if the seal is not finished yet.
    """

    origin: str
    number: int
    sealed_at: str
    records: Sequence[SealedRecord]
    tree: Tree
    previous_root: bytes
    note: str | None = None
    key: str | None = None

    def as_item(self) -> dict[str, Any]:
        """Return the item of a seal that is not finished yet."""
        return {
            "Log": {"S": self.origin},
            "Seal": {"N": f"{self.number}"},
            "SealedAt": {"S": self.sealed_at},
            "Keys": {"S": "\n".join(key_text(record.key) for record in self.records)},
            "LeafHashes": {"B": b"".join(record.leaf_hash for record in self.records)},
            "CiphertextHashes": {"B": b"".join(record.ciphertext_hash for record in self.records)},
            "Size": {"N": f"{self.tree.size}"},
            "Root": {"B": self.tree.root},
            "Peaks": {"B": b"".join(self.tree.peaks)},
            "PreviousRoot": {"B": self.previous_root},
        }


def following(last: Seal | None, origin: str, sealed_at: str, records: Sequence[SealedRecord]) -> Seal:
    """Return the seal that adds *records* to the log whose last seal is given; None if the log has none yet."""
    tree = Tree() if last is None else last.tree.copy()
    previous_root = tree.root
    ordered = sorted(records)
    for record in ordered:
        tree.append(record.leaf_hash)
    return Seal(origin, 1 if last is None else last.number + 1, sealed_at, ordered, tree, previous_root)


def read_seal(item: Mapping[str, Any]) -> Seal:
    """Return the seal that an item has.

    Raises:
        UnreadableSealError: an attribute is missing, or does not fit the others.
    """
    try:
        keys = [parse_key(text) for text in item["Keys"]["S"].split("\n")]
        hashes, ciphertexts = (split_hashes(item[name]["B"]) for name in ("LeafHashes", "CiphertextHashes"))
        seal = Seal(
            origin=item["Log"]["S"],
            number=int(item["Seal"]["N"]),
            sealed_at=item["SealedAt"]["S"],
            records=[SealedRecord(*record) for record in zip(keys, hashes, ciphertexts, strict=True)],
            tree=Tree(int(item["Size"]["N"]), split_hashes(item["Peaks"]["B"])),
            previous_root=item["PreviousRoot"]["B"],
            note=item["Note"]["S"] if "Note" in item else None,
            key=item["VerifierKey"]["S"] if "VerifierKey" in item else None,
        )
        root = item["Root"]["B"]
    except (KeyError, ValueError):
        raise UnreadableSealError(item["Seal"]["N"]) from None
    if seal.tree.root != root or seal.tree.size.bit_count() != len(seal.tree.peaks):
        raise UnreadableSealError(item["Seal"]["N"])
    return seal


def seal_view(seal: Seal) -> dict[str, Any]:
    """Return a seal as the query function shows it: binary values in base64, those of a list in one text."""
    return {
        "Log": seal.origin,
        "Seal": seal.number,
        "SealedAt": seal.sealed_at,
        "Keys": [key_text(record.key) for record in seal.records],
        "LeafHashes": packed_hashes(record.leaf_hash for record in seal.records),
        "CiphertextHashes": packed_hashes(record.ciphertext_hash for record in seal.records),
        "Size": seal.tree.size,
        "Root": packed_hashes([seal.tree.root]),
        "Peaks": packed_hashes(seal.tree.peaks),
        "PreviousRoot": packed_hashes([seal.previous_root]),
        "Checkpoint": seal.note,
        "VerifierKey": seal.key,
    }


def key_text(key: Key) -> str:
    """Return a key as text: `TransactionID`, or `TransactionID#1` for an entry. No ID has a `#`."""
    transaction_id, entry = key
    return f"{transaction_id}#{entry}" if entry else transaction_id


def parse_key(text: str) -> Key:
    """Return the key that `key_text` wrote.

    Raises:
        ValueError: the text is of no key.
    """
    transaction_id, _, entry = text.partition("#")
    key = (transaction_id, int(entry) if entry else 0)
    if not transaction_id or key_text(key) != text:
        raise ValueError("not a key")
    return key


def split_hashes(packed: bytes) -> list[bytes]:
    """Return the hashes that stand one behind the other in a binary value.

    Raises:
        ValueError: the value is not a whole number of hashes.
    """
    if len(packed) % HASH_BYTES:
        raise ValueError("not a whole number of hashes")
    return [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)]


def packed_hashes(hashes: Iterable[bytes]) -> str:
    """Return hashes as `seal_view` shows them: one behind the other, in base64."""
    return base64.b64encode(b"".join(hashes)).decode()


def unpacked_hashes(text: str) -> list[bytes]:
    """Return the hashes of a text that `packed_hashes` wrote.

    Raises:
        ValueError: the text is not the base64 of a whole number of hashes.
    """
    return split_hashes(base64.b64decode(text, validate=True))
