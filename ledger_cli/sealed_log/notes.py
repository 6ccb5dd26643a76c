"""Signed notes, the checkpoints in them, and the keys that verify them.

Source: C2SP, signed-note and tlog-checkpoint; golang.org/x/mod/sumdb/note, NewVerifier.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.checkpoint import ED25519, MAX_NOTE_BYTES, key_id
from ledger.merkle import EMPTY_ROOT, HASH_BYTES

KEY_ID_BYTES = 4
PUBLIC_KEY_BYTES = 32
"""Source: RFC 8032, section 5.1.5."""

MAX_SIZE = 2**63 - 1
"""Leaves of the largest tree. Other verifiers keep the size in a signed integer of 64 bits."""

# Both are for `fullmatch`: `$` would accept a trailing newline.
WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
KEY_ID = re.compile(r"[0-9a-f]{8}")
CONTROL_CHARACTER = re.compile(r"[\x00-\x09\x0b-\x1f]")
"""ASCII's control characters but the newline. Source: C2SP, signed-note, format."""


class NoteError(Exception):
    """A note or a key cannot be trusted. The message is one line: what is wrong, and what to do."""


class InvalidKeyError(NoteError):
    """A text is not a verifier key."""


class MalformedNoteError(NoteError):
    """A text is not a signed note, or its text is not a checkpoint."""


class WrongSignatureError(NoteError):
    """The note names a known key, and the signature is not by that key: the text or the signature was changed."""


class UnknownSignerError(NoteError):
    """No known key has signed the note."""


class OtherLogError(NoteError):
    """The checkpoint is of a log whose key is not among the known ones."""


class VerifierKey(NamedTuple):
    """An Ed25519 key that verifies the notes of one log.

    Attributes:
        name: the key's name, which is the log's origin.
        key_id: the four bytes by which a signature names the key.
        public_key: its 32 bytes.
    """

    name: str
    key_id: bytes
    public_key: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Return the key that `name+ID+key` describes: the ID in hexadecimal digits, the key in base64.

        Raises:
            InvalidKeyError: it does not.
        """
        parts = text.split("+", 2)
        if len(parts) != 3 or not KEY_ID.fullmatch(parts[1]) or not _is_name(parts[0]):
            raise InvalidKeyError(
                "the verifier key does not have the form name+ID+key with an ID of 8 hexadecimal digits: "
                "copy the whole line, as the log's operator publishes it"
            )
        name = parts[0]
        try:
            key = decode_base64(parts[2])
        except ValueError:
            raise InvalidKeyError("the verifier key is not in base64 after its ID: copy the whole line again") from None
        if key[:1] != ED25519:
            raise InvalidKeyError(
                "the verifier key is of another algorithm than Ed25519: a sealed log signs by no other"
            )
        public_key = key[1:]
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise InvalidKeyError("the verifier key does not have the 32 bytes of an Ed25519 key: copy the line again")
        if key_id(name, public_key).hex() != parts[1]:
            raise InvalidKeyError(
                "the verifier key does not have the ID of its name and bytes: a part of it was changed; "
                "get the line again from the log's operator"
            )
        return cls(name, bytes.fromhex(parts[1]), public_key)

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Return whether a signature of this text is by this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Signature(NamedTuple):
    """One signature line of a note: the name and the ID of its key, and the signature itself."""

    name: str
    key_id: bytes
    value: bytes


class Note(NamedTuple):
    """A text, which ends with a newline, and its signatures. Until `verify_note` returns, it proves nothing."""

    text: str
    signatures: Sequence[Signature]

    @classmethod
    def parse(cls, note: str | bytes) -> "Note":
        """Return the text and the signatures of a note.

        Raises:
            MalformedNoteError: it is not a signed note.
        """
        whole = _checked_text(note)
        body, separator, block = whole.rpartition("\n\n")
        if not separator or not block.endswith("\n"):
            raise MalformedNoteError("the note has no signatures after an empty line: get the whole file again")
        return cls(body + "\n", tuple(_signature(line) for line in block[:-1].split("\n")))


class Checkpoint(NamedTuple):
    """A log's size and root, and the signatures below. Until `verify` returns, it proves nothing.

    Attributes:
        origin: the log's name.
        size: its size in leaves.
        root: its root.
        text: what is signed.
        signatures: the note's signatures.
    """

    origin: str
    size: int
    root: bytes
    text: str
    signatures: Sequence[Signature]

    @classmethod
    def parse(cls, note: str | bytes) -> "Checkpoint":
        """Return the checkpoint of a note.

        Raises:
            MalformedNoteError: it is not a signed note, or its text is not a checkpoint.
        """
        parsed = Note.parse(note)
        lines = parsed.text[:-1].split("\n")
        if len(lines) < 3 or "" in lines:
            raise MalformedNoteError(
                "the checkpoint does not begin with origin, size and root: get the whole file again"
            )
        origin, size, encoded_root = lines[:3]
        if not WHOLE_NUMBER.fullmatch(size) or int(size) > MAX_SIZE:
            raise MalformedNoteError("the checkpoint's second line is not a size: get the file again")
        try:
            root = decode_base64(encoded_root)
        except ValueError:
            root = b""
        if len(root) != HASH_BYTES or (size == "0" and root != EMPTY_ROOT):
            raise MalformedNoteError("the checkpoint's third line is not the root of such a tree: get the file again")
        return cls(origin, int(size), root, parsed.text, parsed.signatures)


def verify(checkpoint: Checkpoint, keys: Iterable[VerifierKey]) -> VerifierKey:
    """Return the key of the log that signed this checkpoint.

    A key signs for the log that has the key's name. So of several known logs, none can sign for another.

    Raises:
        WrongSignatureError, UnknownSignerError: as `verify_note` does.
        OtherLogError: no known key has the name of the checkpoint's log.
    """
    known = list(keys)
    if not any(key.name == checkpoint.origin for key in known):
        raise OtherLogError(
            f"the checkpoint is of another log, {checkpoint.origin[:200]!a}, and the key is for "
            f"{' or '.join(sorted({key.name for key in known})) or 'none'}: use the checkpoint and the key of one log"
        )
    signers = verify_note(Note(checkpoint.text, checkpoint.signatures), known)
    for key in signers:
        if key.name == checkpoint.origin:
            return key
    raise _unknown_signer(checkpoint.signatures, known)


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Return the known keys that signed a note, in the order of their signatures. Unknown keys are passed over.

    Raises:
        WrongSignatureError: a signature that names a known key is not by that key.
        UnknownSignerError: no known key has signed the note.
    """
    known = {(key.name, key.key_id): key for key in keys}
    signers = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.has_signed(note.text, signature.value):
            raise WrongSignatureError(
                f"the signature by key {key.name}+{key.key_id.hex()} does not fit: the note was changed after the log "
                "signed it, so do not use it; get it again from another holder"
            )
        signers.append(key)
    if not signers:
        raise _unknown_signer(note.signatures, list(known.values()))
    return signers


