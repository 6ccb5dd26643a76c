"""EventBridge: a rule starts workflows and invokes functions; a queue keeps each event that its target does not take.

moto's rules do neither, and moto takes the last part of a partner bus's name for the whole name. moto also parses the
paths of an input template again for each event.
"""

import functools
import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import jsonpath_ng.ext
import jsonpath_ng.ext.parser
from moto.core.exceptions import AWSError
from moto.events.models import EventsBackend, Rule
from moto.sqs.models import sqs_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

WAITS_S = (60, 120)
"""The waits before Lambda invokes a function again with an event. Source: Lambda Developer Guide, asynchronous
invocation, error handling."""

ENDS_WITHIN_S = 60

_moto_send_to_targets = Rule.send_to_targets


def patches(hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(("rules_start_no_workflow", "rules_invoke_no_function"), _delivering(hooks))
    yield MotoPatch(
        ("partner_buses_lose_their_names",), patch.object(EventsBackend, "_normalize_event_bus_arn", bus_name)
    )
    parse = functools.lru_cache(maxsize=64)(jsonpath_ng.ext.parser.parse)
    yield MotoPatch(("parses_paths_for_each_event",), patch.object(jsonpath_ng.ext, "parse", parse))


def bus_name(_backend: EventsBackend, name_or_arn: str | None) -> str:
    """Return the name of a bus, which has slashes if it is a partner's."""
    return "default" if name_or_arn is None else name_or_arn.rpartition(":event-bus/")[2]


@contextmanager
def _delivering(hooks: EngineHooks) -> Iterator[None]:
    """Let rules deliver to workflows and functions. Wait at the end for the functions that still run."""
    running: list[threading.Thread] = []

    def send_to_targets(rule: Rule, original_event: Mapping[str, Any], *, transform_input: bool = True) -> None:
        """Deliver an event to the rule's targets. moto serves those that are neither a workflow nor a function."""
        workflows, functions, others = _by_service(rule.targets)
        if workflows + functions and rule.event_pattern.matches_event(original_event):  # type: ignore[arg-type]
            event = {**original_event, "account": rule.account_id}
            for target in workflows:
                _start(rule, target, event)
            for target in functions:
                # It makes calls of its own, so it must not run within the call that puts the event on the bus.
                thread = threading.Thread(target=_invoke, args=(hooks, rule, target, event), daemon=True)
                running[:] = [one for one in running if one.is_alive()] + [thread]
                thread.start()
        if others:
            rule.targets, all_targets = others, rule.targets
            try:
                _moto_send_to_targets(rule, original_event, transform_input)  # type: ignore[arg-type]
            finally:
                rule.targets = all_targets

    with patch.object(Rule, "send_to_targets", send_to_targets):
        try:
            yield
        finally:
            for thread in running:
                thread.join(ENDS_WITHIN_S)


def _by_service(targets: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the targets that are workflows, those that are functions, and the others."""
    found: dict[str, list[Any]] = {"states": [], "lambda": [], "": []}
    for target in targets:
        service = target["Arn"].split(":")[2]
        found[service if service in found else ""].append(target)
    return found["states"], found["lambda"], found[""]


def _start(rule: Rule, target: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    """Start a workflow. The bus gives the execution a name of its own.

    Source: EventBridge User Guide, targets and dead-letter queues.
    """
    chosen: Any = event
    for step in target.get("InputPath", "$").split(".")[1:]:
        chosen = chosen[step]
    text = json.dumps(chosen)
    states = stepfunctions_parser_backends[rule.account_id][rule.region_name]
    try:
        states.start_execution(target["Arn"], name=f"{event['id']}_{uuid.uuid4()}", execution_input=text)
    except AWSError:
        _keep(rule, target, event)


def _invoke(hooks: EngineHooks, rule: Rule, target: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    """Invoke a function as often as Lambda does, and keep the event if each attempt fails.

    Source: Lambda Developer Guide, asynchronous invocation: error handling, and records of destinations. The template
    names one queue for what EventBridge cannot hand over, and for what the function fails to take.
    """
    for attempt, wait_s in enumerate((*WAITS_S, 0), 1):
        answered: dict[str, str] = {}
        reply = hooks.invoke(target["Arn"], None, json.dumps(event), {}, answered)
        if not answered:
            return
        if attempt <= len(WAITS_S):
            hooks.wait(wait_s)
    context = {"condition": "RetriesExhausted", "approximateInvokeCount": attempt, "functionArn": target["Arn"]}
    failed = {"version": "1.0", "requestContext": context, "requestPayload": event}
    _keep(rule, target, {**failed, "responsePayload": json.loads(reply)})


def _keep(rule: Rule, target: Mapping[str, Any], message: Mapping[str, Any]) -> None:
    queue = target["DeadLetterConfig"]["Arn"].rpartition(":")[2]
    sqs_backends[rule.account_id][rule.region_name].send_message(queue_name=queue, message_body=json.dumps(message))
