"""Files that prove one record: our reader, the program of one file for auditors, and every changed byte."""

import ast
import base64
import hashlib
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import checkpoint_text
from ledger.leaf import canonical, leaf_of
from ledger.merkle import leaf_hash, node_hash
from ledger_cli.sealed_log.notes import Checkpoint, NoteError, OtherLogError, VerifierKey, verify
from ledger_cli.sealed_log.proof_file import (
    MAX_FILE_BYTES,
    MalformedProofError,
    ProofFile,
    WrongProofError,
    check,
)
from ledger_cli.sealed_log.proofs import is_consistent, root_of_inclusion
from tests.support.sealed_log import (
    ORIGIN,
    VECTORS,
    VERIFY_PROOF,
    Signer,
    proof_file,
    root_of,
    sample_leaves,
    standalone_verifier,
)

SIGNER, WITNESS = Signer(), Signer("witness.example/w1", "a witness")
LEAVES = sample_leaves(11)
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
NOTE = SIGNER.checkpoint(HASHES)
FILE = proof_file(LEAVES, 6, NOTE)
COSIGNED = FILE + WITNESS.signature_line(Checkpoint.parse(NOTE).text)
STANDALONE = standalone_verifier()


def proven(file: bytes, *keys: VerifierKey) -> bytes | None:
    """Return the leaf that a file proves; None if our reader refuses the file."""
    try:
        proof = ProofFile.parse(file)
        check(proof, keys or [SIGNER.key])
    except NoteError as refused:
        if "\n" in str(refused):
            raise
        return None
    return proof.leaf


def proven_alone(file: bytes, *keys: str) -> bytes | None:
    """Return the leaf that the auditor's program would print; None if it refuses the file."""
    try:
        record, place = STANDALONE["proven"](file, [STANDALONE["parse_key"](key) for key in keys or [SIGNER.text]])
    except STANDALONE["NotProvenError"] as refused:
        if "\n" in str(refused):
            raise
        return None
    assert place.startswith("record ")
    return canonical(record).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11])
def test_each_record_of_a_log_has_its_proof(size: int) -> None:
    """What one reader writes, both readers read."""
    note = SIGNER.checkpoint(HASHES[:size])
    for index in range(size):
        file = proof_file(LEAVES[:size], index, note).encode()
        assert proven(file) == proven_alone(file) == LEAVES[index]
        proof = ProofFile.parse(file)
        assert (proof.index, proof.note, proof.text().encode()) == (index, note, file)
        checkpoint, key = check(proof, [SIGNER.key])
        assert (checkpoint.size, key) == (size, SIGNER.key)


def test_the_vectors_of_the_documentation() -> None:
    """Those who write a verifier of their own test it with these; `make generate` wrote them."""
    key = VerifierKey.parse(VECTORS["VerifierKey"])
    private_key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(VECTORS["SigningSeed"]))
    assert private_key.public_key().public_bytes_raw() == key.public_key
    ciphertext = base64.b64decode(VECTORS["Ciphertext"])
    hashes = []
    for index, (record, seal) in enumerate(zip(VECTORS["Records"], VECTORS["Seals"], strict=True)):
        ciphertext_hash = hashlib.sha256(ciphertext + (b"#1" if "Entry" in record["Facts"] else b"")).digest()
        assert ciphertext_hash.hex() == record["CiphertextSHA256"]
        leaf = leaf_of(record["Facts"], ciphertext_hash)
        hashes.append(leaf_hash(leaf))
        assert leaf.decode() == record["CanonicalJSON"]
        assert base64.b64encode(hashes[-1]).decode() == record["LeafHash"]
        checkpoint = Checkpoint.parse(seal["Checkpoint"])
        assert (checkpoint.size, checkpoint.root) == (seal["Size"], root_of(hashes)) == (index + 1, root_of(hashes))
        assert base64.b64encode(checkpoint.root).decode() == seal["Root"]
        assert verify(checkpoint, [key]) == key
        file = record["ProofFile"].encode()
        assert proven(file, key) == proven_alone(file, VECTORS["VerifierKey"]) == leaf
        assert [base64.b64encode(value).decode() for value in ProofFile.parse(file).hashes] == record["InclusionProof"]
    proof = [base64.b64decode(text) for text in VECTORS["ConsistencyProof"]]
    assert is_consistent(1, root_of(hashes[:1]), 2, root_of(hashes), proof)


