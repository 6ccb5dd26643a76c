"""Reading and operating a stack from the command line: what a person sees, and one line if the command cannot go on."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.stepfunctions.responses import StepFunctionResponse

from ledger.intake import execution_name
from ledger.payment import parse_payment
from ledger.violations import InvalidPaymentError
from ledger_cli import REGION
from ledger_cli.engine import Engine
from ledger_cli.engine.moto_patches.stepfunctions import ExecutionNotRedrivable
from ledger_cli.stack import inspection
from ledger_cli.stack.client import Stack
from ledger_cli.stack.inspection import inspect
from ledger_cli.views.terminal import visible
from tests.support.cli import ledger
from tests.support.faults import Faults
from tests.support.intake import intake_of


@pytest.fixture
def at(endpoint: str) -> Any:
    """Return a function that runs the command at this process's engine."""
    return lambda *arguments, **more: ledger(*arguments, LEDGER_ENDPOINT_URL=endpoint, **more)


@pytest.fixture
def recorded(engine: Engine, payment: dict[str, Any]) -> str:
    """Record a payment, and return its TransactionID."""
    name = "txn-2026-0001-a56e4564f0ce"
    assert engine.run(json.dumps(payment), name).outcome == "RECORDED"
    return str(payment["TransactionID"])


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_payment_is_shown_without_its_token(at: Any, recorded: str, payment: dict[str, Any]) -> None:
    """Neither a person nor a machine gets it."""
    shown = at("get", recorded)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.search(r"^Amount +129\.90 *$", shown.stdout, re.MULTILINE)
    report = json.loads(at("get", recorded, "--json").stdout)
    assert (report["transaction_id"], report["amount"], report["status"]) == (recorded, "129.90", "Success")
    assert payment["SecureToken"] not in shown.stdout + json.dumps(report)


