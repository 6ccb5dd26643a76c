"""The stack as it would be deployed to production, and the evaluator that judges its policies."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import template
from tests.proof.evaluator import Evaluator
from tests.proof.resolved import Resolver

PARAMETERS = {
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
    "BreakGlassRoleArn": "arn:aws:iam::123456789012:role/break-glass",
    "ProcessorsBus": "open",
    "RevealTokens": "allowed",
    "Webhook": "open",
    "WebhookConcurrency": "100",
}
"""The optional parts are all there, so that they are judged too."""


@pytest.fixture(scope="session")
def expanded() -> dict[str, Any]:
    """The template after the SAM transform: what `sam deploy` hands to CloudFormation."""
    return template.expand(ROOT / "template.yaml", PARAMETERS)


@pytest.fixture(scope="session")
def resources(expanded: dict[str, Any]) -> dict[str, Any]:
    """Its resources, with every reference resolved."""
    return Resolver(expanded, PARAMETERS).resources()


@pytest.fixture(scope="session")
def evaluators() -> Iterator[list[Evaluator]]:
    """Two processes, one a core."""
    started = [Evaluator(), Evaluator()]
    yield started
    for evaluator in started:
        evaluator.close()


@pytest.fixture(scope="session")
def counts(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the last line of `make prove` tells."""
    request.config.stash[COUNTS] = {"started": time.monotonic()}
    return request.config.stash[COUNTS]


COUNTS = pytest.StashKey[dict[str, Any]]()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print the figures of the proof, after all else."""
    counts = config.stash.get(COUNTS, {})
    if {"roles", "mutants", "deployment mutants", "handlers", "changes"} <= counts.keys():
        print(  # noqa: T201
            f"proved: {counts['roles']} roles, {counts['actions']:,} simulated actions, "
            f"{counts['cases']:,} matrix cases, {counts['handlers']} handlers judged, {counts['changes']} changes and "
            f"{counts['failures']} failures simulated, "
            f"{counts['killed'] + counts['deployment mutants killed']} mutants killed of "
            f"{counts['mutants'] + counts['deployment mutants']} made"
        )