def test_any_changed_byte_is_refused_or_changes_nothing_that_is_shown() -> None:
    """Only the lines of keys that the reader does not know can change: nobody has proven them."""
    assert proven(COSIGNED.encode()) == LEAVES[6]
    judged = len(FILE.encode())
    for at, byte in enumerate(COSIGNED.encode()):
        for other in (*(byte ^ 1 << bit for bit in range(8)), 0x0A, 0x20, 0x0D, 0x00, 0xFF):
            if other != byte:
                changed = COSIGNED.encode()[:at] + bytes([other]) + COSIGNED.encode()[at + 1 :]
                shown = proven(changed)
                assert shown == proven_alone(changed)
                assert shown is None or (at >= judged and shown == LEAVES[6]), (at, other)


def test_any_removed_or_added_byte_is_refused_or_changes_nothing_that_is_shown() -> None:
    """As above, for files that were cut or joined."""
    file = COSIGNED.encode()
    judged = len(FILE.encode())
    for at in range(len(file) + 1):
        variants = [
            file[:at],
            file[at:],
            file[:at] + file[at + 1 :],
            *(file[:at] + one + file[at:] for one in (b"A", b"\n")),
        ]
        for changed in variants:
            if changed != file:
                shown = proven(changed)
                assert shown == proven_alone(changed)
                assert shown is None or (at >= judged and shown == LEAVES[6]), at


def lines_of(file: str) -> list[str]:
    """Return the lines of a file, without the newline at its end."""
    return file.removesuffix("\n").split("\n")


EXTRA, INDEX = lines_of(FILE)[1:3]
HASH_LINES = lines_of(FILE)[3 : 3 + 4]


def replaced(line: str, other: str) -> str:
    """Return the file with one line replaced."""
    assert f"\n{line}\n" in FILE
    return FILE.replace(f"\n{line}\n", f"\n{other}\n", 1)


LARGE = canonical({"Note": "x" * (2 * MAX_FILE_BYTES), "Schema": "payment-ledger/payment/1"}).encode()
MALFORMED = {
    "nothing": "",
    "a checkpoint": NOTE,
    "another version": FILE.replace("@v1", "@v2"),
    "no record": FILE.replace(f"{EXTRA}\n", ""),
    "an empty record": replaced(EXTRA, "extra "),
    "a record that is not base64": replaced(EXTRA, "extra é"),
    "no index": FILE.replace(f"{INDEX}\n", ""),
    "an index before the record": replaced(f"{EXTRA}\n{INDEX}", f"{INDEX}\n{EXTRA}"),
    "two records": replaced(EXTRA, f"{EXTRA}\n{EXTRA}"),
    "an index with a zero before it": replaced(INDEX, "index 06"),
    "a negative index": replaced(INDEX, "index -5"),
    "an index with a space": replaced(INDEX, "index  6"),
    "an index of thousands of digits": replaced(INDEX, f"index {'9' * 5000}"),
    "an index in digits of another script": replaced(INDEX, "index \u0666"),
    "a hash that is too short": replaced(HASH_LINES[0], "AAAA"),
    "a hash without padding": replaced(HASH_LINES[0], HASH_LINES[0][:-1]),
    "a hash for URLs": replaced(HASH_LINES[0], "_" * 43 + "="),
    "an empty line": replaced(HASH_LINES[0], f"\n{HASH_LINES[0]}"),
    "no checkpoint": FILE.partition("\n\n")[0] + "\n\n",
    "no end": FILE.partition("\n\n")[0],
    "line ends of Windows": FILE.replace("\n", "\r\n"),
    "too large": proof_file([LARGE], 0, SIGNER.checkpoint([leaf_hash(LARGE)])),
    "a byte order mark": f"\ufeff{FILE}",
    "a lone surrogate": FILE.replace("extra", "\ud800"),
}


