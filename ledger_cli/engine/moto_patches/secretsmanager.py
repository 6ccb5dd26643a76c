"""Secrets Manager: a filter does not choose secrets that are marked for deletion.

In moto, `BatchGetSecretValue` fails as a whole if its filter chooses one.
"""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from moto.secretsmanager.models import SecretsManagerBackend

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

_moto_batch_get_secret_value: Callable[..., Any] = SecretsManagerBackend.batch_get_secret_value


def patches(_hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(
        ("a_deleted_secret_stops_a_batch",),
        patch.object(SecretsManagerBackend, "batch_get_secret_value", batch_get_secret_value),
    )


def batch_get_secret_value(backend: SecretsManagerBackend, **named: Any) -> Any:
    """Answer `secretsmanager:BatchGetSecretValue` without the secrets that are marked for deletion.

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
