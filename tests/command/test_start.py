"""`ledger start` against a served engine: what a person sees, and one clear line if it cannot go on."""

import json
import re
import time
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.support.cli import ledger
from tests.support.faults import Faults

SUCCESS = "events/start/01-success.json"
EXPIRED = "arn:aws:states:us-east-1:123456789012:execution:PaymentLedger"


def test_each_payment_is_reported(endpoint: str, engine: Engine) -> None:
    """A payment that is given twice is recorded once. The exit status says that one payment was rejected."""
    done = ledger(
        "start", "--json", SUCCESS, SUCCESS, "events/start/07-invalid-amount.json", "--endpoint-url", endpoint
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["outcome"], line["started"], line["cause"]) for line in lines] == [
        ("RECORDED", True, None),
        ("RECORDED", False, None),
        ("REJECTED", False, "Amount: decimals"),
    ]
    assert (done.returncode, done.stderr) == (1, "")
    assert len(engine.items()) == 1
    assert json.loads((ROOT / SUCCESS).read_text())["SecureToken"] not in done.stdout


def test_a_rejection_is_published_too(endpoint: str, engine: Engine) -> None:
    """A job runs this command at night, and nobody reads its output: the alarm must ring for a rejection as well."""
    files = ("events/start/07-invalid-amount.json", "-", "-")
    nameless = json.dumps({**json.loads((ROOT / SUCCESS).read_text()), "TransactionID": "", "ProcessorID": "a b"})
    for file in files:
        done = ledger("start", "--json", file, "--endpoint-url", endpoint, stdin=nameless)
        report = json.loads(done.stdout)
        assert (done.returncode, report["status"]) == (1, "NOT_STARTED")
        assert engine.wait_for(report["execution_arn"]).outcome == "REJECTED"
    rejected = [event["detail"] for event in engine.published()]
    assert [one.get("TransactionID") for one in rejected] == ["txn-2026-0007", None]  # the repeat is none of its own
    assert [one["Violations"] for one in rejected] == [
        [{"Field": "Amount", "Rule": "decimals"}],
        [{"Field": "ProcessorID", "Rule": "identifier"}, {"Field": "TransactionID", "Rule": "identifier"}],
    ]
    other = nameless.replace("129.90", "130.00")
    assert ledger("start", "-", "--endpoint-url", endpoint, stdin=other).stdout.startswith("REJECTED   -")
    assert len(engine.executions()) == 3
    batch = f"[{nameless},{nameless}]"
    assert ledger("start", "-", "--endpoint-url", endpoint, stdin=batch).returncode == 1
    assert len(engine.executions()) == 4  # the second of the batch: the first is at the place of the one before


DAMAGES: dict[str, Any] = {
    "no fingerprint": ("REMOVE Fingerprint", {}, "Fingerprint"),
    "no execution": ("REMOVE Execution", {}, "Execution"),
    "an empty execution": ("SET Execution = :new", {":new": {"S": ""}}, "Execution"),
    "an execution that is no longer kept": ("SET Execution = :new", {":new": {"S": f"{EXPIRED}:expired"}}, None),
    "an execution of no machine": ("SET Execution = :new", {":new": {"S": "expired"}}, None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_item_that_cannot_be_read_does_not_stop_the_payments_behind_it(
    endpoint: str, engine: Engine, damage: str
) -> None:
    """Step Functions keeps an execution for 90 days, the ledger a payment permanently: the next must get in."""
    expression, values, attribute = DAMAGES[damage]
    start = ("start", "--json", SUCCESS, "events/start/02-failure.json", "--endpoint-url", endpoint)
    assert ledger(*start[:3], *start[-2:]).returncode == 0
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": "txn-2026-0001"}},
        UpdateExpression=expression,
        **({"ExpressionAttributeValues": values} if values else {}),
    )
    done = ledger(*start)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (done.returncode, done.stderr, second["outcome"]) == (1 if attribute else 0, "", "RECORDED")
    if attribute:
        assert (first["status"], first["outcome"], first["error"]) == ("NOT_STARTED", None, "UnreadableItemError")
        assert f"its attribute {attribute} is not what" in first["cause"]
    else:
        assert (first["status"], first["outcome"]) == ("NOT_KEPT", "RECORDED")


def test_a_payment_whose_names_are_taken_is_started_again(endpoint: str, engine: Engine, faults: Faults) -> None:
    """Nine executions recorded nothing, and none can be redriven: docs/operate/runbook.md sends an operator here."""
    faults.refuse("PutItem", "ResourceNotFoundException", times=9)
    done = ledger("start", "--json", *[SUCCESS] * 10, "--endpoint-url", endpoint)
    *attempts, stuck = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["started"] for report in attempts] == [True] * 9
    assert stuck["error"] == "TooManyAttemptsError"
    assert stuck["cause"] == "txn-2026-0001: 9 executions recorded nothing"
    done = ledger("start", "--again", "--json", SUCCESS, SUCCESS, "--endpoint-url", endpoint)
    assert [json.loads(line)["outcome"] for line in done.stdout.splitlines()] == ["RECORDED", "DUPLICATE"]
    assert len(engine.items()) == 1


