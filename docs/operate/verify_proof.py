"""Check a proof file of a payment ledger: python verify_proof.py FILE.tlog-proof --key VERIFIER_KEY

The file proves that one record of a payment or of a later entry is in the ledger's sealed log. This program needs
Python 3.11 or newer and the package `cryptography`, and nothing of the ledger: no network, no account, no other file.
Get the verifier key from the ledger's operator by another way than the file, or from a witness that you trust.

It exits with 0 if everything is proven, with 1 if anything is not, and with 2 if it is called wrongly.

What it checks, in this order:
  1. the form of the file              C2SP, tlog-proof (c2sp.org/tlog-proof)
  2. the checkpoint and its signature  C2SP, tlog-checkpoint and signed-note; RFC 8032, Ed25519
  3. the record's place in the log     RFC 6962, section 2.1.1; RFC 9162, section 2.1.3.2
  4. the form of the record            RFC 8785, canonical JSON
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIRST_LINE = "c2sp.org/tlog-proof@v1"
ED25519 = b"\x01"
MAX_FILE_BYTES = 2 * 1024 * 1024
WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
CONTROL_CHARACTER = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NotProvenError(Exception):
    """The file proves nothing. The message is one line that says why."""


class Key(NamedTuple):
    """A verifier key: its name, which is the log's, its ID of four bytes, and the public key of 32 bytes."""

    name: str
    key_id: bytes
    public_key: bytes


def sha256(*parts: bytes) -> bytes:
    """Return SHA-256 of the parts, one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def from_base64(text: str, what: str) -> bytes:
    """Return the bytes of base64 in its one standard form."""
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        value = b""
    if not value or base64.b64encode(value).decode() != text:
        raise NotProvenError(f"{what} is not standard base64")
    return value


def is_name(text: str) -> bool:
    """Return whether a key can have this name."""
    return bool(text) and "+" not in text and not re.search(r"[\s\x00-\x1f]", text)


def parse_key(text: str) -> Key:
    """Return the key of a line such as `payment-ledger/…+530d903a+AekyeRrm56h…`: name, ID, and type with key."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    key = from_base64(encoded, "the verifier key")
    if not is_name(name) or len(key) != 33 or key[:1] != ED25519:
        raise NotProvenError("the verifier key is not name+ID+key of an Ed25519 key")
    if sha256(name.encode(), b"\n", key)[:4].hex() != key_id:
        raise NotProvenError("the verifier key does not have the ID of its name and bytes: a part of it was changed")
    return Key(name, bytes.fromhex(key_id), key[1:])


def verified_checkpoint(note: str, keys: list[Key]) -> tuple[Key, int, bytes]:
    """Return the key that signed the checkpoint, the log's size, and its root."""
    body, _, block = note.rpartition("\n\n")
    origin, size, root, *extensions = body.split("\n") if body.count("\n") >= 2 else ("", "", "")
    if not origin or not WHOLE_NUMBER.fullmatch(size) or int(size) >= 2**63 or "" in extensions:
        raise NotProvenError("the checkpoint does not begin with a log's name and its size")
    root_hash = from_base64(root, "the checkpoint's root")
    if len(root_hash) != 32 or not block.endswith("\n"):
        raise NotProvenError("the checkpoint does not have a root and signatures")
    known = {(key.name, key.key_id): key for key in keys}
    signers = []
    for line in block[:-1].split("\n"):
        mark, name, encoded = [*line.split(" ", 2), "", ""][:3]
        signed = from_base64(encoded, "a signature of the checkpoint")
        if mark != "—" or not is_name(name) or len(signed) < 5:
            raise NotProvenError("a line below the checkpoint is not a signature")
        key = known.get((name, signed[:4]))
        if key:  # the signatures of other keys, such as those of witnesses, are not judged
            try:
                Ed25519PublicKey.from_public_bytes(key.public_key).verify(signed[4:], f"{body}\n".encode())
            except InvalidSignature:
                raise NotProvenError(
                    "the checkpoint's signature is wrong: it was changed after the log signed it"
                ) from None
            signers.append(key)
    for key in signers:
        if key.name == origin:
            return key, int(size), root_hash
    raise NotProvenError(
        "no key that you gave has signed the checkpoint: it is of another log, or the log has a new key"
    )


