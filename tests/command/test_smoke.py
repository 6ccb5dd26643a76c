"""The tests of a deployed stack, run at the engine, and at answers of AWS that the engine cannot give."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
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
from ledger_cli.stack.client import Stack
from tests.e2e import checks, test_stack
from tests.proof.resolved import Resolver

FAILS = pytest.fail.Exception

TABLE_ARN = f"arn:aws:dynamodb:{REGION}:{Engine.account_id}:table/PaymentLedger"
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


def test_they_ask_all_that_they_can_ask_here(engine: Engine, endpoint: str) -> None:
    """The engine enforces no IAM and has no aliases, table policies or backups: the tests of these must fail."""
    forget(engine)
    done = smoke("--stack", STACK_NAME, "--endpoint-url", endpoint)
    assert re.findall(r"::(\S+?(?:\[.*\])?) (PASSED|FAILED|SKIPPED|ERROR)\b", done.stdout) == [
        ("test_an_alarm_watches_each_release", "PASSED"),
        ("test_live_is_what_was_deployed_in_every_function", "FAILED"),
        ("test_live_is_what_was_deployed_in_the_workflow", "FAILED"),
        ("test_a_sealed_payment_is_recorded_through_every_endpoint", "PASSED"),
        ("test_the_same_payment_again_is_a_duplicate", "PASSED"),
        ("test_another_payment_under_its_id_is_a_conflict", "PASSED"),
        ("test_an_invalid_payment_is_rejected", "PASSED"),
        ("test_the_item_is_encrypted_and_published", "PASSED"),
        ("test_the_stacks_key_encrypts_the_history_of_executions", "FAILED"),
        ("test_the_tables_policy_is_the_one_in_the_template", "FAILED"),
        ("test_the_tables_deletion_protection_is_on", "PASSED"),
        ("test_the_tables_point_in_time_recovery_is_on", "FAILED"),
        ("test_the_watch_sees_the_tables_stream_and_the_reports_of_cloudtrail", "FAILED"),
        ("test_the_stacks_own_policies_forbid[deleting an item]", "FAILED"),
        ("test_the_stacks_own_policies_forbid[replacing an item]", "FAILED"),
        ("test_the_stacks_own_policies_forbid[changing an amount]", "FAILED"),
        ("test_the_stacks_own_policies_forbid[moving a marker]", "FAILED"),
        ("test_the_stacks_own_policies_forbid[publishing an outcome]", "FAILED"),
        ("test_the_stacks_own_policies_forbid[changing the recovery]", "SKIPPED"),
        ("test_an_administrator_cannot_decrypt_a_sealed_token", "FAILED"),
        ("test_the_webhook_accepts_a_signed_payment_and_no_other", "PASSED"),
    ]
    assert (done.returncode, done.stderr) == (1, "")
    failures = done.stdout.partition("= FAILURES =")[2].partition("= short test summary info =")[0]
    reasons = [line for line in failures.splitlines() if line and not re.match("[_=]", line)]
    assert len(reasons) == 12  # each is one line
    assert reasons[0].count("has no alias live") == len(engine.functions)
    assert "history is not encrypted" in reasons[2]
    assert reasons[3].startswith("the table has no resource policy.")
    assert reasons[4].startswith("the table's point-in-time recovery is off.")
    assert reasons[5].startswith("the table has no stream of both images.")
    assert reasons[6:] == [
        "deleting an item was allowed",
        "replacing an item was allowed",
        "changing an amount was allowed",
        "moving a marker was allowed",
        "publishing an outcome was allowed",
        "decrypting a sealed token was allowed",
    ]


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


def test_the_recovery_is_tried_if_a_break_glass_role_is_named(stack: Stack) -> None:
    """Without one, the table's policy leaves the recovery to IAM, and the call would prove nothing."""
    with pytest.raises(pytest.skip.Exception, match="names no break-glass role"):
        test_stack.test_the_stacks_own_policies_forbid(stack, "t", "changing the recovery")
    stack.parameters["BreakGlassRoleArn"] = "arn:aws:iam::123456789012:role/break-glass"
    with pytest.raises(FAILS, match="changing the recovery was allowed"):
        test_stack.test_the_stacks_own_policies_forbid(stack, "t", "changing the recovery")


