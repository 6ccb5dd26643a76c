"""What moto's Secrets Manager lacks and the webhook relies on: secrets that are to be deleted are not listed."""

from collections.abc import Callable
from typing import Any

from moto.secretsmanager.models import SecretsManagerBackend

_moto_batch_get_secret_value: Callable[..., Any] = SecretsManagerBackend.batch_get_secret_value


def batch_get_secret_value(backend: SecretsManagerBackend, **named: Any) -> Any:
    """`secretsmanager:BatchGetSecretValue`, which in moto fails as a whole if one secret of a filter is to be deleted.

    Source: Secrets Manager API Reference, ListSecrets, by which a filter chooses: "not including secrets that are
    marked for deletion".
    """
    every = dict(backend.secrets)
    if named.get("filters"):
        for name, secret in every.items():
            if secret.is_deleted():
                backend.secrets.pop(name)
    try:
        return _moto_batch_get_secret_value(backend, **named)
    finally:
        backend.secrets.update(every)
