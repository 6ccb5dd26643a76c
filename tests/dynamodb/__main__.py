"""`make test-dynamodb`: Amazon's own DynamoDB Local answers the functions' calls of DynamoDB."""

import os
import signal
import subprocess
import sys

from ledger_cli import ROOT
from tests.dynamodb import local

PYTEST = [sys.executable, "-m", "pytest", "--show-capture=no"]
SUITES = [
    "tests/functions/test_chain.py",
    "tests/functions/test_handlers.py",
    "tests/functions/test_intake.py",
    "tests/functions/test_listing.py",
    "tests/functions/test_query.py::test_an_unknown_id_is_none",
    "tests/functions/test_query.py::test_a_token_is_revealed_and_that_is_logged",
    "tests/functions/test_query.py::test_a_ciphertext_of_another_payment_is_not_revealed",
    "tests/functions/test_republish.py",
    "tests/functions/test_seal.py",
    "tests/workflow/test_entries.py",
    "tests/dynamodb",
]
"""The tests of the engine that use the table, and the tests of this folder."""

COMPARISON = "tests/dynamodb/test_expressions.py::test_every_expression_was_evaluated"

PART = ["tests/dynamodb/test_table.py", f"--deselect={COMPARISON}"]
"""The arguments that are added to the tests that a caller names.

A file of this folder loads its conftest.py, which puts DynamoDB Local into place. The comparison is left out, since a
part of the tests does not evaluate every expression.
"""


def names_tests(arguments: list[str]) -> bool:
    """Return whether the arguments for pytest name tests, and not only options."""
    return any(argument.startswith("tests/") for argument in arguments)


def main(arguments: list[str]) -> int:
    """Start DynamoDB Local, run the tests, stop it, and return the exit status."""
    for ended in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended, lambda *_: sys.exit(1))  # as Ctrl-C does, so that DynamoDB Local is stopped
    try:
        with local.running() as endpoint:
            environment = {**os.environ, "DYNAMODB_LOCAL": endpoint, "NO_PROXY": "127.0.0.1"}
            tests = [*PYTEST, *arguments, *(PART if names_tests(arguments) else SUITES)]
            return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode  # noqa: S603
    except local.NoDynamoDBLocalError as error:
        print(f"dynamodb: {error}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
