"""KMS: what moto lacks of `ReEncrypt` and of signing keys."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.core.exceptions import JsonRESTError
from moto.kms.exceptions import InvalidCiphertextException
from moto.kms.models import Key, KmsBackend
from moto.kms.responses import KmsResponse
from moto.kms.utils import _deserialize_ciphertext_blob

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

ED25519 = "ECC_NIST_EDWARDS25519"

_moto_re_encrypt: Callable[[KmsResponse], str] = KmsResponse.re_encrypt
_moto_create: Callable[..., Key] = Key.create_from_cloudformation_json
_moto_sign: Callable[..., tuple[str, bytes, str]] = KmsBackend.sign
_moto_get_public_key: Callable[..., tuple[Key, bytes]] = KmsBackend.get_public_key


def patches(_hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(("reencrypts_from_any_key",), patch.object(KmsResponse, "re_encrypt", re_encrypt))
    facts = ("keys_of_a_stack_sign_nothing", "knows_no_ed25519")
    yield MotoPatch(facts, patch.object(Key, "create_from_cloudformation_json", create_key))
    yield MotoPatch(facts, patch.object(KmsBackend, "sign", sign))
    yield MotoPatch(facts, patch.object(KmsBackend, "get_public_key", get_public_key))


def re_encrypt(request: KmsResponse) -> str:
    """Answer `kms:ReEncrypt`, and reject a source key that did not encrypt the ciphertext.

    Source: KMS API, ReEncrypt, IncorrectKeyException and InvalidCiphertextException.
    """
    encrypted_by = _key_id_in(request._get_param("CiphertextBlob"))
    source_key = request._get_param("SourceKeyId")
    backend = request.kms_backend
    if encrypted_by not in backend.keys:
        raise InvalidCiphertextException
    if source_key and backend.any_id_to_key_id(source_key) != encrypted_by:
        raise JsonRESTError("IncorrectKeyException", "The ciphertext was not encrypted with the source key.")
    return _moto_re_encrypt(request)


def create_key(name: str, declared: Any, *arguments: Any, **named: Any) -> Key:
    """Create a key of a stack, of the kind that the template declares.

    Source: AWS::KMS::Key, KeySpec and KeyUsage.
    """
    key = _moto_create(name, declared, *arguments, **named)
    properties = declared["Properties"]
    key.key_spec = properties.get("KeySpec", key.key_spec)
    key.key_usage = properties.get("KeyUsage", key.key_usage)
    return key


def sign(backend: KmsBackend, key_id: str, message: bytes, signing_algorithm: str) -> tuple[str, bytes, str]:
    """Answer `kms:Sign`. The private key of Ed25519 is the key's material, so a snapshot of an engine keeps it.

    Source: KMS API, Sign, SigningAlgorithm; RFC 8032, section 5.1.5.
    """
    key = backend.describe_key(key_id)
    if key.key_spec != ED25519:
        return _moto_sign(backend, key_id, message, signing_algorithm)
    if signing_algorithm != "ED25519_SHA_512":
        raise JsonRESTError("InvalidKeyUsageException", f"{key.arn} key spec is incompatible with {signing_algorithm}.")
    return key.arn, _private_key(key).sign(message), signing_algorithm


def get_public_key(backend: KmsBackend, key_id: str) -> tuple[Key, bytes]:
    """Answer `kms:GetPublicKey`."""
    key = backend.describe_key(key_id)
    if key.key_spec != ED25519:
        return _moto_get_public_key(backend, key_id)
    public = _private_key(key).public_key()
    return key, public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _private_key(key: Key) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key.key_material)


def _key_id_in(ciphertext: bytes) -> Any:
    """Return the key's id in moto's ciphertext; None if moto did not make the ciphertext."""
    try:
        return _deserialize_ciphertext_blob(ciphertext_blob=ciphertext).key_id
    except Exception:  # noqa: BLE001  # as in moto: it raises whatever struct and str raise
        return None
