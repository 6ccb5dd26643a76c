"""The tests of a deployed stack, run at the engine, and at answers of AWS that the engine cannot give."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from ledger.processors import Processor, Processors
from ledger_cli import REGION, ROOT, STACK_NAME
from ledger_cli.engine import Engine
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack import sealing
from ledger_cli.stack.client import Stack, StackError
from tests.e2e import checks, test_stack
from tests.proof.resolved import Resolver
from tests.support.sealed import LogKey

FAILS = pytest.fail.Exception

TABLES = {checks.PAYMENTS: "PaymentLedger", checks.ENTRIES: "PaymentEntries", checks.SEALS: "PaymentSeals"}
"""The tables, and their names in a stack without a suffix."""

WORKFLOWS = {checks.PAYMENTS_WORKFLOW: "PaymentLedger", checks.ENTRIES_WORKFLOW: "PaymentEntries"}
"""The workflows, by the outputs that have their ARNs, and their names in a stack without a suffix."""

of_records = pytest.mark.parametrize("table", [checks.PAYMENTS, checks.ENTRIES], indirect=True, ids=WORKFLOWS.values())
"""Tests of the tables of payments and of entries: no payment has an item in the table of seals."""

each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS)

RESTORE = "docs/operate/deploying.md#restore-the-table"
PAYMENT = {
    "TransactionID": "smoke-1-posted",
    "ProcessorID": "smoke-1",
    "SecureToken": "smoke-token-of-1",
    "Amount": "1.00",
    "Currency": "EUR",
    "Status": "Success",
    "Timestamp": "2026-11-26T06:00:00Z",
}
REFUND = {
    "TransactionID": "smoke-1-posted",
    "EntryID": "smoke-1-posted-refund",
    "Kind": "Refunded",
    "Amount": "0.40",
    "Currency": "EUR",
    "ProcessorID": "smoke-1",
    "Timestamp": "2026-11-26T06:00:00Z",
}


def arn_of(table: checks.Table) -> str:
    """Return the ARN of a table."""
    return f"arn:aws:dynamodb:{REGION}:{Engine.account_id}:table/{TABLES[table]}"


def forget(engine: Engine) -> None:
    """Let the webhook look for an unknown name again at once."""
    engine.functions["ReceivePayment"].module.PROCESSORS._asked_at_s = 0


@pytest.fixture(autouse=True)
def at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait until the webhook looks for a new processor."""
    monkeypatch.setattr(checks.time, "sleep", lambda _: forget(engine))


def smoke(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a deployed stack in a process of their own, as `make smoke` does."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--verbose",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "--confcutdir",
        "tests/e2e",
        "tests/e2e",
        *options,
    ]
    return subprocess.run(  # noqa: S603
        command,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def of_both(test: str, result: str) -> list[tuple[str, str]]:
    """Return the result of a test that asks the same about payments and about entries."""
    return [(f"{test}[{subject}]", result) for subject in ("payments", "entries")]


def of_each(test: str, result: str, case: str = "") -> list[tuple[str, str]]:
    """Return the result of a test that asks the same about each table."""
    return [(f"{test}[{case}{subject}]", result) for subject in ("payments", "entries", "seals")]


def test_they_ask_all_that_they_can_ask_here(engine: Engine, endpoint: str) -> None:
    """The engine enforces no IAM and has no aliases, table policies or backups: the tests of these must fail."""
    forget(engine)
    done = smoke("--stack", STACK_NAME, "--endpoint-url", endpoint)
    assert re.findall(r"::(\S+?(?:\[.*\])?) (PASSED|FAILED|SKIPPED|ERROR)\b", done.stdout) == [
        ("test_an_alarm_watches_each_release", "PASSED"),
        ("test_live_is_what_was_deployed_in_every_function", "FAILED"),
        *of_both("test_live_is_what_was_deployed_in_the_workflow", "FAILED"),
        ("test_a_sealed_payment_is_recorded_through_every_endpoint", "PASSED"),
        ("test_the_same_payment_again_is_a_duplicate", "PASSED"),
        ("test_another_payment_under_its_id_is_a_conflict", "PASSED"),
        ("test_an_invalid_payment_is_rejected", "PASSED"),
        ("test_the_item_is_encrypted_and_published", "PASSED"),
        ("test_a_refund_of_a_part_is_recorded_through_every_endpoint", "PASSED"),
        ("test_the_same_refund_again_is_a_duplicate", "PASSED"),
        ("test_a_refund_of_more_than_is_left_is_refused", "PASSED"),
        ("test_the_item_of_the_refund_is_published", "PASSED"),
        *of_both("test_a_run_of_the_sealer_seals_what_was_recorded", "PASSED"),
        ("test_the_stacks_own_key_has_signed_the_checkpoint", "PASSED"),
        ("test_ledger_verify_finds_nothing_wrong", "PASSED"),
        *of_both("test_ledger_prove_proves_a_record", "PASSED"),
        *of_both("test_the_stacks_key_encrypts_the_history_of_executions", "FAILED"),
        *of_each("test_the_tables_policy_is_the_one_in_the_template", "FAILED"),
        *of_each("test_the_tables_deletion_protection_is_on", "PASSED"),
        *of_each("test_the_tables_point_in_time_recovery_is_on", "FAILED"),
        *of_each("test_the_watch_sees_the_tables_stream", "FAILED"),
        ("test_the_watch_sees_the_reports_of_cloudtrail", "PASSED"),
        *of_each("test_the_tables_own_policy_forbids", "FAILED", "deleting an item-"),
        *of_each("test_the_tables_own_policy_forbids", "FAILED", "replacing an item-"),
        *of_each("test_the_tables_own_policy_forbids", "FAILED", "changing an amount-"),
        *of_each("test_the_tables_own_policy_forbids", "FAILED", "moving a marker-"),
        *of_each("test_the_tables_own_policy_forbids", "SKIPPED", "changing the recovery-"),
        ("test_the_buss_own_policy_forbids_to_publish_an_outcome", "FAILED"),
        ("test_an_administrator_cannot_decrypt_a_sealed_token", "FAILED"),
        ("test_an_administrator_cannot_sign_a_checkpoint", "FAILED"),
        ("test_the_webhook_accepts_a_signed_payment_and_no_other", "PASSED"),
    ]
    assert (done.returncode, done.stderr) == (1, "")
    failures = done.stdout.partition("= FAILURES =")[2].partition("= short test summary info =")[0]
    reasons = [line for line in failures.splitlines() if line and not re.match("[_=]", line)]
    assert reasons[0].count("has no alias live") == len(engine.functions)
    shown = [f"the history of the workflow {name} is not encrypted with the stack's key" for name in WORKFLOWS.values()]
    assert reasons[3:5] == shown
    for number, name in enumerate(TABLES.values()):
        policy, recovery, stream, *allowed = reasons[5 + number : 26 : 3]
        assert policy.startswith(f"the table {name} has no resource policy.")
        assert recovery.startswith(f"the point-in-time recovery of the table {name} is off.")
        assert stream.startswith(f"the table {name} has no stream of both images.")
        assert allowed == [
            f"deleting an item of the table {name} was allowed",
            f"replacing an item of the table {name} was allowed",
            f"changing an amount of the table {name} was allowed",
            f"moving a marker of the table {name} was allowed",
        ]
    assert reasons[26:] == [
        "publishing an outcome was allowed",
        "decrypting a sealed token was allowed",
        "signing with the seal key was allowed",
    ]  # and each is one line


def test_a_missing_stack_is_one_line(endpoint: str) -> None:
    """Twenty tests that fail for one reason would hide it."""
    done = smoke("--stack", "none", "--endpoint-url", endpoint)
    assert done.returncode == 2
    assert "Exit: stack none is not in this account and region" in done.stdout
    assert "FAILED" not in done.stdout


def test_without_a_stack_there_is_nothing_to_ask() -> None:
    """`make test` finds the file, and has no stack."""
    done = smoke("--collect-only")
    assert "no tests collected" in done.stdout, done.stdout


DENIED = "User: me is not authorized to perform: dynamodb:DeleteItem on resource: the table "


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (f"{DENIED}{checks.EXPLICIT_DENY}", None),
        (
            f"{DENIED}because no identity-based policy allows the dynamodb:DeleteItem action",
            "not by the stack's policy",
        ),
        (f"{DENIED}with an explicit deny in a service control policy", "not by the stack's policy"),
        ("", "not by the stack's policy"),
    ],
)
def test_a_denial_counts_only_if_it_is_the_stacks_policys(message: str, says: str | None) -> None:
    """If IAM does not let the caller delete anyway, the answer proves nothing about the table's policy."""

    def attempt() -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, "DeleteItem")

    with pytest.raises(FAILS, match=says) if says else nullcontext():
        checks.expect_denied(attempt, "deleting an item")


