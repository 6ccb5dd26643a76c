"""The shell's variables that must not reach the engine, or a client of a served engine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

PREFIXES = ("AWS_", "BOTO", "LAMBDA_", "MOTO_", "POWERTOOLS_", "S3_", "TEST_")
NAMES = frozenset(
    {
        "CURL_CA_BUNDLE",
        "DEFAULT_CONTAINER_REGISTRY",
        "INITIAL_NO_AUTH_ACTION_COUNT",
        "LOG_LEVEL",
        "MAX_SHARED_ACCOUNTS",
        "REQUESTS_CA_BUNDLE",
        "SF_EXECUTION_HISTORY_TYPE",
        "SSLKEYLOGFILE",
        "TESTS_SKIP_REQUIRES_DOCKER",
        "_X_AMZN_TRACE_ID",
    }
)
"""Variables that moto, botocore and Powertools read: each can lead a call out of this process, or end it.

tests/engine/test_environment.py derives them from the installed packages.
"""

NO_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
"""The files in `~/.aws` name endpoints and programs too."""


def is_withheld(name: str) -> bool:
    """Return whether a variable of this name is the shell's own business: also a proxy's, in either case."""
    return name.startswith(PREFIXES) or name in NAMES or name.lower().endswith("_proxy")


@contextmanager
def without_the_shells_variables() -> Iterator[None]:
    """Take the shell's AWS settings and proxies away, and bring them back in the end."""
    with patch.dict(os.environ, NO_FILES):
        for name in [name for name in os.environ if is_withheld(name) and name not in NO_FILES]:
            del os.environ[name]
        yield
