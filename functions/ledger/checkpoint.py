"""The checkpoint of the sealed log: its size and root, signed.

    payment-ledger/123456789012/us-east-1/PaymentLedger     the log's origin, which is also the name of its key
    20852163                                                its size in leaves
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=            its root

    — payment-ledger/123456789012/us-east-1/PaymentLedger   and the key's ID with the signature (Ed25519), in base64

Source: C2SP, tlog-checkpoint and signed-note.
"""

import base64
import hashlib

MAX_NOTE_BYTES = 128 * 1024
"""More than a checkpoint has with sixteen signatures of nearly 5 KB each, which verifiers must accept.
Source: C2SP, signed-note, format."""

ED25519 = b"\x01"
"""Type of a signature. Source: C2SP, signed-note, signature types."""

ED25519_PUBLIC_KEY = bytes.fromhex("302a300506032b6570032100")
"""What is before the 32 bytes of a public key. Source: RFC 8410, section 4, SubjectPublicKeyInfo."""

SIGNATURE_BYTES = 64
"""Source: RFC 8032, section 5.1.6."""


class UnusableKeyError(Exception):
    """The key or its signature is not of Ed25519. An operator has to look: a retry gives the same."""


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """Return the text of a checkpoint, which the key signs."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def raw_public_key(encoded: bytes) -> bytes:
    """Return the 32 bytes of a public key, which KMS returns in DER.

    Raises:
        UnusableKeyError: it is a key of another kind.
    """
    raw = encoded.removeprefix(ED25519_PUBLIC_KEY)
    if len(raw) != 32 or raw == encoded:
        raise UnusableKeyError("the seal key is not a key of ECC_NIST_EDWARDS25519")
    return raw


def key_id(name: str, public_key: bytes) -> bytes:
    """Return the four bytes by which a signature names its key."""
    return hashlib.sha256(f"{name}\n".encode() + ED25519 + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """Return the text by which verifiers know a key: its name, its ID and its bytes.

    Source: golang.org/x/mod/sumdb/note, NewVerifier.
    """
    encoded = base64.b64encode(ED25519 + public_key).decode()
    return f"{name}+{key_id(name, public_key).hex()}+{encoded}"


def signed_note(text: str, name: str, public_key: bytes, signature: bytes) -> str:
    """Return the note of a text and its signature by the key with this name.

    Raises:
        UnusableKeyError: the signature is of another kind.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise UnusableKeyError("the signature is not one of Ed25519")
    signed = base64.b64encode(key_id(name, public_key) + signature).decode()
    return f"{text}\n— {name} {signed}\n"
