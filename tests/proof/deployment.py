"""What AWS does with the stack when it is created, changed, fails to be created, and is removed.

Each function yields one line for each thing that must not be. CloudFormation's resource schemas, which cfn-lint ships,
say which permissions the handlers of a resource type need from the principal that deploys, and which properties make
CloudFormation replace a resource. `docs/concepts/security.md` says what that proves.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from ledger_cli import ROOT
from ledger_cli.engine import template
from tests.proof.conftest import PARAMETERS
from tests.proof.evaluator import Evaluator
from tests.proof.policies import NONE, THIS_WORKFLOW, Resources, as_list, of_type, person
from tests.proof.resolved import ACCOUNT, REGION, Resolver, arn
from tools import scale

PAGE = ROOT / "docs/operate/deploying.md"
EVERYTHING = "everything optional"
HANDLERS = ("create", "read", "update", "delete")
Change = Literal["Add", "Modify", "Replace", "Remove"]


@functools.cache
def schema(kind: str) -> Mapping[str, Any]:
    """Return CloudFormation's schema of a resource type. Source: the CloudFormation registry, through cfn-lint."""
    found: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return found


@functools.cache
def configurations() -> dict[str, dict[str, str]]:
    """Return the parameters of each stack that is judged: samconfig's sections, and every optional part off and on."""
    samconfig, declared = scale.SAMCONFIG.read_text(), template.load(ROOT / "template.yaml")
    found = {deployment.name: dict(deployment.given) for deployment in scale.deployments(samconfig, declared)}
    return {**found, "nothing optional": {}, EVERYTHING: PARAMETERS}


# ── Create and update ───────────────────────────────────────────────────────────────────────────────

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
"""What else the caller of a create or update handler needs.

Source: CloudWatch Logs User Guide, Encrypt log data using AWS KMS.
"""

CALLED_ONLY_FOR = {
    ("AWS::DynamoDB::Table", "dynamodb:UpdateTimeToLive"): "TimeToLiveSpecification",
    ("AWS::DynamoDB::Table", "dynamodb:BatchWriteItem"): "ImportSourceSpecification",
    ("AWS::DynamoDB::Table", "dynamodb:DeleteItem"): "ImportSourceSpecification",
    ("AWS::DynamoDB::Table", "dynamodb:PutItem"): "ImportSourceSpecification",
    ("AWS::DynamoDB::Table", "dynamodb:UpdateItem"): "ImportSourceSpecification",
}
"""Permissions that a handler needs only if the resource has a property: an import writes items, an expiry is set."""

NEVER_CALLED = frozenset({"kms:DisableKeyRotation"})
"""The update handler calls it when a template turns the rotation off; no key of this stack lets anybody do that."""


class Guard(NamedTuple):
    """A resource-based policy that a handler's calls meet, and the condition keys that come with them."""

    name: str
    policy: Mapping[str, Any]
    arn: str
    service: str
    context: Mapping[str, Any]


def guards(resources: Resources, name: str) -> Iterator[Guard]:
    """Yield the policies of the stack that decide about calls of this resource's handlers."""
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
    """Yield each permission that a handler needs and a policy of the stack denies to an administrator who deploys."""
    for name, resource in resources.items():
        kind = resource["Type"]
        handlers = schema(kind).get("handlers", {})
        calls_kms = any(one.startswith("kms:") for handler in handlers.values() for one in handler["permissions"])
        if calls_kms and kind not in ENCRYPTS and kind != "AWS::KMS::Key":
            yield f"{name}: nothing says which property of {kind} names its key"
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
    # An action that does not know the keys of the context is tried without them, which is `any`. One that is not on
    # this kind of resource is not tried.
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


# ── Change ──────────────────────────────────────────────────────────────────────────────────────────

HOLDS_DATA = ("AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::SQS::Queue")

UNIQUE = {
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::EC2::Subnet": "CidrBlock",  # two subnets of one VPC may not overlap
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::Lambda::Alias": "Name",
    "AWS::SQS::Queue": "QueueName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
    "AWS::StepFunctions::StateMachineAlias": "Name",
}
"""The property that only one resource may have at a time, of types whose identifier AWS makes itself."""


