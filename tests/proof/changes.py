"""What CloudFormation does to the stack when a parameter, an ID or the template changes, and what goes wrong then."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from ledger_cli.engine import template
from tests.proof.parameters import EVERYTHING
from tests.proof.policies import Resources, of_type
from tests.proof.resolved import Resolver, arn
from tests.proof.resource_types import schema, unique_name

HOLDS_DATA = ("AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::S3::Bucket", "AWS::SQS::Queue")

Change = Literal["Add", "Modify", "Replace", "Remove"]


class ChangeSet(NamedTuple):
    """The change that an update makes to each resource that it touches, and the resources after it."""

    changes: Mapping[str, Change]
    after: Resources


def change_set(
    before: Resources,
    expanded: Mapping[str, Any],
    parameters: Mapping[str, str],
    replaced: frozenset[str] = frozenset(),
) -> ChangeSet:
    """Return the change set by which CloudFormation gets from *before* to this template and replaces *replaced*.

    A replaced resource gets another ID, which changes the resources that refer to it. So the change set is computed
    again until it replaces no further resource. Source: CloudFormation User Guide, update behaviors of stack resources.
    """
    forced: dict[str, Change | None] = dict.fromkeys(replaced, "Replace")
    for _ in range(len(expanded["Resources"]) + 1):
        after = Resolver(expanded, parameters, replaced).resources()
        changes = {name: _change(before.get(name), after.get(name)) for name in before.keys() | after.keys()} | forced
        # A modified workflow keeps its ARN and gets another revision ID, to which its version refers.
        now = replaced | {
            name
            for name, change in changes.items()
            if change == "Replace" or (change == "Modify" and after[name]["Type"] == "AWS::StepFunctions::StateMachine")
        }
        if now == replaced:
            return ChangeSet({name: change for name, change in changes.items() if change}, after)
        replaced = frozenset(now)
    raise AssertionError("the change set does not become stable")


def _change(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Change | None:
    if before is None or after is None:
        return "Add" if after else "Remove"
    old, new = before.get("Properties", {}), after.get("Properties", {})
    if before["Type"] != after["Type"]:
        return "Replace"
    described = schema(before["Type"])
    replacing = described.get("createOnlyProperties", []) + described.get("conditionalCreateOnlyProperties", [])
    if any(_at(old, pointer) != _at(new, pointer) for pointer in replacing):
        return "Replace"
    return "Modify" if old != new else None


def _at(properties: Any, pointer: str) -> Any:
    for step in pointer.removeprefix("/properties/").split("/"):
        properties = properties.get(step) if isinstance(properties, dict) else None
    return properties


def lost_by_a_change(before: Resources, done: ChangeSet) -> Iterator[str]:
    """Yield each resource that a change set loses although it holds data, or cannot replace because of its name."""
    for name, change in done.changes.items():
        if change in {"Replace", "Remove"} and before[name]["Type"] in HOLDS_DATA:
            yield f"{name}: {change}, although it holds data"
        if change == "Replace":
            taken = unique_name(before[name])
            if taken is not None and taken == unique_name(done.after[name]):
                yield f"{name}: Replace, although its name {taken} is still taken"


def not_live_after_a_change(before: Resources, done: ChangeSet) -> Iterator[str]:
    """Yield each function and workflow whose change does not reach its alias, or that Lambda cannot publish."""
    for name, function in of_type(done.after, "AWS::Lambda::Function"):
        if name not in before:
            continue
        versions = [
            version
            for version, properties in of_type(done.after, "AWS::Lambda::Version")
            if properties["FunctionName"] == function["FunctionName"]
        ]
        published = bool(versions) and all(done.changes.get(version) in {"Add", "Replace"} for version in versions)
        if name in done.changes and not published and _versioned(before[name]["Properties"]) != _versioned(function):
            yield f"{name}: changed, and its alias keeps the previous version"
        if published and _undescribed(before[name]["Properties"]) == _undescribed(function):
            yield f"{name}: only its description changed, and Lambda publishes no version of an unchanged function"
        if not published:
            deleted = [
                endpoint
                for endpoint, change in done.changes.items()
                if change in {"Replace", "Remove"} and f"vpce-{endpoint}." in json.dumps(before[name])
            ]
            yield from (f"{name}: its live version calls {endpoint}, which is deleted" for endpoint in deleted)
    for name, workflow in of_type(done.after, "AWS::StepFunctions::StateMachine"):
        own = arn("states", f"stateMachine:{workflow['StateMachineName']}")
        versions = [
            version
            for version, properties in of_type(done.after, "AWS::StepFunctions::StateMachineVersion")
            if properties["StateMachineArn"] == own
        ]
        if done.changes.get(name) == "Modify" and not any(
            done.changes.get(version) in {"Add", "Replace"} for version in versions
        ):
            yield f"{name}: changed, and its alias keeps the previous version"


NOT_IN_A_VERSION = ("Description", "ReservedConcurrentExecutions", "Tags")
"""Properties of a function that PublishVersion does not compare, or that are not part of a version."""


def _versioned(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name != "ReservedConcurrentExecutions"}


def _undescribed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name not in NOT_IN_A_VERSION}


ANOTHER = {
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:others",
    "BreakGlassRoleArn": "arn:aws:iam::123456789012:role/another",
    "CheckpointYears": "7",
    "DefaultCurrency": "EUR",
    "PartnerProcessor": "another",
    "PartnerSource": "aws.partner/stripe.com/ed_1Another",
    "RepublishAfterMinutes": "7",
    "Suffix": "-other",
    "WebhookConcurrency": "50",
}
"""Another value of each parameter that has no list of allowed values."""

OWN_VPC = {"OwnVpcId": "vpc-0aaaaaaaaaaaaaaaa", "OwnSubnetA": "subnet-0aaaaaaa", "OwnSubnetB": "subnet-0bbbbbbb"}

TOGETHER = {"OwnVpc": OWN_VPC, "Zones": {"ZoneA": "us-east-1c", "ZoneB": "us-east-1d"}}
"""Parameters that a rule of the template allows to change only together."""


def other_values(declared: Mapping[str, Any], parameters: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each change of a parameter: its name, and all parameters after the change."""
    together = {name for values in TOGETHER.values() for name in values}
    for name in declared.keys() - together:
        current = str(parameters.get(name, declared[name].get("Default")))
        others = [str(value) for value in declared[name].get("AllowedValues", [])] or [ANOTHER[name]]
        yield from ((name, {**parameters, name: value}) for value in others if value != current)
    for group, values in TOGETHER.items():
        yield group, {**parameters, **values}


