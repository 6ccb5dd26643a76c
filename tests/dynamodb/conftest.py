"""DynamoDB Local replaces moto's DynamoDB for the whole run, also for tests outside this folder."""

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
    pytest.exit("DynamoDB Local is not running: make test-dynamodb starts it", 2)

EVALUATED = pytest.StashKey[Evaluated]()
REPLACED = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """Replace moto's DynamoDB before the first engine is made."""
    config.stash[REPLACED] = ExitStack()
    try:
        config.stash[EVALUATED] = config.stash[REPLACED].enter_context(in_place_of_motos(ENDPOINT))
    except ClientError as error:
        pytest.exit(f"DynamoDB Local does not accept a table of template.yaml: {error}", 1)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Restore moto's DynamoDB."""
    config.stash[REPLACED].close()


@pytest.fixture(scope="session")
def dynamodb() -> Any:
    """Return a client of DynamoDB Local itself, whose calls can run at the same time."""
    return tables.client(ENDPOINT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the test that compares the evaluated expressions after all tests that evaluate them."""
    items.sort(key=lambda item: item.name == "test_every_expression_was_evaluated")
