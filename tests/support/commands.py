"""Every command of `ledger`, with arguments that work."""

import json

from ledger_cli import ROOT
from ledger_cli.cli import cli
from ledger_cli.engine import Engine
from ledger_cli.samples import register_sample_processors

ID = "txn-2026-0001"
SUCCESS = "events/start/01-success.json"
REPORT = ["events/reports/acme-pay.csv", "--format", "csv", "--mapping", "events/reports/acme-pay.toml"]
REFUSED, REFUSED_TOO = "refused-1", "refused-2"
ARGUMENTS: dict[str, list[str]] = {
    "accept": [REFUSED, "--reason", "the bank confirmed it"],
    "checkpoint": [],
    "completion": ["bash"],
    "formats": [],
    "entries": ["--processor", "acme-pay"],
    "export": ["-", "--processor", "acme-pay"],
    "executions": [],
    "get": [ID],
    "graph": [],
    "import": ["events/history.jsonl"],
    "inspect": [ID],
    "list": ["--processor", "acme-pay"],
    "prove": [ID, "--out", "-"],
    "reconcile": [*REPORT, "--processor", "acme-pay", "--from", "2026-11-01T00:00:00Z", "--to", "2026-11-30T00:00:00Z"],
    "redrive": ["--all"],
    "register-processor": ["new-pay"],
    "republish": [],
    "retry": [REFUSED_TOO],
    "reveal": [ID, "--reason", "refund, ticket 4711"],
    "rotate-secret": ["acme-pay"],
    "run": [SUCCESS],
    "seal": [],
    "send": ["events/webhooks/acme-pay.json", "--processor", "acme-pay"],
    "serve": ["--port", "0"],
    "set-prefix": ["acme-pay", "txn-"],
    "start": [SUCCESS],
    "totals": ["--processor", "acme-pay", "--day", "2026-11-23"],
    "unpublished": [],
    "verify": [],
}
"""Arguments with which each command works if the ledger has what `prepare` records."""


def prepare(engine: Engine) -> None:
    """Register the sample processors, record and seal a payment with a refund, and refuse two entries.

    The cause of the refusals is gone then.

    The sample report has the payment and its refund. The other entries are of a later time.
    """
    register_sample_processors(engine)
    engine.run((ROOT / SUCCESS).read_text())
    refund = json.loads((ROOT / "events/start/10-refund.json").read_text())
    engine.run(json.dumps(refund))
    refund |= {"Timestamp": "2026-12-01T10:00:00Z"}
    for name in (REFUSED, REFUSED_TOO):
        engine.run(json.dumps({**refund, "EntryID": name, "Amount": "130.00"}), name)
    engine.run(json.dumps({**refund, "EntryID": "capture", "Kind": "Captured", "Amount": "500.00"}))
    engine.functions["SealLedger"].invoke((ROOT / "events/functions/seal_ledger.json").read_bytes())


OPTIONS = {
    name: {option for one in command.params for option in [*one.opts, *one.secondary_opts]}
    for name, command in cli.commands.items()
}
ON_A_STACK = sorted(name for name, options in OPTIONS.items() if "--endpoint-url" in options)
