"""The process's environment, and what of the shell's the engine must not see."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

PREFIXES = ("AWS_", "POWERTOOLS_", "LAMBDA_")
"""Of variables that a shell may set for other work: a profile, an endpoint, a log level."""


@contextmanager
def without_the_shells_variables() -> Iterator[None]:
    """Take the shell's AWS variables away, and bring them back in the end."""
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith(PREFIXES)]:
            del os.environ[name]
        yield