@pytest.mark.parametrize("file", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_refused(file: str) -> None:
    """Both readers refuse it, each with one line."""
    with pytest.raises(NoteError) as refused:
        check(ProofFile.parse(file), [SIGNER.key])
    assert "\n" not in str(refused.value)
    assert proven_alone(file.encode(errors="surrogatepass")) is None


def test_errors_say_what_is_wrong() -> None:
    """An auditor asks whether the file is damaged, or of another ledger, or the record false."""
    with pytest.raises(MalformedProofError, match="does not begin with"):
        ProofFile.parse(NOTE)
    with pytest.raises(MalformedProofError, match="a line that is not a hash"):
        ProofFile.parse(replaced(HASH_LINES[0], "AAAA"))
    with pytest.raises(WrongProofError, match="not in the log"):
        check(ProofFile.parse(replaced(INDEX, "index 7")), [SIGNER.key])
    with pytest.raises(WrongProofError, match="not in the log"):
        check(ProofFile.parse(replaced(INDEX, "index 11")), [SIGNER.key])
    with pytest.raises(OtherLogError, match="another log"):
        check(ProofFile.parse(FILE), [WITNESS.key])


SIBLING = HASHES[1]


def alone(note: str, hashes: Sequence[bytes] = ()) -> str:
    """Return a file about the first record with this checkpoint and these hashes."""
    return ProofFile(LEAVES[0], 0, hashes, note).text()


def signed(size: int, root: bytes, more: str = "", signer: Signer = SIGNER) -> str:
    """Return a signed checkpoint, which may be one that no ledger signs."""
    return signer.note(checkpoint_text(ORIGIN, size, root) + more)


CRAFTED = {
    "an empty extension line": (alone(signed(1, HASHES[0], "\nmore\n")), "does not begin with a log's name"),
    "a root of another length": (alone(signed(1, HASHES[0][:31])), "does not have a root"),
    "a signature of an ID only": (f"{COSIGNED}— a AAAAAA==\n", "is not a signature"),
    "another known log's key": (alone(signed(1, HASHES[0], signer=WITNESS)), "no key that you gave has signed"),
    "a hash too many": (alone(signed(1, node_hash(SIBLING, HASHES[0])), [SIBLING]), "too long"),
    "a hash of another length": (
        alone(signed(2, node_hash(HASHES[0], SIBLING[:31])), [SIBLING[:31]]),
        "does not fit the size",
    ),
    "a hash too few": (alone(signed(2, HASHES[0])), "too short"),
}


@pytest.mark.parametrize(("file", "message"), CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_file_is_refused_although_a_known_key_signed_it(file: str, message: str) -> None:
    """Only the form is wrong, so nothing but the check of the form can find it."""
    assert proven(file.encode(), SIGNER.key, WITNESS.key) is None
    with pytest.raises(STANDALONE["NotProvenError"], match=message):
        STANDALONE["proven"](file.encode(), [STANDALONE["parse_key"](one.text) for one in (SIGNER, WITNESS)])


@pytest.mark.parametrize(("size", "is_read"), [(2**63 - 1, True), (2**63, False)])
def test_the_largest_log(size: int, *, is_read: bool) -> None:
    """Other verifiers keep a size in a signed integer of 64 bits, so none of them would read a larger log."""
    hashes = [hashlib.sha256(bytes([level])).digest() for level in range(63)]
    root = root_of_inclusion(HASHES[0], 0, size, hashes)
    file = ProofFile(LEAVES[0], 0, hashes, SIGNER.note(checkpoint_text(ORIGIN, size, root))).text().encode()
    assert proven(file) == proven_alone(file) == (LEAVES[0] if is_read else None)


@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 10))
def test_a_record_has_one_place(leaf: int, index: int, proof_of: int) -> None:
    """A good checkpoint proves no other record, and no other place."""
    hashes = ProofFile.parse(proof_file(LEAVES, proof_of, NOTE)).hashes
    file = ProofFile(LEAVES[leaf], index, hashes, NOTE).text().encode()
    expected = LEAVES[leaf] if leaf == index == proof_of else None
    assert proven(file) == proven_alone(file) == expected