def root_with(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root of the log if the leaf is at this index."""
    root, end = sha256(b"\x00", leaf), size - 1
    for sibling in proof:
        if end == 0:
            raise NotProvenError("the inclusion proof is too long")
        if index % 2 == 1 or index == end:
            root = sha256(b"\x01", sibling, root)
            while index % 2 == 0 and index > 0:  # nodes at the right edge that stand alone
                index, end = index // 2, end // 2
        else:
            root = sha256(b"\x01", root, sibling)
        index, end = index // 2, end // 2
    if end != 0:
        raise NotProvenError("the inclusion proof is too short")
    return root


def record_of(leaf: bytes) -> dict[str, Any]:
    """Return the fields of a leaf."""
    try:
        record = json.loads(leaf.decode())
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        canonical = text.encode()
    except (ValueError, RecursionError):
        raise NotProvenError("the record is not JSON") from None
    if canonical != leaf or not isinstance(record, dict) or "Schema" not in record:
        raise NotProvenError("the record is not canonical JSON of a payment or an entry")
    return record


def proven(file: bytes, keys: list[Key]) -> tuple[dict[str, Any], str]:
    """Return the record that a file proves, and a sentence about its place in the log."""
    if len(file) > MAX_FILE_BYTES:
        raise NotProvenError("the file is too large for a proof of a record")
    try:
        text = file.decode()
    except UnicodeDecodeError:
        raise NotProvenError("the file is not UTF-8") from None
    if CONTROL_CHARACTER.search(text):
        raise NotProvenError("the file has control characters, such as line ends of Windows")
    head, _, note = text.partition("\n\n")
    first, extra, number, *proof = [*head.split("\n"), "", ""]
    proof = proof[:-2]
    index = number.removeprefix("index ")
    if first != FIRST_LINE or not extra.startswith("extra ") or index == number or not WHOLE_NUMBER.fullmatch(index):
        raise NotProvenError(
            f"the file is not a proof of a record: it does not begin with {FIRST_LINE}, extra and index"
        )
    leaf = from_base64(extra.removeprefix("extra "), "the record")
    hashes = [from_base64(line, "the inclusion proof") for line in proof]
    key, size, root = verified_checkpoint(note, keys)
    if int(index) >= size or any(len(value) != 32 for value in hashes):
        raise NotProvenError("the inclusion proof does not fit the size of the log")
    if root_with(leaf, int(index), size, hashes) != root:
        raise NotProvenError("the record is not in the log that the checkpoint signs: it, or its proof, was changed")
    place = f"record {int(index) + 1} of the first {size} in the log {key.name}, signed by the key {key.key_id.hex()}"
    return record_of(leaf), place


def visible(text: str) -> str:
    """Return a text without characters that a terminal obeys or that hide what is written."""
    return "".join(one if one.isprintable() else f"\\u{{{ord(one):x}}}" for one in text)


def key_text(typed: str) -> str:
    """Return a verifier key as it was typed, or as the file of that name has it."""
    return Path(typed).read_text(encoding="utf-8").strip() if len(typed) < 256 and Path(typed).is_file() else typed


def main() -> NoReturn:
    """Print the proven record, one field a line, and a last line that begins with `proven:`."""
    parser = argparse.ArgumentParser(description="Check a proof file of a payment ledger.")
    parser.add_argument("file", type=Path, metavar="FILE.tlog-proof", help="the proof of one record")
    parser.add_argument("--key", action="append", required=True, help="a verifier key of the log, or a file with it")
    arguments = parser.parse_args()
    if not arguments.file.is_file():  # a pipe without a writer would wait without an end
        parser.error(visible(f"{arguments.file}: no such file"))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        keys = [parse_key(key_text(typed)) for typed in arguments.key]
        with arguments.file.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (NotProvenError, OSError, UnicodeDecodeError) as error:
        parser.error(visible(str(error)))
    try:
        record, place = proven(content, keys)
    except NotProvenError as error:
        sys.exit(f"not proven: {visible(str(error))}")
    for name, value in record.items():
        print(visible(f"{name}: {json.dumps(value, ensure_ascii=False)}"))
    print(visible(f"proven: {place}"))
    sys.exit(0)


if __name__ == "__main__":
    main()
