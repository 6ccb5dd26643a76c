"""What the e2e tests look at in a deployed stack. Each check fails in one line, which names what it saw."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

import pytest
from botocore.exceptions import ClientError

from ledger.checkpoint import raw_public_key, verifier_key
from ledger.entry import is_entry
from ledger.outcome import outcome_of
from ledger.processors import UNKNOWN_FOR_S
from ledger.seal import key_text
from ledger_cli import ROOT
from ledger_cli.engine.parameters import holds
from ledger_cli.sealed_log.notes import Checkpoint, NoteError, VerifierKey, verify
from ledger_cli.stack import processors, webhook
from ledger_cli.stack.client import Stack
from ledger_cli.stack.sealing import read_seal, run_sealer

WAIT_S = 60
INITIAL = "INITIAL"
NO_VALUE = {"Ref": "AWS::NoValue"}


@dataclass(frozen=True, eq=False)
class Table:
    """One of the ledger's tables.

    Attributes:
        output: the stack's output that has the table's name.
        logical_id: its name in the template.
        sort_key: what the key of the first item under a TransactionID has besides the TransactionID.
    """

    output: str
    logical_id: str
    sort_key: Mapping[str, Any]

    def name(self, stack: Stack) -> str:
        """Return the table's name in the stack."""
        return stack.outputs[self.output]

    def key(self, transaction_id: str) -> dict[str, Any]:
        """Return the key of the first item under a TransactionID."""
        return {"TransactionID": {"S": transaction_id}, **self.sort_key}


PAYMENTS = Table("TableName", "PaymentLedgerTable", {})
ENTRIES = Table("EntriesTableName", "PaymentEntriesTable", {"Entry": {"N": "1"}})
SEALS = Table("SealsTableName", "PaymentSealsTable", {})

PAYMENTS_WORKFLOW, ENTRIES_WORKFLOW = "WorkflowArn", "EntriesWorkflowArn"
"""The stack's outputs that have the ARNs of the aliases of the workflows."""

RESTORED = (
    "A restored table has no policy, no stream, no deletion protection and no point-in-time recovery: "
    "see docs/operate/deploying.md#restore-the-table"
)

RELEASED = (
    "Architectures",
    "CodeSha256",
    "Description",
    "Environment",
    "Handler",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)
"""The properties of a function that a new version copies from `$LATEST`, as GetFunctionConfiguration names them."""


def fail(message: str) -> NoReturn:
    """Fail the test with one line, without a traceback."""
    raise pytest.fail.Exception(message, pytrace=False) from None


def workflow_of(start_input: Mapping[str, Any]) -> str:
    """Return the output of the workflow that takes a start input."""
    return ENTRIES_WORKFLOW if is_entry(start_input) else PAYMENTS_WORKFLOW


def workflow_name(stack: Stack, workflow: str) -> str:
    """Return the name of the workflow whose alias is the output *workflow*."""
    return machine_of(stack, workflow).rpartition(":")[2]


def machine_of(stack: Stack, workflow: str) -> str:
    """Return the ARN of the workflow whose alias is the output *workflow*."""
    return stack.outputs[workflow].removesuffix(":live")


def outcome_of_run(stack: Stack, start_input: Mapping[str, Any], name: str) -> str:
    """Run a payment or an entry in its own workflow.

    Return its outcome, or its execution's status and error if it had a technical failure.
    """
    workflow, states = workflow_of(start_input), stack.client("stepfunctions")
    started = states.start_execution(stateMachineArn=stack.outputs[workflow], name=name, input=json.dumps(start_input))
    described = stack.wait_for(started["executionArn"], WAIT_S)
    if described["status"] == "RUNNING":
        fail(f"the execution {name} of the workflow {workflow_name(stack, workflow)} still runs after {WAIT_S} s")
    return outcome_of(described) or f"{described['status']} {described.get('error')}"


def expect_outcome(stack: Stack, start_input: Mapping[str, Any], expected: str, suffix: str) -> None:
    """Run a payment or an entry, and compare its outcome. The suffix distinguishes the executions of one payment."""
    seen = outcome_of_run(stack, start_input, f"{start_input['TransactionID']}-{suffix}")
    if seen != expected:
        fail(f"the workflow {workflow_name(stack, workflow_of(start_input))}: expected {expected}, saw {seen}")


def published_item(stack: Stack, table: Table, transaction_id: str) -> dict[str, Any]:
    """Return the first item under a TransactionID. Check that it is there and marked as published."""
    reply = stack.client("dynamodb").get_item(
        TableName=table.name(stack), Key=table.key(transaction_id), ConsistentRead=True
    )
    item: dict[str, Any] = reply.get("Item", {})
    if "PublishedAt" not in item:
        fail(f"the item in the table {table.name(stack)} is not there, or not marked as published")
    return item