@given(st.binary(max_size=100), st.integers(0, len(FILE)))
def test_any_bytes_are_refused_in_one_way(inserted: bytes, at: int) -> None:
    """No file, however hostile, ends either reader with an error that nobody expects."""
    for file in (inserted, FILE.encode()[:at] + inserted, FILE.encode()[:at] + inserted + FILE.encode()[at:]):
        assert proven(file) == proven_alone(file) == (LEAVES[6] if file == FILE.encode() else None)


HOSTILE_LEAVES = {
    "not JSON": b"{",
    "not UTF-8": b'{"Schema":"\xff"}',
    "a list": b"[]",
    "a text": b'"Schema"',
    "no schema": b'{"A":"1"}',
    "spaces": b'{"Schema": "1"}',
    "a name twice": b'{"Amount":"1.00","Amount":"9.00","Schema":"1"}',
    "another order": b'{"Schema":"1","Amount":"9.00"}',
    "not a number": b'{"A":NaN,"Schema":"1"}',
    "a lone surrogate": b'{"Schema":"\\ud800"}',
    "deep": b'{"A":' + b"[" * 100_000 + b"]" * 100_000 + b',"Schema":"1"}',
}


@pytest.mark.parametrize("leaf", HOSTILE_LEAVES.values(), ids=HOSTILE_LEAVES)
def test_the_program_shows_only_canonical_json(leaf: bytes) -> None:
    """A name that occurs twice would show one amount, and another reader would show the other."""
    file = proof_file([leaf], 0, SIGNER.checkpoint([leaf_hash(leaf)])).encode()
    assert proven_alone(file) is None


class Ended(NamedTuple):
    """How the program ended: its status, and what it printed."""

    status: int
    output: str
    errors: str


Program = Callable[..., Ended]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Return a function that runs the program for auditors."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["verify_proof.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(VERIFY_PROOF), run_name="__main__")
        shown = capsys.readouterr()
        if isinstance(ended.value.code, str):  # Python prints it on standard error, and exits with 1
            return Ended(1, shown.out, ended.value.code)
        return Ended(ended.value.code, shown.out, shown.err)

    return run


def test_the_program_shows_the_record_and_what_proves_it(program: Program, tmp_path: Path) -> None:
    """An auditor reads the record from the program, and not from the file."""
    (tmp_path / "one.tlog-proof").write_text(FILE, encoding="utf-8")
    ended = program(tmp_path / "one.tlog-proof", "--key", WITNESS.text, "--key", SIGNER.text)
    assert ended.status == 0
    assert ended.output.splitlines() == [
        'Note: "é\\u{202e}\\n"',
        'Schema: "payment-ledger/payment/1"',
        'TransactionID: "t6"',
        f"proven: record 7 of the first 11 in the log {ORIGIN}, signed by the key {SIGNER.key.key_id.hex()}",
    ]


def test_the_program_reads_a_key_from_a_file(program: Program, tmp_path: Path) -> None:
    """An auditor keeps the key in a file, and gives its name to both programs alike."""
    (tmp_path / "one.tlog-proof").write_text(FILE, encoding="utf-8")
    (tmp_path / "key.txt").write_text(f"{SIGNER.text}\n", encoding="utf-8")
    assert program(tmp_path / "one.tlog-proof", "--key", tmp_path / "key.txt").status == 0
    (tmp_path / "key.txt").write_bytes(b"\xff")
    assert program(tmp_path / "one.tlog-proof", "--key", tmp_path / "key.txt").status == 2
    assert program(tmp_path / "one.tlog-proof", "--key", tmp_path / "none.txt").status == 2


