"""The parameters of each stack that the proof judges."""

import functools

from ledger_cli import ROOT
from ledger_cli.engine import template
from tests.proof.contexts import PARTNER_SOURCE
from tools import facts

PARAMETERS = {
    "AcceptEntries": "allowed",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
    "CheckpointYears": "10",
    "BreakGlassRoleArn": "arn:aws:iam::123456789012:role/break-glass",
    "Lane": "fast",
    "PartnerSource": PARTNER_SOURCE,
    "ProcessorsBus": "open",
    "RevealTokens": "allowed",
    "Webhook": "open",
    "WebhookConcurrency": "100",
}
"""The parameters of a stack with every optional part, so that the proof judges these too."""

EVERYTHING = "everything optional"
"""The name of that stack among the configurations."""


@functools.cache
def configurations() -> dict[str, dict[str, str]]:
    """Return the parameters of each judged stack: samconfig's sections, and all optional parts off and on."""
    samconfig, declared = facts.SAMCONFIG.read_text(), template.load(ROOT / "template.yaml")
    return {**facts.deployments(samconfig, declared), "nothing optional": {}, EVERYTHING: PARAMETERS}
