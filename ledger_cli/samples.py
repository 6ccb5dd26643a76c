"""The samples of `events`: payments, and the processors that post some of them."""

import json
import os
from typing import TYPE_CHECKING, Any

from ledger.intake import seal
from ledger_cli import ROOT
from ledger_cli.reading import StartInput

if TYPE_CHECKING:
    from ledger_cli.engine import Engine

START_INPUTS = [os.path.relpath(file) for file in sorted((ROOT / "events/start").glob("*.json"))]
PROCESSORS: dict[str, Any] = json.loads((ROOT / "events/webhooks/processors.json").read_text(encoding="utf-8"))
"""The secret texts of the sample processors, by ProcessorID. They are not secret: anybody can read them here."""


def sealed_sample(kms: Any, intake_key: str) -> StartInput:
    """Return a payment whose token is sealed. A ciphertext belongs to its key, so each engine needs its own."""
    payment = json.loads((ROOT / "events/start/01-success.json").read_text(encoding="utf-8"))
    payment["TransactionID"] = "txn-sealed-0001"
    ids = payment["TransactionID"], payment["ProcessorID"]
    payment["SealedToken"] = seal(kms, intake_key, *ids, payment.pop("SecureToken"))
    return StartInput("(sealed when run)", json.dumps(payment))


def register_sample_processors(engine: "Engine") -> None:
    """Give each sample processor its secret, and let the webhook read the secrets at its next request."""
    secrets_manager = engine.client("secretsmanager")
    for processor_id, processor in PROCESSORS.items():
        name = f"{engine.outputs['ProcessorSecrets']}{processor_id}"
        secrets_manager.create_secret(Name=name, SecretString=json.dumps(processor))
    engine.functions["ReceivePayment"].restart()