def check_sealed(stack: Stack, table: Table, transaction_id: str) -> None:
    """Run the sealer until a seal has the first item under a TransactionID. An index follows its table a moment later.

    Check that the item is marked with the number of a seal, and that this seal has it.
    """
    name, deadline = table.name(stack), time.monotonic() + WAIT_S
    while True:
        run_sealer(stack)
        reply = stack.client("dynamodb").get_item(TableName=name, Key=table.key(transaction_id), ConsistentRead=True)
        item = reply.get("Item", {})
        if "Seal" in item or time.monotonic() > deadline:
            break
        time.sleep(1)
    if "Seal" not in item or "Unsealed" in item:
        fail(f"the item in the table {name} is not sealed")
    seal = read_seal(stack, int(item["Seal"]["N"]))
    key = key_text((transaction_id, int(item.get("Entry", {"N": "0"})["N"])))
    if key not in seal["Keys"]:
        fail(f"the item in the table {name} is marked with seal {seal['Seal']}, which does not have it")


def seal_key(stack: Stack) -> str:
    """Return the verifier key of the stack's log, from the key that KMS has and the log's name."""
    public_key = raw_public_key(stack.client("kms").get_public_key(KeyId=stack.outputs["SealKeyArn"])["PublicKey"])
    return verifier_key(origin_of(stack), public_key)


def origin_of(stack: Stack) -> str:
    """Return the name of the stack's log."""
    _, _, _, region, account, _ = stack.stack_id.split(":")
    return f"payment-ledger/{account}/{region}/{PAYMENTS.name(stack)}"


def check_checkpoint(stack: Stack) -> None:
    """Check that the stack's own key has signed the newest checkpoint, and that it is of the last seal."""
    last = read_seal(stack)
    try:
        checkpoint = Checkpoint.parse(last["Checkpoint"])
        verify(checkpoint, [VerifierKey.parse(seal_key(stack))])
    except NoteError as error:
        fail(f"the checkpoint of seal {last['Seal']}: {error}")
    if (checkpoint.size, base64.b64encode(checkpoint.root).decode()) != (last["Size"], last["Root"]):
        fail(f"the checkpoint of seal {last['Seal']} has another size or root than the seal")


COMMAND_TIMEOUT_S = 300

MAX_VERIFIED = 10_000
"""Records of a log that a run reads and verifies. A minute and more is too long for a question of the smoke test."""

VERIFY_PROOF = ROOT / "docs/operate/verify_proof.py"


