"""The Merkle tree of the sealed log. Source: RFC 6962, section 2.1."""

import hashlib
from dataclasses import dataclass, field

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Tree:
    """A tree that only grows. It keeps no leaves, so its memory does not grow with it.

    Attributes:
        size: the number of leaves.
        peaks: the roots of the largest complete subtrees that the tree consists of, from left to right.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, hashed: bytes) -> None:
        """Add a leaf, which is given as its hash."""
        self.peaks.append(hashed)
        self.size += 1
        rest = self.size
        while rest % 2 == 0:  # two subtrees of one size stand last: they are one of twice the size
            right = self.peaks.pop()
            self.peaks[-1] = node_hash(self.peaks[-1], right)
            rest //= 2

    @property
    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def copy(self) -> "Tree":
        """Return a tree that grows by itself."""
        return Tree(self.size, list(self.peaks))
