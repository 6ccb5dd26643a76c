"""KMS: `ReEncrypt` decrypts only what its source key encrypted. moto ignores `SourceKeyId`."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from moto.core.exceptions import JsonRESTError
from moto.kms.exceptions import InvalidCiphertextException
from moto.kms.responses import KmsResponse
from moto.kms.utils import _deserialize_ciphertext_blob

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

_moto_re_encrypt: Callable[[KmsResponse], str] = KmsResponse.re_encrypt


def patches(_hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(("reencrypts_from_any_key",), patch.object(KmsResponse, "re_encrypt", re_encrypt))


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


def _key_id_in(ciphertext: bytes) -> Any:
    """Return the key's id in moto's ciphertext; None if moto did not make the ciphertext."""
    try:
        return _deserialize_ciphertext_blob(ciphertext_blob=ciphertext).key_id
    except Exception:  # noqa: BLE001  # as in moto: it raises whatever struct and str raise
        return None