@dataclass(frozen=True)
class Commands:
    """Commands that run in a folder of their own, so that none remembers the checkpoint of an earlier run.

    Attributes:
        folder: the folder.
        options: the options that name the stack.
    """

    folder: Path
    options: Sequence[str]

    def ledger(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of `ledger` against the stack."""
        return self.python("-m", "ledger_cli", *arguments, *self.options)

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a program in Python."""
        return subprocess.run(  # noqa: S603
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, "XDG_STATE_HOME": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )


def check_verification(stack: Stack, commands: Commands) -> None:
    """Check that `ledger verify` finds nothing wrong. What was recorded a moment ago need not be sealed yet."""
    size = read_seal(stack)["Size"]
    if size > MAX_VERIFIED:
        pytest.skip(f"the log has {size:,} records: run `ledger verify` by itself")
    done = commands.ledger("verify", "--json")
    if done.returncode not in {0, 1} or not done.stdout:
        fail(f"ledger verify: {' '.join(done.stderr.split())}")
    found = json.loads(done.stdout)
    wrong = [f"{len(found[kind]):,} {kind}" for kind in ("changed", "missing", "extra", "faults") if found[kind]]
    if wrong or not found["proven"]:
        fail(f"ledger verify: {', '.join(wrong) or 'it proves no record'}")


def check_proof(stack: Stack, commands: Commands, transaction_id: str, entry: int = 0) -> None:
    """Check that `ledger prove` proves a record, in the judgement of the program that other people verify it with."""
    chosen = ["--entry", f"{entry}"] if entry else []
    done = commands.ledger("prove", transaction_id, *chosen, "--json")
    if done.returncode:
        fail(f"ledger prove: {' '.join(done.stderr.split())}")
    verified = commands.python(f"{VERIFY_PROOF}", json.loads(done.stdout)["file"], "--key", seal_key(stack))
    if verified.returncode:
        fail(f"{VERIFY_PROOF.name}: {' '.join(verified.stderr.split())}")


def sign_a_checkpoint(stack: Stack) -> None:
    """Sign a text with the seal key, as only the sealer may. It is no checkpoint, so a signature would harm nobody."""
    stack.client("kms").sign(
        KeyId=stack.outputs["SealKeyArn"],
        Message=b"smoke",
        MessageType="RAW",
        SigningAlgorithm="ED25519_SHA_512",
    )


EXPLICIT_DENY = "with an explicit deny in a resource-based policy"
"""AWS's words for a denial by a resource's own policy. Source: IAM User Guide, access denied."""


def expect_denied(attempt: Callable[[], Any], what: str, by: str = EXPLICIT_DENY) -> None:
    """Attempt a call that a policy of the stack forbids.

    Fail if AWS allows it. Fail as well if something other than the stack's policy denies it, which proves nothing.
    """
    try:
        attempt()
    except ClientError as error:
        answer = error.response["Error"]
        if (
            answer["Code"] == "ConditionalCheckFailedException"
        ):  # DynamoDB checks a condition after it has allowed a call
            fail(f"{what} was allowed")
        if answer["Code"] not in {"AccessDeniedException", "AccessDenied"}:
            raise
        if by not in answer.get("Message", ""):
            fail(f"{what} was denied, but not by the stack's policy: use credentials to which IAM allows it")
    else:
        fail(f"{what} was allowed")


def forbidden_calls(stack: Stack, table: Table, transaction_id: str) -> dict[str, Callable[[], Any]]:
    """Return calls, by name, that an administrator could make on this run's item in a table if IAM alone decided.

    If AWS allows one after all, it harms only this run's own item, or changes nothing. In the table of seals, the calls
    are for the first seal of the stack's log, under a condition that never holds.
    """
    dynamodb, name = stack.client("dynamodb"), table.name(stack)
    item: Any = {"TableName": name, "Key": table.key(transaction_id)}
    never: Any = {}
    if table is SEALS:
        item["Key"] = {"Log": {"S": origin_of(stack)}, "Seal": {"N": "1"}}
        never["ConditionExpression"] = "attribute_exists(Seal) AND attribute_not_exists(Seal)"
    return {
        "deleting an item": lambda: dynamodb.delete_item(**item, **never),
        "replacing an item": lambda: dynamodb.put_item(TableName=name, Item=item["Key"], **never),
        "changing an amount": lambda: dynamodb.update_item(
            **item, **never, UpdateExpression="SET Amount = :a", ExpressionAttributeValues={":a": {"N": "2"}}
        ),
        "moving a marker": lambda: dynamodb.update_item(**item, **never, UpdateExpression="REMOVE Unpublished"),
        "changing the recovery": lambda: dynamodb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        ),
    }


def publish_an_outcome(stack: Stack) -> None:
    """Put an event on the bus of outcomes, as only the ledger may. No consumer takes it for an outcome."""
    bus = stack.outputs["EventBusName"]
    put_event(stack, {"EventBusName": bus, "Source": "smoke", "DetailType": "Smoke", "Detail": "{}"})


def put_event(stack: Stack, entry: Any) -> None:
    """Put one event on a bus.

    Raises:
        ClientError: AWS denies the call, or its one entry. Source: EventBridge API, PutEventsResultEntry.
    """
    (result,) = stack.client("events").put_events(Entries=[entry])["Entries"]
    if "ErrorCode" in result:
        raise ClientError(
            {"Error": {"Code": result["ErrorCode"], "Message": result.get("ErrorMessage", "")}}, "PutEvents"
        )


def check_stream(stack: Stack, table: Table) -> None:
    """Check that a table's stream reaches the function `watch_ledger`."""
    name, described, watch = table.name(stack), describe_table(stack, table), name_of_watch(stack)
    specification = described.get("StreamSpecification", {})
    if specification.get("StreamViewType") != "NEW_AND_OLD_IMAGES" or not specification.get("StreamEnabled"):
        fail(f"the table {name} has no stream of both images. {RESTORED}")
    mappings = stack.client("lambda").list_event_source_mappings(
        FunctionName=watch, EventSourceArn=described["LatestStreamArn"]
    )["EventSourceMappings"]
    if [mapping["State"] for mapping in mappings] != ["Enabled"]:
        fail(f"the stream of the table {name} does not reach {watch}. {RESTORED}")


