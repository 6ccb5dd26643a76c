"""The sealed log as Go's own library for such logs judges it: signatures, keys, proofs and files.

`make test-log` installs Go with the library and builds the judge. Each test asks one process thousands of questions.
"""

import base64
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ledger.checkpoint import checkpoint_text
from ledger.merkle import Tree, leaf_hash
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.sealed_log.notes import InvalidKeyError, Note, NoteError, VerifierKey, verify_note
from ledger_cli.sealed_log.proof_file import ProofFile, check
from ledger_cli.sealed_log.proofs import consistency_proof, inclusion_proof, inclusion_proof_in_seal
from tests.support.cli import ledger
from tests.support.sealed_log import (
    ORIGIN,
    PUBLISHED,
    VECTORS,
    VERIFY_PROOF,
    Definition,
    Signer,
    hashes_of,
    proof_file,
    sample_leaves,
    standalone_verifier,
)

JUDGE = ROOT / ".venv/judge/judge"
SIGNER, WITNESS = Signer(), Signer("witness.example/w1", "a witness")
LARGEST, ALL_UP_TO, MILLION = 600, 64, 1_000_000
SPREAD = sorted(
    {*random.Random(21).sample(range(ALL_UP_TO + 1, LARGEST + 1), 40), 127, 128, 129, 255, 256, 257, 511, LARGEST}
)
"""Sizes above those that are judged completely."""

Question = dict[str, Any]
Judge = Callable[[Sequence[Question]], list[str]]


