"""The leaf of a record: the bytes by which the sealed log proves one payment or one entry.

A leaf is canonical JSON (RFC 8785) of the record's immutable facts under the contract's names, and two fields more:

    Schema            the name of this form
    CiphertextSHA256  SHA-256 (hex) of the payment's encrypted token; for entry 1, of the token followed by `#1`

KMS encrypts with a random value, so nobody can guess a ciphertext. So the hash of a leaf tells nothing of the record to
a reader who does not have it, not even to one who has the leaf of another record of the same payment. The leaf stays
valid after the token key is destroyed.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

PAYMENT_SCHEMA, ENTRY_SCHEMA = "payment-ledger/payment/1", "payment-ledger/entry/1"
"""Names of the two forms. A changed form gets another name, and what was sealed keeps its own."""

ADDED = frozenset({"Schema", "CiphertextSHA256"})
"""What a leaf has beside the facts."""


def canonical(value: Mapping[str, Any]) -> str:
    """Return canonical JSON as RFC 8785 describes it, for values of text, whole numbers, null, lists and objects.

    All keys of a record are ASCII, so their order by code points is the order by UTF-16 that RFC 8785 asks for.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def ciphertext_hash_of(ciphertext: bytes, entry: int) -> bytes:
    """Return the random part of a leaf: nobody knows it who does not know the ciphertext itself.

    Args:
        ciphertext: the payment's encrypted token.
        entry: the number of the payment's entry; 0 for the payment itself.
    """
    return hashlib.sha256(ciphertext + (f"#{entry}".encode() if entry else b"")).digest()


def leaf_of(facts: Mapping[str, Any], ciphertext_hash: bytes) -> bytes:
    """Return the leaf of a payment or an entry.

    Args:
        facts: what `recorded_facts` reads from a payment's item, or `entry_facts` from an entry's.
        ciphertext_hash: what `ciphertext_hash_of` returns for the record.

    Raises:
        ValueError: the facts have a field that only the leaf has. It would be replaced, so two records had one leaf.
    """
    if facts.keys() & ADDED:
        raise ValueError("the facts have a field of the leaf")
    schema = ENTRY_SCHEMA if "EntryID" in facts else PAYMENT_SCHEMA
    return canonical({**facts, "Schema": schema, "CiphertextSHA256": ciphertext_hash.hex()}).encode()
