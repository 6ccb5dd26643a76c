"""The smoke test against the embedded engine, and against answers of AWS that the engine cannot give."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from ledger.processors import Processor, Processors
from ledger_cli import REGION, smoke
from ledger_cli.engine import Engine
from ledger_cli.engine.deployment import STACK_NAME
from ledger_cli.engine.server import EngineServer
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack.client import Stack
from tests.proof.resolved import Resolver

TABLE_ARN = f"arn:aws:dynamodb:{REGION}:{Engine.account_id}:table/PaymentLedger"
RESTORE = "docs/operate/deploying.md#restore-the-table"
WEBHOOK = "the webhook takes a signed payment, and no other"


def forget(engine: Engine) -> None:
    """Let the webhook look for an unknown name again at once."""
    engine.functions["ReceivePayment"].module.PROCESSORS._asked_at_s = 0


@pytest.fixture(autouse=True)
def at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits until the webhook looks for a new processor."""
    monkeypatch.setattr(smoke.time, "sleep", lambda _: forget(engine))


def test_the_smoke_test_asks_all_it_can_ask_here(
    engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine enforces no IAM and has no aliases, table policies or backups: what asks for these must fail."""
    monkeypatch.setenv("COLUMNS", "1000")
    with EngineServer(["127.0.0.1"]) as server:
        server.start(engine)
        failed = smoke.run(Stack(STACK_NAME, endpoint_url=f"http://127.0.0.1:{server.port}"))
    answers = dict(
        line.split(": ", 1) if ": " in line else (line, "")
        for line in capsys.readouterr().out.replace("\n        ", " ").splitlines()
    )
    assert [(question[:6].strip(), question[8:]) for question in answers] == [
        ("FAILED", "live is what was deployed, in every function"),
        ("FAILED", "live is what was deployed, in the workflow"),
        ("ok", "a sealed payment is recorded, through every endpoint"),
        ("ok", "the same payment again is a duplicate"),
        ("ok", "another payment under its id is a conflict"),
        ("ok", "an invalid payment is rejected"),
        ("ok", "the item is there, encrypted and published"),
        ("FAILED", "the executions' history is encrypted with the stack's key"),
        ("FAILED", "the table's policy is the one in the template"),
        ("ok", "the table's deletion protection is on"),
        ("FAILED", "the table's point-in-time recovery is on"),
        ("FAILED", "the watch sees the table's stream and CloudTrail's reports"),
        ("FAILED", "the stack's own policies forbid deleting an item"),
        ("FAILED", "the stack's own policies forbid replacing an item"),
        ("FAILED", "the stack's own policies forbid changing an amount"),
        ("FAILED", "the stack's own policies forbid moving a marker"),
        ("FAILED", "the stack's own policies forbid telling an outcome"),
        ("FAILED", "an administrator cannot decrypt a sealed token"),
        ("ok", WEBHOOK),
    ]
    assert failed == 12
    reasons = [reason for reason in answers.values() if reason]
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
        "telling an outcome was allowed",
        "decrypting a sealed token was allowed",
    ]


DENIED = "User: me is not authorized to perform: dynamodb:DeleteItem on resource: the table "


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (f"{DENIED}{smoke.EXPLICIT_DENY}", None),
        (
            f"{DENIED}because no identity-based policy allows the dynamodb:DeleteItem action",
            "not by the stack's policy",
        ),
        (f"{DENIED}with an explicit deny in a service control policy", "not by the stack's policy"),
        ("", "not by the stack's policy"),
    ],
)
def test_a_refusal_counts_only_if_the_stacks_policy_refuses(message: str, says: str | None) -> None:
    """Somebody whom IAM does not let delete anyway learns nothing about the table's policy."""

    def attempt() -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, "DeleteItem")

    with pytest.raises(smoke.SmokeError, match=says) if says else nullcontext():
        smoke.refused(attempt, "deleting an item")


def test_the_recovery_is_tried_where_a_break_glass_role_is_named(stack: Stack) -> None:
    """Without one, the table's policy leaves that to IAM, and the call would tell nothing."""
    assert "changing the recovery" not in smoke.attempts(stack, "t")
    stack.parameters["BreakGlassRoleArn"] = "arn:aws:iam::123456789012:role/break-glass"
    assert "changing the recovery" in smoke.attempts(stack, "t")