@pytest.fixture(scope="session")
def judge() -> Judge:
    """Return a function that asks the judge. Each answer is `ok`, or `refused: ` and the library's reason."""
    if not JUDGE.is_file():
        pytest.fail("the judge is not built: run make test-log")

    def ask(questions: Sequence[Question]) -> list[str]:
        done = subprocess.run(
            [JUDGE],
            input="".join(f"{json.dumps(question)}\n" for question in questions),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        answers = done.stdout.splitlines()
        assert len(answers) == len(questions) > 0
        return answers

    return ask


def encoded(value: bytes) -> str:
    """Return bytes as the judge reads them."""
    return base64.b64encode(value).decode()


def record(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> Question:
    """Return the question whether a proof shows that a tree has a leaf."""
    return {
        "judge": "record",
        "leaf": encoded(leaf),
        "index": index,
        "size": size,
        "root": encoded(root),
        "proof": [encoded(hashed) for hashed in proof],
    }


def tree(first: int, old: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> Question:
    """Return the question whether a proof shows that a tree continues another."""
    return {
        "judge": "tree",
        "first": first,
        "old": encoded(old),
        "size": size,
        "root": encoded(root),
        "proof": [encoded(hashed) for hashed in proof],
    }


def note(text: str | bytes, *keys: str) -> Question:
    """Return the question whether one of the keys signed a note."""
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    return {"judge": "note", "note": encoded(raw), "keys": keys or [SIGNER.text]}


def file(content: bytes, *keys: str) -> Question:
    """Return the question whether a file proves a record."""
    return {"judge": "file", "file": encoded(content), "keys": keys or [SIGNER.text]}


def refused(answers: Sequence[str]) -> bool:
    """Return whether the judge refused all."""
    return all(answer.startswith("refused: ") for answer in answers)


HASHES = hashes_of(LARGEST)
DEFINITION = Definition(HASHES)
ROOTS = [DEFINITION.tree_hash(0, size) for size in range(LARGEST + 1)]


def test_the_judge_builds_the_same_trees(judge: Judge) -> None:
    """The judge hashes the leaves by itself, so that nothing of ours is between them and its root."""
    leaves = [f"leaf {number}".encode() for number in range(LARGEST)]
    growing, questions = Tree(), []
    for size, leaf in enumerate(leaves, start=1):
        growing.append(leaf_hash(leaf))
        if size <= ALL_UP_TO or size in SPREAD:
            records = [encoded(one) for one in leaves[:size]]
            questions.append({"judge": "root", "records": records, "root": encoded(growing.root)})
    assert set(judge(questions)) == {"ok"}
    assert refused(judge([{**questions[9], "root": questions[10]["root"]}]))


def test_inclusion_proofs(judge: Judge) -> None:
    """Every leaf of every small tree, and some leaves of larger trees. No two seals of a larger tree have one size."""
    rng = random.Random(6962)
    questions, changed = [], []
    for size in (*range(1, ALL_UP_TO + 1), *SPREAD):
        indexes = range(size) if size <= ALL_UP_TO else sorted({0, size - 1, *rng.sample(range(size), 20)})
        for index in indexes:
            proof = inclusion_proof(HASHES[:size], index)
            questions.append(record(HASHES[index], index, size, ROOTS[size], proof))
            before = rng.randint(0, index)
            peaks = Tree()
            for hashed in HASHES[:before]:
                peaks.append(hashed)
            assert inclusion_proof_in_seal(peaks, HASHES[before:size], index) == proof
            changed.append(record(HASHES[index - 1 if index else 599], index, size, ROOTS[size], proof))
            changed.append(record(HASHES[index], index, size, ROOTS[size - 1], proof))
            changed.append(record(HASHES[index], index, size, ROOTS[size], [*proof, HASHES[0]]))
            if proof:
                changed.append(record(HASHES[index], index, size, ROOTS[size], proof[:-1]))
                changed.append(record(HASHES[index], index, size, ROOTS[size], [*proof[:-1], HASHES[-1]]))
                changed.append(record(HASHES[index], (index + 1) % size, size, ROOTS[size], proof))
    assert set(judge(questions)) == {"ok"}
    assert refused(judge(changed))


def test_consistency_proofs(judge: Judge) -> None:
    """Each pair of small trees, and pairs of larger ones. The library has no empty tree, which begins every log."""
    rng = random.Random(9162)
    questions, changed = [], []
    for size in (*range(1, ALL_UP_TO + 1), *SPREAD):
        firsts = range(1, size + 1) if size <= ALL_UP_TO else sorted({1, size, *rng.sample(range(1, size), 20)})
        for first in firsts:
            proof = consistency_proof(HASHES[:size], first)
            questions.append(tree(first, ROOTS[first], size, ROOTS[size], proof))
            changed.append(tree(first, HASHES[-1], size, ROOTS[size], proof))
            changed.append(tree(first, ROOTS[first], size, ROOTS[size], [*proof, HASHES[0]]))
            if proof:
                changed.append(tree(first, ROOTS[first - 1], size, ROOTS[size], proof))
                changed.append(tree(first, ROOTS[first], size, ROOTS[size - 1], proof))
                changed.append(tree(first, ROOTS[first], size, ROOTS[size], proof[1:]))
    assert set(judge(questions)) == {"ok"}
    assert refused(judge(changed))


def test_a_million_leaves(judge: Judge) -> None:
    """The size of a ledger after a year, and one more and one less, where the right edge is deepest."""
    hashes = hashes_of(MILLION + 1)
    growing, roots = Tree(), {}
    firsts = [1, 600, 524_288, 524_289, MILLION - 1, MILLION]
    for size, hashed in enumerate(hashes, start=1):
        growing.append(hashed)
        if size in firsts or size >= MILLION - 1:
            roots[size] = growing.root
    questions = []
    for index in (0, 524_287, 777_777, MILLION - 1):
        proof = inclusion_proof(hashes[:MILLION], index)
        questions.append(record(hashes[index], index, MILLION, roots[MILLION], proof))
    for first in firsts:
        proof = consistency_proof(hashes[:MILLION], first)
        questions.append(tree(first, roots[first], MILLION, roots[MILLION], proof))
    last = inclusion_proof(hashes, MILLION)
    questions.append(record(hashes[MILLION], MILLION, MILLION + 1, roots[MILLION + 1], last))
    assert set(judge(questions)) == {"ok"}
    assert refused(judge([{**question, "root": encoded(roots[600])} for question in questions]))


def test_published_vectors(judge: Judge) -> None:
    """The judge and our code agree on what others publish, so both read it as it was meant."""
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in PUBLISHED["Tree"]["Leaves"]]
    roots = [bytes.fromhex(root) for root in PUBLISHED["Tree"]["Roots"]]
    proofs = [
        *(
            record(
                hashes[one["Index"]], one["Index"], one["Size"], roots[one["Size"]], map(bytes.fromhex, one["Proof"])
            )
            for one in PUBLISHED["Tree"]["Inclusion"]
        ),
        *(
            tree(
                one["First"], roots[one["First"]], one["Second"], roots[one["Second"]], map(bytes.fromhex, one["Proof"])
            )
            for one in PUBLISHED["Tree"]["Consistency"]
        ),
    ]
    notes = [note(one["Note"], *one["Keys"]) for one in (*PUBLISHED["Notes"], *PUBLISHED["Checkpoints"]) if one["Keys"]]
    assert set(judge([*proofs, *notes])) == {"ok"}
    assert refused(judge([{"judge": "key", "keys": [key]} for key in PUBLISHED["BadKeys"]["Keys"]]))


def test_our_vectors(judge: Judge) -> None:
    """Somebody who tests another verifier with them gets what this one says."""
    key = VECTORS["VerifierKey"]
    leaves = [one["CanonicalJSON"].encode() for one in VECTORS["Records"]]
    questions = [
        {"judge": "key", "keys": [key]},
        *(note(seal["Checkpoint"], key) for seal in VECTORS["Seals"]),
        *(
            {"judge": "root", "records": [encoded(leaf) for leaf in leaves[: seal["Size"]]], "root": seal["Root"]}
            for seal in VECTORS["Seals"]
        ),
        *(file(one["ProofFile"].encode(), key) for one in VECTORS["Records"]),
        {
            "judge": "tree",
            "first": 1,
            "old": VECTORS["Seals"][0]["Root"],
            "size": 2,
            "root": VECTORS["Seals"][1]["Root"],
            "proof": VECTORS["ConsistencyProof"],
        },
    ]
    assert set(judge(questions)) == {"ok"}


def test_keys(judge: Judge) -> None:
    """The judge takes each key of ours, and each changed key that it refuses, we refuse as well."""
    assert judge([{"judge": "key", "keys": [Signer(ORIGIN, f"{n}").text]} for n in range(50)]) == ["ok"] * 50
    text = SIGNER.text
    changed = [
        text[:at] + chr(ord(text[at]) ^ bit) + text[at + 1 :] for at in range(len(text)) for bit in (1, 2, 4, 32)
    ]
    changed += [text[start:end] for start in range(0, len(text), 3) for end in range(start, len(text))]
    for key, answer in zip(changed, judge([{"judge": "key", "keys": [key]} for key in changed]), strict=True):
        with pytest.raises(InvalidKeyError):
            VerifierKey.parse(key)
        # The library's hexadecimal digits and its base64 have more than one form, and ours have one.
        assert answer.startswith("refused: ") or key.lower() == text.lower() or key[:-1] == text[:-1], key


def accepted(signed: bytes) -> bool:
    """Return whether our reader accepts a note."""
    try:
        verify_note(Note.parse(signed), [SIGNER.key])
    except NoteError:
        return False
    return True


def test_notes(judge: Judge) -> None:
    """The judge opens each checkpoint of ours, and refuses each one that was changed and that it knows the key of."""
    text = checkpoint_text(ORIGIN, 600, ROOTS[600])
    signed = SIGNER.note(text)
    good = [SIGNER.note(checkpoint_text(ORIGIN, size, ROOTS[size])) for size in range(LARGEST + 1)]
    good += [signed + WITNESS.signature_line(text), WITNESS.note(text) + SIGNER.signature_line(text)]
    good += [SIGNER.note(f"{text}an extension\n"), signed + WITNESS.signature_line(text) * 15]
    assert set(judge([note(one) for one in good])) == {"ok"}
    assert all(accepted(one.encode()) for one in good)
    raw = signed.encode()
    changed = [raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :] for at in range(len(raw)) for bit in range(8)]
    changed += [raw[:at] + raw[at + 1 :] for at in range(len(raw))] + [raw[:at] for at in range(len(raw))]
    changed += [raw[:at] + one + raw[at:] for at in range(len(raw) + 1) for one in (b"\n", b" ", b"\r", b"\0", b"A")]
    changed = [one for one in changed if one != raw]
    for one, answer in zip(changed, judge([note(one) for one in changed]), strict=True):
        assert not accepted(one)
        # The library's base64 passes over line ends and last bits that encode nothing. Ours does not.
        assert answer.startswith("refused: ") or same_bytes(one, raw), one


def same_bytes(changed: bytes, signed: bytes) -> bool:
    """Return whether a note differs from another only in how base64 writes its signature."""
    (head, _, last), (other_head, _, other_last) = changed.rpartition(b" "), signed.rpartition(b" ")
    return head == other_head and base64.b64decode(last) == base64.b64decode(other_last)


def test_proof_files(judge: Judge) -> None:
    """A file that `ledger prove` writes is verified by the library, and a changed one is refused by it and by ours."""
    leaves = sample_leaves(100)
    signed = SIGNER.checkpoint([leaf_hash(leaf) for leaf in leaves])
    files = [proof_file(leaves, index, signed).encode() for index in range(100)]
    assert set(judge([file(one) for one in files])) == {"ok"}
    assert set(judge([file(one, WITNESS.text) for one in files[:3]])) == {"refused: note has no verifiable signatures"}
    (good,) = [one for one in files if b"\nindex 66\n" in one]
    changed = [good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :] for at in range(len(good)) for bit in range(8)]
    changed += [good[:at] + good[at + 1 :] for at in range(len(good))] + [good[:at] for at in range(len(good))]
    changed = [one for one in changed if one != good]
    for one, answer in zip(changed, judge([file(one) for one in changed]), strict=True):
        with pytest.raises(NoteError):
            check(ProofFile.parse(one), [SIGNER.key])
        assert answer.startswith("refused: ") or same_bytes(one, good), one