def test_every_forbidden_call_is_tried() -> None:
    """A call that no test asks for would prove nothing."""
    (mark,) = vars(test_stack.test_the_stacks_own_policies_forbid)["pytestmark"]
    assert mark.args[1] == list(checks.forbidden_calls(MagicMock(), "t"))


def test_the_policy_with_a_break_glass_role_passes(engine: Engine, stack: Stack, dynamodb: Stubber) -> None:
    """The optional statement is compared as well: without it in the table, the check fails."""
    given = {"BreakGlassRoleArn": "arn:aws:iam::123456789012:role/break-glass"}
    stack.parameters.update(given)
    table = Resolver(engine.template, given).resources()["PaymentLedgerTable"]["Properties"]
    text = json.dumps(table["ResourcePolicy"]["PolicyDocument"])
    policy = json.loads(text.replace('"Vpc"', json.dumps(engine.physical_ids["Vpc"])))
    answer_policy(dynamodb, policy)
    checks.check_table_policy(stack)
    drop(policy["Statement"])
    answer_policy(dynamodb, policy)
    with pytest.raises(FAILS, match="only in the template: OnlyBreakGlassChangesTheTable"):
        checks.check_table_policy(stack)


STREAM = f"{TABLE_ARN}/stream/2026-11-26"
WATCHED = {
    "a right deployment": ({}, None),
    "no stream": ({"stream": {}}, "no stream of both images"),
    "half a stream": ({"stream": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}, "no stream of both images"),
    "no mapping": ({"states": []}, "does not reach watch_ledger:live"),
    "a disabled mapping": ({"states": ["Disabled"]}, "does not reach watch_ledger:live"),
    "a disabled rule": ({"rule": "DISABLED"}, "is disabled"),
    "another target": ({"target": "function:other:live"}, "does not reach watch_ledger:live"),
}


@pytest.mark.parametrize("case", WATCHED)
def test_the_watch_must_be_on(stack: Stack, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """A restored table has another stream, or none; a person who wants to change items switches the watch off first."""
    changes, says = WATCHED[case]
    states = {"stream": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}, "states": ["Enabled"]}
    given: dict[str, Any] = {**states, "rule": "ENABLED", "target": "function:watch_ledger:live", **changes}
    asked: list[Any] = []

    class Answers:
        """The answers of AWS for the stack."""

        def describe_table(self, **_: Any) -> Any:
            return {"Table": {"LatestStreamArn": STREAM, "StreamSpecification": given["stream"]}}

        def list_event_source_mappings(self, **parameters: Any) -> Any:
            asked.append(parameters)
            return {"EventSourceMappings": [{"State": state} for state in given["states"]]}

        def list_targets_by_rule(self, **_: Any) -> Any:
            return {"Targets": [{"Arn": f"arn:aws:lambda:{REGION}:{Engine.account_id}:{given['target']}"}]}

        def describe_rule(self, **_: Any) -> Any:
            return {"State": given["rule"]}

    ids = {
        "AWS::Lambda::Function": {"WatchLedger": "watch_ledger"},
        "AWS::Events::Rule": {"WatchLedgerProtection": "r"},
    }
    monkeypatch.setattr(checks, "physical_ids", lambda _stack, kind: ids[kind])
    monkeypatch.setattr(stack, "client", lambda _service: Answers())
    with pytest.raises(FAILS, match=says) if says else nullcontext():
        checks.check_watch(stack)
    assert asked in ([], [{"FunctionName": "watch_ledger:live", "EventSourceArn": STREAM}])


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