def test_the_policy_with_a_break_glass_role_passes(engine: Engine, stack: Stack, dynamodb: Stubber) -> None:
    """The optional statement is compared as well: without it in the table, the check fails."""
    given = {"BreakGlassRoleArn": "arn:aws:iam::123456789012:role/break-glass"}
    stack.parameters.update(given)
    table = Resolver(engine.template, given).resources()["PaymentLedgerTable"]["Properties"]
    text = json.dumps(table["ResourcePolicy"]["PolicyDocument"])
    policy = json.loads(text.replace('"Vpc"', json.dumps(engine.physical_ids["Vpc"])))
    answer_policy(dynamodb, policy)
    smoke.the_policy_is_the_templates(stack)
    drop(policy["Statement"])
    answer_policy(dynamodb, policy)
    with pytest.raises(smoke.SmokeError, match="only in the template: OnlyBreakGlassChangesTheTable"):
        smoke.the_policy_is_the_templates(stack)


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
def test_the_watch_has_to_be_on(stack: Stack, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """A restored table has another stream, or none; and who wants to change items switches the watch off first."""
    changes, says = WATCHED[case]
    states = {"stream": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}, "states": ["Enabled"]}
    given: dict[str, Any] = {**states, "rule": "ENABLED", "target": "function:watch_ledger:live", **changes}
    asked: list[Any] = []

    class Answers:
        """What AWS answers of the stack."""

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
    monkeypatch.setattr(smoke, "physical_ids", lambda _stack, kind: ids[kind])
    monkeypatch.setattr(stack, "client", lambda _service: Answers())
    with pytest.raises(smoke.SmokeError, match=says) if says else nullcontext():
        smoke.the_watch_is_on(stack)
    assert asked in ([], [{"FunctionName": "watch_ledger:live", "EventSourceArn": STREAM}])


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"EventId": "1"}, "was allowed"),
        ({"ErrorCode": "AccessDeniedException", "ErrorMessage": f"no, {smoke.EXPLICIT_DENY}"}, None),
        ({"ErrorCode": "AccessDeniedException"}, "not by the stack's policy"),
    ],
)
def test_an_entry_may_be_refused_alone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, result: dict[str, str], says: str | None
) -> None:
    """PutEvents refuses each entry by itself, and answers 200."""
    events = SimpleNamespace(put_events=lambda **_: {"Entries": [result], "FailedEntryCount": len(result) - 1})
    monkeypatch.setattr(stack, "client", lambda _service: events)
    with pytest.raises(smoke.SmokeError, match=says) if says else nullcontext():
        smoke.refused(lambda: smoke.put(stack, {}), "telling an outcome")


def test_it_can_run_twice_in_a_row(engine: Engine) -> None:
    """A warm webhook remembers the secret of the first run's processor, which that run has deleted."""
    with EngineServer(["127.0.0.1"]) as server:
        server.start(engine)
        stack = Stack(STACK_NAME, endpoint_url=f"http://127.0.0.1:{server.port}")
        dict(smoke.checks(stack))[WEBHOOK]()
        dict(smoke.checks(stack))[WEBHOOK]()
        executions = {engine.wait_for(arn).status for arn in engine.executions()}
    assert executions == {"SUCCEEDED"}
    assert [item["TransactionID"]["S"] for item in engine.items()] == [
        f"{item['ProcessorID']['S']}-posted" for item in engine.items()
    ]
    assert len(engine.items()) == 2


