"""Proofs about the tree of the sealed log: that it holds a leaf, and that it continues an earlier tree.

A hash is 32 bytes. A proof is a list of hashes, the one nearest to the leaves first.
Source: RFC 6962, sections 2.1.1 and 2.1.2; RFC 9162, sections 2.1.3.2 and 2.1.4.2 (verification).
"""

from collections.abc import Sequence

from ledger.merkle import EMPTY_ROOT, HASH_BYTES, Tree, node_hash


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that the tree of all these leaves holds the leaf at *index*.

    Raises:
        ValueError: the tree has no such leaf.
    """
    return inclusion_proof_in_seal(Tree(), leaf_hashes, index)


def inclusion_proof_in_seal(before: Tree, added: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that the tree after a seal holds a leaf that the seal added.

    It needs no leaf from before the seal. On each level, the known nodes are those above added leaves. If a left
    sibling of the first one is missing, it is a peak of the tree before.

    Args:
        before: the tree before the seal.
        added: the hashes of the leaves that the seal adds.
        index: the leaf's index in the whole log.

    Raises:
        ValueError: the seal adds no such leaf, or the peaks do not fit the size of the tree before.
    """
    if not before.size <= index < before.size + len(added):
        raise ValueError("the seal adds no leaf with this index")
    if len(before.peaks) != before.size.bit_count():
        raise ValueError("the peaks do not fit the size")
    peaks, level, start = list(before.peaks), list(added), before.size
    proof = []
    while start or len(level) > 1:
        if start % 2:
            level.insert(0, peaks.pop())
            start -= 1
        sibling = (index ^ 1) - start
        if sibling < len(level):
            proof.append(level[sibling])
        level, start, index = _parents(level), start // 2, index // 2
    return proof


def root_of_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root of the tree with *size* leaves in which the proof puts this leaf at *index*.

    The proof is right if the result is the root that the log signed.

    Raises:
        ValueError: the tree has no such leaf, or the proof has too many hashes or too few, or one of a wrong length.
    """
    if not 0 <= index < size:
        raise ValueError("the tree has no leaf with this index")
    # Below the node at which the paths of this leaf and of the tree's last leaf meet, a sibling may stand on either
    # side. Above it, the path follows the right edge of the tree, so each sibling stands on the left.
    inner = (index ^ (size - 1)).bit_length()
    if len(proof) != inner + (index >> inner).bit_count() or not _are_hashes([leaf_hash, *proof]):
        raise ValueError("the proof has a wrong length")
    root = leaf_hash
    for level, sibling in enumerate(proof):
        on_the_left = level >= inner or index >> level & 1
        root = node_hash(sibling, root) if on_the_left else node_hash(root, sibling)
    return root


def consistency_proof(leaf_hashes: Sequence[bytes], first_size: int) -> list[bytes]:
    """Return the proof that the tree of all these leaves continues the tree of the first *first_size* ones.

    Raises:
        ValueError: the tree has fewer leaves than that.
    """
    if not 0 <= first_size <= len(leaf_hashes):
        raise ValueError("the tree has fewer leaves than the first one")
    if first_size in {0, len(leaf_hashes)}:
        return []
    level, last = list(leaf_hashes), first_size - 1
    while last % 2:  # up to the largest complete subtree at the end of the first tree
        level, last = _parents(level), last // 2
    # If that is the whole first tree, the verifier has its root already.
    proof = [level[last]] if last else []
    return proof + inclusion_proof(level, last)


def is_consistent(
    first_size: int, first_root: bytes, second_size: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether the proof shows that the second tree continues the first one."""
    if not 0 <= first_size <= second_size:
        return False
    if first_size == second_size:
        return not proof and first_root == second_root and (first_size > 0 or first_root == EMPTY_ROOT)
    if first_size == 0:
        return not proof and first_root == EMPTY_ROOT
    hashes = list(proof) if first_size.bit_count() > 1 else [first_root, *proof]
    last, end = first_size - 1, second_size - 1
    while last % 2:
        last, end = last // 2, end // 2
    inner = (last ^ end).bit_length()
    if len(hashes) != 1 + inner + (last >> inner).bit_count():
        return False
    first = second = hashes[0]
    for level, sibling in enumerate(hashes[1:]):
        if level >= inner or last >> level & 1:  # on the left, so it is in both trees
            first, second = node_hash(sibling, first), node_hash(sibling, second)
        else:
            second = node_hash(second, sibling)
    return first == first_root and second == second_root


def _are_hashes(values: Sequence[bytes]) -> bool:
    """Return whether each value has a hash's length. Two values of other lengths could together be two real hashes."""
    return all(len(value) == HASH_BYTES for value in values)


def _parents(level: Sequence[bytes]) -> list[bytes]:
    """Return the nodes above those of a level. A last node without a sibling stands on the level above, unchanged."""
    above = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        above.append(level[-1])
    return above
