"""Patches of moto, one file for each service: what moto lacks, or does otherwise than AWS.

A patch names the facts about moto that make it necessary. `tests/engine/test_bridges.py` checks each fact without an
engine. It fails if a patch has no check, and if moto no longer needs the patch.
"""

from collections.abc import Iterator

from ledger_cli.engine.moto_patches import (
    cloudformation,
    core,
    dynamodb,
    ec2,
    events,
    kms,
    lambda_,
    s3,
    secretsmanager,
    stepfunctions,
)
from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

__all__ = ["FACTS_WITHOUT_A_PATCH", "SERVICES", "EngineHooks", "MotoPatch", "patches"]

SERVICES = (cloudformation, core, dynamodb, ec2, events, kms, lambda_, s3, secretsmanager, stepfunctions)

FACTS_WITHOUT_A_PATCH = {
    "archive_pattern_fails": "moto_patches/cloudformation.py changes the template",
    "key_tags_fail": "moto_patches/cloudformation.py changes the template",
    "lists_resources_that_are_not_there": "deployment.py gives moto the resources whose conditions hold",
    "definition_substitutions_ignored": "template.py joins the definition's text",
    "sub_halves_dollars": "template.py joins the definition's text",
    "parameters_are_not_checked": "parameters.py checks them",
}
"""Facts that the engine corrects in what it hands to moto, with the place that does it."""


def patches(hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield every patch, in the order in which an engine applies them."""
    for service in SERVICES:
        yield from service.patches(hooks)
