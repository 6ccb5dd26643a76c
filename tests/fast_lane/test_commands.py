"""The commands on a stack with the fast lane: what a person sees of a payment that has no history."""

import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto.logs.models import logs_backends

from ledger_cli import REGION, ROOT
from ledger_cli.engine import Engine
from ledger_cli.stack import fast_lane
from tests.support.cli import ledger
from tests.support.faults import Faults

SUCCESS = "events/start/01-success.json"


def started(endpoint: str, *arguments: str, stdin: str = "") -> list[dict[str, Any]]:
    """Start payments, and return the lines of the report."""
    done = ledger("start", "--json", *arguments, "--endpoint-url", endpoint, stdin=stdin)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def inspected(endpoint: str, requested_id: str) -> dict[str, Any]:
    """Inspect a payment, and return the record."""
    found: dict[str, Any] = json.loads(ledger("inspect", requested_id, "--json", "--endpoint-url", endpoint).stdout)
    return found


def other(**fields: Any) -> str:
    """Return the sample payment with other fields."""
    return json.dumps({**json.loads((ROOT / SUCCESS).read_text()), **fields})


def test_a_payment_is_started_and_its_outcome_known(endpoint: str, engine: Engine) -> None:
    """The command does not wait for anything else, and the second delivery runs as a duplicate."""
    first, again = started(endpoint, SUCCESS, SUCCESS)
    assert [(one["outcome"], one["status"], one["started"]) for one in (first, again)] == [
        ("RECORDED", "SUCCEEDED", True),
        ("DUPLICATE", "SUCCEEDED", True),
    ]
    assert first["execution"] == again["execution"]
    assert first["execution_arn"].split(":")[5] == "express"
    assert engine.executions() == []


@pytest.mark.parametrize("wait", ["--wait", "--no-wait"])
def test_a_conflict_names_the_fields(endpoint: str, engine: Engine, wait: str) -> None:
    """Also if the command does not wait for the execution that publishes it."""
    started(endpoint, SUCCESS)
    (conflict,) = started(endpoint, "-", wait, stdin=other(Amount="1.00"))
    assert (conflict["outcome"], conflict["cause"]) == ("CONFLICT", "differs from the recorded payment in: Amount")
    assert engine.wait_for(conflict["execution_arn"]).outcome == "CONFLICT"


def test_an_operator_gets_an_execution_with_a_history(endpoint: str, engine: Engine) -> None:
    """`--again` starts one under a new name."""
    (again,) = started(endpoint, SUCCESS, "--again")
    assert (again["outcome"], again["execution_arn"].split(":")[5]) == ("RECORDED", "execution")
    assert len(engine.executions()) == 1


def test_inspect_shows_the_states_from_the_log(endpoint: str) -> None:
    """Step Functions keeps no history of it. The log has each state, and no input or output."""
    started(endpoint, SUCCESS)
    done = ledger("inspect", "txn-2026-0001", "--endpoint-url", endpoint, COLUMNS="80")
    assert done.returncode == 0
    assert "SUCCEEDED in the fast lane" in " ".join(done.stdout.split())
    for state in ("Validate Payment", "Encrypt Token", "Persist Payment", "Publish Outcome"):
        assert re.search(rf"✓ {state} +[\d,]+ ms", done.stdout)
    assert "Nothing to do: it is recorded and published." in done.stdout
    assert max(map(len, re.sub(r"arn:\S+", "", done.stdout).splitlines())) <= 80
    record = inspected(endpoint, "txn-2026-0001")
    assert (record["outcome"], record["log_error"]) == ("RECORDED", None)
    assert [state["name"] for state in record["deciding_execution"]["states"]][-1] == "Publish Outcome"


def test_the_page_shows_it_too(endpoint: str, tmp_path: Path) -> None:
    """An operator sends it to somebody else."""
    started(endpoint, SUCCESS)
    file = tmp_path / "payment.html"
    assert ledger("inspect", "txn-2026-0001", "--html", str(file), "--endpoint-url", endpoint).returncode == 0
    assert "in the fast lane" in file.read_text()
    assert 'data-state="Publish Outcome"' in file.read_text()


