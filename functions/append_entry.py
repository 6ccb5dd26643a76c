"""Append Entry: one conditional write at the end of a payment's chain, which decides the entry's outcome."""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from ledger.aws import private_client
from ledger.chain import DeliveredEntry, append_once, read_payment
from ledger.entry import Entry
from ledger.item import publication_of
from ledger.timestamps import utc_timestamp
from ledger.violations import EntryConflictError, InvalidEntryError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

    from ledger.states import AppendedEntry, AppendEvent

logger = Logger()
# One attempt less than in other functions, since one entry needs many calls: the state machine retries the whole.
dynamodb: DynamoDBClient = private_client("dynamodb", attempts=2)
TABLE_NAME = os.environ["TABLE_NAME"]
ENTRIES_TABLE_NAME = os.environ["ENTRIES_TABLE_NAME"]


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: AppendEvent, context: LambdaContext) -> AppendedEntry:
    """Append the entry to its payment's chain. `append_once` says what happens if the entry comes again."""
    entry = Entry.from_state(event["Entry"])
    ids: dict[str, Any] = {"transaction_id": entry.transaction_id, "entry_id": entry.entry_id}
    try:
        payment = read_payment(dynamodb, TABLE_NAME, entry)
        delivered = DeliveredEntry(entry, event["Execution"], utc_timestamp(event["StartTime"]))
        outcome, recorded = append_once(dynamodb, ENTRIES_TABLE_NAME, payment, delivered)
    except InvalidEntryError as refused:
        logger.warning("entry refused", **refused.log_keys)
        raise
    except EntryConflictError as conflict:
        logger.warning("entry conflicts", **ids, differs=conflict.differs)
        raise
    logger.info("entry appended", **ids, entry=recorded.number, outcome=outcome)
    facts, is_marked = recorded.facts(), recorded.published_at is not None
    published = publication_of(outcome, facts, is_marked=is_marked, is_import=entry.imported is not None)
    return {"Outcome": outcome, "Entry": facts, "Published": published}
