"""Merkle proofs: published vectors, RFC 6962's own definition, and proofs that are wrong."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import EMPTY_ROOT, Tree, leaf_hash, node_hash
from ledger_cli.sealed_log.proofs import (
    consistency_proof,
    inclusion_proof,
    inclusion_proof_in_seal,
    is_consistent,
    root_of_inclusion,
)
from tests.support.sealed_log import PUBLISHED, Definition, hashes_of, root_of, split

HASHES = hashes_of(600)
DEFINITION = Definition(HASHES)
ROOTS = [DEFINITION.tree_hash(0, size) for size in range(len(HASHES) + 1)]
SIZES = st.integers(1, len(HASHES))


def decoded(texts: list[str]) -> list[bytes]:
    """Return values of hexadecimal digits."""
    return [bytes.fromhex(text) for text in texts]


PUBLISHED_HASHES = [leaf_hash(leaf) for leaf in decoded(PUBLISHED["Tree"]["Leaves"])]
PUBLISHED_ROOTS = decoded(PUBLISHED["Tree"]["Roots"])


def test_the_published_roots() -> None:
    """Every verifier of Certificate Transparency computes these roots."""
    assert [root_of(PUBLISHED_HASHES[:size]) for size in range(9)] == PUBLISHED_ROOTS


@pytest.mark.parametrize("vector", PUBLISHED["Tree"]["Inclusion"])
def test_the_published_inclusion_proofs(vector: dict[str, Any]) -> None:
    """Another order of the hashes would make proofs that only this project can verify."""
    index, size, proof = vector["Index"], vector["Size"], decoded(vector["Proof"])
    assert inclusion_proof(PUBLISHED_HASHES[:size], index) == proof
    assert root_of_inclusion(PUBLISHED_HASHES[index], index, size, proof) == PUBLISHED_ROOTS[size]


@pytest.mark.parametrize("vector", PUBLISHED["Tree"]["Consistency"])
def test_the_published_consistency_proofs(vector: dict[str, Any]) -> None:
    """As above, for the proofs that witnesses ask for."""
    first, second, proof = vector["First"], vector["Second"], decoded(vector["Proof"])
    assert consistency_proof(PUBLISHED_HASHES[:second], first) == proof
    assert is_consistent(first, PUBLISHED_ROOTS[first], second, PUBLISHED_ROOTS[second], proof)


def test_all_proofs_of_small_trees_are_as_defined() -> None:
    """Each shape of a right edge occurs below 65 leaves."""
    for size in range(1, 65):
        hashes = HASHES[:size]
        for index in range(size):
            proof = inclusion_proof(hashes, index)
            assert proof == DEFINITION.path(index, 0, size)
            assert root_of_inclusion(hashes[index], index, size, proof) == ROOTS[size]
        for first in range(1, size + 1):
            proof = consistency_proof(hashes, first)
            assert proof == DEFINITION.subproof(first, 0, size, whole=True)
            assert is_consistent(first, ROOTS[first], size, ROOTS[size], proof)


@given(SIZES, st.data())
def test_proofs_of_larger_trees_are_as_defined(size: int, data: st.DataObject) -> None:
    """The log grows by a size that nobody chooses."""
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(HASHES[:size], index)
    assert proof == DEFINITION.path(index, 0, size)
    assert root_of_inclusion(HASHES[index], index, size, proof) == ROOTS[size] == root_of(HASHES[:size])
    first = data.draw(st.integers(1, size))
    proof = consistency_proof(HASHES[:size], first)
    assert proof == DEFINITION.subproof(first, 0, size, whole=True)
    assert is_consistent(first, ROOTS[first], size, ROOTS[size], proof)


@given(SIZES, st.data())
def test_a_seal_and_the_peaks_before_it_are_enough_for_a_proof(size: int, data: st.DataObject) -> None:
    """A proof of one record must not need all records before it."""
    before = data.draw(st.integers(0, size - 1))
    index = data.draw(st.integers(before, size - 1))
    tree = Tree()
    for hashed in HASHES[:before]:
        tree.append(hashed)
    peaks = list(tree.peaks)
    assert inclusion_proof_in_seal(tree, HASHES[before:size], index) == DEFINITION.path(index, 0, size)
    assert tree == Tree(before, peaks)


@pytest.mark.parametrize("index", [-1, 2, 5])
def test_a_seal_proves_only_its_own_leaves(index: int) -> None:
    """An index from before the seal would otherwise give a proof of another leaf."""
    tree = Tree()
    for hashed in HASHES[:3]:
        tree.append(hashed)
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof_in_seal(tree, HASHES[3:5], index)
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(HASHES[:2], index)


@pytest.mark.parametrize("peaks", [0, 1, 3])
def test_peaks_fit_the_size(peaks: int) -> None:
    """A seal's item that was changed must not give a proof that looks like one."""
    with pytest.raises(ValueError, match="peaks"):
        inclusion_proof_in_seal(Tree(3, HASHES[:peaks]), HASHES[3:5], 4)


