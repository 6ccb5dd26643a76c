"""What the e2e tests look at in a deployed stack. Each check fails in one line, which names what it saw."""

import json
import re
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NoReturn

import pytest
from botocore.exceptions import ClientError

from ledger.outcome import outcome_of
from ledger.processors import UNKNOWN_FOR_S
from ledger_cli.engine.parameters import holds
from ledger_cli.stack import processors, webhook
from ledger_cli.stack.client import Stack

WAIT_S = 60
INITIAL = "INITIAL"

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


def outcome_of_run(stack: Stack, payment: dict[str, Any], name: str) -> str:
    """Run a payment; return its outcome, or its execution's status and error if it had a technical failure."""
    states = stack.client("stepfunctions")
    started = states.start_execution(stateMachineArn=stack.outputs["WorkflowArn"], name=name, input=json.dumps(payment))
    described = stack.wait_for(started["executionArn"], WAIT_S)
    if described["status"] == "RUNNING":
        fail(f"the execution {name} still runs after {WAIT_S} s")
    return outcome_of(described) or f"{described['status']} {described.get('error')}"


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
        if answer["Code"] not in {"AccessDeniedException", "AccessDenied"}:
            raise
        if by not in answer.get("Message", ""):
            fail(f"{what} was denied, but not by the stack's policy: use credentials to which IAM allows it")
    else:
        fail(f"{what} was allowed")


def forbidden_calls(stack: Stack, transaction_id: str) -> dict[str, Callable[[], Any]]:
    """Return calls, by name, that an administrator could make on the item of this run if IAM alone decided.

    If AWS allows one after all, it harms only this run's own item, or changes nothing.
    """
    dynamodb, bus = stack.client("dynamodb"), stack.outputs["EventBusName"]
    item: Any = {"TableName": stack.outputs["TableName"], "Key": {"TransactionID": {"S": transaction_id}}}
    entry = {"EventBusName": bus, "Source": "smoke", "DetailType": "Smoke", "Detail": "{}"}
    return {
        "deleting an item": lambda: dynamodb.delete_item(**item),
        "replacing an item": lambda: dynamodb.put_item(TableName=item["TableName"], Item=item["Key"]),
        "changing an amount": lambda: dynamodb.update_item(
            **item, UpdateExpression="SET Amount = :a", ExpressionAttributeValues={":a": {"N": "2"}}
        ),
        "moving a marker": lambda: dynamodb.update_item(**item, UpdateExpression="REMOVE Unpublished"),
        "publishing an outcome": lambda: put_event(stack, entry),
        "changing the recovery": lambda: dynamodb.update_continuous_backups(
            TableName=item["TableName"], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        ),
    }


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


def check_watch(stack: Stack) -> None:
    """Check that the table's stream and the reports of CloudTrail reach the function `watch_ledger`."""
    described = describe_table(stack)
    specification = described.get("StreamSpecification", {})
    if specification.get("StreamViewType") != "NEW_AND_OLD_IMAGES" or not specification.get("StreamEnabled"):
        fail(f"the table has no stream of both images. {RESTORED}")
    watch = f"{physical_ids(stack, 'AWS::Lambda::Function')['WatchLedger']}:live"
    mappings = stack.client("lambda").list_event_source_mappings(
        FunctionName=watch, EventSourceArn=described["LatestStreamArn"]
    )["EventSourceMappings"]
    if [mapping["State"] for mapping in mappings] != ["Enabled"]:
        fail(f"the table's stream does not reach {watch}. {RESTORED}")
    rule, events = physical_ids(stack, "AWS::Events::Rule")["WatchLedgerProtection"], stack.client("events")
    targets = events.list_targets_by_rule(Rule=rule)["Targets"]
    reached = [target["Arn"].endswith(f":function:{watch}") for target in targets]
    if events.describe_rule(Name=rule)["State"] != "ENABLED" or reached != [True]:
        fail(f"the rule {rule} is disabled, or does not reach {watch}")


