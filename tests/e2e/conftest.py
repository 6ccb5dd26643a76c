"""Tests of a deployed stack: `make smoke STACK=…`, or `pytest tests/e2e --stack NAME`. Without a stack, there are none.

Each run leaves payments and an entry behind, whose TransactionIDs begin with `smoke-`, and at least one seal: nobody
can delete anything in the ledger.
"""

from collections.abc import Generator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from ledger_cli.errors import CommandError
from ledger_cli.stack.client import Stack
from tests.e2e.checks import Commands

OPTIONS = {
    "--stack": "the name of the deployed stack",
    "--region": "the stack's region; otherwise as the AWS CLI finds it",
    "--profile": "a profile of the AWS CLI",
    "--endpoint-url": "another endpoint than AWS: the address that `ledger serve` prints",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that name a stack."""
    group = parser.getgroup("deployed stack")
    for option, text in OPTIONS.items():
        group.addoption(option, metavar=option.removeprefix("--").upper(), help=text)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect the tests only if a stack is named."""
    return None if config.getoption("stack", None) or collection_path.is_dir() else True


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Report an error of AWS, or of the way to it, in one line."""
    try:
        return (yield)
    except (CommandError, ClientError, BotoCoreError) as error:
        raise pytest.fail.Exception(" ".join(str(error).split()), pytrace=False) from None


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Stack:
    """Return the deployed stack, with the caller's own credentials."""
    name, *options = (request.config.getoption(option.removeprefix("--").replace("-", "_")) for option in OPTIONS)
    region, profile, endpoint_url = options
    try:
        return Stack(name, region=region, profile=profile, endpoint_url=endpoint_url)
    except CommandError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture
def commands(request: pytest.FixtureRequest, tmp_path: Path) -> Commands:
    """Return commands with the options that name the stack."""
    given = {option: request.config.getoption(option.removeprefix("--").replace("-", "_")) for option in OPTIONS}
    return Commands(tmp_path, [word for option, value in given.items() if value for word in (option, value)])
