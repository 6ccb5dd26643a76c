"""Validate Payment: the start input against the processor's contract."""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
import sys
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS
from ledger.payment import parse_payment, parse_rejection
from ledger.violations import InvalidPaymentError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
DEFAULT_CURRENCY = os.environ["DEFAULT_CURRENCY"]
# If a code is retired while the stack is deployed, its rule rejects each payment that uses it.
if DEFAULT_CURRENCY not in MINOR_UNITS and DEFAULT_CURRENCY not in FORMER_MINOR_UNITS:
    raise ValueError("DEFAULT_CURRENCY is not an ISO 4217 code with a minor unit")

# The runtime parses the input before it calls the handler, and by default Python reads no integer of more than 4,300
# digits. With this line, the contract rejects such an integer by its own rule. The input's 256 KiB bound the time.
sys.set_int_max_str_digits(0)

PLAINTEXT_TOKENS = os.environ["PLAINTEXT_TOKENS"] == "accepted"


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Check the start input, and return the canonical payment with the token as it came.

    Returns:
        A `ledger.states.ValidatedPayment`.

    Raises:
        InvalidPaymentError: the input breaks the contract, or reports a rejection that happened before the workflow.
            The workflow catches it and never retries it.
    """
    try:
        if rejected := parse_rejection(event):
            raise rejected
        payment, token = parse_payment(
            event, default_currency=DEFAULT_CURRENCY, plaintext_tokens=PLAINTEXT_TOKENS, imports=True
        )
    except InvalidPaymentError as invalid:
        logger.warning("payment rejected", **invalid.log_keys)
        raise
    logger.info("payment validated", transaction_id=payment.transaction_id)
    return {"Payment": payment.as_state(), token.field: token.text}