def test_what_the_command_writes(
    judge: Judge, engine: Engine, endpoint: str, payment: dict[str, Any], refund: dict[str, Any], tmp_path: Path
) -> None:
    """From a payment to a judged file: the stack seals and signs, the command writes, and others verify."""

    def done(*arguments: str) -> str:
        ended = ledger(*arguments, folder=tmp_path, LEDGER_ENDPOINT_URL=endpoint)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    for number in range(3):
        named = json.dumps({**payment, "TransactionID": f"txn-{number}"})
        assert engine.run(named, f"run-{number}").outcome == "RECORDED"
    done("seal")
    first = done("checkpoint")
    assert engine.run(json.dumps({**refund, "TransactionID": "txn-1"}), "refund").outcome == "RECORDED"
    assert engine.run(json.dumps({**payment, "TransactionID": "txn-0-again"}), "run-4").outcome == "RECORDED"
    done("seal")
    last, key = done("checkpoint"), done("checkpoint", "--key").strip()
    records = [("txn-0",), ("txn-1",), ("txn-2",), ("txn-1", "--entry", "1"), ("txn-0-again",)]
    for number, record_ in enumerate(records):
        done("prove", *record_, "--out", f"{number}.tlog-proof")
    files = [(tmp_path / f"{number}.tlog-proof").read_bytes() for number in range(len(records))]
    assert set(judge([note(first, key), note(last, key), *(file(one, key) for one in files)])) == {"ok"}
    alone = standalone_verifier()
    shown = [alone["proven"](one, [alone["parse_key"](key)])[0] for one in files]
    assert [one["TransactionID"] for one in shown] == [name for name, *_ in records]
    assert shown[3]["EntryID"] == refund["EntryID"]
    assert refused(judge([file(one, SIGNER.text) for one in files]))


