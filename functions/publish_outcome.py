"""Publish Outcome: put an outcome on the ledger's event bus, then mark the payment or the entry as published."""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics

from ledger.aws import private_client
from ledger.outcome import Outcome, refusal_of
from ledger.publication import emit_outcome_metrics, mark_published, publish
from ledger.timestamps import utc_timestamp

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

    from ledger.states import PublishEvent

logger = Logger()
metrics = Metrics()
events: EventBridgeClient = private_client("events")
dynamodb: DynamoDBClient = private_client("dynamodb")
EVENT_BUS_NAME = os.environ["EVENT_BUS_NAME"]
TABLE_NAME = os.environ["TABLE_NAME"]
ENTRIES_TABLE_NAME = os.environ["ENTRIES_TABLE_NAME"]


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: PublishEvent, context: LambdaContext) -> dict[str, Any]:
    """Publish the outcome of one payment or entry, then mark it as published. An import may need neither.

    Returns:
        The result of the state, which the execution ends with: the outcome, and the cause if nothing was recorded.
    """
    name, execution = event["Outcome"], event["Execution"]
    if "Published" in event and event["Published"] is None:
        return _leave_unpublished(event)
    if "Cause" in event:
        outcome = Outcome.from_refusal(name, refusal_of(event["Cause"]), execution)
        publish(events, EVENT_BUS_NAME, [outcome])
    else:
        is_entry, is_published = "Entry" in event, event["Published"]
        recorded = event["Entry"] if is_entry else event["Payment"]
        outcome = Outcome.from_recorded(name, recorded, execution)
        missed = []
        if name == "DUPLICATE" and not is_published:
            # An earlier execution recorded it and stopped before its event: publish that event as well.
            missed = [Outcome.from_recorded("RECORDED", recorded, recorded["Execution"])]
        publish(events, EVENT_BUS_NAME, [*missed, outcome])
        if not is_published:
            table_name = ENTRIES_TABLE_NAME if is_entry else TABLE_NAME
            mark_published(dynamodb, table_name, recorded, utc_timestamp(event["PublishedAt"]))
    result = outcome.as_result()
    logger.info("outcome published", **_log_keys(outcome))
    emit_outcome_metrics(metrics, outcome)
    return result


def _log_keys(outcome: Outcome) -> dict[str, Any]:
    """Return the keys of a log line that name an outcome, and what it is about."""
    ids = {"transaction_id": outcome.detail.get("TransactionID")}
    if "EntryID" in outcome.detail:
        ids["entry_id"] = outcome.detail["EntryID"]
    return {"outcome": outcome.name, **ids, "processor_id": outcome.detail.get("ProcessorID")}


def _leave_unpublished(event: PublishEvent) -> dict[str, Any]:
    """Count an import that has no event, and return the result of the state.

    An import of what the ledger had counts nothing, so that a repeated import changes no figure.
    """
    recorded = event["Entry"] if "Entry" in event else event["Payment"]
    outcome = Outcome.from_recorded(event["Outcome"], recorded, event["Execution"])
    result = outcome.as_result()
    del result["OutcomeID"]
    logger.info("import left unpublished", **_log_keys(outcome))
    if outcome.is_import:
        emit_outcome_metrics(metrics, outcome)
    return result