def test_inspect_says_that_the_log_is_gone(endpoint: str, engine: Engine) -> None:
    """The log is kept for LogRetentionDays, and the payment permanently."""
    started(endpoint, SUCCESS)
    logs, group = engine.client("logs"), engine.outputs["FastWorkflowLogs"]
    for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]:
        logs.delete_log_stream(logGroupName=group, logStreamName=stream["logStreamName"])
    record = inspected(endpoint, "txn-2026-0001")
    assert (record["outcome"], record["deciding_execution"]) == ("RECORDED", None)
    assert record["log_error"] == "its log is not kept any more, or not written yet"
    done = ledger("inspect", "txn-2026-0001", "--endpoint-url", endpoint)
    assert "in the fast lane; its log is not kept any more" in " ".join(done.stdout.split())


def test_a_log_without_its_end_changes_no_outcome(endpoint: str, engine: Engine) -> None:
    """CloudWatch Logs gets the events on a best-effort basis, and the item says that the payment is recorded."""
    started(endpoint, SUCCESS)
    (stream,) = logs_backends[engine.account_id][REGION].groups[engine.outputs["FastWorkflowLogs"]].streams.values()
    del stream.events[-3:]
    record = inspected(endpoint, "txn-2026-0001")
    assert (record["outcome"], record["log_error"]) == ("RECORDED", "the end of its log is missing")
    assert record["next_step"].startswith("Nothing to do")
    assert record["deciding_execution"]["status"] == "UNKNOWN"
    shown = ledger("inspect", "txn-2026-0001", "--endpoint-url", endpoint).stdout
    assert re.search(r"^Log +the end of its log is missing$", shown, re.MULTILINE)


def test_a_log_that_is_too_long_to_search_is_not_called_gone(endpoint: str, engine: Engine) -> None:
    """At a high rate, the minutes around a payment have millions of events."""
    started(endpoint, SUCCESS)
    endless = SimpleNamespace(paginate=lambda **_: itertools.repeat({"events": [], "nextToken": "more"}))
    client = SimpleNamespace(get_paginator=lambda _: endless)
    stack: Any = SimpleNamespace(client=lambda _: client, outputs=engine.outputs)
    (item,) = engine.items()
    payment = {name: item[name]["S"] for name in ("Execution", "RecordedAt", "PublishedAt")}
    assert fast_lane.read_fast_execution(stack, payment) == (None, "its log is too long to search")


def test_inspect_takes_the_name_that_the_webhook_answers(endpoint: str) -> None:
    """Step Functions does not know it. A sender and the log of `receive_payment` have it."""
    (result,) = started(endpoint, SUCCESS)
    record = inspected(endpoint, result["execution"])
    assert (record["requested_id"], record["outcome"]) == ("txn-2026-0001", "RECORDED")
    other_name = result["execution"][:-1] + ("0" if result["execution"][-1] != "0" else "1")
    assert inspected(endpoint, other_name)["outcome"] == "UNKNOWN"


def test_a_conflict_is_not_taken_for_the_payments_execution(endpoint: str, engine: Engine) -> None:
    """A quiet import is never published, so its payment is settled without the marker."""
    started(endpoint, "-", stdin=other(Import="quiet"))
    (conflict,) = started(endpoint, "-", stdin=other(Amount="1.00"))
    record = inspected(endpoint, "txn-2026-0001")
    assert record["outcome"] == "RECORDED"
    assert [one["execution_arn"] for one in record["other_executions"]] == [conflict["execution_arn"]]
    assert engine.published()[0]["detail-type"] == "PaymentConflict"


def test_a_conflict_does_not_hide_what_can_be_redriven(endpoint: str, faults: Faults) -> None:
    """The conflict came later, and the payment still waits for its redrive."""
    faults.refuse("PutEvents", "ResourceNotFoundException", times=2)
    (failed,) = started(endpoint, SUCCESS)
    started(endpoint, "-", stdin=other(Amount="1.00"))
    record = inspected(endpoint, "txn-2026-0001")
    assert (record["outcome"], record["deciding_execution"]["execution_arn"]) == ("FAILED", failed["execution_arn"])
    assert "ledger redrive" in record["next_step"]


