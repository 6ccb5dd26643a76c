"""CloudFormation's schemas of resource types, which cfn-lint ships, and what follows from them."""

import functools
from collections.abc import Mapping
from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from tests.proof.resolved import REGION


@functools.cache
def schema(kind: str) -> Mapping[str, Any]:
    """Return CloudFormation's schema of a resource type. Source: the CloudFormation registry, through cfn-lint."""
    found: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return found


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
"""The property that must be unique, for types whose identifier AWS chooses itself."""


def unique_name(resource: Mapping[str, Any]) -> Any:
    """Return the name that no second resource may have, or None if AWS chooses the name."""
    kind, properties = resource["Type"], resource.get("Properties", {})
    identifier = [pointer.rpartition("/")[2] for pointer in schema(kind)["primaryIdentifier"]]
    return properties.get(UNIQUE.get(kind, identifier[0] if len(identifier) == 1 else ""))