EDITS: Mapping[str, Any] = {
    "CodeUri": "s3://embedded-engine/others",
    "Environment": {"Variables": {"POWERTOOLS_LOG_LEVEL": "DEBUG"}},
    "MemorySize": 512,
    "Role": {"Fn::GetAtt": ["DeploymentRole", "Arn"]},
    "Runtime": "python3.14",
    "Timeout": 21,
    "Tracing": "PassThrough",
    "VpcConfig": {"SecurityGroupIds": [{"Ref": "EndpointsSecurityGroup"}], "SubnetIds": [{"Ref": "PrivateSubnetA"}]},
}
"""Edits of a function's properties that an operator may make in the template."""

WORKFLOW_EDITS: Mapping[str, Any] = {
    "DefinitionS3Location": "another.asl.json",
    "RoleArn": {"Fn::GetAtt": ["DeploymentRole", "Arn"]},
}
"""Edits of the workflows' properties that an operator may make in the template."""


def edited(source: Mapping[str, Any], kind: str, name: str, value: Any) -> dict[str, Any]:
    """Return the source template with one property of each resource of this type edited."""
    resources = {
        logical: {**resource, "Properties": {**resource["Properties"], name: value}}
        if resource["Type"] == kind
        else resource
        for logical, resource in source["Resources"].items()
    }
    return {**source, "Resources": resources}


def faults_of_changes(
    source: Mapping[str, Any], stacks: Mapping[str, Mapping[str, str]], counts: dict[str, int]
) -> Iterator[str]:
    """Yield what goes wrong when a parameter or an ID changes, or when an operator edits the template."""
    counts["changes"] = 0
    unchangeable, deployed = set(), {}
    for stack, parameters in stacks.items():
        expanded = template.transformed(source, parameters)
        deployed[stack] = before = Resolver(expanded, parameters).resources()
        for name, changed in other_values(source["Parameters"], parameters):
            counts["changes"] += 1
            done = change_set(before, expanded, changed)
            if next(lost_by_a_change(before, done), None):
                unchangeable.add(name)
            yield from (f"{stack}, another {name}: {fault}" for fault in not_live_after_a_change(before, done))
        yield from _faults_of_other_ids(stack, before, expanded, parameters, counts)
        in_own_vpc = {**parameters, **OWN_VPC}
        inside = Resolver(expanded, in_own_vpc).resources()
        for name in ("OwnSubnetA", "OwnSubnetB"):
            counts["changes"] += 1
            done = change_set(inside, expanded, {**in_own_vpc, name: "subnet-0ccccccc"})
            faults = [*lost_by_a_change(inside, done), *not_live_after_a_change(inside, done)]
            yield from (f"{stack}, another {name}: {fault}" for fault in faults)
    if unchangeable != {"PartnerSource", "Suffix", "Zones"}:  # docs/operate/deploying.md says so
        yield f"parameters that cannot change on a living stack: {sorted(unchangeable)}"
    yield from _faults_of_edits(source, stacks[EVERYTHING], deployed[EVERYTHING], counts)


def _faults_of_other_ids(
    stack: str,
    before: Resources,
    expanded: Mapping[str, Any],
    parameters: Mapping[str, str],
    counts: dict[str, int],
) -> Iterator[str]:
    """Yield what goes wrong when CloudFormation replaces a resource of the network, one after the other."""
    for name, resource in before.items():
        if resource["Type"] in {"AWS::EC2::SecurityGroup", "AWS::EC2::Subnet", "AWS::EC2::VPCEndpoint"}:
            counts["changes"] += 1
            done = change_set(before, expanded, parameters, frozenset({name}))
            yield from (f"{stack}, another {name}: {fault}" for fault in not_live_after_a_change(before, done))
            # A subnet is unique by its addresses, so it cannot be replaced: docs/operate/deploying.md says so.
            if resource["Type"] != "AWS::EC2::Subnet":
                yield from (f"{stack}, another {name}: {fault}" for fault in lost_by_a_change(before, done))


def _faults_of_edits(
    source: Mapping[str, Any], parameters: Mapping[str, str], before: Resources, counts: dict[str, int]
) -> Iterator[str]:
    for kind, edits in (("AWS::Serverless::Function", EDITS), ("AWS::StepFunctions::StateMachine", WORKFLOW_EDITS)):
        for name, value in edits.items():
            after = edited(source, kind, name, value)
            counts["changes"] += sum(resource["Type"] == kind for resource in source["Resources"].values())
            done = change_set(before, template.transformed(after, parameters), parameters)
            faults = [*lost_by_a_change(before, done), *not_live_after_a_change(before, done)]
            yield from (f"another {name}: {fault}" for fault in faults)
