"""The stack as it would be deployed to production, and the evaluator that judges its policies."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import template
from tests.proof.evaluator import Evaluator
from tests.proof.parameters import PARAMETERS
from tests.proof.resolved import Resolver


@pytest.fixture(scope="session", autouse=True)
def _on_a_stack_with_the_fast_lane(fast_lane: None) -> None:
    """Stop if the stack is another one: the proof compares the engine's with one that has every optional part."""


@pytest.fixture(scope="session")
def expanded() -> dict[str, Any]:
    """Return the template after the SAM transform, as `sam deploy` passes it to CloudFormation."""
    return template.expand(ROOT / "template.yaml", PARAMETERS)


@pytest.fixture(scope="session")
def resources(expanded: dict[str, Any]) -> dict[str, Any]:
    """Return the expanded template's resources, with every reference resolved."""
    return Resolver(expanded, PARAMETERS).resources()


@pytest.fixture(scope="session")
def evaluators() -> Iterator[list[Evaluator]]:
    """Start two evaluators, one for each core."""
    started = [Evaluator(), Evaluator()]
    yield started
    for evaluator in started:
        evaluator.close()


@pytest.fixture(scope="session")
def counts(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the figures that the last line of `make prove` prints."""
    request.config.stash[COUNTS] = {"started": time.monotonic()}
    return request.config.stash[COUNTS]


COUNTS = pytest.StashKey[dict[str, Any]]()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print the figures of the proof after everything else."""
    counts = config.stash.get(COUNTS, {})
    if {"roles", "mutants", "deployment mutants", "handlers", "changes"} <= counts.keys():
        print(  # noqa: T201
            f"proved: {counts['roles']} roles, {counts['actions']:,} simulated actions, "
            f"{counts['cases']:,} matrix cases, {counts['handlers']} handlers judged, {counts['changes']} changes and "
            f"{counts['failures']} failures simulated, "
            f"{counts['killed'] + counts['deployment mutants killed']} mutants killed of "
            f"{counts['mutants'] + counts['deployment mutants']} made"
        )
