"""Validate Payment: the start input against the processor's contract."""

import os
import sys
from typing import TYPE_CHECKING, Any

from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS
from ledger.payment import InvalidPaymentError, parse_payment, parse_rejection

from aws_lambda_powertools import Logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
DEFAULT_CURRENCY = os.environ["DEFAULT_CURRENCY"]
# A code that is retired while the stack is deployed is refused by its rule, payment by payment.
if DEFAULT_CURRENCY not in MINOR_UNITS and DEFAULT_CURRENCY not in FORMER_MINOR_UNITS:
    raise ValueError("DEFAULT_CURRENCY is not an ISO 4217 code with a minor unit")

# The runtime parses the input before it calls the handler, and Python reads no integer of more than 4,300 digits unless
# it is told to. With this, the contract rejects the integer by its own rule; the input's 256 KiB bound the time.
sys.set_int_max_str_digits(0)

PLAINTEXT_TOKENS = os.environ["PLAINTEXT_TOKENS"] == "accepted"


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: object, context: "LambdaContext") -> dict[str, Any]:
    """The canonical payment, its fingerprint, and the token as it came.

    Raises:
        InvalidPaymentError: the input breaks the contract, or is a refusal that happened before the workflow. Caught
            by the workflow, never retried.
    """
    try:
        if refused_before := parse_rejection(event):
            raise refused_before
        payment, token = parse_payment(event, default_currency=DEFAULT_CURRENCY, plaintext_tokens=PLAINTEXT_TOKENS)
    except InvalidPaymentError as refused:
        logger.warning("payment refused", **refused.log_keys)
        raise
    logger.info("payment validated", transaction_id=payment.transaction_id)
    return {"Payment": payment.as_state(), token.field: token.text}
