"""Executions of the fast lane. Step Functions keeps no history of them, so their log says what happened."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from ledger.fast_lane import name_of_execution
from ledger_cli.stack.client import Stack, StackError, explain
from ledger_cli.stack.execution import Execution

LONGEST = timedelta(minutes=5)
"""The longest time of an Express execution. Source: Step Functions Developer Guide, quotas of Express workflows."""

DELAY = timedelta(minutes=1)
"""What is added on both sides, since the log has the times of another clock than the item."""

MAX_PAGES = 50
"""Pages of the log that are read. A page without an event means that more of the log was searched."""

ENDED = {"ExecutionSucceeded": "SUCCEEDED", "ExecutionFailed": "FAILED", "ExecutionTimedOut": "TIMED_OUT"}
"""The status of an execution whose log ends with an event of this type."""


def read_fast_execution(stack: Stack, arn: str, recorded_at: str) -> Execution | None:
    """Return the execution of the fast lane that recorded a payment, as its log describes it, without data.

    Args:
        stack: the stack.
        arn: the ARN in the payment's item.
        recorded_at: the time in the payment's item, at which the execution started.

    Returns:
        The execution; None if the log does not have it, or no longer.

    Raises:
        StackError: AWS denies the call.
    """
    events = sorted(_events(stack, arn, datetime.fromisoformat(recorded_at)), key=lambda event: event["id"])
    if not events:
        return None
    status = ENDED.get(events[-1]["type"], "RUNNING")
    return Execution.from_history(
        {
            "name": name_of_execution(arn),
            "executionArn": arn,
            "status": status,
            "startDate": events[0]["timestamp"],
            "stopDate": events[-1]["timestamp"] if events[-1]["type"] in ENDED else None,
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "it ran in the fast lane",
            **({"output": json.dumps({"Outcome": "RECORDED"})} if status == "SUCCEEDED" else {}),
        },
        events,
    )


def _events(stack: Stack, arn: str, started_at: datetime) -> Iterator[Mapping[str, Any]]:
    """Yield the execution's events, in the form that a history has."""
    window = {
        "startTime": _ms(started_at - DELAY),
        "endTime": _ms(started_at + LONGEST + DELAY),
    }
    pages = stack.client("logs").get_paginator("filter_log_events")
    group = stack.outputs["FastWorkflowLogs"]
    try:
        for number, page in enumerate(pages.paginate(logGroupName=group, filterPattern=f'"{arn}"', **window)):
            yield from (_event(json.loads(one["message"])) for one in page["events"])
            if number == MAX_PAGES:
                return
    except ClientError as error:
        raise StackError(explain(error, f"the log {group}")) from None


def _event(logged: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": int(logged["id"]),
        "type": logged["type"],
        "timestamp": datetime.fromtimestamp(int(logged["event_timestamp"]) / 1000, UTC),
        "loggedEventDetails": logged.get("details") or {},
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
