"""What moto's event rules lack: a workflow as their target, and a dead-letter queue for what it does not take."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import AWSError
from moto.events.models import Rule
from moto.sqs.models import sqs_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

_moto_send_to_targets = Rule.send_to_targets


def send_to_targets(rule: Rule, original_event: Mapping[str, Any], *, transform_input: bool = True) -> None:
    """Deliver an event to the rule's targets; workflows are started here, the others are moto's.

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