ALIAS = f"arn:aws:states:{REGION}:{Engine.account_id}:stateMachine:PaymentLedger"


@pytest.mark.parametrize(
    ("weights", "revisions", "says"),
    [
        ([100], ["a", "a"], None),
        ([100], [None, None], None),
        ([100], ["INITIAL", None], None),
        ([100], ["a", "b"], "live is an earlier version"),
        ([100], [None, "b"], "live is an earlier version"),
        ([90, 10], [], "still shifting"),
    ],
)
def test_the_workflow_behind_live_is_the_deployed_one(
    stack: Stack, weights: list[int], revisions: list[str | None], says: str | None
) -> None:
    """A release that was rolled back, or that still shifts, is not what was deployed."""
    stack.outputs["WorkflowArn"] = f"{ALIAS}:live"  # the engine's output is the workflow: it has no aliases
    with Stubber(stack.client("stepfunctions")) as states:
        routed = [{"stateMachineVersionArn": f"{ALIAS}:{n}", "weight": weight} for n, weight in enumerate(weights, 1)]
        states.add_response(
            "describe_state_machine_alias", {"routingConfiguration": routed}, {"stateMachineAliasArn": f"{ALIAS}:live"}
        )
        for arn, revision in zip((f"{ALIAS}:1", ALIAS), revisions, strict=False):
            described = {
                "stateMachineArn": arn, "name": "PaymentLedger", "definition": "{}", "roleArn": "arn:role",
                "type": "STANDARD", "creationDate": 0, **({"revisionId": revision} if revision else {}),
            }  # fmt: skip
            states.add_response("describe_state_machine", described, {"stateMachineArn": arn})
        if says:
            with pytest.raises(FAILS, match=says):
                checks.check_live_workflow(stack)
        else:
            checks.check_live_workflow(stack)
        states.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("kind", "name", "right"),
    [
        ("CUSTOMER_MANAGED_KMS_KEY", "HistoryKey", True),
        ("CUSTOMER_MANAGED_KMS_KEY", "TableKey", False),
        ("AWS_OWNED_KEY", None, False),
    ],
)
def test_the_history_has_the_stacks_key(engine: Engine, stack: Stack, kind: str, name: str, right: Any) -> None:
    """Another key of the account would let others read the history."""
    key = {"kmsKeyId": f"arn:aws:kms:{REGION}:{Engine.account_id}:key/{engine.physical_ids[name]}"} if name else {}
    described = {
        "stateMachineArn": ALIAS, "name": "PaymentLedger", "definition": "{}", "roleArn": "arn:role",
        "type": "STANDARD", "creationDate": 0, "encryptionConfiguration": {"type": kind, **key},
    }  # fmt: skip
    with Stubber(stack.client("stepfunctions")) as states:
        states.add_response("describe_state_machine", described)
        if right:
            checks.check_history_key(stack)
        else:
            with pytest.raises(FAILS, match="not encrypted with the stack's key"):
                checks.check_history_key(stack)


def test_a_release_without_alarms_is_reported(stack: Stack) -> None:
    """`Release` keeps its value: if somebody forgets it, every later release has no canary."""
    test_stack.test_an_alarm_watches_each_release(stack)
    stack.parameters["Release"] = "at-once"
    with pytest.raises(pytest.skip.Exception, match="Release is at-once, so no alarm watches a release"):
        test_stack.test_an_alarm_watches_each_release(stack)


