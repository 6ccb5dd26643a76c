"""Ask a real stack what only a deployment can show, with the caller's own credentials: `make smoke STACK=…`.

Each run leaves payments behind, under TransactionIDs that begin with `smoke-`: nothing in the ledger can be deleted.
"""

import argparse
import base64
import functools
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from ledger.intake import seal
from ledger.outcome import outcome_of
from ledger.payment import seal_context
from ledger.processors import UNKNOWN_FOR_S
from ledger_cli.engine.parameters import holds
from ledger_cli.stack import processors, webhook
from ledger_cli.stack.client import Stack, StackError
from ledger_cli.stack.processor_secrets import WebhookError
from ledger_cli.views.layout import Entry
from ledger_cli.views.terminal import display, visible

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
"""Properties of a function that a new version takes over from `$LATEST`, as GetFunctionConfiguration names them."""


class SmokeError(Exception):
    """The stack does not do what it should; the message says what was seen."""


def outcome(stack: Stack, payment: dict[str, Any], name: str) -> str:
    """Return the outcome of a payment, or its execution's status and error if it had a technical failure."""
    states = stack.client("stepfunctions")
    started = states.start_execution(stateMachineArn=stack.outputs["WorkflowArn"], name=name, input=json.dumps(payment))
    described = stack.wait_for(started["executionArn"], WAIT_S)
    if described["status"] == "RUNNING":
        raise SmokeError(f"the execution {name} still runs after {WAIT_S} s")
    return outcome_of(described) or f"{described['status']} {described.get('error')}"


def checks(stack: Stack) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield each question with the check that answers it, in order."""
    transaction_id = f"smoke-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    token = f"smoke-token-of-{transaction_id[6:]}"
    ids = transaction_id, "smoke-test"
    sealed = seal(stack.client("kms"), stack.outputs["IntakeKeyArn"], *ids, token)
    payment = {
        "TransactionID": transaction_id,
        "SealedToken": sealed,
        "Amount": "1.00",
        "Currency": "EUR",
        "ProcessorID": ids[1],
        "Status": "Success",
        "Timestamp": datetime.now(UTC).isoformat(),
    }

    def expect(expected: str, suffix: str, **changes: str) -> None:
        seen = outcome(stack, {**payment, **changes}, f"{transaction_id}-{suffix}")
        if seen != expected:
            raise SmokeError(f"expected {expected}, saw {seen}")

    def the_item_is_encrypted() -> None:
        key = {"TransactionID": {"S": transaction_id}}
        reply = stack.client("dynamodb").get_item(TableName=stack.outputs["TableName"], Key=key, ConsistentRead=True)
        item = reply.get("Item")
        if item is None or "PublishedAt" not in item or token.encode() in item["SecureToken"]["B"]:
            raise SmokeError("the item is not there, not marked as published, or holds the token in plaintext")

    def nobody_decrypts_what_was_sealed() -> None:
        ciphertext, context = base64.b64decode(sealed), seal_context(*ids)
        kms = stack.client("kms")
        refused(
            lambda: kms.decrypt(CiphertextBlob=ciphertext, EncryptionContext=context),
            "decrypting a sealed token",
            by="no resource-based policy allows",
        )

    yield "live is what was deployed, in every function", lambda: live_is_what_was_deployed(stack)
    yield "live is what was deployed, in the workflow", lambda: live_is_the_deployed_workflow(stack)
    yield "a sealed payment is recorded, through every endpoint", lambda: expect("RECORDED", "1")
    yield "the same payment again is a duplicate", lambda: expect("DUPLICATE", "2")
    yield "another payment under its id is a conflict", lambda: expect("CONFLICT", "3", Amount="2.00")
    yield "an invalid payment is rejected", lambda: expect("REJECTED", "4", Amount="1.001")
    yield "the item is there, encrypted and published", the_item_is_encrypted
    yield "the executions' history is encrypted with the stack's key", lambda: the_history_is_encrypted(stack)
    yield "the table's policy is the one in the template", lambda: the_policy_is_the_templates(stack)
    yield "the table's deletion protection is on", lambda: the_table_is_protected(stack)
    yield "the table's point-in-time recovery is on", lambda: the_table_is_backed_up(stack)
    yield "the watch sees the table's stream and CloudTrail's reports", lambda: the_watch_is_on(stack)
    for what, attempt in attempts(stack, transaction_id).items():
        yield f"the stack's own policies forbid {what}", functools.partial(refused, attempt, what)
    yield "an administrator cannot decrypt a sealed token", nobody_decrypts_what_was_sealed
    if "WebhookUrl" in stack.outputs:
        # A processor of its own for each run: a warm webhook still remembers the secret that an earlier run deleted.
        posted = {
            **payment,
            "TransactionID": f"{transaction_id}-posted",
            "ProcessorID": transaction_id,
            "SecureToken": token,
        }
        del posted["SealedToken"]
        yield "the webhook takes a signed payment, and no other", lambda: takes_what_is_signed(stack, posted)


EXPLICIT_DENY = "with an explicit deny in a resource-based policy"
"""How AWS says that a resource's own policy refuses what IAM may allow. Source: IAM User Guide, access denied."""