def check_history_key(stack: Stack) -> None:
    """Check that the stack's key encrypts the executions' history."""
    machine = stack.outputs["WorkflowArn"].removesuffix(":live")
    described = stack.client("stepfunctions").describe_state_machine(stateMachineArn=machine)
    encryption = described.get("encryptionConfiguration") or {}
    key = physical_ids(stack, "AWS::KMS::Key")["HistoryKey"]
    uses = str(encryption.get("kmsKeyId")).rpartition("/")[2]
    if encryption.get("type") != "CUSTOMER_MANAGED_KMS_KEY" or uses != key:
        fail("the workflow's history is not encrypted with the stack's key")


def check_live_workflow(stack: Stack) -> None:
    """Check that the version behind the workflow's alias is the one that the last deployment wrote."""
    states, alias = stack.client("stepfunctions"), stack.outputs["WorkflowArn"]
    versions = states.describe_state_machine_alias(stateMachineAliasArn=alias)["routingConfiguration"]
    if len(versions) != 1:
        fail("a release of the workflow is still shifting to a new version")
    live = states.describe_state_machine(stateMachineArn=versions[0]["stateMachineVersionArn"])
    deployed = states.describe_state_machine(stateMachineArn=alias.removesuffix(":live"))
    # Of a workflow that was never updated, CloudFormation calls the revision INITIAL, and the API need not name it.
    if live.get("revisionId", INITIAL) != deployed.get("revisionId", INITIAL):
        fail("live is an earlier version of the workflow than the deployed one")


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


def check_table_policy(stack: Stack) -> None:
    """Compare the table's resource policy with the one in the stack's template, statement by statement.

    The message names the statements that are missing, changed or added.
    """
    arn = describe_table(stack)["TableArn"]
    expected = expected_statements(stack, arn)
    client = stack.client("dynamodb")
    try:
        policy = json.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])
    except client.exceptions.PolicyNotFoundException:
        fail(f"the table has no resource policy. {RESTORED}")
    found = [normalize(statement) for statement in as_list(policy["Statement"])]
    missing = [statement for statement in expected if statement not in found]
    added = [statement for statement in found if statement not in expected]
    if missing or added:
        differences = f"only in the template: {names_of(missing)}; only in the table's: {names_of(added)}"
        fail(f"the table's policy is not the one in the template ({differences}). {RESTORED}")


def expected_statements(stack: Stack, table_arn: str) -> list[Any]:
    """Return the statements of the table's policy in the template that CloudFormation has, normalised.

    Their references lead to the table, to roles, to the VPC and to parameters. Any other reference stays as it is
    written, so that its statement differs from the deployed one.
    """
    reply = stack.client("cloudformation").get_template(StackName=stack.name, TemplateStage="Processed")
    template = reply["TemplateBody"]
    properties = template["Resources"]["PaymentLedgerTable"]["Properties"]
    if "ResourcePolicy" not in properties:
        fail("the stack's template has no policy for the table: deploy this version of it")
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
                value = [resolved(part) for part in value]
        return value

    statements = properties["ResourcePolicy"]["PolicyDocument"]["Statement"]
    found = [resolved(statement) for statement in as_list(statements)]
    return [normalize(statement) for statement in found if statement != {"Ref": "AWS::NoValue"}]


def check_deletion_protection(stack: Stack) -> None:
    """Check that nobody can delete the table by mistake."""
    if not describe_table(stack).get("DeletionProtectionEnabled"):
        fail(f"the table's deletion protection is off. {RESTORED}")


def check_recovery(stack: Stack) -> None:
    """Check that the table can be restored to a point in time."""
    reply = stack.client("dynamodb").describe_continuous_backups(TableName=stack.outputs["TableName"])
    recovery = reply["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        fail(f"the table's point-in-time recovery is off. {RESTORED}")


def describe_table(stack: Stack) -> dict[str, Any]:
    """Return the ledger's table as DescribeTable describes it."""
    described: dict[str, Any] = stack.client("dynamodb").describe_table(TableName=stack.outputs["TableName"])["Table"]
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