def test_a_webhook_that_accepts_every_request_fails(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts unsigned payments too; the secret that was created for the check is deleted all the same."""
    with EngineServer(["127.0.0.1"]) as server:
        server.start(engine)
        stack = Stack(STACK_NAME, endpoint_url=f"http://127.0.0.1:{server.port}")
        module = engine.functions["ReceivePayment"].module
        anybody = Processor.parse(json.dumps(PROCESSORS["acme-pay"]))
        monkeypatch.setattr(module, "authenticated", lambda *_: anybody)
        with pytest.raises(smoke.SmokeError, match=r"unsigned it answered 202, signed 20[02]"):
            dict(smoke.checks(stack))[WEBHOOK]()
    assert engine.client("secretsmanager").list_secrets()["SecretList"] == []


def test_a_secret_that_is_not_known_yet_is_asked_for_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right deployment must not fail because Secrets Manager tells of a new secret a moment later."""
    read = Processors._read
    waited: list[float] = []

    def late(processors: Processors, now_s: int) -> None:
        read(processors, now_s)
        if len(waited) < 3:
            processors._found.clear()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        forget(engine)

    forget(engine)
    monkeypatch.setattr(smoke.time, "sleep", wait)
    monkeypatch.setattr(Processors, "_read", late)
    with EngineServer(["127.0.0.1"]) as server:
        server.start(engine)
        dict(smoke.checks(Stack(STACK_NAME, endpoint_url=f"http://127.0.0.1:{server.port}")))[WEBHOOK]()
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
            with pytest.raises(smoke.SmokeError, match=says):
                smoke.live_is_the_deployed_workflow(stack)
        else:
            smoke.live_is_the_deployed_workflow(stack)
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
            smoke.the_history_is_encrypted(stack)
        else:
            with pytest.raises(smoke.SmokeError, match="not encrypted with the stack's key"):
                smoke.the_history_is_encrypted(stack)


def test_a_release_without_alarms_is_said(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`Release` keeps its value: forgotten, it would leave every later release without a canary."""
    monkeypatch.setattr(smoke, "checks", lambda _: [])
    assert smoke.run(stack) == 0
    assert capsys.readouterr().out == ""
    stack.parameters["Release"] = "at-once"
    assert smoke.run(stack) == 0
    assert capsys.readouterr().out.startswith("note    Release is at-once")


def test_a_missing_stack_is_reported(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is one line with the stack's name."""
    assert engine
    monkeypatch.setattr("sys.argv", ["smoke", "--stack", "none", "--region", REGION])
    with pytest.raises(SystemExit) as ended:
        smoke.main()
    assert str(ended.value.code).startswith("smoke: none: ")


def test_an_unexpected_outcome_fails(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that takes invalid payments must not pass."""
    assert engine
    monkeypatch.setattr(smoke, "outcome", lambda *_: "RECORDED")
    questions = dict(smoke.checks(Stack(STACK_NAME, region=REGION)))
    questions["a sealed payment is recorded, through every endpoint"]()
    with pytest.raises(smoke.SmokeError, match="expected REJECTED, saw RECORDED"):
        questions["an invalid payment is rejected"]()


# ── The table ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stack(engine: Engine) -> Stack:
    """The engine's stack, asked without a server; a stub may replace what one of its clients answers."""
    assert engine
    return Stack(STACK_NAME, region=REGION)


@pytest.fixture
def dynamodb(stack: Stack) -> Iterator[Stubber]:
    """DynamoDB's answers to the stack's client, in order; the check has to ask for each."""
    with Stubber(stack.client("dynamodb")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def policy(engine: Engine) -> dict[str, Any]:
    """The table's policy as a deployment leaves it: resolved as CloudFormation resolves it, by the proofs' resolver."""
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
    smoke.the_policy_is_the_templates(stack)


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
    smoke.the_policy_is_the_templates(stack)


def drop(statements: list[dict[str, Any]]) -> None:
    """Drop a statement."""
    statements.pop()


def drop_an_action(statements: list[dict[str, Any]]) -> None:
    """Weaken a statement by an action."""
    statements[0]["Action"].remove("dynamodb:DeleteItem")


def allow(statements: list[dict[str, Any]]) -> None:
    """Turn a denial round."""
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
    with pytest.raises(smoke.SmokeError, match=rf"only in the template: {sid};.*{RESTORE}"):
        smoke.the_policy_is_the_templates(stack)


@pytest.mark.parametrize(
    ("named", "seen"), [({"Sid": "Anybody"}, "Anybody"), ({}, "a statement without a Sid")], ids=["named", "unnamed"]
)
def test_an_added_statement_fails(
    stack: Stack, dynamodb: Stubber, policy: dict[str, Any], named: dict[str, str], seen: str
) -> None:
    """A resource policy can allow by itself, without IAM: what it has beside the template's statements counts."""
    added = {"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": TABLE_ARN}
    policy["Statement"].append({**named, **added})
    answer_policy(dynamodb, policy)
    with pytest.raises(smoke.SmokeError, match=f"only in the template: none; only in the table's: {seen}"):
        smoke.the_policy_is_the_templates(stack)


def test_a_table_without_a_policy_fails(stack: Stack, dynamodb: Stubber) -> None:
    """A restored table has none, which the message says."""
    dynamodb.add_response("describe_table", {"Table": {"TableArn": TABLE_ARN}})
    dynamodb.add_client_error("get_resource_policy", "PolicyNotFoundException")
    with pytest.raises(smoke.SmokeError, match=f"the table has no resource policy.*A restored table.*{RESTORE}"):
        smoke.the_policy_is_the_templates(stack)


def test_a_policy_that_may_not_be_read_is_not_a_missing_policy(stack: Stack, dynamodb: Stubber) -> None:
    """Only the error that means it is caught; any other reaches `run`, which reports it."""
    dynamodb.add_response("describe_table", {"Table": {"TableArn": TABLE_ARN}})
    dynamodb.add_client_error("get_resource_policy", "AccessDeniedException")
    with pytest.raises(stack.client("dynamodb").exceptions.ClientError, match="AccessDeniedException"):
        smoke.the_policy_is_the_templates(stack)


def test_a_template_without_a_policy_fails(
    stack: Stack, dynamodb: Stubber, policy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack was deployed from another template: two policies that are both missing must not count as equal."""
    assert policy
    body = {"Resources": {"PaymentLedgerTable": {"Properties": {}}}}
    monkeypatch.setattr(stack.client("cloudformation"), "get_template", lambda **_: {"TemplateBody": body})
    dynamodb.add_response("describe_table", {"Table": {"TableArn": TABLE_ARN}})
    with pytest.raises(smoke.SmokeError, match="template has no policy"):
        smoke.the_policy_is_the_templates(stack)


@pytest.mark.parametrize("table", [{"DeletionProtectionEnabled": False}, {}], ids=["off", "unknown"])
def test_a_table_without_deletion_protection_fails(stack: Stack, dynamodb: Stubber, table: dict[str, bool]) -> None:
    """A restored table has none, which the message says."""
    dynamodb.add_response("describe_table", {"Table": table})
    with pytest.raises(smoke.SmokeError, match=f"deletion protection is off.*A restored table.*{RESTORE}"):
        smoke.the_table_is_protected(stack)


def test_deletion_protection_passes(stack: Stack, dynamodb: Stubber) -> None:
    """The stack's own table is asked."""
    table = {"Table": {"DeletionProtectionEnabled": True}}
    dynamodb.add_response("describe_table", table, {"TableName": "PaymentLedger"})
    smoke.the_table_is_protected(stack)


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
    with pytest.raises(smoke.SmokeError, match=f"point-in-time recovery is off.*A restored table.*{RESTORE}"):
        smoke.the_table_is_backed_up(stack)


def test_point_in_time_recovery_passes(stack: Stack, dynamodb: Stubber) -> None:
    """The stack's own table is asked."""
    recovery = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}
    description = {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", **recovery}}
    dynamodb.add_response("describe_continuous_backups", description, {"TableName": "PaymentLedger"})
    smoke.the_table_is_backed_up(stack)


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
    """Let Lambda answer for each function of the stack, and otherwise for the one that is named *of*."""
    for name in smoke.physical_ids(stack, "AWS::Lambda::Function").values():
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
    """Lambda's answers to the stack's client, in order; the check has to ask for each."""
    with Stubber(stack.client("lambda")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_every_function_of_the_stack_is_asked(engine: Engine, stack: Stack) -> None:
    """Those that a parameter adds are among them."""
    names = smoke.physical_ids(stack, "AWS::Lambda::Function")
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
        assert smoke.physical_ids(stack, "AWS::Lambda::Function") == {"A": "a", "B": "b"}


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
    smoke.live_is_what_was_deployed(stack)


@pytest.mark.parametrize("name", CONFIGURATION)
def test_a_version_that_lags_behind_fails(stack: Stack, functions: Stubber, name: str) -> None:
    """The message names the function and the property, and no value: an environment may hold what a log must not."""
    answer_functions(functions, stack, of="encrypt_token", deployed={name: of_another(name)})
    with pytest.raises(smoke.SmokeError) as raised:
        smoke.live_is_what_was_deployed(stack)
    assert str(raised.value) == f"encrypt_token: live is not what was deployed, in {name}"


def test_all_properties_that_lag_behind_are_named(stack: Stack, functions: Stubber) -> None:
    """A property that only one of the two has is one of them."""
    answer_functions(functions, stack, of="encrypt_token", live={"VpcConfig": {}, "Timeout": 6})
    with pytest.raises(
        smoke.SmokeError, match=r"^encrypt_token: live is not what was deployed, in Timeout, VpcConfig$"
    ):
        smoke.live_is_what_was_deployed(stack)


def test_a_release_that_still_shifts_fails(stack: Stack, functions: Stubber) -> None:
    """`live` is two versions then: the message says so instead of naming differences that end by themselves."""
    routing = {"AdditionalVersionWeights": {"8": 0.1}}
    answer_functions(functions, stack, of="encrypt_token", routing=routing)
    with pytest.raises(smoke.SmokeError, match=r"^encrypt_token: a release is still shifting to a new version$"):
        smoke.live_is_what_was_deployed(stack)


def test_an_alias_that_may_not_be_read_is_not_a_missing_alias(stack: Stack, functions: Stubber) -> None:
    """Only the error that means it is caught; any other reaches `run`, which reports it."""
    functions.add_client_error("get_alias", "AccessDeniedException")
    with pytest.raises(stack.client("lambda").exceptions.ClientError, match="AccessDeniedException"):
        smoke.live_is_what_was_deployed(stack)
