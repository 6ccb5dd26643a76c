"""DynamoDB Local in the place of moto's DynamoDB, for the whole run: also for suites outside this folder."""

import os
from contextlib import ExitStack
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.dynamodb import tables
from tests.dynamodb.expressions import Evaluated
from tests.dynamodb.judge import in_place_of_motos

ENDPOINT = os.environ.get("DYNAMODB_LOCAL", "")
if not ENDPOINT:
    pytest.exit("DynamoDB Local does not run; make test-dynamodb starts it", 2)

EVALUATED = pytest.StashKey[Evaluated]()
REPLACED = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """Replace it before there is an engine."""
    config.stash[REPLACED] = ExitStack()
    try:
        config.stash[EVALUATED] = config.stash[REPLACED].enter_context(in_place_of_motos(ENDPOINT))
    except ClientError as error:
        pytest.exit(f"DynamoDB Local does not take a table of template.yaml: {error}", 1)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give moto its own back."""
    config.stash[REPLACED].close()


@pytest.fixture(scope="session")
def dynamodb() -> Any:
    """A client of DynamoDB Local itself, whose calls run at the same time as others."""
    return tables.client(ENDPOINT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that compares what was evaluated behind all that evaluate."""
    items.sort(key=lambda item: item.name == "test_every_expression_was_evaluated")