def check_reports(stack: Stack) -> None:
    """Check that the reports of CloudTrail reach the function `watch_ledger`."""
    rule, events = physical_ids(stack, "AWS::Events::Rule")["WatchLedgerProtection"], stack.client("events")
    watch, targets = name_of_watch(stack), events.list_targets_by_rule(Rule=rule)["Targets"]
    reached = [target["Arn"].endswith(f":function:{watch}") for target in targets]
    if events.describe_rule(Name=rule)["State"] != "ENABLED" or reached != [True]:
        fail(f"the rule {rule} is disabled, or does not reach {watch}")


def name_of_watch(stack: Stack) -> str:
    """Return the name of the function `watch_ledger`, with its alias."""
    return f"{physical_ids(stack, 'AWS::Lambda::Function')['WatchLedger']}:live"


def check_history_key(stack: Stack, workflow: str) -> None:
    """Check that the stack's key encrypts the history of a workflow's executions."""
    described = stack.client("stepfunctions").describe_state_machine(stateMachineArn=machine_of(stack, workflow))
    encryption = described.get("encryptionConfiguration") or {}
    key = physical_ids(stack, "AWS::KMS::Key")["HistoryKey"]
    uses = str(encryption.get("kmsKeyId")).rpartition("/")[2]
    if encryption.get("type") != "CUSTOMER_MANAGED_KMS_KEY" or uses != key:
        fail(f"the history of the workflow {workflow_name(stack, workflow)} is not encrypted with the stack's key")


def check_live_workflow(stack: Stack, workflow: str) -> None:
    """Check that the version behind a workflow's alias is the one that the last deployment wrote."""
    states, name = stack.client("stepfunctions"), workflow_name(stack, workflow)
    alias = states.describe_state_machine_alias(stateMachineAliasArn=stack.outputs[workflow])
    versions = alias["routingConfiguration"]
    if len(versions) != 1:
        fail(f"a release of the workflow {name} is still shifting to a new version")
    live = states.describe_state_machine(stateMachineArn=versions[0]["stateMachineVersionArn"])
    deployed = states.describe_state_machine(stateMachineArn=machine_of(stack, workflow))
    # Of a workflow that was never updated, CloudFormation calls the revision INITIAL, and the API need not name it.
    if live.get("revisionId", INITIAL) != deployed.get("revisionId", INITIAL):
        fail(f"live is an earlier version of the workflow {name} than the deployed one")


def check_live_functions(stack: Stack) -> None:
    """Check that callers of each function get what the last deployment wrote.

    The message names each function whose alias `live` is missing, still shifting or behind, and the properties.
    """
    functions = physical_ids(stack, "AWS::Lambda::Function").values()
    problems = [problem for function in functions for problem in differences_of_live(stack, function)]
    if problems:
        fail("; ".join(problems))


def differences_of_live(stack: Stack, function: str) -> Iterator[str]:
    """Yield each difference between a function's alias `live` and its last deployment. No value is part of it."""
    client = stack.client("lambda")
    try:
        alias = client.get_alias(FunctionName=function, Name="live")
    except client.exceptions.ResourceNotFoundException:
        yield f"{function} has no alias live"
        return
    if (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
        yield f"{function}: a release is still shifting to a new version"
        return
    live = client.get_function_configuration(FunctionName=function, Qualifier="live")
    deployed = client.get_function_configuration(FunctionName=function)
    differing = [name for name in RELEASED if normalize(live.get(name)) != normalize(deployed.get(name))]
    if differing:
        yield f"{function}: live is not what was deployed, in {', '.join(differing)}"


def check_table_policy(stack: Stack, table: Table) -> None:
    """Compare a table's resource policy with the one in the stack's template, statement by statement.

    The message names the statements that are missing, changed or added.
    """
    name, arn = table.name(stack), describe_table(stack, table)["TableArn"]
    expected = expected_statements(stack, table, arn)
    client = stack.client("dynamodb")
    try:
        policy = json.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])
    except client.exceptions.PolicyNotFoundException:
        fail(f"the table {name} has no resource policy. {RESTORED}")
    found = [normalize(statement) for statement in as_list(policy["Statement"])]
    missing = [statement for statement in expected if statement not in found]
    added = [statement for statement in found if statement not in expected]
    if missing or added:
        differences = f"only in the template: {names_of(missing)}; only in the table's: {names_of(added)}"
        fail(f"the policy of the table {name} is not the one in the template ({differences}). {RESTORED}")