def decode_base64(text: str) -> bytes:
    """Return the bytes of standard base64. Each value has one form only, so that no character can be changed.

    Raises:
        ValueError: it is not the standard form. Source: RFC 4648, sections 3.5 and 4.
    """
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("not base64") from None
    if not value or base64.b64encode(value).decode() != text:
        raise ValueError("not the standard form of base64")
    return value


def _unknown_signer(signatures: Sequence[Signature], known: Sequence[VerifierKey]) -> UnknownSignerError:
    ids = sorted({signature.key_id.hex() for signature in signatures})
    return UnknownSignerError(
        f"no known key of the log has signed the note: it names the key IDs {', '.join(ids[:5])}, and known are "
        f"{', '.join(sorted({key.key_id.hex() for key in known})) or 'none'}; "
        "if the log has a new key, get its line from the log's operator"
    )


def _checked_text(note: str | bytes) -> str:
    """Return a note as text, with the limits that hold for each of them."""
    try:
        encoded = note.encode() if isinstance(note, str) else note
        if len(encoded) > MAX_NOTE_BYTES:
            raise MalformedNoteError(f"the note has more than {MAX_NOTE_BYTES} bytes: this file is something else")
        text = encoded.decode()
    except UnicodeError:
        raise MalformedNoteError("the note is not UTF-8: get the file again, without a conversion") from None
    if CONTROL_CHARACTER.search(text):
        raise MalformedNoteError(
            "the note has control characters, such as line ends of Windows: get the file again, without a conversion"
        )
    return text


def _signature(line: str) -> Signature:
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        signed = decode_base64(encoded)
    except ValueError:
        signed = b""
    if mark != "—" or not _is_name(name) or len(signed) <= KEY_ID_BYTES:
        raise MalformedNoteError("a line below the note's text is not a signature: get the whole file again")
    return Signature(name, signed[:KEY_ID_BYTES], signed[KEY_ID_BYTES:])


def _is_name(text: str) -> bool:
    """Return whether a key can have this name: it has no spaces and no plus. Source: C2SP, signed-note, format."""
    return bool(text) and "+" not in text and not CONTROL_CHARACTER.search(text) and not re.search(r"\s", text)
