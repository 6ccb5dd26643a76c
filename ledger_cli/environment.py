"""The shell's variables that must not reach the engine, or a client of a served engine."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
"""Variables that moto, botocore and Powertools read. Each can send a call out of this process, or end the process.

tests/engine/test_environment.py derives them from the installed packages.
"""

NO_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
"""Settings that hide the files in `~/.aws`, since those name endpoints and programs too."""

changing_the_environment = threading.RLock()
"""Is held while a thread changes this process's variables, which all its threads share.

A function that the engine loads needs its own variables until it is loaded, so the engine holds this for that time.
"""


def is_withheld(name: str) -> bool:
    """Return whether a variable of this name must not leave the shell. Names of proxies count in either case."""
    return name.startswith(PREFIXES) or name in NAMES or name.lower().endswith("_proxy")


@contextmanager
def without_the_shells_variables() -> Iterator[None]:
    """Hide the shell's AWS settings and proxies while the block runs, and restore them at its end."""
    with changing_the_environment:
        shell = dict(os.environ)
        for name in filter(is_withheld, shell):
            del os.environ[name]
        os.environ.update(NO_FILES)
    try:
        yield
    finally:
        with changing_the_environment:
            os.environ.clear()
            os.environ.update(shell)