def expected_statements(stack: Stack, table: Table, table_arn: str) -> list[Any]:
    """Return the statements of a table's policy in the template that CloudFormation has, normalised.

    Their references lead to the table, to roles, to the VPC and to parameters. Any other reference stays as it is
    written, so that its statement differs from the deployed one.
    """
    reply = stack.client("cloudformation").get_template(StackName=stack.name, TemplateStage="Processed")
    template = reply["TemplateBody"]
    properties = template["Resources"][table.logical_id]["Properties"]
    if "ResourcePolicy" not in properties:
        fail(f"the stack's template has no policy for the table {table.name(stack)}: deploy this version of it")
    roles = physical_ids(stack, "AWS::IAM::Role")
    named = {**stack.parameters, **physical_ids(stack, "AWS::EC2::VPC")}
    _, partition, _, region, account, _ = table_arn.split(":")
    variables = {
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::AccountId": account,
        **stack.parameters,
    }

    def resolved(value: Any) -> Any:
        match value:
            case {"Fn::If": [condition, then, otherwise]}:
                value = resolved(then if holds(condition, stack.parameters, template["Conditions"]) else otherwise)
            case {"Ref": str(name)} if name in named:
                value = named[name]
            case {"Fn::GetAtt": [role, "Arn"]} if role in roles:
                value = f"arn:{partition}:iam::{account}:role/{roles[role]}"
            case {"Fn::Sub": str(text)}:
                value = re.sub(r"\$\{([^}]+)\}", lambda found: variables.get(found[1], found[0]), text)
            case dict():
                value = {name: resolved(part) for name, part in value.items()}
            case list():
                value = [part for part in map(resolved, value) if part != NO_VALUE]
        return value

    statements = properties["ResourcePolicy"]["PolicyDocument"]["Statement"]
    return [normalize(statement) for statement in resolved(as_list(statements))]


def check_deletion_protection(stack: Stack, table: Table) -> None:
    """Check that nobody can delete a table by mistake."""
    if not describe_table(stack, table).get("DeletionProtectionEnabled"):
        fail(f"the deletion protection of the table {table.name(stack)} is off. {RESTORED}")


def check_recovery(stack: Stack, table: Table) -> None:
    """Check that a table can be restored to a point in time."""
    reply = stack.client("dynamodb").describe_continuous_backups(TableName=table.name(stack))
    recovery = reply["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        fail(f"the point-in-time recovery of the table {table.name(stack)} is off. {RESTORED}")


def describe_table(stack: Stack, table: Table) -> dict[str, Any]:
    """Return a table of the ledger as DescribeTable describes it."""
    described: dict[str, Any] = stack.client("dynamodb").describe_table(TableName=table.name(stack))["Table"]
    return described


def physical_ids(stack: Stack, kind: str) -> dict[str, str]:
    """Return the physical IDs of the stack's resources of one type, by their logical IDs."""
    pages = stack.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.name)
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] == kind and resource["ResourceStatus"] != "DELETE_COMPLETE"
    }


def normalize(value: Any) -> Any:
    """Return *value* in a form whose equality is one of meaning: lists have no order, and a value is a list of one."""
    if value == {"AWS": "*"}:  # a principal that is everybody
        value = "*"
    if isinstance(value, dict):
        return {name: normalize(part) for name, part in value.items()}
    return sorted(str(part) for part in as_list(value))


def as_list(value: Any) -> list[Any]:
    """Return *value* as a list: a policy may write a list of one element as that element."""
    return value if isinstance(value, list) else [value]


def names_of(statements: list[Any]) -> str:
    """Return the names of normalised statements. A changed statement has its name on both sides."""
    return ", ".join(statement.get("Sid", ["a statement without a Sid"])[0] for statement in statements) or "none"


def check_webhook(stack: Stack, payment: dict[str, str]) -> None:
    """Post a payment unsigned and signed, as a processor that is registered for this check alone.

    The webhook must answer 401 to the unsigned one, and accept the signed one.
    """
    body = json.dumps(payment).encode()
    processor = processors.register_processor(stack, payment["ProcessorID"])
    try:
        unsigned, _ = webhook.post(processor.webhook, body, {"content-type": "application/json"})
        signed, _ = webhook.send(stack, payment["ProcessorID"], body)
        for _ in range(processors.NEW_WITHIN_S // UNKNOWN_FOR_S):
            if signed != HTTPStatus.UNAUTHORIZED:
                break
            time.sleep(UNKNOWN_FOR_S + 1)  # Secrets Manager may list a new secret late
            signed, _ = webhook.send(stack, payment["ProcessorID"], body)
    finally:
        name = f"{stack.outputs['ProcessorSecrets']}{payment['ProcessorID']}"
        stack.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    if (unsigned, signed) != (401, 202):
        fail(f"unsigned it answered {unsigned}, signed {signed}")
