"""Validate Entry: the start input against the contract of entries."""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import sys
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from ledger.entry import parse_entry, parse_refused_entry
from ledger.violations import InvalidEntryError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from ledger.states import ValidatedEntry

logger = Logger()

# As in Validate Payment: the contract rejects an integer of more than 4,300 digits by its own rule.
sys.set_int_max_str_digits(0)


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: object, context: LambdaContext) -> ValidatedEntry:
    """Check the start input, and return the canonical entry.

    Raises:
        InvalidEntryError: the input breaks the contract, or reports a refusal that happened before the workflow. The
            workflow catches it and never retries it.
    """
    try:
        if refused := parse_refused_entry(event):
            raise refused
        entry = parse_entry(event, imports=True)
    except InvalidEntryError as invalid:
        logger.warning("entry refused", **invalid.log_keys)
        raise
    logger.info("entry validated", transaction_id=entry.transaction_id, entry_id=entry.entry_id)
    return {"Entry": entry.as_state()}