def refused(attempt: Callable[[], Any], what: str, by: str = EXPLICIT_DENY) -> None:
    """Try what a policy of the stack forbids.

    Raises:
        SmokeError: it was allowed, or something else than the stack's policy refuses it, which proves nothing.
    """
    try:
        attempt()
    except ClientError as error:
        told = error.response["Error"]
        if told["Code"] not in {"AccessDeniedException", "AccessDenied"}:
            raise
        if by not in told.get("Message", ""):
            raise SmokeError(
                f"{what} was refused, and not by the stack's policy: ask with credentials to which IAM allows it"
            ) from None
    else:
        raise SmokeError(f"{what} was allowed")


def attempts(stack: Stack, transaction_id: str) -> dict[str, Callable[[], Any]]:
    """Return what an administrator could do to the item of this run if IAM alone decided, by what it is.

    If one is allowed after all, it harms this run's own item alone, or changes nothing.
    """
    dynamodb, bus = stack.client("dynamodb"), stack.outputs["EventBusName"]
    item: Any = {"TableName": stack.outputs["TableName"], "Key": {"TransactionID": {"S": transaction_id}}}
    entry = {"EventBusName": bus, "Source": "smoke", "DetailType": "Smoke", "Detail": "{}"}
    found: dict[str, Callable[[], Any]] = {
        "deleting an item": lambda: dynamodb.delete_item(**item),
        "replacing an item": lambda: dynamodb.put_item(TableName=item["TableName"], Item=item["Key"]),
        "changing an amount": lambda: dynamodb.update_item(
            **item, UpdateExpression="SET Amount = :a", ExpressionAttributeValues={":a": {"N": "2"}}
        ),
        "moving a marker": lambda: dynamodb.update_item(**item, UpdateExpression="REMOVE Unpublished"),
        "telling an outcome": lambda: put(stack, entry),
    }
    if stack.parameters["BreakGlassRoleArn"]:
        found["changing the recovery"] = lambda: dynamodb.update_continuous_backups(
            TableName=item["TableName"], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    return found


def put(stack: Stack, entry: Any) -> None:
    """Put one event on a bus.

    Raises:
        ClientError: the call or its one entry is refused. Source: EventBridge API, PutEvents, PutEventsResultEntry.
    """
    (result,) = stack.client("events").put_events(Entries=[entry])["Entries"]
    if "ErrorCode" in result:
        raise ClientError(
            {"Error": {"Code": result["ErrorCode"], "Message": result.get("ErrorMessage", "")}}, "PutEvents"
        )


def the_watch_is_on(stack: Stack) -> None:
    """Look whether the table's stream and the reports of CloudTrail reach the function `watch_ledger`.

    Raises:
        SmokeError: names what is missing, off, or leads elsewhere.
    """
    described = table(stack)
    specification = described.get("StreamSpecification", {})
    if specification.get("StreamViewType") != "NEW_AND_OLD_IMAGES" or not specification.get("StreamEnabled"):
        raise SmokeError(f"the table has no stream of both images. {RESTORED}")
    watch = f"{physical_ids(stack, 'AWS::Lambda::Function')['WatchLedger']}:live"
    mappings = stack.client("lambda").list_event_source_mappings(
        FunctionName=watch, EventSourceArn=described["LatestStreamArn"]
    )["EventSourceMappings"]
    if [mapping["State"] for mapping in mappings] != ["Enabled"]:
        raise SmokeError(f"the table's stream does not reach {watch}. {RESTORED}")
    rule, events = physical_ids(stack, "AWS::Events::Rule")["WatchLedgerProtection"], stack.client("events")
    targets = events.list_targets_by_rule(Rule=rule)["Targets"]
    reached = [target["Arn"].endswith(f":function:{watch}") for target in targets]
    if events.describe_rule(Name=rule)["State"] != "ENABLED" or reached != [True]:
        raise SmokeError(f"the rule {rule} is disabled, or does not reach {watch}")


def the_history_is_encrypted(stack: Stack) -> None:
    """Look at the encryption of the executions' history.

    Raises:
        SmokeError: it does not use the stack's key.
    """
    machine = stack.outputs["WorkflowArn"].removesuffix(":live")
    described = stack.client("stepfunctions").describe_state_machine(stateMachineArn=machine)
    encryption = described.get("encryptionConfiguration") or {}
    key = physical_ids(stack, "AWS::KMS::Key")["HistoryKey"]
    uses = str(encryption.get("kmsKeyId")).rpartition("/")[2]
    if encryption.get("type") != "CUSTOMER_MANAGED_KMS_KEY" or uses != key:
        raise SmokeError("the workflow's history is not encrypted with the stack's key")


def live_is_the_deployed_workflow(stack: Stack) -> None:
    """Compare the version behind the workflow's alias with what the last deployment wrote.

    Raises:
        SmokeError: a release is still shifting, or the alias is behind.
    """
    states, alias = stack.client("stepfunctions"), stack.outputs["WorkflowArn"]
    versions = states.describe_state_machine_alias(stateMachineAliasArn=alias)["routingConfiguration"]
    if len(versions) != 1:
        raise SmokeError("a release of the workflow is still shifting to a new version")
    live = states.describe_state_machine(stateMachineArn=versions[0]["stateMachineVersionArn"])
    deployed = states.describe_state_machine(stateMachineArn=alias.removesuffix(":live"))
    # Of a workflow that was never updated, CloudFormation calls the revision INITIAL, and the API need not name it.
    if live.get("revisionId", INITIAL) != deployed.get("revisionId", INITIAL):
        raise SmokeError("live is an earlier version of the workflow than the deployed one")


def live_is_what_was_deployed(stack: Stack) -> None:
    """Compare what callers of each function get with what the last deployment wrote.

    Raises:
        SmokeError: names each function whose alias `live` is missing, still shifting or behind, and the properties.
    """
    functions = physical_ids(stack, "AWS::Lambda::Function").values()
    problems = [problem for function in functions for problem in lag(stack, function)]
    if problems:
        raise SmokeError("; ".join(problems))


def lag(stack: Stack, function: str) -> Iterator[str]:
    """Yield what keeps a function's alias `live` from being what was deployed. No value is part of it."""
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
    differing = [name for name in RELEASED if normalised(live.get(name)) != normalised(deployed.get(name))]
    if differing:
        yield f"{function}: live is not what was deployed, in {', '.join(differing)}"


def the_policy_is_the_templates(stack: Stack) -> None:
    """Compare the table's resource policy with the one in the stack's template, statement by statement.

    Raises:
        SmokeError: names the statements that are missing, changed or added.
    """
    arn = table(stack)["TableArn"]
    expected = expected_statements(stack, arn)
    client = stack.client("dynamodb")
    try:
        policy = json.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])
    except client.exceptions.PolicyNotFoundException:
        raise SmokeError(f"the table has no resource policy. {RESTORED}") from None
    found = [normalised(statement) for statement in listed(policy["Statement"])]
    missing = [statement for statement in expected if statement not in found]
    added = [statement for statement in found if statement not in expected]
    if missing or added:
        differences = f"only in the template: {sids(missing)}; only in the table's: {sids(added)}"
        raise SmokeError(f"the table's policy is not the one in the template ({differences}). {RESTORED}")