def unique_name(resource: Mapping[str, Any]) -> Any:
    """Return the name that no second resource may have, or None if AWS chooses one."""
    kind, properties = resource["Type"], resource.get("Properties", {})
    identifier = [pointer.rpartition("/")[2] for pointer in schema(kind)["primaryIdentifier"]]
    return properties.get(UNIQUE.get(kind, identifier[0] if len(identifier) == 1 else ""))


class ChangeSet(NamedTuple):
    """What an update does with each resource that it touches, and the resources after it."""

    changes: Mapping[str, Change]
    after: Resources


def change_set(
    before: Resources,
    expanded: Mapping[str, Any],
    parameters: Mapping[str, str],
    replaced: frozenset[str] = frozenset(),
) -> ChangeSet:
    """Return what CloudFormation does to get from *before* to this template; it replaces *replaced* in any case.

    A replaced resource gets another ID, which changes the resources that refer to it. So the change set is computed
    again until no further resource is replaced. Source: CloudFormation User Guide, update behaviors of stack resources.
    """
    forced: Mapping[str, Change] = dict.fromkeys(replaced, "Replace")
    for _ in range(len(expanded["Resources"]) + 1):
        after = Resolver(expanded, parameters, replaced).resources()
        changes = {name: _change(before.get(name), after.get(name)) for name in before.keys() | after.keys()} | forced
        # A workflow that is modified keeps its ARN, and has another revision, to which its version refers.
        now = replaced | {
            name
            for name, change in changes.items()
            if change == "Replace" or (change == "Modify" and after[name]["Type"] == "AWS::StepFunctions::StateMachine")
        }
        if now == replaced:
            return ChangeSet({name: change for name, change in changes.items() if change}, after)
        replaced = frozenset(now)
    raise AssertionError("the change set does not come to an end")


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
    """Yield what a change set would replace or remove although it holds data, or cannot replace under its name."""
    for name, change in done.changes.items():
        if change in {"Replace", "Remove"} and before[name]["Type"] in HOLDS_DATA:
            yield f"{name}: {change} of what holds data"
        if change == "Replace":
            taken = unique_name(before[name])
            if taken is not None and taken == unique_name(done.after[name]):
                yield f"{name}: replaced while its name {taken} is taken"


def not_live_after_a_change(before: Resources, done: ChangeSet) -> Iterator[str]:
    """Yield each function whose alias keeps what was changed, or whose version Lambda refuses to publish."""
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
            yield f"{name}: changed, and its alias keeps the version from before"
        if published and _undescribed(before[name]["Properties"]) == _undescribed(function):
            yield f"{name}: unchanged but for its description, and Lambda publishes no version of an unchanged function"
        if not published:
            gone = [
                endpoint
                for endpoint, change in done.changes.items()
                if change in {"Replace", "Remove"} and f"//vpce-{endpoint}." in json.dumps(before[name])
            ]
            yield from (f"{name}: its live version calls {endpoint}, which is deleted" for endpoint in gone)
    versions_of_the_workflow = [name for name, _ in of_type(done.after, "AWS::StepFunctions::StateMachineVersion")]
    for name, _ in of_type(done.after, "AWS::StepFunctions::StateMachine"):
        if done.changes.get(name) == "Modify" and not any(
            done.changes.get(version) in {"Add", "Replace"} for version in versions_of_the_workflow
        ):
            yield f"{name}: changed, and its alias keeps the version from before"


NOT_IN_A_VERSION = ("Description", "ReservedConcurrentExecutions", "Tags")
"""Properties of a function that change nothing of what PublishVersion compares, or are no part of a version."""


def _versioned(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name != "ReservedConcurrentExecutions"}


def _undescribed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name not in NOT_IN_A_VERSION}