def test_an_unexpected_outcome_fails(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that takes invalid payments must not pass."""
    monkeypatch.setattr(checks, "outcome_of_run", lambda *_: "RECORDED")
    test_stack.test_a_sealed_payment_is_recorded_through_every_endpoint(stack, PAYMENT)
    with pytest.raises(FAILS, match="expected REJECTED, saw RECORDED"):
        test_stack.test_an_invalid_payment_is_rejected(stack, PAYMENT)


@pytest.fixture
def served_stack(endpoint: str) -> Stack:
    """Return the engine's stack, called over HTTP."""
    return Stack(STACK_NAME, endpoint_url=endpoint)


# ── The table ───────────────────────────────────────────────────────────────────────────────────────


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


@pytest.fixture
def policy(engine: Engine) -> dict[str, Any]:
    """Return the table's policy as a deployment leaves it, resolved by the proofs' resolver."""
    table = Resolver(engine.template).resources()["PaymentLedgerTable"]
    document: dict[str, Any] = copy.deepcopy(table["Properties"]["ResourcePolicy"]["PolicyDocument"])
    text = json.dumps(document).replace('"Vpc"', json.dumps(engine.physical_ids["Vpc"]))
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def answer_policy(dynamodb: Stubber, policy: dict[str, Any]) -> None:
    """Let DynamoDB have *policy* for the table."""
    name = {"TableName": "PaymentLedger"}
    dynamodb.add_response("describe_table", {"Table": {"TableArn": TABLE_ARN}}, name)
    dynamodb.add_response("get_resource_policy", {"Policy": json.dumps(policy)}, {"ResourceArn": TABLE_ARN})


def test_the_policy_of_the_template_passes(stack: Stack, dynamodb: Stubber, policy: dict[str, Any]) -> None:
    """The policy passes as it was deployed."""
    answer_policy(dynamodb, policy)
    checks.check_table_policy(stack)


def test_a_policy_may_be_written_in_another_way(stack: Stack, dynamodb: Stubber, policy: dict[str, Any]) -> None:
    """AWS promises no order of lists, and may write one value as a list of one: the meaning is the same."""
    policy["Statement"].reverse()
    for statement in policy["Statement"]:
        statement["Action"] = (
            statement["Action"][::-1] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
        statement["Resource"] = [statement["Resource"]]
        statement["Principal"] = {"AWS": "*"}
    answer_policy(dynamodb, policy)
    checks.check_table_policy(stack)


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
    statements[0]["Resource"] += "/index/PaymentsByProcessor"


def except_another_role(statements: list[dict[str, Any]]) -> None:
    """Let another role put items."""
    statements[1]["Condition"]["ArnNotEquals"]["aws:PrincipalArn"] = f"arn:aws:iam::{Engine.account_id}:role/other"


def weaken_the_operator(statements: list[dict[str, Any]]) -> None:
    """Deny only what has all attributes wrong."""
    condition = statements[4]["Condition"]
    condition["ForAllValues:StringNotEquals"] = condition.pop("ForAnyValue:StringNotEquals")


def add_an_attribute(statements: list[dict[str, Any]]) -> None:
    """Let one more attribute be updated."""
    statements[4]["Condition"]["ForAnyValue:StringNotEquals"]["dynamodb:Attributes"].append("Amount")


def add_a_condition(statements: list[dict[str, Any]]) -> None:
    """Deny under a condition only."""
    statements[0]["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("change", "index"),
    [
        (drop, -1),
        (drop_an_action, 0),
        (allow, 0),
        (narrow_the_principal, 0),
        (narrow_the_resource, 0),
        (add_a_condition, 0),
        (except_another_role, 1),
        (weaken_the_operator, 4),
        (add_an_attribute, 4),
    ],
)
def test_a_dropped_or_changed_statement_fails(
    stack: Stack,
    dynamodb: Stubber,
    policy: dict[str, Any],
    change: Callable[[list[dict[str, Any]]], None],
    index: int,
) -> None:
    """The message names the statement and where to read how a restored table gets its policy back."""
    sid = policy["Statement"][index]["Sid"]
    change(policy["Statement"])
    answer_policy(dynamodb, policy)
    with pytest.raises(FAILS, match=rf"only in the template: {sid};.*{RESTORE}"):
        checks.check_table_policy(stack)


@pytest.mark.parametrize(
    ("named", "seen"), [({"Sid": "Anybody"}, "Anybody"), ({}, "a statement without a Sid")], ids=["named", "unnamed"]
)
def test_an_added_statement_fails(
    stack: Stack, dynamodb: Stubber, policy: dict[str, Any], named: dict[str, str], seen: str
) -> None:
    """A resource policy can allow by itself, without IAM: a statement that the template lacks counts."""
    added = {"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": TABLE_ARN}
    policy["Statement"].append({**named, **added})
    answer_policy(dynamodb, policy)
    with pytest.raises(FAILS, match=f"only in the template: none; only in the table's: {seen}"):
        checks.check_table_policy(stack)


def test_a_table_without_a_policy_fails(stack: Stack, dynamodb: Stubber) -> None:
    """A restored table has none, and the message says so."""
    dynamodb.add_response("describe_table", {"Table": {"TableArn": TABLE_ARN}})
    dynamodb.add_client_error("get_resource_policy", "PolicyNotFoundException")
    with pytest.raises(FAILS, match=f"the table has no resource policy.*A restored table.*{RESTORE}"):
        checks.check_table_policy(stack)


def test_a_policy_that_may_not_be_read_is_not_a_missing_policy(stack: Stack, dynamodb: Stubber) -> None:
    """The check catches only the error that means it; the run reports any other in one line."""
    dynamodb.add_response("describe_table", {"Table": {"TableArn": TABLE_ARN}})
    dynamodb.add_client_error("get_resource_policy", "AccessDeniedException")
    with pytest.raises(stack.client("dynamodb").exceptions.ClientError, match="AccessDeniedException"):
        checks.check_table_policy(stack)


def test_a_template_without_a_policy_fails(
    stack: Stack, dynamodb: Stubber, policy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack was deployed from another template: two policies that are both missing must not count as equal."""
    assert policy
    body = {"Resources": {"PaymentLedgerTable": {"Properties": {}}}}
    monkeypatch.setattr(stack.client("cloudformation"), "get_template", lambda **_: {"TemplateBody": body})
    dynamodb.add_response("describe_table", {"Table": {"TableArn": TABLE_ARN}})
    with pytest.raises(FAILS, match="template has no policy"):
        checks.check_table_policy(stack)


@pytest.mark.parametrize("table", [{"DeletionProtectionEnabled": False}, {}], ids=["off", "unknown"])
def test_a_table_without_deletion_protection_fails(stack: Stack, dynamodb: Stubber, table: dict[str, bool]) -> None:
    """A restored table has none, and the message says so."""
    dynamodb.add_response("describe_table", {"Table": table})
    with pytest.raises(FAILS, match=f"deletion protection is off.*A restored table.*{RESTORE}"):
        checks.check_deletion_protection(stack)


def test_deletion_protection_passes(stack: Stack, dynamodb: Stubber) -> None:
    """The check asks for the stack's own table."""
    table = {"Table": {"DeletionProtectionEnabled": True}}
    dynamodb.add_response("describe_table", table, {"TableName": "PaymentLedger"})
    checks.check_deletion_protection(stack)


@pytest.mark.parametrize(
    "recovery",
    [{"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}, {}],
    ids=["off", "unknown"],
)
def test_a_table_without_point_in_time_recovery_fails(
    stack: Stack, dynamodb: Stubber, recovery: dict[str, Any]
) -> None:
    """Every table has continuous backups "enabled": what counts is whether it can be restored to a point in time."""
    description = {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", **recovery}}
    dynamodb.add_response("describe_continuous_backups", description)
    with pytest.raises(FAILS, match=f"point-in-time recovery is off.*A restored table.*{RESTORE}"):
        checks.check_recovery(stack)


def test_point_in_time_recovery_passes(stack: Stack, dynamodb: Stubber) -> None:
    """The check asks for the stack's own table."""
    recovery = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}
    description = {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", **recovery}}
    dynamodb.add_response("describe_continuous_backups", description, {"TableName": "PaymentLedger"})
    checks.check_recovery(stack)


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