def expected_statements(stack: Stack, table_arn: str) -> list[Any]:
    """Return the statements of the table's policy in the template that CloudFormation has, normalised.

    Their references lead to the table, to roles, to the VPC and to parameters. Any other reference stays as it is
    written, so that its statement differs from the deployed one.

    Raises:
        SmokeError: the template has no policy for the table.
    """
    reply = stack.client("cloudformation").get_template(StackName=stack.name, TemplateStage="Processed")
    template = reply["TemplateBody"]
    properties = template["Resources"]["PaymentLedgerTable"]["Properties"]
    if "ResourcePolicy" not in properties:
        raise SmokeError("the stack's template has no policy for the table: deploy this version of it")
    roles = physical_ids(stack, "AWS::IAM::Role")
    named = {**stack.parameters, **physical_ids(stack, "AWS::EC2::VPC")}
    _, partition, _, region, account, _ = table_arn.split(":")
    variables = {
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::AccountId": account,
        "Name": stack.outputs["TableName"],
    }

    def resolved(value: Any) -> Any:
        match value:
            case {"Fn::If": [condition, then, otherwise]}:
                value = resolved(then if holds(condition, stack.parameters, template["Conditions"]) else otherwise)
            case {"Ref": str(name)} if name in named:
                value = named[name]
            case {"Fn::GetAtt": [role, "Arn"]} if role in roles:
                value = f"arn:{partition}:iam::{account}:role/{roles[role]}"
            case {"Fn::Sub": [str(text), {"Name": _}]}:
                value = re.sub(r"\$\{([^}]+)\}", lambda found: variables.get(found[1], found[0]), text)
            case dict():
                value = {name: resolved(part) for name, part in value.items()}
            case list():
                value = [resolved(part) for part in value]
        return value

    statements = properties["ResourcePolicy"]["PolicyDocument"]["Statement"]
    found = [resolved(statement) for statement in listed(statements)]
    return [normalised(statement) for statement in found if statement != {"Ref": "AWS::NoValue"}]


