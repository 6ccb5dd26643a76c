"""The expanded template with every reference resolved, as CloudFormation resolves it to create the resources."""

import re
from collections.abc import Mapping
from typing import Any

from ledger_cli.engine.parameters import holds
from ledger_cli.engine.template import created_resources

REGION, ACCOUNT, PARTITION = "us-east-1", "123456789012", "aws"
NO_VALUE = object()

PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": NO_VALUE,
    "AWS::Partition": PARTITION,
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:{PARTITION}:cloudformation:{REGION}:{ACCOUNT}:stack/payment-ledger/1",
    "AWS::StackName": "payment-ledger",
    "AWS::URLSuffix": "amazonaws.com",
}


def arn(service: str, resource: str, *, region: str = REGION) -> str:
    """Return an ARN of this account."""
    return f"arn:{PARTITION}:{service}:{region}:{ACCOUNT}:{resource}"


class Resolver:
    """A resolver of one expanded template with one set of parameters.

    AWS chooses the ID of a resource that has no name of its own. Here the ID is the resource's logical name. A resource
    in *replaced* has another ID, as it has after a change that replaces it.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str] | None = None,
        replaced: frozenset[str] = frozenset(),
    ) -> None:
        self.replaced = replaced
        declared = template.get("Parameters", {})
        self.template = template
        self.parameters = {name: str(spec.get("Default", "")) for name, spec in declared.items()} | dict(
            parameters or {}
        )

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return every resource whose condition holds, resolved."""
        return {
            name: self.value({key: part for key, part in resource.items() if key != "Condition"})
            for name, resource in created_resources(self.template, self.parameters).items()
        }

    def value(self, part: Any) -> Any:
        """Return *part* with every intrinsic function in it evaluated."""
        if isinstance(part, list):
            return [value for value in map(self.value, part) if value is not NO_VALUE]
        if not isinstance(part, dict):
            return part
        if len(part) == 1:
            ((name, arguments),) = part.items()
            if name == "Ref":
                return self.ref(arguments)
            if name.startswith("Fn::"):
                return self.function(name, arguments)
        resolved = {key: self.value(value) for key, value in part.items()}
        return {key: value for key, value in resolved.items() if value is not NO_VALUE}

    def function(self, name: str, arguments: Any) -> Any:
        """Return the value of one intrinsic function, of those that the template uses."""
        if name == "Fn::If":
            condition, then, otherwise = arguments
            return self.value(then if holds(condition, self.parameters, self.template["Conditions"]) else otherwise)
        if name == "Fn::Sub":
            text, own = arguments if isinstance(arguments, list) else (arguments, {})
            return re.sub(r"\$\{([\w.:]+)\}", lambda match: str(self.variable(match[1], own)), text)
        if name == "Fn::GetAtt":
            return self.attribute(*(arguments if isinstance(arguments, list) else arguments.split(".", 1)))
        if name == "Fn::GetAZs":
            return [f"{REGION}a", f"{REGION}b", f"{REGION}c"]
        arguments = self.value(arguments)
        if name == "Fn::Join":
            return arguments[0].join(map(str, arguments[1]))
        if name == "Fn::Split":
            return arguments[1].split(arguments[0])
        if name == "Fn::Select":
            return arguments[1][int(arguments[0])]
        raise NotImplementedError(name)

    def variable(self, name: str, own: Mapping[str, Any]) -> Any:
        """Return the value of `${name}` in a `Fn::Sub`."""
        if name in own:
            return self.value(own[name])
        return self.attribute(*name.split(".", 1)) if "." in name else self.ref(name)

    def ref(self, name: str) -> Any:
        """Return the value of a `Ref`. Source: CloudFormation, each type's return values."""
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameters[name]
        resource = self.template["Resources"][name]
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Lambda::Alias":
            return f"{self.attribute(properties['FunctionName']['Ref'], 'Arn')}:{properties['Name']}"
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            return self.attribute(name, "Arn")
        if resource["Type"] == "AWS::StepFunctions::StateMachineAlias":
            version = resource["Properties"]["DeploymentPreference"]["StateMachineVersionArn"]["Ref"]
            machine = self.template["Resources"][version]["Properties"]["StateMachineArn"]["Ref"]
            return f"{self.attribute(machine, 'Arn')}:{properties['Name']}"
        if resource["Type"] == "AWS::S3::Bucket":  # the names of buckets have no capital letters
            return self.id_of(name).lower()
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            return arn("iam", f"policy/{name}", region="")
        named = {
            "AWS::CloudWatch::Alarm": "AlarmName",
            "AWS::CloudWatch::Dashboard": "DashboardName",
            "AWS::DynamoDB::Table": "TableName",
            "AWS::IAM::Role": "RoleName",
            "AWS::Lambda::Function": "FunctionName",
            "AWS::Logs::LogGroup": "LogGroupName",
            "AWS::SQS::Queue": "QueueName",
        }.get(resource["Type"])
        return self.value(properties[named]) if named else self.id_of(name)

    def id_of(self, name: str) -> str:
        """Return the ID that AWS has chosen for a resource."""
        return f"{name}-2" if name in self.replaced else name

    def rule(self, name: str) -> str:
        """Return a rule's name, behind the name of its bus if that is not the default one."""
        properties = self.template["Resources"][name]["Properties"]
        own = self.value(properties["Name"]) if "Name" in properties else self.id_of(name)
        return f"{self.value(properties['EventBusName'])}/{own}" if "EventBusName" in properties else own

    def attribute(self, name: str, attribute: str) -> Any:
        """Return the value of a `Fn::GetAtt`."""
        kind = self.template["Resources"][name]["Type"]
        properties = self.template["Resources"][name].get("Properties", {})
        if attribute == "DnsEntries":
            service = self.value(properties["ServiceName"]).rpartition(".")[2]
            any_label = "*." if service == "s3" else ""
            return [f"ZONE:{any_label}vpce-{self.id_of(name)}.{service}.{REGION}.vpce.amazonaws.com"]
        if attribute == "QueueName":
            return self.ref(name)
        if attribute != "Arn":
            return self.value(properties["Name"]) if attribute == "Name" else f"{self.id_of(name)}.{attribute}"
        return {
            "AWS::CloudWatch::Alarm": lambda: arn("cloudwatch", f"alarm:{self.ref(name)}"),
            "AWS::DynamoDB::Table": lambda: arn("dynamodb", f"table/{self.ref(name)}"),
            "AWS::Events::EventBus": lambda: arn("events", f"event-bus/{self.value(properties['Name'])}"),
            "AWS::Events::Rule": lambda: arn("events", f"rule/{self.rule(name)}"),
            "AWS::IAM::Role": lambda: arn("iam", f"role/{self.ref(name)}", region=""),
            "AWS::KMS::Key": lambda: arn("kms", f"key/{self.id_of(name)}"),
            "AWS::Lambda::Function": lambda: arn("lambda", f"function:{self.ref(name)}"),
            "AWS::Logs::LogGroup": lambda: arn("logs", f"log-group:{self.ref(name)}:*"),
            "AWS::S3::Bucket": lambda: f"arn:{PARTITION}:s3:::{self.id_of(name).lower()}",
            "AWS::SQS::Queue": lambda: arn("sqs", self.ref(name)),
            "AWS::StepFunctions::StateMachine": lambda: arn(
                "states", f"stateMachine:{self.value(properties['StateMachineName'])}"
            ),
        }[kind]()
