"""Templates with one fault each, as a hurried change, a bad merge or an attacker would make it."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.proof.policies import SERVICES, as_list

Template = Mapping[str, Any]
Mutant = tuple[str, Template]
Steps = Sequence[str | int]
"""The keys and indexes that lead to one part of a template."""

POLICIES = {
    "AWS::DynamoDB::Table": ["ResourcePolicy", "PolicyDocument"],
    "AWS::EC2::VPCEndpoint": ["PolicyDocument"],
    "AWS::IAM::ManagedPolicy": ["PolicyDocument"],
    "AWS::KMS::Key": ["KeyPolicy"],
    "AWS::S3::BucketPolicy": ["PolicyDocument"],
    "AWS::SQS::QueuePolicy": ["PolicyDocument"],
}

LOST = {
    "AWS::ApiGatewayV2::Stage": ["AccessLogSettings", "DefaultRouteSettings"],
    "AWS::CloudWatch::Alarm": ["AlarmActions", "AlarmDescription", "TreatMissingData"],
    "AWS::CodeDeploy::DeploymentGroup": ["AlarmConfiguration", "AutoRollbackConfiguration"],
    "AWS::DynamoDB::Table": [
        "BillingMode", "DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "ResourcePolicy",
        "SSESpecification", "StreamSpecification",
    ],
    "AWS::EC2::Subnet": ["MapPublicIpOnLaunch", "AvailabilityZone"],
    "AWS::EC2::SecurityGroup": ["SecurityGroupEgress"],
    "AWS::EC2::VPC": ["EnableDnsSupport", "EnableDnsHostnames"],
    "AWS::EC2::VPCEndpoint": ["PolicyDocument", "SecurityGroupIds", "VpcEndpointType", "PrivateDnsEnabled"],
    "AWS::KMS::Key": ["EnableKeyRotation", "KeySpec", "KeyUsage"],
    "AWS::Lambda::Function": ["VpcConfig", "TracingConfig", "LoggingConfig", "ReservedConcurrentExecutions"],
    "AWS::Lambda::Permission": ["SourceArn"],
    "AWS::Logs::LogGroup": ["KmsKeyId", "RetentionInDays"],
    "AWS::S3::Bucket": [
        "BucketEncryption", "ObjectLockConfiguration", "ObjectLockEnabled", "OwnershipControls",
        "PublicAccessBlockConfiguration", "VersioningConfiguration",
    ],
    "AWS::SQS::Queue": ["MessageRetentionPeriod", "SqsManagedSseEnabled"],
    "AWS::StepFunctions::StateMachine": [
        "EncryptionConfiguration", "LoggingConfiguration", "StateMachineName", "StateMachineType",
        "TracingConfiguration",
    ],
    "AWS::StepFunctions::StateMachineAlias": ["DeploymentPreference"],
}  # fmt: skip
"""Properties whose loss is a mutant, by the type of their resource."""

CHANGED: list[tuple[str, Steps, Any]] = [
    (
        "AWS::ApiGatewayV2::Api",
        ["Body", "paths", "/processors/{ProcessorID}/secrets"],
        {"get": {"x-amazon-apigateway-integration": {"uri": "arn:other"}}},
    ),
    ("AWS::ApiGatewayV2::Stage", ["DefaultRouteSettings", "ThrottlingRateLimit"], 10000),
    ("AWS::ApiGatewayV2::Stage", ["AccessLogSettings", "Format"], "$context.requestId"),
    ("AWS::Events::Archive", ["SourceArn"], {"Fn::GetAtt": ["PaymentsBus", "Arn"]}),
    ("AWS::Events::Rule", ["EventPattern"], {"source": ["acme-pay"]}),
    ("AWS::Events::Rule", ["EventBusName"], "payment-ledger"),
    ("AWS::Events::Rule", ["State"], "DISABLED"),
    ("AWS::Events::Rule", ["EventPattern"], {"detail-type": ["PaymentReceived"]}),
    ("AWS::Events::Rule", ["EventPattern"], {"detail-type": ["EntryReceived"]}),
    ("AWS::Events::Rule", ["Targets", 0, "Arn"], {"Ref": "PaymentLedgerWorkflow"}),
    ("AWS::Events::Rule", ["Targets", 0, "Arn"], {"Ref": "PaymentLedgerWorkflowAlias"}),
    ("AWS::Events::Rule", ["Targets", 0, "Arn"], {"Ref": "PaymentEntriesWorkflowAlias"}),
    ("AWS::Events::Rule", ["Targets", 0, "InputPath"], "$"),
    ("AWS::Events::Rule", ["Targets", 0, "RetryPolicy", "MaximumEventAgeInSeconds"], 60),
    ("AWS::Events::Rule", ["Targets", 0, "RoleArn"], {"Fn::GetAtt": ["PaymentLedgerWorkflowRole", "Arn"]}),
    ("AWS::CloudWatch::Alarm", ["Metrics", 0, "Expression"], "failed"),
    ("AWS::CloudWatch::Alarm", ["Metrics", 1, "MetricStat", "Metric", "Namespace"], "AWS/States"),
    ("AWS::CloudWatch::Alarm", ["DatapointsToAlarm"], 2),
    ("AWS::CloudWatch::Alarm", ["Dimensions"], []),
    ("AWS::CloudWatch::Alarm", ["EvaluationPeriods"], 288),
    ("AWS::CloudWatch::Alarm", ["MetricName"], "Another"),
    ("AWS::CloudWatch::Alarm", ["Metrics", 2, "MetricStat", "Period"], 3600),
    ("AWS::CloudWatch::Alarm", ["Metrics", 2, "MetricStat", "Stat"], "Maximum"),
    ("AWS::CloudWatch::Alarm", ["Namespace"], "AWS/Another"),
    ("AWS::CloudWatch::Alarm", ["Period"], 120),
    ("AWS::CloudWatch::Alarm", ["Statistic"], "Minimum"),
    ("AWS::CloudWatch::Alarm", ["Threshold"], 1_000_000),
    ("AWS::Lambda::EventInvokeConfig", ["MaximumRetryAttempts"], 2),
    ("AWS::Lambda::EventInvokeConfig", ["MaximumRetryAttempts"], 0),
    ("AWS::Lambda::EventInvokeConfig", ["MaximumEventAgeInSeconds"], 60),
    ("AWS::Lambda::EventInvokeConfig", ["DestinationConfig"], None),
    ("AWS::Events::EventBus", ["EventSourceName"], None),
    ("AWS::Events::EventBus", ["EventSourceName"], "aws.partner/stripe.com/another"),
    ("AWS::Events::Rule", ["EventPattern"], {"source": [{"prefix": "aws.partner/"}]}),
    ("AWS::Lambda::EventSourceMapping", ["BisectBatchOnFunctionError"], False),
    ("AWS::Lambda::EventSourceMapping", ["Enabled"], False),
    ("AWS::Lambda::EventSourceMapping", ["EventSourceArn"], {"Fn::GetAtt": ["PaymentLedgerTable", "StreamArn"]}),
    ("AWS::Lambda::EventSourceMapping", ["EventSourceArn"], {"Fn::GetAtt": ["PaymentEntriesTable", "StreamArn"]}),
    ("AWS::Lambda::EventSourceMapping", ["EventSourceArn"], {"Fn::GetAtt": ["PaymentSealsTable", "StreamArn"]}),
    ("AWS::Lambda::EventSourceMapping", ["FilterCriteria"], {"Filters": [{"Pattern": "{}"}]}),
    ("AWS::Lambda::EventSourceMapping", ["FunctionName"], {"Ref": "WatchLedger"}),
    ("AWS::Lambda::EventSourceMapping", ["MaximumRetryAttempts"], None),
    ("AWS::Lambda::EventSourceMapping", ["StartingPosition"], "LATEST"),
    ("AWS::DynamoDB::Table", ["StreamSpecification", "StreamViewType"], "NEW_IMAGE"),
    ("AWS::Logs::MetricFilter", ["FilterPattern"], '"[ERROR]"'),
    ("AWS::Logs::MetricFilter", ["LogGroupName"], {"Ref": "WebhookLogs"}),
    ("AWS::Logs::MetricFilter", ["MetricTransformations", 0, "DefaultValue"], 1),
    ("AWS::Logs::MetricFilter", ["MetricTransformations", 0, "MetricName"], "Errors"),
    ("AWS::Lambda::Permission", ["Principal"], "*"),
    ("AWS::Lambda::Permission", ["FunctionName"], {"Ref": "PersistPaymentLedger"}),
    ("AWS::DynamoDB::Table", ["TimeToLiveSpecification"], {"AttributeName": "Timestamp", "Enabled": True}),
    ("AWS::DynamoDB::Table", ["AttributeDefinitions", 1, "AttributeType"], "S"),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 0, "KeySchema", 0, "AttributeName"], "ProcessorID"),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 0, "Projection"], {"ProjectionType": "ALL"}),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 0, "Projection"], {"ProjectionType": "KEYS_ONLY"}),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 1, "Projection"], {"ProjectionType": "KEYS_ONLY"}),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 1, "KeySchema", 1, "AttributeName"], "Timestamp"),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 2, "KeySchema", 0, "AttributeName"], "Unpublished"),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 2, "KeySchema", 1, "AttributeName"], "Timestamp"),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 2, "Projection"], {"ProjectionType": "ALL"}),
    (
        "AWS::DynamoDB::Table",
        ["GlobalSecondaryIndexes", 2, "Projection"],
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["SecureToken"]},
    ),
    ("AWS::DynamoDB::Table", ["KeySchema"], [{"AttributeName": "TransactionID", "KeyType": "HASH"}]),
    (
        "AWS::DynamoDB::Table",
        ["KeySchema"],
        [{"AttributeName": "TransactionID", "KeyType": "HASH"}, {"AttributeName": "EntryID", "KeyType": "RANGE"}],
    ),
    (
        "AWS::DynamoDB::Table",
        ["KeySchema"],
        [{"AttributeName": "Log", "KeyType": "HASH"}, {"AttributeName": "Size", "KeyType": "RANGE"}],
    ),
    ("AWS::DynamoDB::Table", ["AttributeDefinitions", 1, "AttributeType"], "N"),
    ("AWS::DynamoDB::Table", ["TableName"], "Another"),
    ("AWS::DynamoDB::Table", ["GlobalSecondaryIndexes", 1, "KeySchema", 0, "AttributeName"], "Pending"),
    ("AWS::KMS::Key", ["Enabled"], False),
    ("AWS::KMS::Key", ["KeySpec"], "ECC_NIST_P256"),
    ("AWS::KMS::Key", ["KeyUsage"], "GENERATE_VERIFY_MAC"),
    ("AWS::KMS::Key", ["MultiRegion"], True),
    ("AWS::KMS::Key", ["Origin"], "EXTERNAL"),
    ("AWS::S3::Bucket", ["BucketName"], "checkpoints"),
    ("AWS::S3::Bucket", ["LifecycleConfiguration"], {"Rules": [{"Status": "Enabled", "ExpirationInDays": 1}]}),
    ("AWS::S3::Bucket", ["ObjectLockConfiguration", "Rule", "DefaultRetention", "Mode"], "GOVERNANCE"),
    ("AWS::S3::Bucket", ["ObjectLockConfiguration", "Rule", "DefaultRetention"], {"Mode": "COMPLIANCE", "Days": 10}),
    ("AWS::S3::Bucket", ["ObjectLockConfiguration", "Rule"], None),
    ("AWS::S3::Bucket", ["PublicAccessBlockConfiguration", "BlockPublicPolicy"], False),
    ("AWS::S3::Bucket", ["VersioningConfiguration", "Status"], "Suspended"),
    ("AWS::S3::BucketPolicy", ["Bucket"], "another"),
    ("AWS::EC2::FlowLog", ["TrafficType"], "REJECT"),
    ("AWS::EC2::SecurityGroup", ["SecurityGroupEgress", 0, "FromPort"], 0),
    ("AWS::EC2::SecurityGroup", ["SecurityGroupEgress"], [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]),
    (
        "AWS::EC2::SecurityGroup",
        ["SecurityGroupIngress"],
        [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}],
    ),
    ("AWS::EC2::SecurityGroupIngress", ["CidrIp"], "10.0.0.0/8"),
    ("AWS::EC2::Subnet", ["MapPublicIpOnLaunch"], True),
    ("AWS::EC2::SubnetRouteTableAssociation", ["SubnetId"], "another"),
    ("AWS::EC2::VPCEndpoint", ["SubnetIds"], [{"Ref": "PrivateSubnetA"}]),
    ("AWS::Events::Archive", ["EventPattern"], {"source": ["payment.ledger"], "detail-type": ["PaymentRecorded"]}),
    ("AWS::Lambda::Function", ["Role"], {"Fn::GetAtt": ["PaymentLedgerWorkflowRole", "Arn"]}),
    (
        "AWS::StepFunctions::StateMachine",
        ["LoggingConfiguration", "Destinations", 0, "CloudWatchLogsLogGroup", "LogGroupArn"],
        {"Fn::Join": [":", ["arn:aws:logs:us-east-1:123456789012:log-group", {"Ref": "PaymentLedgerWorkflowLogs"}]]},
    ),
    ("AWS::StepFunctions::StateMachineAlias", ["DeploymentPreference", "Alarms"], [{"Ref": "TechnicalFailuresAlarm"}]),
    ("AWS::StepFunctions::StateMachineAlias", ["DeploymentPreference", "Interval"], None),
    ("AWS::StepFunctions::StateMachineAlias", ["DeploymentPreference", "Percentage"], 90),
    ("AWS::Scheduler::Schedule", ["State"], "DISABLED"),
    ("AWS::Scheduler::Schedule", ["ScheduleExpression"], "rate(5 hours)"),
    *(
        ("AWS::Scheduler::Schedule", ["Target", "Arn"], named)
        for function in ("RepublishOutcomes", "SealLedger")
        for named in ({"Fn::GetAtt": [function, "Arn"]}, {"Ref": f"{function}Aliaslive"})
    ),
    *(
        ("AWS::Scheduler::Schedule", ["Target", "RoleArn"], {"Fn::GetAtt": [f"{role}Role", "Arn"]})
        for role in ("RepublishSchedule", "SealSchedule")
    ),
    ("AWS::Scheduler::Schedule", ["Target", "RetryPolicy", "MaximumRetryAttempts"], 185),
    ("AWS::Scheduler::Schedule", ["Target", "Input"], "{}"),
    ("AWS::StepFunctions::StateMachine", ["RoleArn"], {"Fn::GetAtt": ["PaymentLedgerWorkflowRole", "Arn"]}),
    ("AWS::StepFunctions::StateMachine", ["RoleArn"], {"Fn::GetAtt": ["PaymentEntriesWorkflowRole", "Arn"]}),
    ("AWS::StepFunctions::StateMachine", ["RoleArn"], {"Fn::GetAtt": ["FastPaymentLedgerWorkflowRole", "Arn"]}),
    ("AWS::StepFunctions::StateMachine", ["LoggingConfiguration", "IncludeExecutionData"], True),
    ("AWS::StepFunctions::StateMachine", ["LoggingConfiguration", "Level"], "ERROR"),
    ("AWS::StepFunctions::StateMachine", ["EncryptionConfiguration", "KmsKeyId"], {"Fn::GetAtt": ["TableKey", "Arn"]}),
    ("AWS::StepFunctions::StateMachineAlias", ["DeploymentPreference", "Type"], "ALL_AT_ONCE"),
    ("AWS::StepFunctions::StateMachineAlias", ["Name"], "next"),
    *(
        (f"AWS::StepFunctions::StateMachine{kind}", path, {"Ref": f"{workflow}{ending}"})
        for workflow in ("PaymentLedgerWorkflow", "PaymentEntriesWorkflow", "FastPaymentLedgerWorkflow")
        for kind, path, ending in (
            ("Version", ["StateMachineArn"], ""),
            ("Alias", ["DeploymentPreference", "StateMachineVersionArn"], "Version"),
        )
    ),
]
"""Properties that a mutant sets to a value that they must not have: the type, the path, and the value."""

TAKEN_FOR_ANOTHER: Mapping[str, list[Any]] = {
    "TABLE_NAME": [{"Ref": "PaymentEntriesTable"}, {"Ref": "PaymentSealsTable"}],
    "ENTRIES_TABLE_NAME": [{"Ref": "PaymentLedgerTable"}, {"Ref": "PaymentSealsTable"}],
    "SEALS_TABLE_NAME": [{"Ref": "PaymentLedgerTable"}, {"Ref": "PaymentEntriesTable"}],
    "SEAL_KEY_ARN": [{"Fn::GetAtt": ["TokenKey", "Arn"]}],
    "CHECKPOINTS_BUCKET": ["", {"Ref": "PaymentSealsTable"}],
    "LOG_ORIGIN": [
        {"Ref": "PaymentSealsTable"},
        {"Fn::Sub": "payment-ledger/${AWS::AccountId}/PaymentLedger${Suffix}"},
    ],
    "WORKFLOW": [{"Ref": "PaymentEntriesWorkflowAlias"}, {"Ref": "PaymentLedgerWorkflow"}],
    "ENTRIES_WORKFLOW": [{"Ref": "PaymentLedgerWorkflowAlias"}, {"Ref": "PaymentEntriesWorkflow"}],
    "FAST_WORKFLOW": [{"Ref": "PaymentLedgerWorkflowAlias"}, {"Ref": "FastPaymentLedgerWorkflow"}, ""],
    "EVENT_BUS_NAME": [{"Fn::GetAtt": ["PaymentsBus", "Name"]}],
    "TOKEN_KEY": [{"Fn::GetAtt": ["IntakeKey", "Arn"]}],
    "INTAKE_KEY": [{"Fn::GetAtt": ["TokenKey", "Arn"]}],
}
"""Things of the stack that a variable could name by mistake."""

COUNTERPARTS = (
    ("table/PaymentLedger$", "table/PaymentEntries$", "table/PaymentSeals$"),
    ("stateMachine:PaymentLedger$", "stateMachine:PaymentEntries$", "stateMachine:PaymentLedgerFast$"),
    ("execution:PaymentLedger$", "execution:PaymentEntries$"),
    ("/start-payments$", "/start-entries$"),
    (
        "role/paymentledger-workflow-role$",
        "role/paymentledger-entries-workflow-role$",
        "role/paymentledger-fast-workflow-role$",
    ),
    ("role/paymentledger-encrypt-role$", "role/paymentledger-reveal-role$", "role/paymentledger-seal-role$"),
    ("function:publish_outcome$", "function:republish_outcomes$", "function:seal_ledger$"),
    ("index/UnpublishedPayments", "index/UnsealedPayments"),
    ("index/UnpublishedEntries", "index/UnsealedEntries"),
)
"""Endings of ARNs in policies: in each line, things that could be taken for each other."""

ADDED = {
    "an internet gateway": {"Type": "AWS::EC2::InternetGateway"},
    "a NAT gateway": {"Type": "AWS::EC2::NatGateway", "Properties": {"SubnetId": {"Ref": "PrivateSubnetA"}}},
    "a route out": {
        "Type": "AWS::EC2::Route",
        "Properties": {"RouteTableId": {"Ref": "PrivateRouteTable"}, "DestinationCidrBlock": "0.0.0.0/0"},
    },
    "a function URL": {"Type": "AWS::Lambda::Url", "Properties": {"AuthType": "NONE"}},
    "a permission to invoke": {"Type": "AWS::Lambda::Permission", "Properties": {"Principal": "*"}},
    "a second endpoint for S3": {
        "Type": "AWS::EC2::VPCEndpoint",
        "Properties": {"ServiceName": "com.amazonaws.us-east-1.s3", "VpcEndpointType": "Gateway"},
    },
    "egress beside the group": {
        "Type": "AWS::EC2::SecurityGroupEgress",
        "Properties": {"GroupId": "g", "IpProtocol": "-1", "CidrIp": "0.0.0.0/0"},
    },
    "an event target without a dead-letter queue": {
        "Type": "AWS::Events::Rule",
        "Properties": {"Targets": [{"Id": "a", "Arn": "arn:aws:sqs:us-east-1:123456789012:a"}]},
    },
    "an open queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "open"}},
    "another API": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "HTTP"}},
    "a second bucket": {"Type": "AWS::S3::Bucket", "Properties": {}},
    "a second table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "Other", "KeySchema": []}},
    "a managed policy": {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"PolicyDocument": {"Version": "2012-10-17", "Statement": []}},
    },
}
"""Resources that a mutant adds."""


def mutants(template: Template) -> Iterator[Mutant]:
    """Yield every mutant, each with a name that says its fault."""
    for name, resource in template["Resources"].items():
        yield from _of_policies(template, name, resource)
        yield from _of_properties(template, name, resource)
        if "DependsOn" in resource and resource["Type"] == "AWS::Events::Rule":
            yield f"{name}: without DependsOn", changed(template, ["Resources", name, "DependsOn"], None)
        # CloudFormation does not accept a template that refers to a missing resource, so that is not a mutant.
        made_by_sam = resource["Type"] in {"AWS::Lambda::Version", "AWS::CodeDeploy::Application"}
        if not made_by_sam and not _is_referred_to(template, name):
            yield f"{name}: taken out", _without(template, name)
    for what, resource in ADDED.items():
        yield f"added: {what}", changed(template, ["Resources", "Added"], resource)


def _of_properties(template: Template, name: str, resource: Mapping[str, Any]) -> Iterator[Mutant]:
    at = ["Resources", name, "Properties"]
    kind = resource["Type"]
    for lost in LOST.get(kind, []):
        if lost in resource["Properties"]:
            yield f"{name}: without {lost}", changed(template, [*at, lost], None)
    for changed_kind, path, value in CHANGED:
        if changed_kind == kind and _differs(resource["Properties"], path, value):
            yield f"{name}: {'.'.join(map(str, path))} changed", changed(template, [*at, *path], value)
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        if policy in resource and kind != "AWS::Lambda::Version":
            yield f"{name}: {policy} Delete", changed(template, ["Resources", name, policy], "Delete")
    for variable in resource.get("Properties", {}).get("Environment", {}).get("Variables", {}):
        if variable.startswith("AWS_ENDPOINT_URL_"):
            yield f"{name}: without {variable}", changed(template, [*at, "Environment", "Variables", variable], None)
        for another in TAKEN_FOR_ANOTHER.get(variable, []):
            mutant = changed(template, [*at, "Environment", "Variables", variable], another)
            yield f"{name}: another {variable}", mutant
        if variable in TAKEN_FOR_ANOTHER:
            yield f"{name}: without {variable}", changed(template, [*at, "Environment", "Variables", variable], None)
    if kind == "AWS::StepFunctions::StateMachine":
        for other, one in template["Resources"].items():
            if one["Type"] == kind and other != name:
                definition = one["Properties"]["DefinitionString"]
                yield f"{name}: defined as {other}", changed(template, [*at, "DefinitionString"], definition)
    if kind == "AWS::CloudWatch::Dashboard":
        yield from _of_a_dashboard(template, name, [*at, "DashboardBody", "Fn::Sub"], resource)


def _of_a_dashboard(template: Template, name: str, at: Steps, resource: Mapping[str, Any]) -> Iterator[Mutant]:
    """Yield the dashboard without one metric, each in turn."""
    text, variables = resource["Properties"]["DashboardBody"]["Fn::Sub"]
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        row = re.match(r'\s*(\[".+\]),$', line)  # without the last row of a list, the rest would not be JSON
        if row:
            fewer = "".join([*lines[:number], *lines[number + 1 :]])
            yield f"{name}: without {row[1]}", changed(template, at, [fewer, variables])


def _of_policies(template: Template, name: str, resource: Mapping[str, Any]) -> Iterator[Mutant]:
    kind, properties = resource["Type"], resource.get("Properties", {})
    at: list[str | int] = ["Resources", name, "Properties"]
    if kind in POLICIES:
        yield from _of_document(template, name, [*at, *POLICIES[kind]])
    if kind == "AWS::Events::EventBusPolicy":
        yield from _of_statement(template, name, [*at, "Statement"], properties["Statement"])
    if kind == "AWS::IAM::Role":
        yield from _of_document(template, f"{name} trust", [*at, "AssumeRolePolicyDocument"])
        for index in range(len(properties["Policies"])):
            yield from _of_document(template, name, [*at, "Policies", index, "PolicyDocument"])
        administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
        yield f"{name}: administrator", changed(template, [*at, "ManagedPolicyArns"], [administrator])
        wider = {"PolicyName": "more", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}]}}  # fmt: skip
        yield f"{name}: one more policy", changed(template, [*at, "Policies"], [*properties["Policies"], wider])


def _of_document(template: Template, name: str, at: Steps) -> Iterator[Mutant]:
    document = _get(template, at)
    for index, statement in enumerate(document["Statement"]):
        where = [*at, "Statement", index]
        if "Fn::If" in statement:
            where, statement = [*where, "Fn::If", 1], statement["Fn::If"][1]  # noqa: PLW2901
        label = f"{name}: {statement.get('Sid', as_list(statement['Action'])[0])}"
        yield f"{label}: dropped", changed(template, [*at, "Statement"], dropped(document["Statement"], index))
        yield from _of_statement(template, label, where, statement)


def _of_statement(template: Template, label: str, where: Steps, statement: Mapping[str, Any]) -> Iterator[Mutant]:
    effect = "Deny" if statement["Effect"] == "Allow" else "Allow"
    yield f"{label}: effect {effect}", changed(template, [*where, "Effect"], effect)
    yield from _narrower_and_wider(template, label, where, statement)
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            for index in range(len(values)) if isinstance(values, list) and len(values) > 1 else ():
                path = [*where, "Condition", operator, key]
                yield f"{label}: {key} without {values[index]}", changed(template, path, dropped(values, index))
            fewer = {k: v for k, v in keys.items() if k != key}
            conditions = {**statement["Condition"], operator: fewer}
            if not fewer:
                del conditions[operator]
            yield f"{label}: without {operator} {key}", changed(template, [*where, "Condition"], conditions or None)


def _narrower_and_wider(template: Template, label: str, where: Steps, statement: Mapping[str, Any]) -> Iterator[Mutant]:
    actions = as_list(statement["Action"])
    services = sorted({action.partition(":")[0] for action in actions})
    if statement["Effect"] == "Allow" and services[0] in SERVICES and services != ["sts"]:
        yield f"{label}: all of {services[0]}", changed(template, [*where, "Action"], [*actions, f"{services[0]}:*"])
    for index, action in enumerate(actions):
        if len(actions) > 1:
            yield f"{label}: without {action}", changed(template, [*where, "Action"], dropped(actions, index))
    resources = as_list(statement.get("Resource", "*"))
    if resources != ["*"] and statement["Effect"] == "Allow" and statement.get("Principal", "*") == "*":
        yield f"{label}: on every resource", changed(template, [*where, "Resource"], "*")
    if len(resources) > 1:
        for index in range(len(resources)):
            yield (
                f"{label}: without resource {index}",
                changed(template, [*where, "Resource"], dropped(resources, index)),
            )
    for path, text in _texts(statement):
        for counterpart in _counterparts(text) if path[0] in {"Resource", "Condition"} else ():
            yield f"{label}: {counterpart} for {text}", changed(template, [*where, *path], counterpart)
    if (
        "Principal" in statement
        and statement["Effect"] == "Allow"
        and statement["Principal"] not in ("*", {"AWS": "*"})
    ):
        yield f"{label}: for everyone", changed(template, [*where, "Principal"], {"AWS": "*"})


def _texts(part: Any) -> Iterator[tuple[list[str | int], str]]:
    """Yield each text in a part of a template, after the steps that lead to it."""
    if isinstance(part, str):
        yield [], part
    inner = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list) else ()
    for step, value in inner:
        yield from (([step, *path], text) for path, text in _texts(value))


def _counterparts(text: str) -> Iterator[str]:
    """Yield *text* with the name of each thing that could be meant in the place of the one that it names."""
    for names in COUNTERPARTS:
        for named in names:
            if named in text:
                yield from (text.replace(named, other) for other in names if other != named)


def _is_referred_to(template: Template, name: str) -> bool:
    text = repr({key: value for key, value in template["Resources"].items() if key != name}) + repr(template["Outputs"])
    return any(reference in text for reference in (f"'Ref': '{name}'", f"['{name}', '", f"${{{name}}}", f"${{{name}."))


def _without(template: Template, name: str) -> Template:
    return {**template, "Resources": {key: value for key, value in template["Resources"].items() if key != name}}


def dropped(items: list[Any], index: int) -> list[Any]:
    """Return *items* without the item at *index*."""
    return [item for at, item in enumerate(items) if at != index]


def _get(template: Any, path: Steps) -> Any:
    for step in path:
        template = template[step]
    return template


def _differs(properties: Any, path: Steps, value: Any) -> bool:
    """Return whether *path* can be set in *properties*, and does not have this value yet."""
    try:
        holder = _get(properties, path[:-1])
    except (KeyError, IndexError, TypeError):
        return False
    return bool((holder.get(path[-1]) if isinstance(holder, dict) else holder[path[-1]]) != value)


def changed(template: Template, path: Steps, value: Any) -> Template:
    """Return *template* with *value* at *path*, or without that path if it is None. Other parts are not copied."""
    mutant: Template = _changed(template, path, value)
    return mutant


def _changed(part: Any, path: Steps, value: Any) -> Any:
    first, *rest = path
    copied = copy.copy(dict(part) if isinstance(part, Mapping) else part)
    if rest:
        copied[first] = _changed(copied[first], rest, value)
    elif value is None:
        del copied[first]
    else:
        copied[first] = value
    return copied
