"""Receive Partner Event: a processor's event from its partner event bus. It seals the token, and starts a workflow.

Nobody signs these events: only the partner can put events on its bus. EventBridge invokes this function without waiting
for an answer, so that an error is the only way to get an event again.
"""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ledger.aws import private_client, sync_states_client
from ledger.entry import is_entry
from ledger.fast_lane import FastLane, count_fast_run, name_of_execution
from ledger.formats import FORMATS
from ledger.intake import Intake
from ledger.violations import InvalidEntryError, InvalidInputError, as_dicts

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
states = private_client("stepfunctions")
kms = private_client("kms")
dynamodb = private_client("dynamodb")
PARTNER_SOURCE = os.environ["PARTNER_SOURCE"]
PARTNER_PROCESSOR = os.environ["PARTNER_PROCESSOR"]
PARTNER_FORMAT = os.environ["PARTNER_FORMAT"]
WORKFLOW = os.environ["WORKFLOW"]
ENTRIES_WORKFLOW = os.environ["ENTRIES_WORKFLOW"]
FAST_WORKFLOW = os.environ["FAST_WORKFLOW"]
SYNC_STATES_ENDPOINT = os.environ["AWS_ENDPOINT_URL_SYNC_STATES"]
INTAKE_KEY = os.environ["INTAKE_KEY"]
TABLE_NAME = os.environ["TABLE_NAME"]
ENTRIES_TABLE_NAME = os.environ["ENTRIES_TABLE_NAME"]
COUNT = partial(count_fast_run, logger, metrics)
FAST_LANE = FastLane(sync_states_client(SYNC_STATES_ENDPOINT), FAST_WORKFLOW, COUNT) if FAST_WORKFLOW else None
INTAKE = Intake(
    states=states,
    kms=kms,
    dynamodb=dynamodb,
    workflow=WORKFLOW,
    entries_workflow=ENTRIES_WORKFLOW,
    intake_key=INTAKE_KEY,
    table_name=TABLE_NAME,
    entries_table_name=ENTRIES_TABLE_NAME,
    default_currency="",  # each event names its currency
    fast_lane=FAST_LANE,
)


class ForeignEventError(Exception):
    """The event comes from another source than the stack's partner."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Hand the payment or the entry in an event to its workflow.

    Event:
        As EventBridge delivers it: `{"id", "source", "detail-type", "detail", …}`. The detail is what the partner posts
        to a webhook.

    Returns:
        `{"Outcome": "IGNORED"}` if the event is about something else. `{"Execution"}` if the workflow runs; with
        `Outcome` if the ledger has the payment or the entry already, and with `Violations` if the execution publishes
        its rejection.

    Raises:
        ForeignEventError: the event is not the partner's.
        ClientError, BotoCoreError, UnreadableItemError, TooManyAttemptsError: the event was not handed over. Lambda
            invokes the function twice more, and then keeps the event in the queue of undelivered payments.
    """
    if event.get("source") != PARTNER_SOURCE:
        raise ForeignEventError("the event is not of the stack's partner source")
    try:
        start_input = FORMATS[PARTNER_FORMAT].start_input(event.get("detail"), PARTNER_PROCESSOR)
        if start_input is None:
            logger.info("message ignored", processor_id=PARTNER_PROCESSOR)
            metrics.add_metric(name="MessageIgnored", unit=MetricUnit.Count, value=1)
            metrics.flush_metrics()
            return {"Outcome": "IGNORED"}
        delivery = INTAKE.deliver(start_input)
    except InvalidInputError as invalid:
        return _publish_rejection(invalid, event["id"])
    name = delivery.execution_name
    received = "entry received" if is_entry(start_input) else "payment received"
    logger.info(received, processor_id=PARTNER_PROCESSOR, execution=name, started=delivery.started)
    return {"Execution": name} | ({} if delivery.outcome is None else {"Outcome": delivery.outcome})


def _publish_rejection(invalid: InvalidInputError, event_id: str) -> dict[str, Any]:
    """Have the workflow publish the rejection, since the partner can correct nothing."""
    rejected = invalid.sent_by(PARTNER_PROCESSOR)
    name = name_of_execution(INTAKE.reject(rejected, event_id))
    line = "entry refused" if isinstance(rejected, InvalidEntryError) else "payment rejected"
    logger.warning(line, **rejected.log_keys, execution=name)
    return {"Execution": name, "Violations": as_dicts(rejected.violations)}