def the_table_is_protected(stack: Stack) -> None:
    """Look at the table's deletion protection.

    Raises:
        SmokeError: it is off.
    """
    if not table(stack).get("DeletionProtectionEnabled"):
        raise SmokeError(f"the table's deletion protection is off. {RESTORED}")


def the_table_is_backed_up(stack: Stack) -> None:
    """Look at the table's point-in-time recovery.

    Raises:
        SmokeError: it is off.
    """
    reply = stack.client("dynamodb").describe_continuous_backups(TableName=stack.outputs["TableName"])
    recovery = reply["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        raise SmokeError(f"the table's point-in-time recovery is off. {RESTORED}")


def table(stack: Stack) -> dict[str, Any]:
    """Return the ledger's table as DescribeTable has it."""
    described: dict[str, Any] = stack.client("dynamodb").describe_table(TableName=stack.outputs["TableName"])["Table"]
    return described


def physical_ids(stack: Stack, kind: str) -> dict[str, str]:
    """Return the names of the stack's resources of one type, by the names that the template gives them."""
    pages = stack.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.name)
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] == kind and resource["ResourceStatus"] != "DELETE_COMPLETE"
    }


def normalised(value: Any) -> Any:
    """Return *value* in a form in which equal means the same: a list has no order, and one value is a list of one."""
    if value == {"AWS": "*"}:  # as a principal, everybody
        value = "*"
    if isinstance(value, dict):
        return {name: normalised(part) for name, part in value.items()}
    return sorted(str(part) for part in listed(value))


def listed(value: Any) -> list[Any]:
    """Return *value* as a list: a policy writes a list of one as its only element."""
    return value if isinstance(value, list) else [value]


def sids(statements: list[Any]) -> str:
    """Name normalised statements; a changed one has its name on both sides."""
    return ", ".join(statement.get("Sid", ["a statement without a Sid"])[0] for statement in statements) or "none"


def takes_what_is_signed(stack: Stack, payment: dict[str, str]) -> None:
    """Post a payment unsigned and signed, as a processor that is registered for this check alone.

    Raises:
        SmokeError: the webhook accepted the unsigned payment, or did not accept the signed one.
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
        raise SmokeError(f"unsigned it answered {unsigned}, signed {signed}")


def run(stack: Stack) -> int:
    """Ask everything, print each answer and return how many were wrong."""
    failed = 0
    if stack.parameters.get("Release") == "at-once":
        display(_answer("note", "Release is at-once, so no alarm watches a release: see docs/operate/deploying.md"))
    for question, check in checks(stack):
        try:
            check()
        except (SmokeError, StackError, WebhookError, ClientError, BotoCoreError) as error:
            failed += 1
            display(_answer("FAILED", f"{question}: {error}"))
        else:
            display(_answer("ok", question))
    return failed


def _answer(word: str, text: str) -> Entry:
    return Entry(Text(word), visible(text), 8)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--region")
    parser.add_argument("--profile")
    arguments = parser.parse_args()
    try:
        failed = run(Stack(arguments.stack, profile=arguments.profile, region=arguments.region))
    except (StackError, ClientError, BotoCoreError, KeyError) as error:
        sys.exit(f"smoke: {arguments.stack}: {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