def test_the_recovery_is_tried_if_a_break_glass_role_is_named(stack: Stack, table: checks.Table) -> None:
    """Without one, the table's policy leaves the recovery to IAM, and the call would prove nothing."""
    with pytest.raises(pytest.skip.Exception, match="names no break-glass role"):
        test_stack.test_the_tables_own_policy_forbids(stack, "t", "changing the recovery", table)
    stack.parameters["BreakGlassRoleArn"] = "arn:aws:iam::123456789012:role/break-glass"
    with pytest.raises(FAILS, match=f"changing the recovery of the table {TABLES[table]} was allowed"):
        test_stack.test_the_tables_own_policy_forbids(stack, "t", "changing the recovery", table)


def test_every_forbidden_call_is_tried_at_each_table() -> None:
    """A call that no test asks for would prove nothing."""
    calls, tables = (mark.args[1] for mark in vars(test_stack.test_the_tables_own_policy_forbids)["pytestmark"])
    assert tables == list(TABLES)
    assert calls == list(checks.forbidden_calls(MagicMock(), checks.PAYMENTS, "t"))


@of_records
@pytest.mark.parametrize(
    ("call", "changed"),
    [
        ("deleting an item", lambda _item, _key: []),
        ("replacing an item", lambda _item, key: [key]),
        ("changing an amount", lambda item, _key: [{**item, "Amount": {"N": "2"}}]),
        ("moving a marker", lambda item, _key: [without(item, "Unpublished")]),
    ],
    ids=["deleting", "replacing", "changing", "moving"],
)
def test_the_forbidden_calls_meet_the_item_of_the_run(
    engine: Engine, stack: Stack, table: checks.Table, call: str, changed: Callable[[Any, Any], list[Any]]
) -> None:
    """A call that misses it might fail for another reason, and would prove nothing if it is allowed."""
    for number in (1, 2):
        record(engine, f"smoke-{number}")
    key = table.key("smoke-1")
    engine.client("dynamodb").update_item(
        TableName=TABLES[table],
        Key=key,
        UpdateExpression="SET Unpublished = :shard",
        ExpressionAttributeValues={":shard": {"S": "1"}},
    )
    item, another = items_in(engine, table)
    assert checks.forbidden_calls(stack, table, "smoke-1")[call]()
    assert items_in(engine, table) == [*changed(item, key), another]


def test_the_forbidden_calls_leave_the_log_alone(engine: Engine, stack: Stack) -> None:
    """If AWS allows them after all, no seal may be lost or changed: they are for the first one, and change nothing."""
    record(engine, "smoke-1")
    checks.check_sealed(stack, checks.PAYMENTS, "smoke-1")
    before = engine.seals()
    forbidden = checks.forbidden_calls(stack, checks.SEALS, "smoke-1")
    for call in ("replacing an item", "changing an amount", "moving a marker", "deleting an item"):
        with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
            forbidden[call]()
        with pytest.raises(FAILS, match=f"{call} was allowed"):
            checks.expect_denied(forbidden[call], call)
    assert engine.seals() == before


def test_the_policy_with_a_break_glass_role_passes(
    engine: Engine, stack: Stack, dynamodb: Stubber, table: checks.Table
) -> None:
    """The optional statement is compared as well: without it in the table, the check fails."""
    stack.parameters["BreakGlassRoleArn"] = "arn:aws:iam::123456789012:role/break-glass"
    policy = deployed_policy(engine, table, stack.parameters)
    answer_policy(dynamodb, table, policy)
    checks.check_table_policy(stack, table)
    drop(policy["Statement"])
    answer_policy(dynamodb, table, policy)
    with pytest.raises(FAILS, match="only in the template: OnlyBreakGlassChangesTheTable"):
        checks.check_table_policy(stack, table)


@pytest.mark.parametrize("other", ["allowed", "refused"])
def test_the_role_that_accepts_entries_puts_only_if_the_stack_has_it(
    engine: Engine, stack: Stack, dynamodb: Stubber, other: str
) -> None:
    """A stack without that role has a shorter list of roles that put an entry, and not a list with a gap."""
    policies = {
        accepts: deployed_policy(engine, checks.ENTRIES, {**stack.parameters, "AcceptEntries": accepts})
        for accepts in ("allowed", "refused")
    }
    (own,) = policies.keys() - {other}
    stack.parameters["AcceptEntries"] = own
    answer_policy(dynamodb, checks.ENTRIES, policies[own])
    checks.check_table_policy(stack, checks.ENTRIES)
    answer_policy(dynamodb, checks.ENTRIES, policies[other])
    with pytest.raises(FAILS, match="only in the template: OnlyTheTwoThatAppendPut; only in the table's: OnlyTheTwo"):
        checks.check_table_policy(stack, checks.ENTRIES)


