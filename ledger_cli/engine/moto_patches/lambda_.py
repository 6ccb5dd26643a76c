"""Lambda: a function runs its handler, from the folder that holds its code.

moto's functions return their input, and moto wants each function's code in a bucket.
"""

import os
from collections.abc import Iterator
from unittest.mock import patch

from moto.awslambda_simple.models import LambdaSimpleBackend

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch


def patches(hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(("functions_echo",), patch.object(LambdaSimpleBackend, "invoke", hooks.invoke))
    yield MotoPatch(("wants_code_in_a_bucket",), patch.dict(os.environ, {"VALIDATE_LAMBDA_S3": "false"}))
