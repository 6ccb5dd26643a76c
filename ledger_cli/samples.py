"""The sample payments of `events/start`."""

import json
import os
from typing import Any

from ledger.intake import seal
from ledger_cli import ROOT
from ledger_cli.reading import StartInput

START_INPUTS = [os.path.relpath(file) for file in sorted((ROOT / "events/start").glob("*.json"))]


def sealed_sample(kms: Any, intake_key: str) -> StartInput:
    """A payment whose token is sealed. It is made when it runs, since a ciphertext belongs to its key."""
    payment = json.loads((ROOT / "events/start/01-success.json").read_text())
    payment["TransactionID"] = "txn-sealed-0001"
    payment["SealedToken"] = seal(kms, intake_key, payment["TransactionID"], payment.pop("SecureToken"))
    return StartInput("(sealed when run)", json.dumps(payment))