def test_people_get_a_line_a_payment(endpoint: str) -> None:
    """A person looks for the execution's name in the console."""
    done = ledger("start", SUCCESS, SUCCESS, "--endpoint-url", endpoint)
    first, second = done.stdout.splitlines()
    assert re.fullmatch(r"RECORDED +txn-2026-0001-[0-9a-f]{32} *", first)
    assert "its execution was started before" in second
    assert done.returncode == 0


def test_without_waiting_it_is_under_way(endpoint: str) -> None:
    """A person who sends many payments does not wait for each."""
    done = ledger("start", "--no-wait", "--json", SUCCESS, "--endpoint-url", endpoint)
    report = json.loads(done.stdout)
    assert (report["status"], report["outcome"], report["started"], done.returncode) == ("RUNNING", None, True, 0)


def test_without_waiting_an_old_conflict_is_reported(endpoint: str) -> None:
    """A payment that meets its conflicting execution conflicts again, and that is no success.

    The first repeat starts the execution that publishes the conflict again, and need not wait for it.
    """
    conflict = "events/start/06-conflict.json"
    ledger("start", SUCCESS, conflict, "--endpoint-url", endpoint)
    for started in (True, False):
        done = ledger("start", "--no-wait", "--json", conflict, "--endpoint-url", endpoint)
        report = json.loads(done.stdout)
        assert (report["outcome"], report["started"], done.returncode) == ("CONFLICT", started, 1)
    assert report["cause"] == "differs from the recorded payment in: Amount"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stack", "none"), "stack none is not in this account and region: name another with --stack"),
        (("--endpoint-url", "http://127.0.0.1:9"), "is `ledger serve` running there?"),
        (("--region", "eu-west-1"), "the engine is in us-east-1"),
    ],
)
def test_what_is_wrong_is_one_line(endpoint: str, engine: Engine, arguments: tuple[str, ...], message: str) -> None:
    """The line says what to do, and nothing is started."""
    where = () if "--endpoint-url" in arguments else ("--endpoint-url", endpoint)
    done = ledger("start", SUCCESS, *where, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert engine.items() == []


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "Unable to locate credentials; sign in, or name a profile"),
        ({}, r"You must specify a region\. Name it with --region"),
        ({"AWS_PROFILE": "none"}, r"profile \(none\) could not be found"),
    ],
)
def test_a_shell_without_credentials_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    """It is the most common first error of all."""
    lost = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"]
    for name in lost:
        monkeypatch.delenv(name, raising=False)
    done = ledger("start", SUCCESS, **{"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent", **environment})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.search(message, done.stderr)


def test_a_missing_permission_is_named() -> None:
    """The line has AWS's own words for it."""
    from botocore.exceptions import ClientError  # noqa: PLC0415

    from ledger_cli.stack.client import explain  # noqa: PLC0415

    message = "User: arn:aws:iam::1:user/x is not authorized to perform: states:StartExecution on resource: y"
    error = ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, "StartExecution")
    assert explain(error, "a.json") == f"a.json: these credentials lack a permission: {message}"


def test_payments_are_started_at_a_rate(endpoint: str, engine: Engine) -> None:
    """All starts of an account share a quota, and the payments of today must not wait for a batch."""
    payment = json.loads((ROOT / SUCCESS).read_text())
    lines = "\n".join(json.dumps({**payment, "TransactionID": f"paced-{number}"}) for number in range(12))
    before = time.monotonic()
    done = ledger("start", "--no-wait", "--rate", "10", "-", "--endpoint-url", endpoint, stdin=lines)
    assert done.returncode == 0
    assert time.monotonic() - before >= 11 / 10
    assert [line.split()[1].rpartition("-")[0] for line in done.stdout.splitlines()] == [
        f"paced-{number}" for number in range(12)
    ]
    for arn in engine.executions():
        engine.wait_for(arn)


@pytest.mark.parametrize("rate", ["0", "1001", "x"])
def test_a_wrong_rate_starts_nothing(endpoint: str, engine: Engine, rate: str) -> None:
    """The line says what a rate is."""
    done = ledger("start", "--rate", rate, SUCCESS, "--endpoint-url", endpoint)
    assert (done.returncode, done.stdout, engine.executions()) == (2, "", [])
    assert "'--rate'" in done.stderr
