"""The functions of the engine's stack, called one at a time."""

import json
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine import Engine

SAMPLES = ROOT / "events/functions"


def sample(name: str) -> Any:
    """Return a sample input of one function."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def log_lines(engine: Engine, message: str) -> list[dict[str, Any]]:
    """Return the functions' structured log lines with this message."""
    lines = [json.loads(line) for line in engine.logs().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("message") == message]


def invoke(engine: Engine, function: str, event: object) -> Any:
    """Return a function's reply; an error that it raises has the form that the runtime gives it."""
    reply, _ = engine.functions[function].invoke(json.dumps(event).encode())
    return json.loads(reply)


def decrypted(engine: Engine, ciphertext: bytes, transaction_id: str) -> str:
    """Return the plaintext, which a caller with the right to decrypt gets."""
    reply = engine.client("kms").decrypt(CiphertextBlob=ciphertext, EncryptionContext={"TransactionID": transaction_id})
    return str(reply["Plaintext"].decode())