STREAMS = {
    "a right deployment": ({}, None),
    "no stream": ({"stream": {}}, "the table {} has no stream of both images"),
    "half a stream": (
        {"stream": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}},
        "the table {} has no stream of both images",
    ),
    "no mapping": ({"states": []}, "the stream of the table {} does not reach watch_ledger:live"),
    "a disabled mapping": ({"states": ["Disabled"]}, "the stream of the table {} does not reach watch_ledger:live"),
}


@pytest.mark.parametrize("case", STREAMS)
def test_the_watch_must_see_each_stream(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, table: checks.Table, case: str
) -> None:
    """A restored table has another stream, or none. The other table's stream is not enough."""
    changes, says = STREAMS[case]
    right = {"stream": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}, "states": ["Enabled"]}
    given: dict[str, Any] = {**right, **changes}
    asked: list[Any] = []

    class Answers:
        """The answers of AWS for the stack."""

        def describe_table(self, **parameters: Any) -> Any:
            stream = f"{parameters['TableName']}/stream/2026-11-26"
            return {"Table": {"LatestStreamArn": stream, "StreamSpecification": given["stream"]}}

        def list_event_source_mappings(self, **parameters: Any) -> Any:
            asked.append(parameters)
            return {"EventSourceMappings": [{"State": state} for state in given["states"]]}

    monkeypatch.setattr(checks, "physical_ids", lambda *_: {"WatchLedger": "watch_ledger"})
    monkeypatch.setattr(stack, "client", lambda _service: Answers())
    with pytest.raises(FAILS, match=f"{says.format(TABLES[table])}.*{RESTORE}") if says else nullcontext():
        checks.check_stream(stack, table)
    stream = f"{TABLES[table]}/stream/2026-11-26"
    assert asked in ([], [{"FunctionName": "watch_ledger:live", "EventSourceArn": stream}])


@pytest.mark.parametrize(
    ("state", "targets", "right"),
    [
        ("ENABLED", ["watch_ledger:live"], True),
        ("DISABLED", ["watch_ledger:live"], False),
        ("ENABLED", ["other:live"], False),
        ("ENABLED", [], False),
    ],
)
def test_the_watch_must_see_the_reports(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, state: str, targets: list[str], right: Any
) -> None:
    """A person who wants to change a key or a policy switches the watch off first."""
    arn = f"arn:aws:lambda:{REGION}:{Engine.account_id}:function:"
    events = SimpleNamespace(
        list_targets_by_rule=lambda **_: {"Targets": [{"Arn": f"{arn}{target}"} for target in targets]},
        describe_rule=lambda **_: {"State": state},
    )
    ids = {
        "AWS::Lambda::Function": {"WatchLedger": "watch_ledger"},
        "AWS::Events::Rule": {"WatchLedgerProtection": "r"},
    }
    monkeypatch.setattr(checks, "physical_ids", lambda _stack, kind: ids[kind])
    monkeypatch.setattr(stack, "client", lambda _service: events)
    says = "the rule r is disabled, or does not reach watch_ledger:live"
    with nullcontext() if right else pytest.raises(FAILS, match=says):
        checks.check_reports(stack)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"EventId": "1"}, "was allowed"),
        ({"ErrorCode": "AccessDeniedException", "ErrorMessage": f"no, {checks.EXPLICIT_DENY}"}, None),
        ({"ErrorCode": "AccessDeniedException"}, "not by the stack's policy"),
    ],
)
def test_an_entry_may_be_denied_alone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, result: dict[str, str], says: str | None
) -> None:
    """PutEvents decides on each entry by itself, and answers 200."""
    events = SimpleNamespace(put_events=lambda **_: {"Entries": [result], "FailedEntryCount": len(result) - 1})
    monkeypatch.setattr(stack, "client", lambda _service: events)
    with pytest.raises(FAILS, match=says) if says else nullcontext():
        checks.expect_denied(lambda: checks.put_event(stack, {}), "publishing an outcome")


def test_they_can_run_twice_in_a_row(engine: Engine, served_stack: Stack) -> None:
    """A warm webhook remembers the secret of the first run's processor, which that run has deleted."""
    for number in (1, 2):
        ids = {"TransactionID": f"smoke-{number}-posted", "ProcessorID": f"smoke-{number}"}
        checks.check_webhook(served_stack, {**PAYMENT, **ids})
    executions = {engine.wait_for(arn).status for arn in engine.executions()}
    assert executions == {"SUCCEEDED"}
    assert [item["TransactionID"]["S"] for item in engine.items()] == ["smoke-1-posted", "smoke-2-posted"]


