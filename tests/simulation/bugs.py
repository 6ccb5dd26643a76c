"""Bugs planted one at a time into a copy of the project: each must be found, by the simulation or by the suite."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ledger_cli import ROOT

COPIED = (
    "events",
    "functions",
    "ledger_cli",
    "statemachine",
    "tests",
    "template.yaml",
    "pyproject.toml",
    "samconfig.toml",
)
SUITE = ["tests/contract", "tests/functions", "tests/workflow/test_outcomes.py", "tests/workflow/test_retries.py"]
TIMEOUT_S = 400


@dataclass(frozen=True, slots=True)
class Bug:
    """One change of one file, which somebody could make in a hurry."""

    name: str
    file: str
    old: str
    new: str


PERSIST = "functions/persist_payment_ledger.py"
PUBLISH = "functions/publish_outcome.py"
SHARED = "functions/ledger/publication.py"
SWEEP = "functions/republish_outcomes.py"
ASL = "statemachine/payment_ledger.asl.json"
CONDITION = '            ConditionExpression="attribute_not_exists(TransactionID)",\n'

BUGS = [
    Bug("the write has no condition", PERSIST, CONDITION, ""),
    Bug("nothing is compared", PERSIST, "if differs := differing_fields(item, encrypted.payment):", "if differs := []:"),
    Bug("a lost reply is a duplicate", PERSIST, '"RECORDED" if encrypted.is_own_write(item) else "DUPLICATE"', '"DUPLICATE"'),
    Bug("a duplicate is recorded", PERSIST, '"RECORDED" if encrypted.is_own_write(item) else "DUPLICATE"', '"RECORDED"'),
    Bug(
        "an execution is told by its name alone",
        "functions/ledger/item.py",
        "return written == [self.execution, self.recorded_at]",
        "return written[0] == self.execution",
    ),
    Bug("the own payment is told, not the recorded one", PERSIST, "recorded_facts(item)", "recorded_facts(encrypted.as_item())"),
    Bug("the amount is not compared", "functions/ledger/item.py", 'differs.append("Amount")', "pass"),
    Bug("the metadata is part of the payment", "functions/ledger/payment.py", '"status", "timestamp")', '"status", "timestamp", "metadata")'),
    Bug("a failed entry is ignored", SHARED, 'if reply["FailedEntryCount"] == 0:', "if True:"),
    Bug("a failed entry passes in the sweep", SWEEP, "elif not self.has_time()", "if not self.has_time()"),
    Bug("a new identity for each publication", "functions/ledger/outcome.py", "[name, identity]", "[name, identity, id(facts)]"),
    Bug("an identity of the execution", "functions/ledger/outcome.py", '_identified(name, payment["Fingerprint"]', "_identified(name, execution"),
    Bug(
        "marked before it is published",
        PUBLISH,
        "        publish(events, EVENT_BUS_NAME, [*missed, outcome])\n        if not is",
        '        mark_published(dynamodb, TABLE_NAME, payment["TransactionID"], utc_timestamp(event["PublishedAt"]))\n'
        "        publish(events, EVENT_BUS_NAME, [*missed, outcome])\n        if not is",
    ),
    Bug("the marker is forgotten", PUBLISH, "        if not is_published:", "        if False:"),
    Bug("a duplicate tells of itself alone", PUBLISH, "[*missed, outcome]", "[outcome]"),
    Bug("the marker stays in the index", SHARED, " REMOVE Unpublished", ""),
    Bug("an update makes an item", SHARED, '        ConditionExpression="attribute_exists(TransactionID)",\n', ""),
    Bug("the sweep marks and does not publish", SWEEP, "put_outcomes(events, EVENT_BUS_NAME, batch)", "[None] * len(batch)"),
    Bug("the sweep looks at one shard", SWEEP, "for shard in range(SHARDS)", "for shard in range(1)"),
    Bug("the sweep does not mark", SWEEP, "            mark_published(", "            (lambda *_: None)("),
    Bug("the sweep tells under its own name", SWEEP, 'Outcome.from_payment("RECORDED", payment, payment["Execution"])', 'Outcome.from_payment("RECORDED", {**payment, "Execution": "sweep"}, "sweep")'),
    Bug("the sweep never begins a second page", SWEEP, "            if following:", "            if False:"),
    Bug("the event is logged", "functions/encrypt_token.py", '"token encrypted", ', '"token encrypted", event=event, '),
    Bug("the token is logged", "functions/encrypt_token.py", "    reply = client.encrypt(", "    logger.warning(plaintext)\n    reply = client.encrypt("),
    Bug(
        "the token is in an error's message",
        "functions/encrypt_token.py",
        '        ciphertext = encrypt(kms, payment["TransactionID"], event["SecureToken"])\n',
        '        try:\n            ciphertext = encrypt(kms, payment["TransactionID"], event["SecureToken"])\n'
        '        except kms.exceptions.ClientError as error:\n            raise RuntimeError(event["SecureToken"]) from error\n',
    ),
    Bug("the plaintext goes on", "functions/encrypt_token.py", '"TokenKey": TOKEN_KEY}', '"TokenKey": TOKEN_KEY, "Token": event.get("SecureToken")}'),
    Bug("a conflict is retried", ASL, '"ProvisionedThroughputExceededException",', '"PaymentConflictError", "ProvisionedThroughputExceededException",'),
    Bug("everything is caught", ASL, '"PaymentConflictError"\n          ],\n          "Next"', '"States.ALL"\n          ],\n          "Next"'),
    Bug("a refusal is retried for ever", ASL, '"Catch": [\n        {\n          "ErrorEquals": [\n            "InvalidPaymentError"\n          ],\n          "Next": "Publish Rejection"\n        }\n      ],\n      "Next": "Encrypt Token"', '"Next": "Encrypt Token"'),
    Bug("a Retry names what nothing raises", ASL, '"Lambda.TooManyRequestsException"', '"TooManyRequestsException"'),
    Bug("a conflict is not told", ASL, '"Next": "Publish Conflict"', '"Next": "Conflicted"'),
    Bug("a seal opens for every processor", "functions/ledger/payment.py", '"TransactionID": transaction_id, "ProcessorID": processor_id}', '"TransactionID": transaction_id}'),
    Bug("a conflict under a taken name is not told", "functions/ledger/intake.py", "started=self._start(publishing, text)", "started=False"),
    Bug("two payments may have one name", "functions/ledger/intake.py", "DIGITS = 32", "DIGITS = 12"),
    Bug("a refused token bars the corrected one", "functions/ledger/intake.py", "token.text, execution_name(payment, token.text)", "token.text, execution_name(payment)"),
    Bug("recorded when it was published", ASL, '"StartTime.$": "$$.Execution.StartTime"', '"StartTime.$": "$$.State.EnteredTime"'),
]  # fmt: skip


def found_by(bug: Bug) -> str | None:
    """What finds the bug: the simulation or the suite; None where nothing does."""
    with tempfile.TemporaryDirectory(prefix="payment-ledger-bug-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "node_modules")
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy(source, copy / name)
        file = copy / bug.file
        text = file.read_text()
        assert bug.old in text, f"{bug.name}: {bug.file} no longer has what it changes"
        file.write_text(text.replace(bug.old, bug.new))
        environment = {
            **os.environ,
            "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'functions'}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        simulated = _run([sys.executable, "-m", "tests.simulation", "--quick"], copy, environment)
        if simulated.returncode == 1 and "VIOLATION" in simulated.stdout:
            return "simulation"
        suite = _run([sys.executable, "-m", "pytest", "-x", "-q", *SUITE], copy, environment)
        return "suite" if suite.returncode == 1 else None


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