def test_every_other_byte_at_every_place_of_a_file() -> None:
    """Exhaustively: our reader and the auditor's program refuse all of them."""
    alone = standalone_verifier()
    keys = [alone["parse_key"](SIGNER.text)]
    leaves = sample_leaves(2)
    good = proof_file(leaves, 1, SIGNER.checkpoint([leaf_hash(leaf) for leaf in leaves])).encode()
    assert alone["proven"](good, keys)[0] == json.loads(leaves[1])
    refusals = 0
    for at, byte in enumerate(good):
        for other in {*range(256)} - {byte}:
            changed = good[:at] + bytes([other]) + good[at + 1 :]
            refusals += not proves(changed)
            try:
                alone["proven"](changed, keys)
            except alone["NotProvenError"]:
                refusals += 1
    assert refusals == 2 * 255 * len(good)


def proves(content: bytes) -> bool:
    """Return whether our reader accepts a file."""
    try:
        check(ProofFile.parse(content), [SIGNER.key])
    except NoteError:
        return False
    return True


def test_the_auditors_program_runs_alone(tmp_path: Path) -> None:
    """In a folder of its own, in Python's isolated mode, with the two files that an auditor has."""
    program, proof = tmp_path / "verify_proof.py", tmp_path / "one.tlog-proof"
    program.write_bytes(VERIFY_PROOF.read_bytes())
    proof.write_text(VECTORS["Records"][0]["ProofFile"], encoding="utf-8")
    command = [sys.executable, "-I", program, proof, "--key", VECTORS["VerifierKey"]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'Amount: "129.90"\n' in done.stdout
    assert done.stdout.splitlines()[-1].startswith("proven: record 1 of the first 2 in the log ")
