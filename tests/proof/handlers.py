"""What CloudFormation's handlers call when the stack is created, updated and deleted, and which policy denies it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.proof.contexts import NONE, THIS_WORKFLOW
from tests.proof.evaluator import Evaluator
from tests.proof.policies import Resources, as_list, of_type, person
from tests.proof.resolved import ACCOUNT, REGION, arn
from tests.proof.resource_types import schema

HANDLERS = ("create", "read", "update", "delete")

ENCRYPTS = {
    "AWS::DynamoDB::Table": "SSESpecification",
    "AWS::Events::Archive": "KmsKeyIdentifier",
    "AWS::Events::EventBus": "KmsKeyIdentifier",
    "AWS::Lambda::EventSourceMapping": "KmsKeyArn",
    "AWS::Lambda::Function": "KmsKeyArn",
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::StepFunctions::StateMachine": "EncryptionConfiguration",
}
"""The property that names the key of each type whose handlers call KMS."""

BEYOND_THE_SCHEMA = {
    "AWS::Logs::LogGroup": ["kms:DescribeKey", "kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom"]
}
"""Permissions that the caller of a create or update handler needs besides those in the schema.

Source: CloudWatch Logs User Guide, Encrypt log data using AWS KMS.
"""

CALLED_ONLY_FOR = {
    ("AWS::DynamoDB::Table", "dynamodb:UpdateTimeToLive"): "TimeToLiveSpecification",
    ("AWS::DynamoDB::Table", "dynamodb:BatchWriteItem"): "ImportSourceSpecification",
    ("AWS::DynamoDB::Table", "dynamodb:DeleteItem"): "ImportSourceSpecification",
    ("AWS::DynamoDB::Table", "dynamodb:PutItem"): "ImportSourceSpecification",
    ("AWS::DynamoDB::Table", "dynamodb:UpdateItem"): "ImportSourceSpecification",
}
"""Permissions that a handler needs only if the resource has this property, for example to import items."""

NEVER_CALLED = frozenset({"kms:DisableKeyRotation"})
"""A permission that the update handler needs only to turn a key's rotation off, which no key policy here allows."""


class Guard(NamedTuple):
    """A resource-based policy that decides about a handler's calls, and the condition keys of these calls."""

    name: str
    policy: Mapping[str, Any]
    arn: str
    service: str
    context: Mapping[str, Any]


def guards(resources: Resources, name: str) -> Iterator[Guard]:
    """Yield the policies of the stack that decide about the calls of this resource's handlers."""
    kind, properties = resources[name]["Type"], resources[name].get("Properties", {})
    services = {
        "AWS::DynamoDB::Table": ("dynamodb", {}),
        "AWS::Logs::LogGroup": ("logs", _log_group_context(properties)),
        "AWS::StepFunctions::StateMachine": ("states", _history_context(properties)),
    }
    service, context = services.get(kind, ("", {}))
    via = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com", "kms:CallerAccount": ACCOUNT, **context}
    named = json.dumps(properties.get(ENCRYPTS.get(kind, ""), ""))
    for key, declared in of_type(resources, "AWS::KMS::Key"):
        if name == key:
            yield Guard(key, declared["KeyPolicy"], arn("kms", f"key/{key}"), "kms", {"kms:CallerAccount": ACCOUNT})
        elif f":key/{key}" in named:
            yield Guard(key, declared["KeyPolicy"], arn("kms", f"key/{key}"), "kms", via)
    if kind == "AWS::DynamoDB::Table" and "ResourcePolicy" in properties:
        own = arn("dynamodb", f"table/{properties['TableName']}")
        by_cloudformation = {"aws:CalledVia": ["cloudformation.amazonaws.com"]}
        yield Guard(name, properties["ResourcePolicy"]["PolicyDocument"], own, "dynamodb", by_cloudformation)
    for policed, policy in of_type(resources, "AWS::S3::BucketPolicy"):
        if name == policed or (kind == "AWS::S3::Bucket" and name.lower() == policy["Bucket"]):
            own, by_deployer = (
                f"arn:aws:s3:::{policy['Bucket']}",
                {
                    "aws:CalledVia": ["cloudformation.amazonaws.com"],
                    "aws:SecureTransport": "true",
                },
            )
            yield Guard(policed, policy["PolicyDocument"], own, "s3", by_deployer)
    for policed, policy in of_type(resources, "AWS::SQS::QueuePolicy"):
        of_this = name == policed or (kind == "AWS::SQS::Queue" and properties.get("QueueName") in policy["Queues"])
        if of_this:
            for queue in policy["Queues"]:
                over_tls = {"aws:SecureTransport": "true"}
                yield Guard(policed, policy["PolicyDocument"], arn("sqs", queue), "sqs", over_tls)


def _history_context(properties: Mapping[str, Any]) -> dict[str, Any]:
    name = properties.get("StateMachineName", "")
    return {"kms:EncryptionContext:aws:states:stateMachineArn": THIS_WORKFLOW.replace(":PaymentLedger", f":{name}")}


def _log_group_context(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"kms:EncryptionContext:aws:logs:arn": arn("logs", f"log-group:{properties.get('LogGroupName')}")}


def denied_handlers(resources: Resources, evaluator: Evaluator, counts: dict[str, int]) -> Iterator[str]:
    """Yield each permission that a handler needs and that a policy of the stack denies to the deployer."""
    for name, resource in resources.items():
        kind = resource["Type"]
        handlers = schema(kind).get("handlers", {})
        permissions = [permission for handler in handlers.values() for permission in handler["permissions"]]
        calls_kms = any(permission.startswith("kms:") for permission in permissions)
        if calls_kms and kind not in ENCRYPTS and kind != "AWS::KMS::Key":
            yield f"{name}: ENCRYPTS does not say which property of {kind} names its key"
        for guard in guards(resources, name):
            for handler in HANDLERS:
                if handler in handlers:
                    counts["handlers"] = counts.get("handlers", 0) + 1
                    beyond = BEYOND_THE_SCHEMA.get(kind, []) if handler in {"create", "update"} else []
                    needed = handlers[handler]["permissions"] + beyond
                    yield from _denied(name, resource, handler, needed, guard, evaluator)


def _denied(
    name: str, resource: Mapping[str, Any], handler: str, needed: list[str], guard: Guard, evaluator: Evaluator
) -> Iterator[str]:
    properties = resource.get("Properties", {})
    actions = sorted(
        {
            action
            for action in needed
            if action.startswith(f"{guard.service}:")
            and action not in NEVER_CALLED
            and CALLED_ONLY_FOR.get((resource["Type"], action), "Type") in {"Type", *properties}
        }
    )
    lines = evaluator.lines(
        layer="resource",
        report="denied",
        alone=False,
        policies=[guard.policy],
        principals=[person("deployer")],
        services=[guard.service],
        only=actions,
        arns=[guard.arn],
        contexts=[NONE, {"name": "as-deployer", "keys": dict(guard.context)}],
    )
    # An action that does not know the context's keys is tried without them, and its line ends with `any`. An action
    # that does not exist for this kind of resource is not tried.
    denied = {line.split()[1] for line in lines if line.split()[3] in {"any", "as-deployer"}}
    for action in sorted(denied):
        yield f"{name}: {handler} needs {action}, and {_who_denies(guard, action)}"


def _who_denies(guard: Guard, action: str) -> str:
    denying = [
        statement.get("Sid", "a statement without a Sid")
        for statement in guard.policy["Statement"]
        if statement["Effect"] == "Deny" and action in as_list(statement["Action"])
    ]
    return f"{guard.name} denies it by {', '.join(denying)}" if denying else f"no statement of {guard.name} allows it"
