"""EventBridge: a rule starts workflows, and a dead-letter queue keeps each event that a workflow does not accept.

moto's rules start no workflows. moto also parses the paths of an input template again for each event.
"""

import functools
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

import jsonpath_ng.ext
import jsonpath_ng.ext.parser
from moto.core.exceptions import AWSError
from moto.events.models import Rule
from moto.sqs.models import sqs_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

_moto_send_to_targets = Rule.send_to_targets


def patches(_hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(("rules_start_no_workflow",), patch.object(Rule, "send_to_targets", send_to_targets))
    parse = functools.lru_cache(maxsize=64)(jsonpath_ng.ext.parser.parse)
    yield MotoPatch(("parses_paths_for_each_event",), patch.object(jsonpath_ng.ext, "parse", parse))


def send_to_targets(rule: Rule, original_event: Mapping[str, Any], *, transform_input: bool = True) -> None:
    """Deliver an event to the rule's targets. Workflows are started here; moto serves the other targets.

    An event bus gives the execution a name of its own. Source: EventBridge User Guide, targets and dead-letter queues.
    """
    workflows = [target for target in rule.targets if ":stateMachine:" in target["Arn"]]
    if workflows and rule.event_pattern.matches_event(original_event):  # type: ignore[arg-type]
        for target in workflows:
            _start(rule, target, original_event)
    others = [target for target in rule.targets if target not in workflows]
    if others:
        rule.targets, all_targets = others, rule.targets
        try:
            _moto_send_to_targets(rule, original_event, transform_input)  # type: ignore[arg-type]
        finally:
            rule.targets = all_targets


def _start(rule: Rule, target: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    chosen: Any = event
    for step in target.get("InputPath", "$").split(".")[1:]:
        chosen = chosen[step]
    text = json.dumps(chosen)
    states = stepfunctions_parser_backends[rule.account_id][rule.region_name]
    try:
        states.start_execution(target["Arn"], name=f"{event['id']}_{uuid.uuid4()}", execution_input=text)
    except AWSError:
        queue = target["DeadLetterConfig"]["Arn"].rpartition(":")[2]
        sqs_backends[rule.account_id][rule.region_name].send_message(queue_name=queue, message_body=json.dumps(event))