def test_each_run_has_a_processor_of_its_own(served_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named as the run's payment, which no other run has."""
    posted: list[dict[str, str]] = []
    monkeypatch.setattr(checks, "check_webhook", lambda _stack, payment: posted.append(payment))
    sealed = {name: value for name, value in PAYMENT.items() if name != "SecureToken"} | {"SealedToken": "x"}
    test_stack.test_the_webhook_accepts_a_signed_payment_and_no_other(
        served_stack, sealed, "smoke-1", "smoke-token-of-1"
    )
    assert posted == [PAYMENT]


def test_a_stack_without_a_webhook_has_nothing_to_post_to(stack: Stack) -> None:
    """The webhook is closed unless the stack was deployed with it."""
    del stack.outputs["WebhookUrl"]
    with pytest.raises(pytest.skip.Exception, match="the stack has no webhook"):
        test_stack.test_the_webhook_accepts_a_signed_payment_and_no_other(stack, PAYMENT, "t", "token")


def test_a_webhook_that_accepts_every_request_fails(
    engine: Engine, served_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts unsigned payments too; the secret that was created for the test is deleted all the same."""
    module = engine.functions["ReceivePayment"].module
    anybody = Processor.parse(json.dumps(PROCESSORS["acme-pay"]))
    monkeypatch.setattr(module, "authenticated", lambda *_: anybody)
    with pytest.raises(FAILS, match=r"unsigned it answered 202, signed 20[02]"):
        checks.check_webhook(served_stack, PAYMENT)
    assert engine.client("secretsmanager").list_secrets()["SecretList"] == []


def test_a_secret_that_is_not_known_yet_is_asked_for_again(
    engine: Engine, served_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right deployment must not fail because Secrets Manager lists a new secret a moment later."""
    read = Processors._fetch
    waited: list[float] = []

    def late(processors: Processors, now_s: int) -> None:
        read(processors, now_s)
        if len(waited) < 3:
            processors._found.clear()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        forget(engine)

    forget(engine)
    monkeypatch.setattr(checks.time, "sleep", wait)
    monkeypatch.setattr(Processors, "_fetch", late)
    checks.check_webhook(served_stack, PAYMENT)
    assert waited == [61] * 3


def machine_of(workflow: str) -> str:
    """Return the ARN of a workflow."""
    return f"arn:aws:states:{REGION}:{Engine.account_id}:stateMachine:{WORKFLOWS[workflow]}"


def described_machine(workflow: str, **more: Any) -> dict[str, Any]:
    """Return what DescribeStateMachine answers for a workflow, with what else a test needs."""
    return {
        "stateMachineArn": machine_of(workflow), "name": WORKFLOWS[workflow], "definition": "{}",
        "roleArn": "arn:role", "type": "STANDARD", "creationDate": 0, **more,
    }  # fmt: skip


@each_workflow
@pytest.mark.parametrize(
    ("weights", "revisions", "says"),
    [
        ([100], ["a", "a"], None),
        ([100], [None, None], None),
        ([100], ["INITIAL", None], None),
        ([100], ["a", "b"], "live is an earlier version of the workflow {} than"),
        ([100], [None, "b"], "live is an earlier version of the workflow {} than"),
        ([90, 10], [], "a release of the workflow {} is still shifting"),
    ],
)
def test_the_workflow_behind_live_is_the_deployed_one(
    stack: Stack, workflow: str, weights: list[int], revisions: list[str | None], says: str | None
) -> None:
    """A release that was rolled back, or that still shifts, is not what was deployed."""
    machine = machine_of(workflow)
    alias = stack.outputs[workflow] = f"{machine}:live"  # the engine's output is the workflow: it has no aliases
    with Stubber(stack.client("stepfunctions")) as states:
        routed = [{"stateMachineVersionArn": f"{machine}:{n}", "weight": weight} for n, weight in enumerate(weights, 1)]
        states.add_response(
            "describe_state_machine_alias", {"routingConfiguration": routed}, {"stateMachineAliasArn": alias}
        )
        for arn, revision in zip((f"{machine}:1", machine), revisions, strict=False):
            described = described_machine(workflow, **({"revisionId": revision} if revision else {}))
            states.add_response("describe_state_machine", described, {"stateMachineArn": arn})
        with pytest.raises(FAILS, match=says.format(WORKFLOWS[workflow])) if says else nullcontext():
            checks.check_live_workflow(stack, workflow)
        states.assert_no_pending_responses()


@each_workflow
@pytest.mark.parametrize(
    ("kind", "name", "right"),
    [
        ("CUSTOMER_MANAGED_KMS_KEY", "HistoryKey", True),
        ("CUSTOMER_MANAGED_KMS_KEY", "TableKey", False),
        ("AWS_OWNED_KEY", None, False),
    ],
)
def test_the_history_has_the_stacks_key(
    engine: Engine, stack: Stack, workflow: str, kind: str, name: str, right: Any
) -> None:
    """Another key of the account would let others read the history."""
    key = {"kmsKeyId": f"arn:aws:kms:{REGION}:{Engine.account_id}:key/{engine.physical_ids[name]}"} if name else {}
    described = described_machine(workflow, encryptionConfiguration={"type": kind, **key})
    says = f"the history of the workflow {WORKFLOWS[workflow]} is not encrypted with the stack's key"
    with Stubber(stack.client("stepfunctions")) as states:
        states.add_response("describe_state_machine", described, {"stateMachineArn": machine_of(workflow)})
        with nullcontext() if right else pytest.raises(FAILS, match=says):
            checks.check_history_key(stack, workflow)


def test_a_release_without_alarms_is_reported(stack: Stack) -> None:
    """`Release` keeps its value: if somebody forgets it, every later release has no canary."""
    test_stack.test_an_alarm_watches_each_release(stack)
    stack.parameters["Release"] = "at-once"
    with pytest.raises(pytest.skip.Exception, match="Release is at-once, so no alarm watches a release"):
        test_stack.test_an_alarm_watches_each_release(stack)


def test_an_unexpected_outcome_fails(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that takes invalid payments, or every refund, must not pass. The message names the workflow."""
    monkeypatch.setattr(checks, "outcome_of_run", lambda *_: "RECORDED")
    test_stack.test_a_sealed_payment_is_recorded_through_every_endpoint(stack, PAYMENT)
    test_stack.test_a_refund_of_a_part_is_recorded_through_every_endpoint(stack, REFUND)
    with pytest.raises(FAILS, match="the workflow PaymentLedger: expected REJECTED, saw RECORDED"):
        test_stack.test_an_invalid_payment_is_rejected(stack, PAYMENT)
    with pytest.raises(FAILS, match="the workflow PaymentEntries: expected DUPLICATE, saw RECORDED"):
        test_stack.test_the_same_refund_again_is_a_duplicate(stack, REFUND)
    with pytest.raises(FAILS, match="the workflow PaymentEntries: expected REFUSED, saw RECORDED"):
        test_stack.test_a_refund_of_more_than_is_left_is_refused(stack, REFUND)


def test_a_ledger_that_adds_nothing_up_fails(engine: Engine, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the totals refuse the second refund: nothing else about it is wrong."""
    checks.expect_outcome(stack, PAYMENT, "RECORDED", "1")
    test_stack.test_a_refund_of_a_part_is_recorded_through_every_endpoint(stack, REFUND)
    test_stack.test_a_refund_of_more_than_is_left_is_refused(stack, REFUND)
    assert engine.published()[-1]["detail"]["Violations"] == [{"Field": "Amount", "Rule": "exceeds_captured"}]
    monkeypatch.setitem(engine.functions["AppendEntry"].module.append_once.__globals__, "violations", lambda *_: [])
    with pytest.raises(FAILS, match="expected REFUSED, saw RECORDED"):
        checks.expect_outcome(stack, {**REFUND, "EntryID": "another", "Amount": "0.61"}, "REFUSED", "again")


@pytest.mark.parametrize(("start_input", "name"), [(PAYMENT, "PaymentLedger"), (REFUND, "PaymentEntries")])
def test_each_start_input_runs_in_its_own_workflow(
    engine: Engine, stack: Stack, monkeypatch: pytest.MonkeyPatch, start_input: dict[str, str], name: str
) -> None:
    """An execution that does not end is reported under the name of its workflow."""
    monkeypatch.setattr(stack, "wait_for", lambda *_: {"status": "RUNNING"})
    with pytest.raises(FAILS, match=f"the execution run-1 of the workflow {name} still runs after 60 s"):
        checks.outcome_of_run(stack, start_input, "run-1")
    (started,) = engine.executions()
    engine.wait_for(started)
    assert started.endswith(f":execution:{name}:run-1")


def record(engine: Engine, transaction_id: str) -> None:
    """Record and publish a payment, and a refund of a part of it."""
    for start_input in (PAYMENT, REFUND):
        engine.run(json.dumps({**start_input, "TransactionID": transaction_id}))


def items_in(engine: Engine, table: checks.Table) -> list[dict[str, Any]]:
    """Return the items of a table, by their TransactionIDs."""
    return engine.items() if table is checks.PAYMENTS else engine.entries()


def without(item: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an item without one of its attributes."""
    return {attribute: value for attribute, value in item.items() if attribute != name}


def check_item(stack: Stack, table: checks.Table) -> None:
    """Run the test of the item that a run leaves in a table."""
    if table is checks.PAYMENTS:
        test_stack.test_the_item_is_encrypted_and_published(stack, PAYMENT["TransactionID"], PAYMENT["SecureToken"])
    else:
        test_stack.test_the_item_of_the_refund_is_published(stack, REFUND)


@of_records
def test_the_item_must_be_there_and_published(engine: Engine, stack: Stack, table: checks.Table) -> None:
    """An execution that succeeded means both. The message names the table."""
    says = f"the item in the table {TABLES[table]} is not there, or not marked as published"
    with pytest.raises(FAILS, match=says):
        check_item(stack, table)
    record(engine, PAYMENT["TransactionID"])
    check_item(stack, table)
    (item,) = items_in(engine, table)
    engine.client("dynamodb").put_item(TableName=TABLES[table], Item=without(item, "PublishedAt"))
    with pytest.raises(FAILS, match=says):
        check_item(stack, table)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"SecureToken": {"B": b"0 smoke-token-of-1 0"}}, "in the table PaymentLedger holds the token in plaintext"),
        ({"EntryID": {"S": "another"}}, "in the table PaymentEntries is another entry's"),
    ],
    ids=["payments", "entries"],
)
def test_the_item_must_be_the_right_one(engine: Engine, stack: Stack, changes: dict[str, Any], says: str) -> None:
    """A marker alone proves neither that the token is encrypted, nor that the chain begins with the refund."""
    table = checks.PAYMENTS if "SecureToken" in changes else checks.ENTRIES
    record(engine, PAYMENT["TransactionID"])
    (item,) = items_in(engine, table)
    engine.client("dynamodb").put_item(TableName=TABLES[table], Item={**item, **changes})
    with pytest.raises(FAILS, match=says):
        check_item(stack, table)


# ── The sealed log ──────────────────────────────────────────────────────────────────────────────────


@of_records
def test_an_item_that_no_seal_has_fails(
    engine: Engine, stack: Stack, table: checks.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sealer that answers and seals nothing must not pass, nor a mark of a seal that does not have the item."""
    monkeypatch.setattr(checks, "WAIT_S", 0)
    record(engine, "smoke-1")
    with monkeypatch.context() as patched:
        patched.setattr(checks, "run_sealer", lambda _: {"Sealed": 0})
        with pytest.raises(FAILS, match=f"the item in the table {TABLES[table]} is not sealed"):
            checks.check_sealed(stack, table, "smoke-1")
    checks.check_sealed(stack, table, "smoke-1")
    record(engine, "smoke-2")
    checks.run_sealer(stack)
    engine.client("dynamodb").update_item(
        TableName=TABLES[table],
        Key=table.key("smoke-2"),
        UpdateExpression="SET Seal = :first",
        ExpressionAttributeValues={":first": {"N": "1"}},
    )
    with pytest.raises(FAILS, match=f"the item in the table {TABLES[table]} is marked with seal 1, which does not"):
        checks.check_sealed(stack, table, "smoke-2")


def test_an_item_that_the_index_shows_late_is_waited_for(
    engine: Engine, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right deployment must not fail because an index follows its table a moment later."""
    record(engine, "smoke-1")
    runs: list[int] = []

    def late(stack: Stack) -> None:
        runs.append(1)
        if len(runs) == 3:
            sealing.run_sealer(stack)

    monkeypatch.setattr(checks, "run_sealer", late)
    checks.check_sealed(stack, checks.PAYMENTS, "smoke-1")
    assert len(runs) == 3


def change_seal(engine: Engine, name: str, value: dict[str, Any]) -> None:
    """Change an attribute of the last seal behind the ledger's back."""
    item = engine.seals()[-1]
    engine.client("dynamodb").put_item(TableName="PaymentSeals", Item={**item, name: value})


def test_a_checkpoint_of_another_key_or_log_fails(engine: Engine, stack: Stack) -> None:
    """Only the key that the stack has now counts, under the log's own name and for the last seal."""
    record(engine, "smoke-1")
    checks.run_sealer(stack)
    checks.check_checkpoint(stack)
    (seal,) = engine.seals()
    note = seal["Note"]["S"]
    for changed in (LogKey().sign(2, seal["Root"]["B"]), LogKey(origin="another").sign(2, seal["Root"]["B"]), "x"):
        change_seal(engine, "Note", {"S": changed})
        with pytest.raises(FAILS, match="the checkpoint of seal 1: "):
            checks.check_checkpoint(stack)
    change_seal(engine, "Note", {"S": note})
    record(engine, "smoke-2")
    checks.run_sealer(stack)
    change_seal(engine, "Note", {"S": note})
    with pytest.raises(FAILS, match="the checkpoint of seal 2 has another size or root than the seal"):
        checks.check_checkpoint(stack)


@pytest.fixture
def commands(endpoint: str, tmp_path: Path) -> checks.Commands:
    """Return commands that call the engine's stack over HTTP."""
    return checks.Commands(tmp_path, ["--stack", STACK_NAME, "--endpoint-url", endpoint])


def test_a_changed_record_fails_the_verification_and_its_proof(
    engine: Engine, stack: Stack, commands: checks.Commands
) -> None:
    """Both commands must see it. A record that is not sealed yet is nothing wrong."""
    record(engine, "smoke-1")
    checks.run_sealer(stack)
    record(engine, "smoke-2")
    checks.check_verification(stack, commands)
    checks.check_proof(stack, commands, "smoke-1", 1)
    with pytest.raises(FAILS, match=r"ledger prove: .*smoke-2: no seal has it yet"):
        checks.check_proof(stack, commands, "smoke-2")
    engine.client("dynamodb").update_item(
        TableName="PaymentLedger",
        Key=checks.PAYMENTS.key("smoke-1"),
        UpdateExpression="SET Metadata = :changed",
        ExpressionAttributeValues={":changed": {"M": {"order": {"S": "another"}}}},
    )
    with pytest.raises(FAILS, match=r"\Aledger verify: 1 changed\Z"):
        checks.check_verification(stack, commands)
    with pytest.raises(FAILS, match=r"ledger prove: .*somebody changed it"):
        checks.check_proof(stack, commands, "smoke-1")


def test_a_proof_that_others_do_not_take_fails(
    engine: Engine, stack: Stack, commands: checks.Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command itself says of its file is not enough."""
    record(engine, "smoke-1")
    checks.run_sealer(stack)
    key = LogKey(origin=checks.seal_key(stack).partition("+")[0]).text
    monkeypatch.setattr(checks, "seal_key", lambda _: key)
    with pytest.raises(FAILS, match=r"verify_proof\.py: not proven"):
        checks.check_proof(stack, commands, "smoke-1")


def test_a_command_that_cannot_run_fails_in_one_line(engine: Engine, stack: Stack, commands: checks.Commands) -> None:
    """The message is the command's own."""
    record(engine, "smoke-1")
    checks.run_sealer(stack)
    other = checks.Commands(commands.folder, ["--stack", "none", *commands.options[2:]])
    with pytest.raises(FAILS, match=r"ledger verify: .*stack none is not in this account and region"):
        checks.check_verification(stack, other)


def test_a_log_that_is_too_long_for_a_smoke_test_is_left_out(
    engine: Engine, stack: Stack, commands: checks.Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output says so."""
    record(engine, "smoke-1")
    checks.run_sealer(stack)
    monkeypatch.setattr(checks, "MAX_VERIFIED", 1)
    with pytest.raises(pytest.skip.Exception, match="the log has 2 records: run `ledger verify` by itself"):
        checks.check_verification(stack, commands)


def test_a_stack_that_has_no_entries_yet_is_named(stack: Stack) -> None:
    """It was deployed from an earlier version: each question about entries says so, and nothing else breaks."""
    for output in (checks.ENTRIES.output, checks.ENTRIES_WORKFLOW):
        del stack.outputs[output]
    with pytest.raises(StackError, match="the stack has no EntriesTableName: deploy this version of it"):
        checks.check_deletion_protection(stack, checks.ENTRIES)
    with pytest.raises(StackError, match="the stack has no EntriesWorkflowArn: deploy this version of it"):
        test_stack.test_a_refund_of_a_part_is_recorded_through_every_endpoint(stack, REFUND)
    checks.check_deletion_protection(stack, checks.PAYMENTS)


@pytest.fixture
def served_stack(endpoint: str) -> Stack:
    """Return the engine's stack, called over HTTP."""
    return Stack(STACK_NAME, endpoint_url=endpoint)


# ── The tables ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=TABLES, ids=list(TABLES.values()))
def table(request: pytest.FixtureRequest) -> checks.Table:
    """Return each of the ledger's tables."""
    requested: checks.Table = request.param
    return requested


@pytest.fixture
def stack(engine: Engine) -> Stack:
    """Return the engine's stack, called without a server; a stub may replace what one of its clients answers."""
    assert engine
    return Stack(STACK_NAME, region=REGION)


@pytest.fixture
def dynamodb(stack: Stack) -> Iterator[Stubber]:
    """Let a stub answer for DynamoDB, in order; the check must ask for each answer."""
    with Stubber(stack.client("dynamodb")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def deployed_policy(engine: Engine, table: checks.Table, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return a table's policy as a deployment with these parameters leaves it, resolved by the proofs' resolver."""
    properties = Resolver(engine.template, parameters).resources()[table.logical_id]["Properties"]
    text = json.dumps(properties["ResourcePolicy"]["PolicyDocument"])
    loaded: dict[str, Any] = json.loads(text.replace('"Vpc"', json.dumps(engine.physical_ids["Vpc"])))
    return loaded


@pytest.fixture
def policy(engine: Engine, stack: Stack, table: checks.Table) -> dict[str, Any]:
    """Return the policy of each table."""
    return deployed_policy(engine, table, stack.parameters)


def answer_policy(dynamodb: Stubber, table: checks.Table, policy: dict[str, Any]) -> None:
    """Let DynamoDB have *policy* for a table."""
    answer_table(dynamodb, table)
    dynamodb.add_response("get_resource_policy", {"Policy": json.dumps(policy)}, {"ResourceArn": arn_of(table)})


def answer_table(dynamodb: Stubber, table: checks.Table, **described: Any) -> None:
    """Let DynamoDB describe a table."""
    answer = {"Table": {"TableArn": arn_of(table), **described}}
    dynamodb.add_response("describe_table", answer, {"TableName": TABLES[table]})


def test_the_policy_of_the_template_passes(
    stack: Stack, dynamodb: Stubber, table: checks.Table, policy: dict[str, Any]
) -> None:
    """The policy passes as it was deployed."""
    answer_policy(dynamodb, table, policy)
    checks.check_table_policy(stack, table)


def test_a_policy_may_be_written_in_another_way(
    stack: Stack, dynamodb: Stubber, table: checks.Table, policy: dict[str, Any]
) -> None:
    """AWS promises no order of lists, and may write one value as a list of one: the meaning is the same."""
    policy["Statement"].reverse()
    for statement in policy["Statement"]:
        statement["Action"] = (
            statement["Action"][::-1] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
        statement["Resource"] = [statement["Resource"]]
        statement["Principal"] = {"AWS": "*"}
    answer_policy(dynamodb, table, policy)
    checks.check_table_policy(stack, table)


def drop(statements: list[dict[str, Any]]) -> None:
    """Drop a statement."""
    statements.pop()


def drop_an_action(statements: list[dict[str, Any]]) -> None:
    """Weaken a statement by an action."""
    statements[0]["Action"].remove("dynamodb:DeleteItem")


def allow(statements: list[dict[str, Any]]) -> None:
    """Turn a denial into an allowance."""
    statements[0]["Effect"] = "Allow"


def narrow_the_principal(statements: list[dict[str, Any]]) -> None:
    """Deny one principal only."""
    statements[0]["Principal"] = {"AWS": f"arn:aws:iam::{Engine.account_id}:role/nobody"}


def narrow_the_resource(statements: list[dict[str, Any]]) -> None:
    """Deny it on another resource."""
    statements[0]["Resource"] += "/index/*"


def except_another_role(statements: list[dict[str, Any]]) -> None:
    """Let another role put items."""
    statements[1]["Condition"]["ArnNotEquals"]["aws:PrincipalArn"] = f"arn:aws:iam::{Engine.account_id}:role/other"


def on_attributes(statements: list[dict[str, Any]]) -> int:
    """Return the index of the first statement about the attributes of an update."""
    conditions = [statement.get("Condition", {}) for statement in statements]
    tested = [condition.get("ForAnyValue:StringNotEquals", {}) for condition in conditions]
    return next(at for at, names in enumerate(tested) if "dynamodb:Attributes" in names)


def weaken_the_operator(statements: list[dict[str, Any]]) -> None:
    """Deny only what has all attributes wrong."""
    condition = statements[on_attributes(statements)]["Condition"]
    condition["ForAllValues:StringNotEquals"] = condition.pop("ForAnyValue:StringNotEquals")


def add_an_attribute(statements: list[dict[str, Any]]) -> None:
    """Let one more attribute be updated."""
    names = statements[on_attributes(statements)]["Condition"]["ForAnyValue:StringNotEquals"]["dynamodb:Attributes"]
    names.append("Amount")


def add_a_condition(statements: list[dict[str, Any]]) -> None:
    """Deny under a condition only."""
    statements[0]["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (drop, lambda statements: len(statements) - 1),
        (drop_an_action, lambda _: 0),
        (allow, lambda _: 0),
        (narrow_the_principal, lambda _: 0),
        (narrow_the_resource, lambda _: 0),
        (add_a_condition, lambda _: 0),
        (except_another_role, lambda _: 1),
        (weaken_the_operator, on_attributes),
        (add_an_attribute, on_attributes),
    ],
)
def test_a_dropped_or_changed_statement_fails(
    stack: Stack,
    dynamodb: Stubber,
    table: checks.Table,
    policy: dict[str, Any],
    change: Callable[[list[dict[str, Any]]], None],
    changed: Callable[[list[dict[str, Any]]], int],
) -> None:
    """The message names the statement and where to read how a restored table gets its policy back."""
    sid = policy["Statement"][changed(policy["Statement"])]["Sid"]
    change(policy["Statement"])
    answer_policy(dynamodb, table, policy)
    with pytest.raises(
        FAILS, match=rf"the policy of the table {TABLES[table]} .*only in the template: {sid};.*{RESTORE}"
    ):
        checks.check_table_policy(stack, table)


@pytest.mark.parametrize(
    ("named", "seen"), [({"Sid": "Anybody"}, "Anybody"), ({}, "a statement without a Sid")], ids=["named", "unnamed"]
)
def test_an_added_statement_fails(
    stack: Stack, dynamodb: Stubber, table: checks.Table, policy: dict[str, Any], named: dict[str, str], seen: str
) -> None:
    """A resource policy can allow by itself, without IAM: a statement that the template lacks counts."""
    added = {"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": arn_of(table)}
    policy["Statement"].append({**named, **added})
    answer_policy(dynamodb, table, policy)
    with pytest.raises(FAILS, match=f"only in the template: none; only in the table's: {seen}"):
        checks.check_table_policy(stack, table)


def test_a_table_without_a_policy_fails(stack: Stack, dynamodb: Stubber, table: checks.Table) -> None:
    """A restored table has none, and the message says so."""
    answer_table(dynamodb, table)
    dynamodb.add_client_error("get_resource_policy", "PolicyNotFoundException")
    with pytest.raises(FAILS, match=f"the table {TABLES[table]} has no resource policy.*A restored table.*{RESTORE}"):
        checks.check_table_policy(stack, table)


def test_a_policy_that_may_not_be_read_is_not_a_missing_policy(
    stack: Stack, dynamodb: Stubber, table: checks.Table
) -> None:
    """The check catches only the error that means it; the run reports any other in one line."""
    answer_table(dynamodb, table)
    dynamodb.add_client_error("get_resource_policy", "AccessDeniedException")
    with pytest.raises(stack.client("dynamodb").exceptions.ClientError, match="AccessDeniedException"):
        checks.check_table_policy(stack, table)


def test_a_template_without_a_policy_fails(
    stack: Stack, dynamodb: Stubber, table: checks.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack was deployed from another template: two policies that are both missing must not count as equal."""
    template = stack.client("cloudformation").get_template(StackName=STACK_NAME, TemplateStage="Processed")
    body = copy.deepcopy(template["TemplateBody"])
    del body["Resources"][table.logical_id]["Properties"]["ResourcePolicy"]
    monkeypatch.setattr(stack.client("cloudformation"), "get_template", lambda **_: {"TemplateBody": body})
    answer_table(dynamodb, table)
    with pytest.raises(FAILS, match=f"template has no policy for the table {TABLES[table]}"):
        checks.check_table_policy(stack, table)


@pytest.mark.parametrize("protection", [{"DeletionProtectionEnabled": False}, {}], ids=["off", "unknown"])
def test_a_table_without_deletion_protection_fails(
    stack: Stack, dynamodb: Stubber, table: checks.Table, protection: dict[str, bool]
) -> None:
    """A restored table has none, and the message says so."""
    answer_table(dynamodb, table, **protection)
    with pytest.raises(
        FAILS, match=f"the deletion protection of the table {TABLES[table]} is off.*A restored table.*{RESTORE}"
    ):
        checks.check_deletion_protection(stack, table)


def test_deletion_protection_passes(stack: Stack, dynamodb: Stubber, table: checks.Table) -> None:
    """The check asks for the stack's own table."""
    answer_table(dynamodb, table, DeletionProtectionEnabled=True)
    checks.check_deletion_protection(stack, table)


@pytest.mark.parametrize(
    "recovery",
    [{"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}, {}],
    ids=["off", "unknown"],
)
def test_a_table_without_point_in_time_recovery_fails(
    stack: Stack, dynamodb: Stubber, table: checks.Table, recovery: dict[str, Any]
) -> None:
    """Every table has continuous backups "enabled": what counts is whether it can be restored to a point in time."""
    description = {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", **recovery}}
    dynamodb.add_response("describe_continuous_backups", description)
    with pytest.raises(
        FAILS, match=f"the point-in-time recovery of the table {TABLES[table]} is off.*A restored table.*{RESTORE}"
    ):
        checks.check_recovery(stack, table)


def test_point_in_time_recovery_passes(stack: Stack, dynamodb: Stubber, table: checks.Table) -> None:
    """The check asks for the stack's own table."""
    recovery = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}
    description = {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", **recovery}}
    dynamodb.add_response("describe_continuous_backups", description, {"TableName": TABLES[table]})
    checks.check_recovery(stack, table)


# ── The functions ───────────────────────────────────────────────────────────────────────────────────

CONFIGURATION: dict[str, Any] = {
    "Architectures": ["arm64"],
    "CodeSha256": "of-the-code",
    "Description": "What it is for.",
    "Environment": {"Variables": {"SETTING": "a-value"}},
    "MemorySize": 256,
    "Role": "arn:aws:iam::123456789012:role/own",
    "Timeout": 5,
    "VpcConfig": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"], "VpcId": "vpc-1"},
}


def of_another(name: str) -> Any:
    """Return another value for a property of `CONFIGURATION`."""
    others = {
        "Architectures": ["x86_64"],
        "Environment": {"Variables": {"SETTING": "another-value"}},
        "MemorySize": 512,
        "Role": "arn:aws:iam::123456789012:role/another",
        "Timeout": 6,
        "VpcConfig": {**CONFIGURATION["VpcConfig"], "SecurityGroupIds": ["sg-2"]},
    }
    return others.get(name, "another-value")


def answer_functions(
    stubber: Stubber,
    stack: Stack,
    *,
    of: str = "",
    routing: dict[str, Any] | None = None,
    live: dict[str, Any] | None = None,
    deployed: dict[str, Any] | None = None,
) -> None:
    """Let Lambda answer for each function of the stack; the answers for the function *of* differ as asked."""
    for name in checks.physical_ids(stack, "AWS::Lambda::Function").values():
        chosen = name == of
        alias = {"Name": "live", "FunctionVersion": "7", **({"RoutingConfig": routing} if chosen and routing else {})}
        stubber.add_response("get_alias", alias, {"FunctionName": name, "Name": "live"})
        if chosen and routing and routing["AdditionalVersionWeights"]:
            continue
        of_live = {**CONFIGURATION, "Version": "7", **(live or {} if chosen else {})}
        stubber.add_response("get_function_configuration", of_live, {"FunctionName": name, "Qualifier": "live"})
        of_deployed = {**CONFIGURATION, "Version": "$LATEST", **(deployed or {} if chosen else {})}
        stubber.add_response("get_function_configuration", of_deployed, {"FunctionName": name})


@pytest.fixture
def functions(stack: Stack) -> Iterator[Stubber]:
    """Let a stub answer for Lambda, in order; the check must ask for each answer."""
    with Stubber(stack.client("lambda")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_every_function_of_the_stack_is_asked(engine: Engine, stack: Stack) -> None:
    """The functions that a parameter adds are among them."""
    names = checks.physical_ids(stack, "AWS::Lambda::Function")
    assert names == {logical_id: function.name for logical_id, function in engine.functions.items()}
    assert {"reveal_secure_token", "receive_payment", "validate_payment"} <= set(names.values())


def test_a_stack_of_several_pages_is_read_whole(stack: Stack) -> None:
    """CloudFormation lists a hundred resources at a time, and keeps on its list what an update has deleted."""

    def listed(logical_id: str, kind: str, status: str = "CREATE_COMPLETE") -> dict[str, Any]:
        names = {"LogicalResourceId": logical_id, "PhysicalResourceId": logical_id.lower(), "ResourceType": kind}
        return {**names, "ResourceStatus": status, "LastUpdatedTimestamp": "2026-11-25T13:00:00Z"}

    first = [listed("A", "AWS::Lambda::Function"), listed("R", "AWS::IAM::Role")]
    second = [listed("B", "AWS::Lambda::Function"), listed("C", "AWS::Lambda::Function", "DELETE_COMPLETE")]
    with Stubber(stack.client("cloudformation")) as stubber:
        page = {"StackResourceSummaries": first, "NextToken": "more"}
        stubber.add_response("list_stack_resources", page, {"StackName": STACK_NAME})
        page = {"StackResourceSummaries": second}
        stubber.add_response("list_stack_resources", page, {"StackName": STACK_NAME, "NextToken": "more"})
        assert checks.physical_ids(stack, "AWS::Lambda::Function") == {"A": "a", "B": "b"}


@pytest.mark.parametrize(
    "difference",
    [
        {},
        {"routing": {"AdditionalVersionWeights": {}}},
        {"live": {"VpcConfig": {**CONFIGURATION["VpcConfig"], "SubnetIds": ["subnet-2", "subnet-1"]}}},
        {"live": {"RevisionId": "a", "LastModified": "b"}, "deployed": {"RevisionId": "c", "LastModified": "d"}},
    ],
    ids=["equal", "shifted", "subnets in another order", "what differs between any two versions"],
)
def test_functions_that_are_live_as_deployed_pass(
    stack: Stack, functions: Stubber, difference: dict[str, dict[str, Any]]
) -> None:
    """A release that has ended may leave an empty routing behind; a version has a date and a revision of its own."""
    answer_functions(functions, stack, of="encrypt_token", **difference)
    checks.check_live_functions(stack)


@pytest.mark.parametrize("name", CONFIGURATION)
def test_a_version_that_lags_behind_fails(stack: Stack, functions: Stubber, name: str) -> None:
    """The message names the function and the property, and no value: an environment may hold what a log must not."""
    answer_functions(functions, stack, of="encrypt_token", deployed={name: of_another(name)})
    with pytest.raises(FAILS) as raised:
        checks.check_live_functions(stack)
    assert str(raised.value) == f"encrypt_token: live is not what was deployed, in {name}"


def test_all_properties_that_lag_behind_are_named(stack: Stack, functions: Stubber) -> None:
    """Only one of the two may have a property."""
    answer_functions(functions, stack, of="encrypt_token", live={"VpcConfig": {}, "Timeout": 6})
    with pytest.raises(FAILS, match=r"^encrypt_token: live is not what was deployed, in Timeout, VpcConfig$"):
        checks.check_live_functions(stack)


def test_a_release_that_still_shifts_fails(stack: Stack, functions: Stubber) -> None:
    """`live` is two versions then: the message says so instead of naming differences that end by themselves."""
    routing = {"AdditionalVersionWeights": {"8": 0.1}}
    answer_functions(functions, stack, of="encrypt_token", routing=routing)
    with pytest.raises(FAILS, match=r"^encrypt_token: a release is still shifting to a new version$"):
        checks.check_live_functions(stack)


def test_an_alias_that_may_not_be_read_is_not_a_missing_alias(stack: Stack, functions: Stubber) -> None:
    """The check catches only the error that means it; the run reports any other in one line."""
    functions.add_client_error("get_alias", "AccessDeniedException")
    with pytest.raises(stack.client("lambda").exceptions.ClientError, match="AccessDeniedException"):
        checks.check_live_functions(stack)