def test_a_payment_that_left_the_fast_lane_says_why(endpoint: str, faults: Faults) -> None:
    """An operator whose credentials lack a permission pays for the Standard workflow, and should know it."""
    faults.refuse("StartSyncExecution", "AccessDeniedException")
    (result,) = started(endpoint, SUCCESS)
    assert (result["outcome"], result["left_fast_lane"]) == ("RECORDED", "AccessDeniedException")
    faults.refuse("StartSyncExecution", "ThrottlingException")
    shown = ledger("start", "-", "--endpoint-url", endpoint, stdin=other(TransactionID="t-2")).stdout
    assert "it left the fast lane: ThrottlingException" in " ".join(shown.split())


def test_an_endpoint_in_a_variable_is_asked_under_its_own_name(endpoint: str, engine: Engine) -> None:
    """The SDK puts `sync-` before the public name of Step Functions. Another endpoint has no such name."""
    variables = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    done = ledger("start", "--json", SUCCESS, "--region", REGION, **variables)
    assert json.loads(done.stdout)["left_fast_lane"] is None, done.stderr
    assert engine.executions() == []


def test_inspect_says_that_the_log_may_not_be_read(endpoint: str, faults: Faults) -> None:
    """The permission to read logs is another one than that to read histories."""
    started(endpoint, SUCCESS)
    faults.refuse("FilterLogEvents", "AccessDeniedException")
    record = inspected(endpoint, "txn-2026-0001")
    assert record["outcome"] == "RECORDED"
    assert "these credentials lack a permission" in record["log_error"]


def test_inspect_leads_to_what_can_be_redriven(endpoint: str, engine: Engine, faults: Faults) -> None:
    """The fast lane recorded the payment and could not publish it; nor could the Standard workflow."""
    faults.refuse("PutEvents", "ResourceNotFoundException", times=2)
    (result,) = started(endpoint, SUCCESS)
    assert (result["outcome"], result["error"]) == (None, "ResourceNotFoundException")
    record = inspected(endpoint, "txn-2026-0001")
    assert record["outcome"] == "FAILED"
    assert record["deciding_execution"]["execution_arn"] == result["execution_arn"]
    assert "ledger redrive" in record["next_step"]
    assert ledger("redrive", "txn-2026-0001", "--endpoint-url", endpoint).returncode == 0
    assert engine.wait_for(result["execution_arn"]).outcome == "DUPLICATE"
    settled = inspected(endpoint, "txn-2026-0001")
    assert settled["outcome"] == "RECORDED"
    assert settled["next_step"].startswith("Nothing to do")


def test_the_arn_of_an_execution_without_a_history_is_explained(endpoint: str) -> None:
    """Events and logs have such ARNs, and an operator copies one from there."""
    (result,) = started(endpoint, SUCCESS)
    done = ledger("inspect", result["execution_arn"], "--endpoint-url", endpoint)
    assert (done.returncode, done.stdout) == (2, "")
    assert "ran in the fast lane, without a history: give the payment's TransactionID" in done.stderr


def test_an_import_takes_the_fast_lane(endpoint: str, engine: Engine, tmp_path: Path) -> None:
    """History is many payments at once: what costs a fifth and has no quota is right for it."""
    exported = tmp_path / "exported.jsonl"
    started(endpoint, SUCCESS)
    arguments = ("--processor", "acme-pay", "--endpoint-url", endpoint)
    assert ledger("export", str(exported), *arguments).returncode == 0
    engine.clear()
    done = ledger("import", str(exported), "--endpoint-url", endpoint)
    assert done.returncode == 0, done.stderr
    (item,) = engine.items()
    assert item["Execution"]["S"].split(":")[5] == "express"
    assert (engine.executions(), engine.published()) == ([], [])
