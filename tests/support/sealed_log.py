"""A sealed log for tests: keys that everybody can make, and RFC 6962's definitions as plain recursion."""

import hashlib
import json
import runpy
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint import checkpoint_text, signed_note, verifier_key
from ledger.leaf import canonical
from ledger.merkle import EMPTY_ROOT, Tree, leaf_hash
from ledger_cli import ROOT
from ledger_cli.sealed_log.notes import VerifierKey
from ledger_cli.sealed_log.proof_file import ProofFile
from ledger_cli.sealed_log.proofs import inclusion_proof

ORIGIN = "payment-ledger/123456789012/eu-central-1/PaymentLedger"
PUBLISHED: dict[str, Any] = json.loads((ROOT / "tests/sealed_log/published.json").read_text(encoding="utf-8"))
"""Vectors that other projects publish, with their sources."""

VECTORS: dict[str, Any] = json.loads((ROOT / "events/vectors/sealed-log.json").read_text(encoding="utf-8"))
VERIFY_PROOF = ROOT / "docs/operate/verify_proof.py"


class Signer(NamedTuple):
    """A key of a log, made from a text."""

    name: str = ORIGIN
    seed: str = "a test"

    @property
    def private_key(self) -> Ed25519PrivateKey:
        """The private key."""
        return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.seed.encode()).digest())

    @property
    def text(self) -> str:
        """The verifier key as text."""
        return verifier_key(self.name, self.private_key.public_key().public_bytes_raw())

    @property
    def key(self) -> VerifierKey:
        """The verifier key."""
        return VerifierKey.parse(self.text)

    def note(self, text: str) -> str:
        """Return the signed note of a text."""
        public_key = self.private_key.public_key().public_bytes_raw()
        return signed_note(text, self.name, public_key, self.private_key.sign(text.encode()))

    def signature_line(self, text: str) -> str:
        """Return the line with which the key signs a text, with its newline."""
        return self.note(text).removeprefix(f"{text}\n")

    def checkpoint(self, leaf_hashes: Sequence[bytes], origin: str | None = None) -> str:
        """Return the signed checkpoint of a log with these leaves."""
        return self.note(checkpoint_text(origin or self.name, len(leaf_hashes), root_of(leaf_hashes)))


def hashes_of(count: int) -> list[bytes]:
    """Return the hashes of so many leaves."""
    return [leaf_hash(f"leaf {number}".encode()) for number in range(count)]


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root that the ledger's own tree has."""
    tree = Tree()
    for hashed in leaf_hashes:
        tree.append(hashed)
    return tree.root


def proof_file(leaves: Sequence[bytes], index: int, note: str) -> str:
    """Return the file that proves one of these leaves."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return ProofFile(leaves[index], index, inclusion_proof(hashes, index), note).text()


def sample_leaves(count: int) -> list[bytes]:
    """Return leaves that are records with a schema."""
    return [
        canonical({"Note": "é\u202e\n", "Schema": "payment-ledger/payment/1", "TransactionID": f"t{n}"}).encode()
        for n in range(count)
    ]


class Definition:
    """RFC 6962, sections 2.1 to 2.1.2, as it is written: slow, and easy to compare with the page."""

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        self.leaf_hashes = tuple(leaf_hashes)
        self.tree_hash = lru_cache(maxsize=None)(self._tree_hash)

    def _tree_hash(self, start: int, end: int) -> bytes:
        if start == end:
            return EMPTY_ROOT
        if end - start == 1:
            return self.leaf_hashes[start]
        middle = start + split(end - start)
        return hashlib.sha256(b"\x01" + self.tree_hash(start, middle) + self.tree_hash(middle, end)).digest()

    def path(self, index: int, start: int, end: int) -> list[bytes]:
        """Return PATH(index, D[start:end])."""
        if end - start == 1:
            return []
        middle = start + split(end - start)
        if start + index < middle:
            return [*self.path(index, start, middle), self.tree_hash(middle, end)]
        return [*self.path(start + index - middle, middle, end), self.tree_hash(start, middle)]

    def subproof(self, size: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        """Return SUBPROOF(size, D[start:end], whole)."""
        if size == end - start:
            return [] if whole else [self.tree_hash(start, end)]
        half = split(end - start)
        if size <= half:
            return [*self.subproof(size, start, start + half, whole=whole), self.tree_hash(start + half, end)]
        return [
            *self.subproof(size - half, start + half, end, whole=False),
            self.tree_hash(start, start + half),
        ]


def split(size: int) -> int:
    """Return the largest power of two that is less than a size."""
    return 1 << (size - 1).bit_length() - 1


def standalone_verifier() -> dict[str, Any]:
    """Return what `verify_proof.py` defines, for tests that call it many times."""
    return runpy.run_path(str(VERIFY_PROOF))