def test_a_payment_that_is_not_there_has_a_next_step(at: Any) -> None:
    """Exit status 1 means that a search found nothing."""
    done = at("get", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ledger: no payment under nobody; look for its executions: ledger inspect nobody\n"


def test_text_of_others_does_not_write_over_the_screen(at: Any, engine: Engine, payment: dict[str, Any]) -> None:
    """A sender's metadata may hold any character but the control characters of ASCII."""
    engine.run(json.dumps({**payment, "Metadata": {"order": "a\u202eb\u2028c"}}))
    assert r"order=a\u202eb\u2028c" in at("get", payment["TransactionID"]).stdout
    assert visible("\x1b[2J\x9b\n") == r"\x1b[2J\x9b\n"
    assert visible("Zoë 日本 €") == "Zoë 日本 €"


HOSTILE = "\x1b[2J\u202e\u2066\x9b\x07\u200b"


def test_names_and_causes_of_others_are_harmless_everywhere(
    at: Any, engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A caller that may start or stop an execution chooses its name or cause, which an operator's terminal shows."""
    name = f"x{HOSTILE}"
    monkeypatch.setattr("moto.stepfunctions.models.StepFunctionBackend._validate_name", lambda *_: None)
    engine.run(json.dumps({**payment, "Amount": "1.001"}), name)
    execution = stepfunctions_parser_backends[engine.account_id][REGION].describe_execution(engine.executions()[0])
    execution.error, execution.cause = f"Stopped{HOSTILE}", f"because{HOSTILE}"
    page = tmp_path / "page.html"
    for arguments in (
        ["executions"], ["inspect", payment["TransactionID"]], ["redrive", "--all"],
        ["executions", "--json"], ["inspect", payment["TransactionID"], "--json"],
        ["inspect", payment["TransactionID"], "--html", str(page)],
    ):  # fmt: skip
        shown = at(*arguments)
        text = shown.stdout + shown.stderr + (page.read_text() if page.exists() else "")
        assert r"\x1b[2J\u202e" in text or r"\u001b[2J\u202e" in text, (arguments, shown)
        assert not set(HOSTILE) - set("[2J") & set(text), arguments


def test_a_damaged_id_is_harmless_too(at: Any, engine: Engine, recorded: str) -> None:
    """A person who may write to the table chooses the ID, and the command names it on standard error."""
    table = engine.outputs["TableName"]
    (item,) = engine.items()
    damaged = {**item, "TransactionID": {"S": f"t{HOSTILE}"}, "Amount": {"S": "x"}, "Unpublished": {"S": "0"}}
    damaged.pop("PublishedAt")
    engine.client("dynamodb").put_item(TableName=table, Item=damaged)
    for arguments in (["list", "--processor", item["ProcessorID"]["S"]], ["unpublished"], ["republish", "--dry-run"]):
        shown = at(*arguments)
        assert r"ledger: t\x1b[2J\u202e\u2066\x9b\x07\u200b: its attribute" in shown.stderr, shown
    assert recorded in at("list", "--processor", item["ProcessorID"]["S"]).stdout


def test_an_input_that_nobody_can_parse_hides_no_payment(
    at: Any, engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that may start executions chooses their input, and `inspect` reads it if the name does not decide."""
    engine.run(json.dumps({**payment, "Amount": "x"}), "of-a-bus")
    engine.run(json.dumps({**payment, "Amount": "x"}), "too-deep")
    deep = stepfunctions_parser_backends[engine.account_id][REGION].describe_execution(engine.executions()[1])
    deep.execution_input = "[" * 100_000
    shown = at("inspect", payment["TransactionID"])
    assert (shown.returncode, "of-a-bus" in shown.stdout or "REJECTED" in shown.stdout) == (0, True), shown


def test_an_item_that_cannot_be_read_is_named_and_hides_no_other(
    at: Any, engine: Engine, payment: dict[str, Any]
) -> None:
    """Only the ledger's code writes items, but a restored or repaired table may have a damaged one."""
    for name in ("good-1", "bad", "good-2"):
        engine.run(json.dumps({**payment, "TransactionID": name}), f"{name}-a56e4564f0ce")
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": "bad"}},
        UpdateExpression="SET Amount = :amount, Unpublished = :shard REMOVE PublishedAt",
        ExpressionAttributeValues={":amount": {"N": "1"}, ":shard": {"S": "0"}},
    )
    line = (
        "ledger: bad: its attribute Fingerprint is not what the ledger has written; "
        "see docs/operate/runbook.md#held-back\n"
    )
    asked = at("get", "bad")
    assert (asked.returncode, asked.stdout, asked.stderr) == (2, "", line)
    for form in ((), ("--csv",)):
        shown = at("list", "--processor", "acme-pay", *form)
        assert (shown.returncode, shown.stderr) == (1, line)
        assert all(name in shown.stdout for name in ("good-1", "good-2"))
    report = [json.loads(one) for one in at("list", "--processor", "acme-pay", "--json").stdout.splitlines()]
    assert [one.get("transaction_id") for one in report] == ["good-2", "good-1", None]
    assert report[-1] == {"unreadable": {"transaction_id": "bad", "attribute": "Fingerprint"}}
    unpublished = at("unpublished")
    assert (unpublished.returncode, unpublished.stderr) == (1, line)
    inspected = at("inspect", "bad", "--json")
    assert json.loads(inspected.stdout)["read_error"] == line.removeprefix("ledger: ").rstrip()
    assert json.loads(inspected.stdout)["next_step"].startswith("Fix the error that keeps the ledger from being read")
    dry = at("republish", "--dry-run", "--json")
    assert json.loads(dry.stdout)["unpublished"] == 0


def test_a_long_id_costs_the_least_important_column(at: Any, engine: Engine, payment: dict[str, Any]) -> None:
    """With a UUID, eighty columns have room for all but the time of publication."""
    transaction_id = "3f1c2b9e-9d55-4a0e-8a53-0d5b6c1f2a77"
    engine.run(json.dumps({**payment, "TransactionID": transaction_id}))
    shown = at("list", "--processor", "acme-pay", COLUMNS="80").stdout
    row = rf"{transaction_id} +129\.90 EUR +Success +2026-11-23 08:30:00Z\nToo narrow for: Published"
    assert re.search(row, shown), shown


@pytest.fixture
def many(engine: Engine, payment: dict[str, Any]) -> list[str]:
    """Record thirty payments of one processor, and return them, the newest first."""
    for number in range(30):
        changed = {"TransactionID": f"t-{number:02}", "Timestamp": f"2026-11-{number + 1:02}T00:00:00Z"}
        changed |= {"Status": "Failure"} if number % 10 == 0 else {}
        engine.run(json.dumps({**payment, **changed}))
    return [f"t-{number:02}" for number in reversed(range(30))]


def test_payments_are_listed_for_people(at: Any, many: list[str]) -> None:
    """The table fits a terminal, and a line below it says how to get more."""
    done = at("list", "--processor", "acme-pay", COLUMNS="80")
    assert re.findall(r"t-\d\d", done.stdout) == many[:25]
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "There are more: --limit with a larger number, or --all." in done.stderr
    assert re.findall(r"t-\d\d", at("list", "--processor", "acme-pay", "--all").stdout) == many


def test_payments_are_listed_for_machines(at: Any, many: list[str]) -> None:
    """Each payment has a line, and the last line has a cursor if there are more."""
    lines = [
        json.loads(line)
        for line in at("list", "--processor", "acme-pay", "--limit", "20", "--json").stdout.splitlines()
    ]
    assert [line["transaction_id"] for line in lines[:-1]] == many[:20]
    rest = at("list", "--processor", "acme-pay", "--json", "--cursor", lines[-1]["cursor"]).stdout.splitlines()
    assert [json.loads(line)["transaction_id"] for line in rest] == many[20:]


def test_payments_are_listed_as_csv(at: Any, many: list[str]) -> None:
    """A spreadsheet reads it."""
    done = at("list", "--processor", "acme-pay", "--csv", "--status", "Failure", "--all")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["TransactionID"] for row in rows] == ["t-20", "t-10", "t-00"]
    assert {(row["Amount"], row["Currency"], row["Status"]) for row in rows} == {("129.90", "EUR", "Failure")}
    assert done.stderr == ""
    assert many


def test_a_time_range_excludes_its_end(at: Any, many: list[str]) -> None:
    """A payment at --from is part of the list; one at --to is not."""
    done = at("list", "--processor", "acme-pay", "--from", "2026-11-05T00:00:00Z", "--to", "2026-11-07T00:00:00Z")
    assert re.findall(r"t-\d\d", done.stdout) == ["t-05", "t-04"]
    assert many


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "--processor", "a b"), "--processor is 1 to 64 of A-Z a-z 0-9 _ -"),
        (("list", "--processor", "a", "--from", "monday"), "--from is a date and time with an offset, such as"),
        (
            ("list", "--processor", "a", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"),
            "--from is not before --to",
        ),
        (("list", "--processor", "a", "--cursor", "x"), "--cursor is not a cursor of this command: begin without one"),
        (("get", "a b"), "a TransactionID is 1 to 64 of A-Z a-z 0-9 _ -"),
        (("get", "a", "--stack", "none"), "stack none is not in this account and region"),
        (
            ("inspect", "arn:aws:states:us-east-1:123456789012:execution:PaymentLedger:none"),
            "none: there is no such execution, or it is no longer kept",
        ),
        (("reveal", "t", "--reason", "short"), "Reason is text of 8 to 256 characters"),
    ],
)
def test_what_cannot_be_read_is_one_line(at: Any, arguments: tuple[str, ...], message: str) -> None:
    """The line says what to do. If --stack is given, a note comes first: the endpoint is the shell's, and not AWS."""
    done = at(*arguments)
    lines = 1 + ("--stack" in arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", lines), done.stderr
    assert done.stderr.startswith("ledger: ")
    assert message in done.stderr


def test_a_foreign_cursor_is_one_line(at: Any, many: list[str]) -> None:
    """A person confuses two cursors."""
    last = at("list", "--processor", "acme-pay", "--limit", "1", "--json").stdout.splitlines()[-1]
    done = at("list", "--processor", "other", "--cursor", json.loads(last)["cursor"])
    assert done.returncode == 2
    assert "--cursor belongs to another query" in done.stderr
    assert many


def test_a_token_is_revealed_for_a_reason(at: Any, engine: Engine, recorded: str, payment: dict[str, Any]) -> None:
    """The log has the caller's name."""
    done = at("reveal", recorded, "--reason", "refund, ticket 4711")
    assert (done.returncode, done.stdout) == (0, f"{payment['SecureToken']}\n")
    assert '"requester":"arn:aws:sts::123456789012:' in engine.logs()
    none = at("reveal", "nobody", "--reason", "refund, ticket 4711")
    assert (none.returncode, none.stdout, none.stderr) == (1, "", at("get", "nobody").stderr)


def test_a_stack_that_reveals_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, a stack has no function that reveals tokens."""
    from ledger_cli.stack.client import Stack, StackError  # noqa: PLC0415

    stack = Stack.__new__(Stack)
    monkeypatch.setattr(stack, "outputs", {}, raising=False)
    with pytest.raises(StackError, match="deploy it with the parameter RevealTokens=allowed"):
        stack.invoke("RevealFunction", {})


# ── Inspecting ──────────────────────────────────────────────────────────────────────────────────────


def test_a_recorded_payment_is_inspected(at: Any, recorded: str, payment: dict[str, Any]) -> None:
    """It shows the states, the item and the event, and that there is nothing to do."""
    done = at("inspect", recorded)
    assert (done.returncode, done.stderr) == (0, "")
    states = ("Validate Payment", "Encrypt Token", "Persist Payment", "Publish Outcome")
    assert re.findall(r"^✓ (.+?) +[\d,]+ ms", done.stdout, re.MULTILINE) == list(states)
    assert "Published  PaymentRecorded, OutcomeID " in done.stdout
    assert "Next       Nothing to do: it is recorded and published." in done.stdout
    assert payment["SecureToken"] not in done.stdout


@pytest.mark.parametrize(
    ("changes", "outcome", "line", "why"),
    [
        (
            {"Amount": "x"},
            "REJECTED",
            r"! Validate Payment +\d+ ms\s+InvalidPaymentError\s+─▶ ✓ Publish Rejection",
            "Amount: decimal",
        ),
        (
            {"Amount": "1.00"},
            "CONFLICT",
            r"! Persist Payment +\d+ ms\s+PaymentConflictError\s+─▶ ✓ Publish Conflict",
            "Amount",
        ),
    ],
)
def test_a_rejected_payment_says_why_and_what_to_do(
    at: Any, engine: Engine, recorded: str, payment: dict[str, Any], changes: Any, outcome: str, line: str, why: str
) -> None:
    """A person copies the execution's name from a list."""
    engine.run(json.dumps({**payment, **changes}), "refused")
    done = at("inspect", "refused")
    assert re.search(line, done.stdout), done.stdout
    assert f"refused  {outcome}" in done.stdout
    assert re.search(rf"^Why .*{why}$", done.stdout, re.MULTILINE)
    assert re.search(r"^Next +(Tell the sender|Ask the processor)", done.stdout, re.MULTILINE)
    assert recorded


def test_other_executions_of_a_payment_are_named(
    at: Any, engine: Engine, recorded: str, payment: dict[str, Any]
) -> None:
    """Executions of the same ID are listed with their outcomes. Those of a longer ID that begins alike are not."""
    engine.run(json.dumps({**payment, "Amount": "1.00"}), f"{recorded}-bcc172d3b78d")
    engine.run(json.dumps({**payment, "TransactionID": f"{recorded}-2"}), f"{recorded}-2-0123456789ab")
    report = json.loads(at("inspect", recorded, "--json").stdout)
    assert report["outcome"] == "RECORDED"
    assert [(one["execution"], one["outcome"]) for one in report["other_executions"]] == [
        (f"{recorded}-bcc172d3b78d", "CONFLICT")
    ]


LONG = f"{'very-long-identifier-' * 3}1"


@pytest.mark.parametrize(("transaction_id", "described"), [("txn-2026-0001", 0), (LONG, 10)])
def test_a_payment_is_found_under_names_of_every_release(
    endpoint: str,
    engine: Engine,
    payment: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    transaction_id: str,
    described: int,
) -> None:
    """A new name has 45 characters of the ID, which another payment's may begin with; an old one has the whole ID.

    The input of an execution is read only if its name does not decide.
    """
    monkeypatch.setattr(inspection, "MAX_DESCRIBED", described)
    asked = {**payment, "TransactionID": transaction_id}
    canonical, _ = parse_payment(asked, default_currency="USD")
    name, before = execution_name(canonical), f"{transaction_id}-{canonical.fingerprint[:12]}"
    names = [before, f"{before}-2", name, f"{name}-2", f"{name}-c"]
    for one in names:
        assert engine.run(json.dumps({**asked, "Amount": "x"}), one).outcome == "REJECTED"
    other = {**payment, "TransactionID": f"{transaction_id[:-1]}2"}
    assert engine.run(json.dumps({**other, "Amount": "x"}), f"{other['TransactionID'][:45]}-{'0' * 32}").outcome
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment({**asked, "Amount": "y"}, default_currency="USD")
    names.append(intake_of(engine).reject(caught.value, "any").rpartition(":")[2])
    assert engine.wait_for(f"{engine.executions()[0].rpartition(':')[0]}:{names[-1]}").outcome == "REJECTED"
    report = inspect(Stack("payment-ledger", endpoint_url=endpoint), transaction_id)
    assert report.execution is not None
    assert sorted([report.execution.name, *(one.name for one in report.other_executions)]) == sorted(names)


@pytest.mark.parametrize(
    "name", ["", "own-name", "3f6c9d10-54ab-4f0e-9c11-0a1b2c3d4e5f_7a6b5c4d-0000-4abc-8def-001122334455"]
)
@pytest.mark.parametrize("changes", [{"Amount": "x"}, {"Amount": "x", "TransactionID": "a b"}], ids=["ID", "no ID"])
def test_a_rejection_is_found_whichever_way_it_came(
    at: Any, engine: Engine, payment: dict[str, Any], name: str, changes: dict[str, Any]
) -> None:
    """Support has the payment's ID, and no execution's name.

    `ledger start` and the webhook give one name, an event bus and other senders theirs. Without a valid TransactionID,
    support can search for the ProcessorID only.
    """
    invalid = {**payment, **changes}
    if name:
        engine.run(json.dumps(invalid), name)
    else:
        assert at("start", "-", stdin=json.dumps(invalid)).returncode == 1
    engine.run(json.dumps({**payment, "TransactionID": "another", "ProcessorID": "other", "Amount": "x"}), "another")
    (arn,) = (arn for arn in engine.executions() if not arn.endswith(":another"))
    engine.wait_for(arn)
    report = json.loads(at("inspect", "acme-pay" if "TransactionID" in changes else "txn-2026-0001", "--json").stdout)
    assert (report["outcome"], report["deciding_execution"]["execution_arn"], report["other_executions"]) == (
        "REJECTED",
        arn,
        [],
    )
    assert "Amount: decimal" in report["deciding_execution"]["cause"]


def test_executions_that_were_not_searched_are_reported(
    endpoint: str, engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step Functions describes few executions in a second. An operator must not take the first hundred for all."""
    for number in range(3):
        engine.run(json.dumps({**payment, "TransactionID": f"t-{number}", "Amount": "x"}), f"own-name-{number}")
    monkeypatch.setattr(inspection, "MAX_DESCRIBED", 2)
    stack = Stack("payment-ledger", endpoint_url=endpoint)
    assert inspect(stack, "t-2").outcome == inspect(stack, "t-1").outcome == "REJECTED"
    first = inspect(stack, "t-0")
    assert (first.outcome, first.searched_back_to is None) == ("UNKNOWN", False)
    assert "older executions were not searched" in first.next_step


def test_nothing_is_known_of_an_unknown_id(at: Any) -> None:
    """The command says so, and whom to ask."""
    done = at("inspect", "nobody")
    assert done.returncode == 1
    assert "Next       Ask the sender when the payment was sent: no payment and no execution" in done.stdout


def test_a_ledger_that_cannot_be_read_hides_no_execution(at: Any, recorded: str, faults: Faults) -> None:
    """The operator on duty inspects a payment when something is broken."""
    faults.refuse("GetItem", "AccessDeniedException")
    done = at("inspect", recorded, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 2  # 1 would say that nothing came
    assert "AccessDeniedException" in report["read_error"]
    assert (report["outcome"], report["next_step"]) == (
        "UNKNOWN",
        "Fix the error that keeps the ledger from being read, then run this command again.",
    )
    faults.refuse("GetItem", "AccessDeniedException")
    shown = at("inspect", recorded).stdout
    assert re.search(r"^The ledger could not be read: .*AccessDeniedException", shown, re.MULTILINE), shown


def test_a_page_is_written(at: Any, recorded: str, tmp_path: Path) -> None:
    """The option names the file. If it cannot be written, the command says so in one line."""
    file = tmp_path / "payment.html"
    assert at("inspect", recorded, "--html", str(file)).stdout == f"{file}: RECORDED\n"
    assert file.read_text().startswith("<!doctype html>")
    done = at("inspect", recorded, "--html", str(tmp_path / "none/payment.html"))
    assert (done.returncode, done.stderr) == (2, f"ledger: {tmp_path}/none/payment.html: no such file or directory\n")


def test_executions_are_listed_with_their_outcomes(
    at: Any, engine: Engine, recorded: str, payment: dict[str, Any]
) -> None:
    """The newest comes first. A rejection or conflict has its name and its reason."""
    engine.run(json.dumps({**payment, "Amount": "1.00"}), "second")
    engine.run(json.dumps({**payment, "Amount": "x"}), "third")
    done = at("executions")
    assert re.findall(r"^([A-Z]+) +(\S+)  20", done.stdout, re.MULTILINE) == [
        ("REJECTED", "third"),
        ("CONFLICT", "second"),
        ("RECORDED", f"{recorded}-a56e4564f0ce"),
    ]
    assert "InvalidPaymentError: Amount: decimal" in done.stdout
    lines = [
        json.loads(line)
        for line in at("executions", "--json", "--status", "FAILED", "--limit", "1").stdout.splitlines()
    ]
    assert [(line["execution"], line["outcome"]) for line in lines] == [("third", "REJECTED")]
    assert payment["SecureToken"] not in done.stdout + json.dumps(lines)


# ── Acting ──────────────────────────────────────────────────────────────────────────────────────────


def fail(engine: Engine, payment: dict[str, Any], faults: Faults, call: str, name: str) -> None:
    """Run an execution that has a technical failure at a call."""
    faults.refuse(call, "ResourceNotFoundException")
    assert engine.run(json.dumps(payment), name).outcome is None


def test_a_failed_payment_is_redriven(at: Any, engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """It goes on in the state that failed. Then nothing is left to redrive."""
    name = "txn-2026-0001-a56e4564f0ce"
    fail(engine, payment, faults, "PutItem", name)
    shown = at("inspect", "txn-2026-0001")
    assert "ledger redrive txn-2026-0001" in shown.stdout
    assert re.search(r"^✗ Persist Payment", shown.stdout, re.MULTILINE)
    dry = at("redrive", "txn-2026-0001", "--dry-run")
    assert f"{name} would be redriven from Persist Payment (ResourceNotFoundException: " in dry.stdout
    assert engine.items() == []
    assert json.loads(at("redrive", "txn-2026-0001", "--json").stdout) == {
        "execution": name,
        "execution_arn": engine.executions()[0],
        "state": "Persist Payment",
        "error": "ResourceNotFoundException",
        "redriven": True,
        "not_redrivable": None,
    }
    (arn,) = engine.executions()
    execution = engine.wait_for(arn)
    assert execution.outcome == "RECORDED"
    runs = [(run.name, run.result, run.attempts) for run in execution.states]
    assert runs == [
        ("Validate Payment", "succeeded", 1),
        ("Encrypt Token", "succeeded", 1),
        ("Persist Payment", "succeeded", 2),
        ("Publish Outcome", "succeeded", 1),
    ]
    again = at("redrive", "txn-2026-0001")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "ledger: no execution of txn-2026-0001 had a technical failure: nothing to redrive\n"


def test_all_technical_failures_are_redriven_and_rejections_are_not(
    at: Any, engine: Engine, recorded: str, payment: dict[str, Any], faults: Faults
) -> None:
    """An operator does this after an outage. A rejected payment would only be rejected again."""
    engine.run(json.dumps({**payment, "Amount": "x"}), "refused")
    for number, call in enumerate(("PutItem", "PutEvents")):
        fail(engine, {**payment, "TransactionID": f"t-{number}"}, faults, call, f"failed-{number}")
    done = at("redrive", "--all")
    assert re.findall(r"^(\S+) is redriven from (.+?) \(", done.stdout, re.MULTILINE) == [
        ("failed-1", "Publish Outcome"),
        ("failed-0", "Persist Payment"),
    ]
    assert {engine.wait_for(arn).outcome for arn in engine.executions()} == {"RECORDED", "REJECTED"}
    assert at("redrive", "--all").returncode == 0
    assert recorded


def test_one_that_cannot_be_redriven_does_not_keep_the_others(
    at: Any, engine: Engine, payment: dict[str, Any], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step Functions does not redrive an execution that is too old. The command names it, with what to do."""
    for number in range(3):
        fail(engine, {**payment, "TransactionID": f"t-{number}"}, faults, "PutItem", f"failed-{number}")
    redrive = vars(StepFunctionResponse)["redrive_execution"]

    def choosy(request: StepFunctionResponse) -> Any:
        if "failed-1" in request.body:
            raise ExecutionNotRedrivable("its redrivable period is over")
        return redrive(request)

    monkeypatch.setattr(StepFunctionResponse, "redrive_execution", choosy)
    done = at("redrive", "--all", COLUMNS="1000")
    assert done.returncode == 1
    line = "failed-1 cannot be redriven: its redrivable period is over: ask the sender to send the payment again"
    assert line in " ".join(done.stdout.split())
    assert sorted(engine.wait_for(arn).outcome or "" for arn in engine.executions()) == ["", "RECORDED", "RECORDED"]


def test_a_redrive_names_what_it_means(at: Any) -> None:
    """A slip of the hand must not redrive everything."""
    assert at("redrive").returncode == 2
    assert "name an ID, or say --all" in at("redrive", "x", "--all").stderr


def test_what_is_unpublished_is_listed_and_published(
    at: Any, engine: Engine, payment: dict[str, Any], faults: Faults
) -> None:
    """The sweep publishes what is overdue. A payment that was recorded just now is left to its execution."""
    fail(engine, payment, faults, "PutEvents", "failed")
    assert "txn-2026-0001" in at("unpublished").stdout
    assert json.loads(at("republish", "--dry-run", "--json").stdout) == {
        "unpublished": 1,
        "overdue": 0,
        "overdue_after_minutes": 5,
    }
    table = engine.outputs["TableName"]
    (item,) = engine.items()
    item["RecordedAt"] = {"S": "2026-11-01T00:00:00.000000Z"}
    engine.client("dynamodb").put_item(TableName=table, Item=item)
    assert at("republish", "--dry-run").stdout == "1 of 1 unpublished are overdue (5 minutes) and would be published\n"
    assert engine.published() == []
    assert at("republish").stdout == "1 of 1 overdue outcomes published\n"
    assert [event["detail-type"] for event in engine.published()] == ["PaymentRecorded"]
    assert "txn-2026-0001" not in at("unpublished").stdout


def test_a_sweep_that_fails_leads_to_the_runbook(
    at: Any, engine: Engine, payment: dict[str, Any], faults: Faults
) -> None:
    """The runbook has the error's name."""
    faults.refuse("Query", "ResourceNotFoundException")
    done = at("republish")
    assert done.returncode == 2
    assert re.fullmatch(
        r"ledger: republish_outcomes failed: ResourceNotFoundException: .*docs/operate/runbook\.md#unpublished\n",
        done.stderr,
    )
    assert (engine.items(), payment["Status"]) == ([], "Success")


# ── Habits ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_it(shell: str) -> None:
    """The printed script is the named shell's, and names this command."""
    done = ledger("completion", shell)
    assert done.returncode == 0
    assert "_LEDGER_COMPLETE" in done.stdout


def test_commands_are_completed() -> None:
    """A shell asks by means of variables."""
    done = ledger(_LEDGER_COMPLETE="bash_complete", COMP_WORDS="ledger re", COMP_CWORD="1")
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == {
        "reconcile",
        "redrive",
        "register-processor",
        "republish",
        "retry",
        "reveal",
    }


def test_no_colours_where_nobody_looks(at: Any, recorded: str) -> None:
    """A pipe gets plain text."""
    assert (
        "\x1b" not in at("inspect", recorded).stdout + at("executions").stdout + at("list", "--processor", "a").stdout
    )