def test_no_control_character_reaches_the_terminal(program: Program, tmp_path: Path) -> None:
    """A record's metadata is a customer's text, and a terminal obeys escape sequences."""
    text = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x200B, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xE0041]))
    leaf = canonical({"A\x1b[2J": [{"b\u202e": text}], "Schema": "1"}).encode()
    (tmp_path / "one").write_text(proof_file([leaf], 0, SIGNER.checkpoint([leaf_hash(leaf)])), encoding="utf-8")
    ended = program(tmp_path / "one", "--key", SIGNER.text)
    assert ended.status == 0
    assert len(ended.output.splitlines()) == 3
    assert all(line.isprintable() for line in ended.output.splitlines())


@pytest.mark.parametrize(
    ("file", "key", "message"),
    [
        (replaced(INDEX, "index 7"), SIGNER.text, "not in the log"),
        (replaced(INDEX, "index 11"), SIGNER.text, "does not fit"),
        (FILE, WITNESS.text, "no key that you gave has signed"),
        (NOTE, SIGNER.text, "does not begin with"),
        ("\x1b[2J", SIGNER.text, "control characters"),
    ],
)
def test_a_false_file_is_one_line_and_status_1(
    file: str, key: str, message: str, program: Program, tmp_path: Path
) -> None:
    """A script checks the status, and a person reads the line."""
    (tmp_path / "one").write_bytes(file.encode())
    ended = program(tmp_path / "one", "--key", key)
    assert (ended.status, ended.output) == (1, "")
    assert ended.errors.startswith("not proven: ")
    assert message in ended.errors
    assert "\n" not in ended.errors


def key_of(encoded: bytes) -> str:
    """Return the text of a key with these bytes, and the ID that fits them."""
    key_id = hashlib.sha256(f"{ORIGIN}\n".encode() + encoded).hexdigest()[:8]
    return f"{ORIGIN}+{key_id}+{base64.b64encode(encoded).decode()}"


def test_the_id_of_a_made_key_fits() -> None:
    """Otherwise the cases below would be refused for another reason."""
    assert key_of(b"\1" + SIGNER.key.public_key) == SIGNER.text


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-file", "--key", SIGNER.text],
        [VERIFY_PROOF],
        [VERIFY_PROOF.parent, "--key", SIGNER.text],
        [VERIFY_PROOF, "--key"],
        [VERIFY_PROOF, "--key", "no key"],
        [VERIFY_PROOF, "--key", f"{SIGNER.text}="],
        [VERIFY_PROOF, "--key", SIGNER.text.replace("+", "+0", 1)],
        [VERIFY_PROOF, "--key", f"x{SIGNER.text}"],
        [VERIFY_PROOF, "--key", "a+12345678+BA=="],
        [VERIFY_PROOF, "--key", key_of(b"\4" + SIGNER.key.public_key)],
        [VERIFY_PROOF, "--key", key_of(b"\1" + SIGNER.key.public_key[1:])],
        [VERIFY_PROOF, "--key", key_of(b"\1" + SIGNER.key.public_key + b"\0")],
        [VERIFY_PROOF, "--key", SIGNER.text, "--trust-me"],
    ],
)
def test_a_wrong_call_is_status_2(arguments: list[object], program: Program) -> None:
    """A wrong call says nothing about the file."""
    ended = program(*arguments)
    assert (ended.status, ended.output) == (2, "")
    assert "error: " in ended.errors
    assert "Traceback" not in ended.errors


def test_the_program_needs_nothing_of_the_project() -> None:
    """An auditor has one file, Python, and `cryptography`."""
    nodes = list(ast.walk(ast.parse(VERIFY_PROOF.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}


def test_both_keys_of_a_rotated_log_may_sign() -> None:
    """Two known keys of one log may both sign, as after a rotation."""
    newer = Signer(seed="a newer key")
    both = FILE + newer.signature_line(Checkpoint.parse(NOTE).text)
    assert proven(both.encode(), newer.key, SIGNER.key) == LEAVES[6]
    assert proven_alone(both.encode(), newer.text, SIGNER.text) == LEAVES[6]
