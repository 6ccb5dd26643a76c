"""IDs of other systems as identifiers of the contract. docs/integrate/contract.md has the rule and its test vectors."""

import hashlib
import re

from ledger.fields import IDENTIFIER

READABLE_BYTES = 24
HASH_DIGITS = 32
"""Digits of the hash. With 128 bits, nobody finds a second ID with the same hash. 24 + 8 + 32 characters are the most
that an identifier may have."""

MAPPED = re.compile(r".{1,24}_sha256_[0-9a-f]{32}")
"""Form of a mapped identifier. An original ID of this form is mapped too: otherwise it could be confused with the ID
that is mapped to it."""

ORIGINAL_TRANSACTION_ID = "original.TransactionID"
ORIGINAL_ENTRY_ID = "original.EntryID"
"""Metadata keys that keep the original of a mapped ID."""


def mapped_identifier(original: str) -> str:
    """Return *original* if it is an identifier already, otherwise its readable beginning and its hash.

    Two different originals have different results, whether they are mapped or not. Empty text, and text with half a
    surrogate pair, which has no UTF-8 form, are returned unchanged: the contract rejects them by the rule `identifier`.
    """
    if IDENTIFIER.fullmatch(original) and not MAPPED.fullmatch(original):
        return original
    try:
        content = original.encode()
    except UnicodeEncodeError:
        return original
    if not content:
        return original
    readable = re.sub(rb"[^A-Za-z0-9_-]", b"_", content[:READABLE_BYTES]).decode()
    return f"{readable}_sha256_{hashlib.sha256(content).hexdigest()[:HASH_DIGITS]}"
