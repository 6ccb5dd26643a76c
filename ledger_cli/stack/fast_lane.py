"""Executions of the fast lane. Step Functions keeps no history of them, so their log says what happened."""

import json
from collections.abc import Mapping
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


def read_fast_execution(stack: Stack, payment: Mapping[str, Any]) -> tuple[Execution | None, str | None]:
    """Return the execution of the fast lane that recorded a payment, as its log describes it, without data.

    The log may lack events: CloudWatch Logs gets them on a best-effort basis. The item says that the payment is
    recorded.

    Args:
        stack: the stack.
        payment: the payment as the query function answers it.

    Returns:
        The execution, if the log has any of it; and what is not known of it, and why.

    Raises:
        StackError: AWS denies the call.
    """
    arn, started_at = payment["Execution"], datetime.fromisoformat(payment["RecordedAt"])
    last = datetime.fromisoformat(payment["PublishedAt"]) if payment["PublishedAt"] else started_at + LONGEST
    found, is_whole = _search(stack, arn, started_at - DELAY, min(last, started_at + LONGEST) + DELAY)
    if not found:
        return None, "its log is not kept any more, or not written yet" if is_whole else "its log is too long to search"
    events = sorted(found, key=lambda event: event["id"])
    status = ENDED.get(events[-1]["type"], "UNKNOWN")
    execution = Execution.from_history(
        {
            "name": name_of_execution(arn),
            "executionArn": arn,
            "status": status,
            "startDate": started_at,
            "stopDate": events[-1]["timestamp"] if status in ENDED.values() else None,
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "it ran in the fast lane",
            **({"output": json.dumps({"Outcome": "RECORDED"})} if status == "SUCCEEDED" else {}),
        },
        events,
    )
    return execution, None if status in ENDED.values() else "the end of its log is missing"


def _search(stack: Stack, arn: str, start: datetime, end: datetime) -> tuple[list[dict[str, Any]], bool]:
    """Return the execution's events, in the form that a history has, and whether the log was searched to the end."""
    pages = stack.client("logs").get_paginator("filter_log_events")
    asked = {"logGroupName": stack.outputs["FastWorkflowLogs"], "filterPattern": f'"{arn}"'}
    found: list[dict[str, Any]] = []
    try:
        for number, page in enumerate(pages.paginate(**asked, startTime=_ms(start), endTime=_ms(end)), 1):
            found += (_event(json.loads(one["message"])) for one in page["events"])
            if number == MAX_PAGES:
                return found, "nextToken" not in page
    except ClientError as error:
        raise StackError(explain(error, f"the log {asked['logGroupName']}")) from None
    return found, True


def _event(logged: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": int(logged["id"]),
        "type": logged["type"],
        "timestamp": datetime.fromtimestamp(int(logged["event_timestamp"]) / 1000, UTC),
        "loggedEventDetails": logged.get("details") or {},
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
