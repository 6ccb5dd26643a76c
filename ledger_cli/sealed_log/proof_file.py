"""A file that proves one record of the ledger, offline and by itself.

    c2sp.org/tlog-proof@v1
    extra eyJBbW91bnQiOi…          the record's leaf, which is its canonical JSON, in base64
    index 73894                    the leaf's index in the log
    gSKyXoYZUgZ6jduWYrkDOAR…=      the inclusion proof, one hash a line, the leaf's sibling first

    payment-ledger/…               the checkpoint, as the log signed it

Source: C2SP, tlog-proof.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.checkpoint import MAX_NOTE_BYTES
from ledger.merkle import HASH_BYTES, leaf_hash
from ledger_cli.sealed_log.notes import WHOLE_NUMBER, Checkpoint, NoteError, VerifierKey, decode_base64, verify
from ledger_cli.sealed_log.proofs import root_of_inclusion

FIRST_LINE = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"

MAX_FILE_BYTES = 1024 * 1024 + MAX_NOTE_BYTES
"""No record is longer than an item of DynamoDB, which has 400 KB at most; base64 makes a third more of it."""


class MalformedProofError(NoteError):
    """A file is not a proof of a record."""


class WrongProofError(NoteError):
    """The checkpoint is good, but the record is not at this place of the log."""


@dataclass(frozen=True, slots=True)
class ProofFile:
    """What a proof file says. Until `check` returns, it proves nothing.

    Attributes:
        leaf: the record's canonical JSON, as `ledger.leaf.leaf_of` returns it.
        index: the leaf's index in the log; 0 is the first.
        hashes: the inclusion proof.
        note: the signed checkpoint.
    """

    leaf: bytes
    index: int
    hashes: Sequence[bytes]
    note: str

    def text(self) -> str:
        """Return the text of the file."""
        encoded = [base64.b64encode(value).decode() for value in (self.leaf, *self.hashes)]
        return "\n".join([FIRST_LINE, f"extra {encoded[0]}", f"index {self.index}", *encoded[1:], "", self.note])

    @classmethod
    def parse(cls, file: str | bytes) -> "ProofFile":
        """Return what a file says.

        Raises:
            MalformedProofError: it is not a proof of a record.
        """
        try:
            encoded = file.encode() if isinstance(file, str) else file
            text = encoded.decode() if len(encoded) <= MAX_FILE_BYTES else ""
        except UnicodeError:
            text = ""
        proof, _, note = text.partition("\n\n")
        first, *lines = proof.split("\n")
        if first != FIRST_LINE or len(lines) < 2:
            raise MalformedProofError(f"the file does not begin with {FIRST_LINE} and a record: get the file again")
        (extra, record), (name, index) = (_field(line) for line in lines[:2])
        if extra != "extra" or name != "index" or not WHOLE_NUMBER.fullmatch(index):
            raise MalformedProofError("the file does not have its lines extra and index: get the file again")
        try:
            leaf, hashes = decode_base64(record), [decode_base64(line) for line in lines[2:]]
        except ValueError:
            raise MalformedProofError("the file has a line that is not base64: get the file again") from None
        if any(len(value) != HASH_BYTES for value in hashes):
            raise MalformedProofError("the file's inclusion proof has a line that is not a hash: get the file again")
        return cls(leaf, int(index), hashes, note)


def check(proof: ProofFile, keys: Iterable[VerifierKey]) -> tuple[Checkpoint, VerifierKey]:
    """Return the checkpoint that proves the record, and the key that signed it.

    Raises:
        NoteError: the checkpoint is malformed, or no known key has signed it.
        WrongProofError: the log that it signs does not have this record at this index.
    """
    checkpoint = Checkpoint.parse(proof.note)
    key = verify(checkpoint, keys)
    try:
        root = root_of_inclusion(leaf_hash(proof.leaf), proof.index, checkpoint.size, proof.hashes)
    except ValueError:
        root = b""
    if root != checkpoint.root:
        raise WrongProofError(
            "the record is not in the log that the checkpoint signs: the record or its proof was changed; "
            "get the file again from the ledger"
        )
    return checkpoint, key


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(" ")
    return name, value
