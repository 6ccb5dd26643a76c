"""The least code that validates a payment: the standard library, without logs or metrics."""

import re
from decimal import Decimal

IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


def handler(event, _context):
    if not IDENTIFIER.fullmatch(event["TransactionID"]) or Decimal(event["Amount"]) < 0:
        raise ValueError("invalid")
    token = event.pop("SecureToken")
    return {"Payment": event, "SecureToken": token}
