"""What moto's KMS lacks and the workflow relies on: `ReEncrypt` opens only what its source key sealed."""

from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kms.exceptions import InvalidCiphertextException
from moto.kms.responses import KmsResponse
from moto.kms.utils import _deserialize_ciphertext_blob

_moto_re_encrypt: Callable[[KmsResponse], str] = KmsResponse.re_encrypt


def re_encrypt(request: KmsResponse) -> str:
    """`kms:ReEncrypt`, which in moto takes no notice of `SourceKeyId`.

    Source: KMS API, ReEncrypt, IncorrectKeyException and InvalidCiphertextException.
    """
    sealed_by = _key_of(request._get_param("CiphertextBlob"))  # noqa: SLF001  # moto has no other way to a parameter
    source_key = request._get_param("SourceKeyId")  # noqa: SLF001
    backend = request.kms_backend
    if sealed_by not in backend.keys:
        raise InvalidCiphertextException
    if source_key and backend.any_id_to_key_id(source_key) != sealed_by:
        raise JsonRESTError("IncorrectKeyException", "The ciphertext was not encrypted with the source key.")
    return _moto_re_encrypt(request)


def _key_of(ciphertext: bytes) -> Any:
    """The id in moto's ciphertext; None where it is no ciphertext of moto's at all."""
    try:
        return _deserialize_ciphertext_blob(ciphertext_blob=ciphertext).key_id
    except Exception:  # noqa: BLE001  # as moto itself: it raises whatever struct and str raise
        return None
