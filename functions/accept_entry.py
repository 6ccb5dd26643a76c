"""Accept Entry: append an entry that the ledger refused, for a stated reason that is recorded and logged.

A processor's message states what happened, also where it does not add up. A principal that may invoke this function
decides that it did happen. A function does not learn who invoked it. CloudTrail records the caller under the request's
ID, if it keeps data events of this function.
"""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ledger.aws import private_client
from ledger.cards import holds_card_number
from ledger.chain import DeliveredEntry, append_once, read_payment
from ledger.entry import parse_entry
from ledger.fields import InvalidRequestError, reason_and_requester
from ledger.timestamps import utc_timestamp

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
metrics = Metrics()
dynamodb: DynamoDBClient = private_client("dynamodb", attempts=2)  # as in Append Entry
TABLE_NAME = os.environ["TABLE_NAME"]
ENTRIES_TABLE_NAME = os.environ["ENTRIES_TABLE_NAME"]

EXECUTION = re.compile(r"arn:[a-z-]+:states:[a-z0-9-]+:[0-9]{12}:execution:PaymentEntries[a-z0-9-]*:[^:\s]{1,80}")


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Append an entry although it breaks rules about its payment and the totals.

    The sweep publishes it, unless it is a quiet import. If it breaks no rule any more, it is appended as any other one.

    Event:
        `{"Entry", "Execution", "Reason", "Requester"}`. Entry is the start input that was refused, and Execution the
        ARN of the execution that refused it. The reason has 8 to 256 characters. The requester is the name that the
        caller gives itself.

    Returns:
        `{"Outcome": "RECORDED" or "DUPLICATE", "Entry"}`: the entry as the chain has it.

    Raises:
        InvalidRequestError: a field is missing or invalid. Nothing was appended.
        InvalidEntryError: the entry breaks the contract, or a rule that nobody can waive.
        EntryTooEarlyError: the ledger has no such payment.
        EntryConflictError: the chain has another entry under the EntryID.
        EntryContentionError: other deliveries were faster each time. The caller may try again.
        UnreadableItemError: the payment or its chain is damaged.
        ClientError: any DynamoDB error, unchanged.
    """
    reason, requester = reason_and_requester(event)
    if any(map(holds_card_number, (reason, requester))):
        raise InvalidRequestError("Reason and Requester hold no card number")
    execution = event.get("Execution")
    if not isinstance(execution, str) or not EXECUTION.fullmatch(execution):
        raise InvalidRequestError("Execution is the ARN of the execution that refused the entry")
    entry = parse_entry(event.get("Entry"), imports=True)
    ids: dict[str, Any] = {"transaction_id": entry.transaction_id, "entry_id": entry.entry_id}
    payment = read_payment(dynamodb, TABLE_NAME, entry)
    accepted_at = utc_timestamp(datetime.now(UTC).isoformat())
    delivered = DeliveredEntry(entry, execution, accepted_at, {"Reason": reason, "Requester": requester})
    outcome, recorded = append_once(dynamodb, ENTRIES_TABLE_NAME, payment, delivered)
    waived = recorded.acceptance is not None
    logger.warning(
        "entry accepted",
        **ids,
        entry=recorded.number,
        outcome=outcome,
        waived=waived,
        reason=reason,
        requester=requester,
    )
    metrics.add_metric(name="EntryAccepted", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    return {"Outcome": outcome, "Entry": recorded.view()}