@given(SIZES, st.data())
def test_a_changed_inclusion_proof_gives_another_root(size: int, data: st.DataObject) -> None:
    """Nobody can pass another leaf, another place or another size off as the right one."""
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(HASHES[:size], index)
    other_index = data.draw(st.integers(0, size - 1))
    if other_index != index:
        assert root_or_none(HASHES[index], other_index, size, proof) != ROOTS[size]
        assert root_or_none(HASHES[other_index], index, size, proof) != ROOTS[size]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        changed = (int.from_bytes(proof[at]) ^ 1 << bit).to_bytes(32)
        assert root_of_inclusion(HASHES[index], index, size, [*proof[:at], changed, *proof[at + 1 :]]) != ROOTS[size]
        with pytest.raises(ValueError, match="length"):
            root_of_inclusion(HASHES[index], index, size, [*proof[:at], *proof[at + 1 :]])
    with pytest.raises(ValueError, match="length"):
        root_of_inclusion(HASHES[index], index, size, [*proof, HASHES[0]])


def root_or_none(hashed: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """Return the root of a proof; None if the proof has a wrong length."""
    try:
        return root_of_inclusion(hashed, index, size, proof)
    except ValueError:
        return None


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (0, 0), (1, 1), (8, 8)])
def test_a_tree_has_no_leaf_beyond_its_size(index: int, size: int) -> None:
    """A size of 0 would otherwise make the path of any leaf right."""
    with pytest.raises(ValueError, match="no leaf"):
        root_of_inclusion(HASHES[0], index, size, [])


def test_two_values_that_are_hashes_only_together_are_refused() -> None:
    """A node hashes 64 bytes and does not know where the first child ends."""
    left, right = HASHES[:2]
    moved = [left + right[:1], right[1:]]
    with pytest.raises(ValueError, match="length"):
        root_of_inclusion(moved[0], 0, 2, [moved[1]])
    proof = consistency_proof(HASHES[:7], 3)
    shifted = [proof[0] + proof[1][:1], proof[1][1:], *proof[2:]]
    assert not is_consistent(3, ROOTS[3], 7, ROOTS[7], shifted)


@given(SIZES, st.data())
def test_a_changed_consistency_proof_is_refused(size: int, data: st.DataObject) -> None:
    """A log that was rewritten has other roots, and no proof leads to both."""
    first = data.draw(st.integers(1, size))
    proof = consistency_proof(HASHES[:size], first)
    other = data.draw(st.sampled_from([root for root in (*ROOTS[:8], HASHES[9]) if root != ROOTS[first]]))
    assert not is_consistent(first, other, size, ROOTS[size], proof)
    assert not is_consistent(first, ROOTS[first], size, HASHES[-1], proof)
    assert not is_consistent(first, ROOTS[first], size, ROOTS[size], [*proof, HASHES[0]])
    assert not is_consistent(size + 1, ROOTS[first], size, ROOTS[size], proof)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not is_consistent(first, ROOTS[first], size, ROOTS[size], [*proof[:at], *proof[at + 1 :]])
        changed = [*proof[:at], HASHES[-1], *proof[at + 1 :]]
        assert not is_consistent(first, ROOTS[first], size, ROOTS[size], changed)


def test_each_log_continues_the_empty_one() -> None:
    """A reader that has seen nothing yet can begin with any checkpoint, but not with a false root of nothing."""
    assert is_consistent(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert is_consistent(0, EMPTY_ROOT, 5, ROOTS[5], [])
    assert consistency_proof(HASHES[:5], 0) == []
    assert not is_consistent(0, ROOTS[1], 5, ROOTS[5], [])
    assert not is_consistent(0, ROOTS[1], 0, ROOTS[1], [])
    assert not is_consistent(0, EMPTY_ROOT, 5, ROOTS[5], [HASHES[0]])


def test_no_log_has_a_negative_size() -> None:
    """The steps of a proof would end somewhere for such a size too, and somebody could choose the roots to fit."""
    first = second = HASHES[0]
    for sibling in HASHES[1:3]:
        second = node_hash(second, sibling)
    for sibling in HASHES[3:6]:
        first, second = node_hash(sibling, first), node_hash(sibling, second)
    assert not is_consistent(-3, first, 5, second, HASHES[:6])


@pytest.mark.parametrize("first_size", [-1, 4])
def test_a_tree_does_not_continue_a_larger_one(first_size: int) -> None:
    """A shorter log has lost records: there is nothing to prove."""
    with pytest.raises(ValueError, match="fewer leaves"):
        consistency_proof(HASHES[:3], first_size)


def test_the_definition_splits_as_the_rfc_says() -> None:
    """The judge of these tests must itself be right: k < n <= 2k."""
    assert [split(size) for size in (2, 3, 4, 5, 8, 9)] == [1, 2, 2, 4, 4, 8]
    assert all(smaller != larger for smaller, larger in pairwise(ROOTS))