ANOTHER = {
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:others",
    "BreakGlassRoleArn": "arn:aws:iam::123456789012:role/another",
    "DefaultCurrency": "EUR",
    "RepublishAfterMinutes": "7",
    "Suffix": "-other",
    "WebhookConcurrency": "50",
}
"""Another value of each parameter that has no list of allowed ones."""

OWN_VPC = {"OwnVpcId": "vpc-0aaaaaaaaaaaaaaaa", "OwnSubnetA": "subnet-0aaaaaaa", "OwnSubnetB": "subnet-0bbbbbbb"}

TOGETHER = {"OwnVpc": OWN_VPC, "Zones": {"ZoneA": "us-east-1c", "ZoneB": "us-east-1d"}}
"""Parameters that a rule of the template lets change only together."""


def other_values(declared: Mapping[str, Any], parameters: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a change of each parameter, with the parameters' names."""
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
"""What an operator edits of a function in the template."""


WORKFLOW_EDITS: Mapping[str, Any] = {
    "DefinitionS3Location": "another.asl.json",
    "RoleArn": {"Fn::GetAtt": ["DeploymentRole", "Arn"]},
}


def edited(source: Mapping[str, Any], kind: str, name: str, value: Any) -> dict[str, Any]:
    """Return the template as it is written, with one property of each resource of a type edited."""
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
    if unchangeable != {"Suffix", "Zones"}:  # docs/operate/deploying.md says so
        yield f"parameters that cannot change on a living stack: {sorted(unchangeable)}"
    yield from _faults_of_edits(source, stacks[EVERYTHING], deployed[EVERYTHING], counts)


def _faults_of_other_ids(
    stack: str,
    before: Resources,
    expanded: Mapping[str, Any],
    parameters: Mapping[str, str],
    counts: dict[str, int],
) -> Iterator[str]:
    """Replace each resource of the network for its own sake, as an edit of a property that cannot change would."""
    for name, resource in before.items():
        if resource["Type"] in {"AWS::EC2::SecurityGroup", "AWS::EC2::Subnet", "AWS::EC2::VPCEndpoint"}:
            counts["changes"] += 1
            done = change_set(before, expanded, parameters, frozenset({name}))
            yield from (f"{stack}, another {name}: {fault}" for fault in not_live_after_a_change(before, done))
            if resource["Type"] != "AWS::EC2::Subnet":  # its addresses are its name: docs/operate/deploying.md says so
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


# ── Fail and try again, remove ──────────────────────────────────────────────────────────────────────


def references(part: Any) -> set[str]:
    """Return the names that a part of a template refers to."""
    if isinstance(part, list):
        return {name for one in part for name in references(one)}
    if not isinstance(part, dict):
        return set()
    found = {name for key, value in part.items() if key != "Fn::Sub" for name in references(value)}
    if isinstance(part.get("Ref"), str):
        found.add(part["Ref"])
    if "Fn::GetAtt" in part:
        attribute = part["Fn::GetAtt"]
        found.add(attribute[0] if isinstance(attribute, list) else attribute.partition(".")[0])
    if "Fn::Sub" in part:
        text, own = part["Fn::Sub"] if isinstance(part["Fn::Sub"], list) else (part["Fn::Sub"], {})
        found |= {name.partition(".")[0] for name in re.findall(r"\$\{([\w.]+)\}", text)} | references(own)
    found |= set(as_list(part["DependsOn"])) if isinstance(part.get("DependsOn"), (str, list)) else set()
    return found


def created_before(needs: Mapping[str, set[str]], failed: str) -> set[str]:
    """Return what may exist when the creation of *failed* fails: everything that does not wait for it."""
    waiting = {failed}
    while more := {name for name, needed in needs.items() if needed & waiting} - waiting:
        waiting |= more
    return needs.keys() - waiting


def faults_of_failures(
    expanded: Mapping[str, Any], parameters: Mapping[str, str], counts: dict[str, int]
) -> Iterator[str]:
    """Yield what a creation that fails leaves behind, unless the page has the command that removes it."""
    page = PAGE.read_text().partition("## A first deployment that failed")[2].partition("\n## ")[0]
    declared = template.created_resources(expanded, Resolver(expanded, parameters).parameters)
    resources = Resolver(expanded, parameters).resources()
    needs = {name: references(resource) & declared.keys() for name, resource in declared.items()}
    found = set()
    for failed in declared:
        counts["failures"] = counts.get("failures", 0) + 1
        for name in created_before(needs, failed) - found:
            resource = resources[name]
            protected = resource["Properties"].get("DeletionProtectionEnabled")
            if (protected or resource.get("DeletionPolicy") == "Retain") and resource["Type"] not in scale.VERSIONS:
                found.add(name)
    commands = ("--no-deletion-protection-enabled", "aws dynamodb delete-table")
    for name, version in declared.items():
        if version["Type"] == "AWS::Lambda::Version":
            counts["failures"] += 1
            if version.get("DeletionPolicy") != "Delete":
                yield f"{name}: stays after a release that rolled back, and Lambda publishes no second one of its code"
    for name in sorted(found):
        if resources[name]["Type"] != "AWS::DynamoDB::Table" or not all(command in page for command in commands):
            yield f"{name}: stays after a creation that failed, and nothing says how to remove it"


def faults_of_a_removal(resources: Resources) -> Iterator[str]:
    """Yield what survives or blocks the removal of the stack, unless the page names it."""
    page = PAGE.read_text().partition("## Remove the stack")[2].partition("\n## ")[0]
    attached = {one for _, role in of_type(resources, "AWS::IAM::Role") for one in role.get("ManagedPolicyArns", [])}
    for name, resource in resources.items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if resource.get("DeletionPolicy") in scale.RETAINING and kind not in scale.VERSIONS:
            words = {"AWS::KMS::Key": "keys", "AWS::Logs::LogGroup": "log groups"}
            if words.get(kind, str(unique_name(resource))) not in page:
                yield f"{name}: survives the stack, and the page does not say so"
        if kind == "AWS::DynamoDB::Table" and resource.get("DeletionPolicy") != "Retain":
            yield f"{name}: goes with the stack"
        if kind == "AWS::Events::EventBus" and properties["Name"] not in page:
            yield f"{name}: cannot be deleted while it has rules of others, and the page does not say so"
        if kind == "AWS::Events::Archive" and name not in page:
            yield f"{name}: goes with the stack, and the page does not say so"
        outside = kind == "AWS::IAM::ManagedPolicy" and arn("iam", f"policy/{name}", region="") not in attached
        if outside and str(properties.get("ManagedPolicyName")) not in page:
            yield f"{name}: cannot be deleted while it is attached, and the page does not say so"


MAX_DESCRIPTION_CHARACTERS = 256
"""Source: Lambda API, CreateFunction and PublishVersion."""

ID_CHARACTERS = {"AWS::EC2::VPCEndpoint": 22, "AWS::EC2::SecurityGroup": 20, "AWS::EC2::Subnet": 24}


def long_descriptions(expanded: Mapping[str, Any], resources: Resources) -> Iterator[str]:
    """Yield each function whose description would be too long with the IDs that AWS makes."""
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        words = function["Description"].split(" ")
        kinds = [expanded["Resources"].get(word.partition(".")[0], {}).get("Type") for word in words]
        characters = sum(ID_CHARACTERS.get(kind, len(word)) + 1 for word, kind in zip(words, kinds, strict=True))
        if characters > MAX_DESCRIPTION_CHARACTERS:
            yield f"{name}: its description may have {characters} characters"


# ── All of it ───────────────────────────────────────────────────────────────────────────────────────


def faults_of_a_stack(
    expanded: Mapping[str, Any], parameters: Mapping[str, str], evaluator: Evaluator, counts: dict[str, int]
) -> Iterator[str]:
    """Yield what AWS would refuse or leave behind when this stack is created, updated and removed."""
    resources = Resolver(expanded, parameters).resources()
    yield from denied_handlers(resources, evaluator, counts)
    yield from faults_of_failures(expanded, parameters, counts)
    yield from faults_of_a_removal(resources)
    yield from long_descriptions(expanded, resources)
