"""What must hold of the stack besides its policies: each check returns one line for each thing that does not."""

import fnmatch
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ledger.item import EncryptedPayment
from ledger.outcome import DETAIL_TYPES
from ledger.payment import Payment
from ledger_cli import ROOT
from tests.proof.policies import ENDPOINT_OF, THIS_WORKFLOW, Resources, as_list, of_type
from tests.proof.resolved import arn
from tools.sdk_data import READ_BY_LAMBDA

FUNCTIONS = {
    "ValidatePayment": "paymentledger-validate-role",
    "EncryptToken": "paymentledger-encrypt-role",
    "PersistPaymentLedger": "paymentledger-role",
    "PublishOutcome": "paymentledger-publish-role",
    "RepublishOutcomes": "paymentledger-republish-role",
    "ReceivePayment": "paymentledger-receive-role",
    "QueryPaymentLedger": "paymentledger-query-role",
    "RevealSecureToken": "paymentledger-reveal-role",
    "WatchLedger": "paymentledger-watch-role",
}

# Service: the variable that gives a function the endpoint's own name, and the resource.
ENDPOINTS = {
    "dynamodb": ("AWS_ENDPOINT_URL_DYNAMODB", ENDPOINT_OF["dynamodb"]),
    "events": ("AWS_ENDPOINT_URL_EVENTBRIDGE", ENDPOINT_OF["events"]),
    "kms": ("AWS_ENDPOINT_URL_KMS", ENDPOINT_OF["kms"]),
    "secretsmanager": ("AWS_ENDPOINT_URL_SECRETS_MANAGER", ENDPOINT_OF["secretsmanager"]),
    "states": ("AWS_ENDPOINT_URL_SFN", ENDPOINT_OF["states"]),
}

READS_OF_LAMBDA = {f"{service}:{call}" for service, call in READ_BY_LAMBDA}

NO_WAY_OUT = (
    "AWS::EC2::CarrierGateway",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::EIP",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::Route",
    "AWS::EC2::TransitGatewayAttachment",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EC2::VPCPeeringConnection",
    "AWS::EC2::VPNGateway",
    "AWS::Lambda::Url",
)

HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}


def no_way_out(resources: Resources) -> Iterator[str]:
    """Private subnets in two zones, an explicit route table that has no route, and nothing that leads elsewhere."""
    for name, resource in resources.items():
        if resource["Type"] in NO_WAY_OUT:
            yield f"{name}: {resource['Type']} is a way out or in"
    subnets = dict(of_type(resources, "AWS::EC2::Subnet"))
    zones = {subnet.get("AvailabilityZone") for subnet in subnets.values()}
    if len(zones) < 2 or None in zones:
        yield "subnets: fewer than two availability zones"
    associated = {a["SubnetId"] for _, a in of_type(resources, "AWS::EC2::SubnetRouteTableAssociation")}
    for name, subnet in subnets.items():
        if subnet.get("MapPublicIpOnLaunch") is not False:
            yield f"{name}: gives public addresses"
        if name not in associated:
            yield f"{name}: has the VPC's main route table, not one of its own"
    for name, vpc in of_type(resources, "AWS::EC2::VPC"):
        if not (vpc.get("EnableDnsSupport") is True and vpc.get("EnableDnsHostnames") is True):
            yield f"{name}: the endpoints' private names need DNS support and host names"
    logged = {log["ResourceId"]: log for _, log in of_type(resources, "AWS::EC2::FlowLog")}
    for name, _ in of_type(resources, "AWS::EC2::VPC"):
        if logged.get(name, {}).get("TrafficType") != "ALL":
            yield f"{name}: not all of its traffic is in a flow log"


MAX_INTEGRATION_S = 30
"""Source: API Gateway Developer Guide, quotas of an HTTP API, maximum integration timeout."""


def one_way_in(resources: Resources) -> Iterator[str]:
    """The internet reaches one function, by one method and path, throttled and logged; nothing else may invoke one."""
    permissions = [permission for _, permission in of_type(resources, "AWS::Lambda::Permission")]
    expected = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:receive_payment:live",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": "arn:aws:execute-api:us-east-1:123456789012:WebhookApi/*/POST/processors/*/payments",
    }
    watched = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:watch_ledger:live",
        "Principal": "events.amazonaws.com",
        "SourceArn": "arn:aws:events:us-east-1:123456789012:rule/WatchLedgerProtection",
    }
    if sorted(permissions, key=str) != sorted([expected, watched], key=str):
        yield f"permissions to invoke: {permissions}"
    if not resources["ReceivePayment"]["Properties"]["Timeout"] < MAX_INTEGRATION_S:
        yield "ReceivePayment: may answer after the API has"
    for kind in ("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage"):
        if len(list(of_type(resources, kind))) != 1:
            yield f"{kind}: not exactly one"
    for name, api in of_type(resources, "AWS::ApiGatewayV2::Api"):
        paths = api["Body"]["paths"]
        if {path: list(methods) for path, methods in paths.items()} != {"/processors/{ProcessorID}/payments": ["post"]}:
            yield f"{name}: has other routes"
        for path, methods in paths.items():
            integration = methods["post"]["x-amazon-apigateway-integration"]
            if f"functions/{expected['FunctionName']}/invocations" not in integration["uri"]:
                yield f"{name}: {path} is not answered by the webhook's alias"
            if integration.get("payloadFormatVersion") != "2.0":
                yield f"{name}: {path} does not send what the function reads"
    for name, stage in of_type(resources, "AWS::ApiGatewayV2::Stage"):
        settings = stage.get("DefaultRouteSettings", {})
        if not 0 < settings.get("ThrottlingRateLimit", 0) <= settings.get("ThrottlingBurstLimit", 0) <= 300:
            yield f"{name}: not throttled below what the workflow can start"
        logs = stage.get("AccessLogSettings", {})
        if (
            logs.get("DestinationArn")
            != "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/apis/payment-ledger:*"
        ):
            yield f"{name}: requests are not logged"
        logged = set(re.findall(r"\$context\.([\w.]+)", logs.get("Format", "")))
        if not {"requestId", "identity.sourceIp", "status"} <= logged or any("authorizer" in key for key in logged):
            yield f"{name}: its log does not say who was answered what"


def payments_from_the_bus(resources: Resources) -> Iterator[str]:
    """One rule starts the workflow's alias with an event's detail; what it cannot start is kept for two weeks."""
    rules = {name: rule for name, rule in of_type(resources, "AWS::Events::Rule") if name != "WatchLedgerProtection"}
    if len(rules) != 1:
        yield "rules: not exactly one beside the watch's"
    for name, rule in rules.items():
        if (
            rule.get("EventPattern") != {"detail-type": ["PaymentReceived"]}
            or rule.get("State", "ENABLED") != "ENABLED"
        ):
            yield f"{name}: not for every payment"
        if (rule.get("EventBusName"), rule.get("Name")) != ("payment-processors", "start-payments"):
            yield f"{name}: not the one that its role and queue know"
        targets = [{key: value for key, value in target.items() if key != "Id"} for target in rule.get("Targets", [])]
        expected = {
            "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:PaymentLedger:live",
            "RoleArn": "arn:aws:iam::123456789012:role/paymentledger-rule-role",
            "InputPath": "$.detail",
            "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
            "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:123456789012:undelivered-payments"},
        }
        if targets != [expected]:
            yield f"{name}: its target is not the workflow with a dead-letter queue"
        if resources[name].get("DependsOn") != "UndeliveredPaymentsPolicy":
            yield f"{name}: may send to its queue before the queue lets it"
    queues = dict(of_type(resources, "AWS::SQS::Queue"))
    policed = [queue for _, policy in of_type(resources, "AWS::SQS::QueuePolicy") for queue in policy["Queues"]]
    if sorted(queue["QueueName"] for queue in queues.values()) != sorted(policed):
        yield "queues: not each has one policy"
    for name, queue in queues.items():
        if queue.get("MessageRetentionPeriod") != 1209600 or queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: not kept for two weeks, or not encrypted"


def groups_are_closed_pairs(resources: Resources) -> Iterator[str]:
    """Functions may reach endpoints, and endpoints be reached by functions; by HTTPS, and nothing else."""
    groups = dict(of_type(resources, "AWS::EC2::SecurityGroup"))
    if set(groups) != {"FunctionsSecurityGroup", "EndpointsSecurityGroup"}:
        yield f"security groups: {sorted(groups)}"
        return
    functions, endpoints = groups["FunctionsSecurityGroup"], groups["EndpointsSecurityGroup"]
    expected = {
        "egress of functions": (
            functions.get("SecurityGroupEgress"),
            [{**HTTPS, "DestinationSecurityGroupId": "EndpointsSecurityGroup.GroupId"}],
        ),
        "ingress of functions": (functions.get("SecurityGroupIngress"), None),
        "egress of endpoints": (endpoints.get("SecurityGroupEgress"), [{**HTTPS, "CidrIp": "127.0.0.1/32"}]),
        "ingress of endpoints": (endpoints.get("SecurityGroupIngress"), None),
        "rules apart": (
            [rule for _, rule in of_type(resources, "AWS::EC2::SecurityGroupIngress")],
            [
                {
                    **HTTPS,
                    "GroupId": "EndpointsSecurityGroup.GroupId",
                    "SourceSecurityGroupId": "FunctionsSecurityGroup.GroupId",
                }
            ],
        ),
        "egress apart": ([rule for _, rule in of_type(resources, "AWS::EC2::SecurityGroupEgress")], []),
    }
    for what, (rules, allowed) in expected.items():
        plain = rules and [{key: value for key, value in rule.items() if key != "Description"} for rule in rules]
        if plain != allowed:
            yield f"{what}: {plain}"


def endpoints_are_exact(resources: Resources) -> Iterator[str]:
    """One interface endpoint for each service that a function calls, in both subnets, behind its group."""
    found = {e["ServiceName"].rpartition(".")[2]: e for _, e in of_type(resources, "AWS::EC2::VPCEndpoint")}
    if found.keys() != ENDPOINTS.keys() or len(list(of_type(resources, "AWS::EC2::VPCEndpoint"))) != len(ENDPOINTS):
        yield f"endpoints: {sorted(found)}"
    for service, endpoint in found.items():
        if endpoint.get("VpcEndpointType") != "Interface":
            yield f"endpoint {service}: not an interface endpoint"
        if endpoint.get("PrivateDnsEnabled") is not False:
            yield f"endpoint {service}: has private DNS"
        if endpoint.get("SubnetIds") != ["PrivateSubnetA", "PrivateSubnetB"]:
            yield f"endpoint {service}: not in both subnets"
        if endpoint.get("SecurityGroupIds") != ["EndpointsSecurityGroup.GroupId"]:
            yield f"endpoint {service}: not behind the endpoints' group"
        if "PolicyDocument" not in endpoint:
            yield f"endpoint {service}: has no policy"


def functions_are_inside(resources: Resources) -> Iterator[str]:
    """Every function is in the VPC with a role, a log group and an alias of its own."""
    functions = dict(of_type(resources, "AWS::Lambda::Function"))
    if set(functions) != set(FUNCTIONS):
        yield f"functions: {sorted(functions)}"
    roles = {role["RoleName"]: role for _, role in of_type(resources, "AWS::IAM::Role")}
    for name, function in functions.items():
        if function.get("VpcConfig") != {
            "SecurityGroupIds": ["FunctionsSecurityGroup.GroupId"],
            "SubnetIds": ["PrivateSubnetA", "PrivateSubnetB"],
        }:
            yield f"{name}: not in both private subnets behind the functions' group"
        variables = function["Environment"]["Variables"]
        documents = [policy["PolicyDocument"] for policy in roles[FUNCTIONS.get(name, "")]["Policies"]]
        given = [statement for one in documents for statement in one["Statement"]]
        actions = {action for statement in given for action in as_list(statement["Action"])}
        actions -= READS_OF_LAMBDA
        for service, (variable, endpoint) in ENDPOINTS.items():
            called = any(action.startswith(f"{service}:") for action in actions)
            dns = f"https://vpce-{endpoint}.{service}.us-east-1.vpce.amazonaws.com" if called else None
            if variables.get(variable) != dns:
                yield f"{name}: {variable} is not {dns}"
        if function.get("TracingConfig") != {"Mode": "Active"}:
            yield f"{name}: not traced"
        module = function["Handler"].partition(".")[0]
        if function.get("LoggingConfig") != {"LogGroup": f"/payment-ledger/{module}"}:
            yield f"{name}: does not write to its own log group"
        if function.get("Role") != f"arn:aws:iam::123456789012:role/{FUNCTIONS.get(name)}":
            yield f"{name}: does not have its own role"
    aliases = {alias["FunctionName"]: alias for _, alias in of_type(resources, "AWS::Lambda::Alias")}
    if any(alias["Name"] != "live" for alias in aliases.values()) or len(aliases) != len(functions):
        yield "functions: not every one is behind an alias"
    groups = list(of_type(resources, "AWS::CodeDeploy::DeploymentGroup"))
    if len(groups) != len(functions):
        yield "functions: not every one is deployed gradually"
    for name, group in groups:
        alarms = [alarm["Name"] for alarm in group.get("AlarmConfiguration", {}).get("Alarms", [])]
        own = ["payment-ledger-webhook-failures"] if name == "ReceivePaymentDeploymentGroup" else []
        expected = ["payment-ledger-technical-failures", "payment-ledger-function-errors", *own]
        if alarms != expected or not group["AlarmConfiguration"].get("Enabled"):
            yield f"{name}: rolls back on no alarm"
        if "DEPLOYMENT_STOP_ON_ALARM" not in group.get("AutoRollbackConfiguration", {}).get("Events", []):
            yield f"{name}: does not roll back on its alarm"
        if group.get("DeploymentConfigName") != "CodeDeployDefault.LambdaCanary10Percent10Minutes":
            yield f"{name}: not gradual"


def kept_for_good(resources: Resources) -> Iterator[str]:
    """What holds data or opens it outlives a mistake with the stack."""
    for name, resource in resources.items():
        if resource["Type"] in {
            "AWS::DynamoDB::Table",
            "AWS::KMS::Key",
            "AWS::Logs::LogGroup",
            "AWS::SQS::Queue",
            "AWS::StepFunctions::StateMachineVersion",
        }:
            # Those that hold nothing before the stack works go with a creation that failed, or the next one meets them.
            empty_at_first = resource["Type"] in {"AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::SQS::Queue"}
            expected = {
                "DeletionPolicy": "RetainExceptOnCreate" if empty_at_first else "Retain",
                "UpdateReplacePolicy": "Retain",
            }
            for policy, value in expected.items():
                if resource.get(policy) != value:
                    yield f"{name}: {policy} is {resource.get(policy)}"
    for name, table in of_type(resources, "AWS::DynamoDB::Table"):
        if table.get("DeletionProtectionEnabled") is not True:
            yield f"{name}: no deletion protection"
        if table.get("PointInTimeRecoverySpecification") != {"PointInTimeRecoveryEnabled": True}:
            yield f"{name}: no point-in-time recovery"
        if table.get("StreamSpecification") != {"StreamViewType": "NEW_AND_OLD_IMAGES"}:
            yield f"{name}: its stream does not show what an item was and what it is"
        if "TimeToLiveSpecification" in table:
            yield f"{name}: items expire"
        if table.get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name}: not on demand"
        if table.get("SSESpecification", {}).get("KMSMasterKeyId") != "arn:aws:kms:us-east-1:123456789012:key/TableKey":
            yield f"{name}: not encrypted with its own key"
        if table["KeySchema"] != [{"AttributeName": "TransactionID", "KeyType": "HASH"}]:
            yield f"{name}: its key is not the TransactionID"
        yield from _indexes(name, table)
    if len(list(of_type(resources, "AWS::DynamoDB::Table"))) != 1:
        yield "tables: not exactly one"


def _indexes(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Index keys are attributes of an item, and no index holds a ciphertext."""
    attributes = _item_attributes()
    for index in table.get("GlobalSecondaryIndexes", []):
        projection = index["Projection"]
        if projection.get("ProjectionType") != "INCLUDE" or "SecureToken" in projection["NonKeyAttributes"]:
            yield f"{name}: index {index['IndexName']} holds the ciphertext"
        keys = {key["AttributeName"] for key in index["KeySchema"]}
        if not keys | set(projection.get("NonKeyAttributes", [])) <= attributes | {"PublishedAt"}:
            yield f"{name}: index {index['IndexName']} names attributes that no item has"
    if [index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])] != [
        "PaymentsByProcessor",
        "UnpublishedPayments",
    ]:
        yield f"{name}: its indexes are not the two that are read"


def _item_attributes() -> set[str]:
    payment = Payment("t", "1", "JPY", "p", "Success", "2026-01-01T00:00:00.000000Z", {})
    return set(EncryptedPayment(payment, b"", "k", "e", "r").as_item())


def keys_and_logs(resources: Resources) -> Iterator[str]:
    """Four keys, rotated; logs are encrypted and end; executions' data is in no log, and its history is encrypted."""
    keys = dict(of_type(resources, "AWS::KMS::Key"))
    if set(keys) != {"TokenKey", "IntakeKey", "TableKey", "HistoryKey"}:
        yield f"keys: {sorted(keys)}"
    for name, key in keys.items():
        if key.get("EnableKeyRotation") is not True:
            yield f"{name}: not rotated"
    history_key = "arn:aws:kms:us-east-1:123456789012:key/HistoryKey"
    statements = {one.get("Sid"): one for one in keys["HistoryKey"]["KeyPolicy"]["Statement"]}
    encrypting = statements.get("CloudWatchLogsEncryptsTheLogGroups", {}).get("Condition", {}).get("ArnLike", {})
    covered = as_list(encrypting.get("kms:EncryptionContext:aws:logs:arn", []))
    for name, group in of_type(resources, "AWS::Logs::LogGroup"):
        if group.get("KmsKeyId") != history_key:
            yield f"{name}: not encrypted"
        if not any(fnmatch.fnmatchcase(arn("logs", f"log-group:{group['LogGroupName']}"), one) for one in covered):
            yield f"{name}: the key lets CloudWatch Logs not encrypt it"
        if group.get("RetentionInDays") != "90":
            yield f"{name}: its retention is not the parameter's"
    for name, machine in of_type(resources, "AWS::StepFunctions::StateMachine"):
        if machine.get("EncryptionConfiguration", {}).get("KmsKeyId") != history_key:
            yield f"{name}: its history is not encrypted with the stack's key"
        logging = machine.get("LoggingConfiguration", {})
        if (
            logging.get("IncludeExecutionData") is not False
            or logging.get("Level") != "ALL"
            or logging.get("Destinations") != [{"CloudWatchLogsLogGroup": {"LogGroupArn": WORKFLOW_LOG}}]
        ):
            yield f"{name}: logs an execution's data, or not every event"
        if machine.get("TracingConfiguration") != {"Enabled": True}:
            yield f"{name}: not traced"
        if (machine.get("StateMachineName"), machine.get("StateMachineType")) != ("PaymentLedger", "STANDARD"):
            yield f"{name}: not a standard workflow under its fixed name"
    for name, alias in of_type(resources, "AWS::StepFunctions::StateMachineAlias"):
        preference = alias.get("DeploymentPreference", {})
        alarms = ["payment-ledger-technical-failures", "payment-ledger-function-errors"]
        canary = {"Type": "CANARY", "Percentage": 10, "Interval": 10, "Alarms": alarms}
        if {**preference, **canary} != preference:
            yield f"{name}: a new version gets every payment at once, or rolls back on no alarm"
    if not dict(of_type(resources, "AWS::StepFunctions::StateMachineAlias")):
        yield "workflow: not behind an alias"
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        variables = function["Environment"]["Variables"]
        for variable, key in (("TOKEN_KEY", "TokenKey"), ("INTAKE_KEY", "IntakeKey")):
            if variable in variables and variables[variable].rpartition("/")[2] != key:
                yield f"{name}: has the wrong keys"


def events_and_alarms(resources: Resources) -> Iterator[str]:
    """Outcomes are archived; event targets have dead-letter queues; each alarm leads to its section of the runbook."""
    buses = {bus["Name"] for _, bus in of_type(resources, "AWS::Events::EventBus")}
    if buses != {"payment-ledger", "payment-processors"}:
        yield f"buses: {sorted(buses)}"
    archived = [a["SourceArn"].rpartition("/")[2] for _, a in of_type(resources, "AWS::Events::Archive")]
    if archived != ["payment-ledger"]:  # and not the processors': their events may hold tokens
        yield f"archived: {archived}"
    for name, archive in of_type(resources, "AWS::Events::Archive"):
        if archive.get("EventPattern") != {"source": ["payment.ledger"]}:
            yield f"{name}: does not take every outcome"
    runbook = (ROOT / "docs/operate/runbook.md").read_text()
    sections = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^## (.+)$", runbook, re.MULTILINE)
    }
    alarms = dict(of_type(resources, "AWS::CloudWatch::Alarm"))
    shown = json.dumps([d["DashboardBody"] for _, d in of_type(resources, "AWS::CloudWatch::Dashboard")])
    if set(alarms) != COUNTED.keys():
        yield f"alarms: {sorted(set(alarms) ^ COUNTED.keys())}"
    for name, alarm in alarms.items():
        link = re.search(r"docs/operate/runbook\.md#([\w-]+)$", alarm.get("AlarmDescription", ""))
        if not link or link[1] not in sections:
            yield f"{name}: its description leads to no section of the runbook"
        if alarm["AlarmName"] not in shown:
            yield f"{name}: not on the dashboard"
        # The sweep always says what it found: without data it does not run.
        missing = "breaching" if name == "UnpublishedAlarm" else "notBreaching"
        if alarm.get("TreatMissingData") != missing or alarm.get("ComparisonOperator") != "GreaterThanThreshold":
            yield f"{name}: rings without data, or the wrong way round"
        if alarm.get("AlarmActions") != ["arn:aws:sns:us-east-1:123456789012:alarms"] or not alarm.get(
            "ActionsEnabled", True
        ):
            yield f"{name}: tells nobody"
    yield from _dashboard(resources)
    for name, schedule in of_type(resources, "AWS::Scheduler::Schedule"):
        target = schedule.get("Target", {})
        if not str(target.get("Arn")).endswith(":function:republish_outcomes:live"):
            yield f"{name}: does not invoke the sweep's alias"
        if target.get("Input") != '{"ScheduledTime": "<aws.scheduler.scheduled-time>"}':
            yield f"{name}: does not tell the sweep its time"
        if schedule.get("ScheduleExpression") != "rate(5 minutes)" or schedule.get("State", "ENABLED") != "ENABLED":
            yield f"{name}: does not run every five minutes"
    if len(list(of_type(resources, "AWS::Scheduler::Schedule"))) != 1:
        yield "schedules: not exactly one"


WORKFLOW_LOG = arn("logs", "log-group:/aws/vendedlogs/states/payment-ledger:*")
"""Step Functions refuses it without the last two characters."""

REFUSALS = {
    "ValidatePayment": "-InvalidPaymentError",
    "EncryptToken": "-InvalidPaymentError",
    "PersistPaymentLedger": "-PaymentConflictError",
    "QueryPaymentLedger": "-InvalidQueryError",
    "RevealSecureToken": "-InvalidRevealError -PaymentNotFoundError",
}
"""The functions that refuse by raising, and what takes their refusals out of a count of their errors."""

COUNTED: Mapping[str, Mapping[str, str]] = {
    # `tests/proof/test_alarms.py` evaluates these expressions.
    "TechnicalFailuresAlarm": {
        "technical": "IF(difference - DIFF(difference) < 0, 2 * difference - DIFF(difference), difference)",
        "difference": "FILL(failed, 0) - FILL(refused, 0)",
        "failed": "PaymentLedger ExecutionsFailed, Sum of 60 s",
        "refused": "PaymentLedger ExecutionsRefused, Sum of 60 s",
        "rings": "above 0 in 2 of 5",
    },
    "FunctionErrorsAlarm": {
        "errors": "FILL(raised, 0) + FILL(publish, 0) + FILL(republish, 0) + FILL(watch, 0)",
        "raised": "PaymentLedger UnexpectedErrors, Sum of 60 s",
        "publish": "AWS/Lambda Errors FunctionName=publish_outcome Resource=publish_outcome:live, Sum of 60 s",
        "republish": "AWS/Lambda Errors FunctionName=republish_outcomes Resource=republish_outcomes:live, Sum of 60 s",
        "watch": "AWS/Lambda Errors FunctionName=watch_ledger Resource=watch_ledger:live, Sum of 60 s",
        "rings": "above 0 in 3 of 5",
    },
    "ThrottledExecutionsAlarm": {
        "": f"AWS/States ExecutionThrottled StateMachineArn={THIS_WORKFLOW}, Sum of 300 s",
        "rings": "above 0 in 3 of 3",
    },
    "ConflictsAlarm": {
        "": "PaymentLedger PaymentConflict service=payment-ledger, Sum of 300 s",
        "rings": "above 0 in 1 of 1",
    },
    "RejectionsAlarm": {
        "": "PaymentLedger PaymentRejected service=payment-ledger, Sum of 900 s",
        "rings": "above 10 in 1 of 1",
    },
    # The sweep runs every 300 s: a shorter period would have minutes without data.
    "UnpublishedAlarm": {
        "": "PaymentLedger UnpublishedOverdue service=payment-ledger, Maximum of 300 s",
        "rings": "above 900 in 3 of 3",
    },
    "UnpublishedBacklogAlarm": {
        "": "PaymentLedger UnpublishedPayments service=payment-ledger, Maximum of 300 s",
        "rings": "above 100 in 1 of 1",
    },
    "HeldBackAlarm": {
        "": "PaymentLedger PaymentsHeldBack service=payment-ledger, Maximum of 300 s",
        "rings": "above 0 in 3 of 3",
    },
    "TableThrottlesAlarm": {
        "throttles": "FILL(ledger, 0) + FILL(processors, 0) + FILL(unpublished, 0)",
        "ledger": "AWS/DynamoDB WriteThrottleEvents TableName=PaymentLedger, Sum of 60 s",
        **{
            name: "AWS/DynamoDB WriteThrottleEvents TableName=PaymentLedger "
            f"GlobalSecondaryIndexName={index}, Sum of 60 s"
            for name, index in (("processors", "PaymentsByProcessor"), ("unpublished", "UnpublishedPayments"))
        },
        "rings": "above 0 in 3 of 3",
    },
    "RefusedSignaturesAlarm": {
        "": "PaymentLedger SignatureRefused service=payment-ledger, Sum of 300 s",
        "rings": "above 10 in 1 of 1",
    },
    "WebhookFailuresAlarm": {
        "failures": "FILL(later, 0) + FILL(errors, 0) + FILL(throttles, 0)",
        "later": "PaymentLedger PaymentNotStarted service=payment-ledger, Sum of 60 s",
        "errors": "AWS/Lambda Errors FunctionName=receive_payment, Sum of 60 s",
        "throttles": "AWS/Lambda Throttles FunctionName=receive_payment, Sum of 60 s",
        "rings": "above 0 in 2 of 3",
    },
    "ChangedItemsAlarm": {
        "": "PaymentLedger ItemChanged service=payment-ledger, Sum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
    "ChangedProtectionAlarm": {
        "": "PaymentLedger ProtectionChanged service=payment-ledger, Sum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
    "RevealedTokensAlarm": {
        "": "PaymentLedger TokenRevealed service=payment-ledger, Sum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
    "UndeliveredPaymentsAlarm": {
        "": "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=undelivered-payments, Maximum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
}
"""What alarms count, by the IDs of their metrics (empty if there is one alone), and when they ring."""


def what_alarms_count(resources: Resources) -> Iterator[str]:
    """Each alarm counts a metric that something writes, over the right time; refusals count as no failures."""
    workflow = "/aws/vendedlogs/states/payment-ledger"
    expected = {
        (workflow, '{ $.type = "ExecutionFailed" || $.type = "ExecutionTimedOut" }', "ExecutionsFailed"),
        (workflow, '{ $.type = "FailStateEntered" }', "ExecutionsRefused"),
    }
    for function, refused in REFUSALS.items():
        group = resources[function]["Properties"]["LoggingConfig"]["LogGroup"]
        expected.add((group, f'"[ERROR]" {refused}', "UnexpectedErrors"))
        expected.add((group, '?"Task timed out" ?"Runtime exited"', "UnexpectedErrors"))
    found = set()
    for _, each in of_type(resources, "AWS::Logs::MetricFilter"):
        for metric in each["MetricTransformations"]:
            # Their difference counts: without a first refusal, one of the two would have no series at all.
            default = 0 if metric["MetricName"].startswith("Executions") else None
            if (metric["MetricNamespace"], metric["MetricValue"], metric.get("DefaultValue")) == (
                "PaymentLedger",
                "1",
                default,
            ):
                found.add((each["LogGroupName"], each["FilterPattern"], metric["MetricName"]))
    if found != expected:
        yield f"metric filters: {sorted(found ^ expected)}"
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm"):
        counted = _counted(alarm)
        if counted != COUNTED.get(name):
            yield f"{name}: counts {counted}"
    own = {
        metric["MetricName"]
        for _, each in of_type(resources, "AWS::Logs::MetricFilter")
        for metric in each["MetricTransformations"]
    }
    for name in re.findall(r'"PaymentLedger (\w+)', json.dumps(COUNTED)):
        if name not in own | _metrics_of_functions():
            yield f"{name}: counted by an alarm, and nothing writes it"
    if resources["UnpublishedAlarm"].get("DependsOn") != "RepublishSchedule":
        yield "UnpublishedAlarm: may be created before the sweep has run"
    repeated = [each for _, each in of_type(resources, "AWS::Lambda::EventInvokeConfig")]
    if [(each["FunctionName"], each["Qualifier"], each["MaximumRetryAttempts"]) for each in repeated] != [
        ("republish_outcomes", "live", 0)
    ]:
        yield "sweep: Lambda repeats it, or another function is not repeated"


def _counted(alarm: Mapping[str, Any]) -> dict[str, str]:
    """Return what an alarm counts, and when it rings, in the words of `COUNTED`."""
    metrics = list(alarm.get("Metrics", []))
    if alarm.keys() & {"Dimensions", "MetricName", "Namespace", "Period", "Statistic"}:
        metrics.append({"Id": "", "MetricStat": {**alarm, "Metric": alarm, "Stat": alarm.get("Statistic")}})
    found = {}
    for metric in metrics:
        statistic = metric.get("MetricStat", {})
        stated = statistic.get("Metric", {})
        dimensions = [f"{dimension['Name']}={dimension['Value']}" for dimension in stated.get("Dimensions", [])]
        words = " ".join(map(str, [stated.get("Namespace"), stated.get("MetricName"), *dimensions]))
        counted = f"{words}, {statistic.get('Stat')} of {statistic.get('Period')} s"
        found[metric["Id"]] = metric.get("Expression") or counted
    periods = alarm["EvaluationPeriods"]
    return {**found, "rings": f"above {alarm['Threshold']} in {alarm.get('DatapointsToAlarm', periods)} of {periods}"}


def _metrics_of_functions() -> set[str]:
    """Return the names of the metrics that the functions write, as their code has them."""
    files = [*(ROOT / "functions").glob("*.py"), *(ROOT / "functions/ledger").glob("*.py")]
    named = {name for file in files for name in re.findall(r'\bname="(\w+)"', file.read_text())}
    return named | set(DETAIL_TYPES.values())


def _dashboard(resources: Resources) -> Iterator[str]:
    dashboards = list(of_type(resources, "AWS::CloudWatch::Dashboard"))
    if len(dashboards) != 1:
        yield "dashboard: not exactly one"
    for name, dashboard in dashboards:
        titles = [widget["properties"]["title"] for widget in json.loads(dashboard["DashboardBody"])["widgets"]]
        if len(titles) < 7 or "${" in dashboard["DashboardBody"]:
            yield f"{name}: a widget is missing, or a reference was not resolved"
        # Anybody can make it rise, so that no alarm counts it: the dashboard is where it is seen.
        if ("UnknownSenderRefused" in dashboard["DashboardBody"]) != ("ReceivePayment" in resources):
            yield f"{name}: unknown senders of the webhook are not shown, or there is none"


def workflow_runs_this_code(resources: Resources) -> Iterator[str]:
    """The definition names the four functions' aliases, each where it belongs."""
    for name, machine in of_type(resources, "AWS::StepFunctions::StateMachine"):
        states = json.loads(machine["DefinitionString"])["States"]
        source = json.loads((ROOT / "statemachine/payment_ledger.asl.json").read_text())["States"]
        for state, task in states.items():
            if task["Type"] == "Task":
                logical = source[state]["Parameters"]["FunctionName"][2:-1]
                function = resources[logical]["Properties"]["FunctionName"]
                if not task["Parameters"]["FunctionName"].endswith(f":function:{function}:live"):
                    yield f"{name}: {state} does not invoke the alias of {logical}"


def actions_are_explicit(resources: Resources) -> Iterator[str]:
    """No wildcard in what a role or an endpoint allows, even where a condition makes it harmless today."""
    for name, resource in resources.items():
        if resource["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::EC2::VPCEndpoint"}:
            properties = resource["Properties"]
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
            for document in documents:
                for statement in document["Statement"]:
                    if any("*" in action for action in as_list(statement["Action"])):
                        yield f"{name}: allows actions by a wildcard"


def changes_are_watched(resources: Resources) -> Iterator[str]:
    """Each record of the table's stream, and each call that weakens what protects the ledger, reaches the watch."""
    watch = arn("lambda", "function:watch_ledger:live")
    mappings = [mapping for _, mapping in of_type(resources, "AWS::Lambda::EventSourceMapping")]
    expected = {
        "EventSourceArn": "PaymentLedgerTable.StreamArn",
        "FunctionName": watch,
        "StartingPosition": "TRIM_HORIZON",  # what happens before it is there is read too
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 60,
        "MaximumRetryAttempts": 20,  # a record that fails each time does not stop the rest
        "BisectBatchOnFunctionError": True,
    }
    if mappings != [expected]:
        yield f"stream: {mappings}"
    rule = resources["WatchLedgerProtection"]["Properties"]
    targets = [{key: value for key, value in target.items() if key != "Id"} for target in rule["Targets"]]
    if targets != [{"Arn": watch}] or rule.get("State", "ENABLED") != "ENABLED":
        yield "WatchLedgerProtection: does not reach the watch"
    if rule.get("EventBusName", "default") != "default":
        yield "WatchLedgerProtection: not on the bus of CloudTrail's events"
    if rule["EventPattern"] != _protection_pattern(resources):
        yield f"WatchLedgerProtection: {rule['EventPattern']}"


def _protection_pattern(resources: Resources) -> dict[str, Any]:
    """Return what the watch has to hear of: each call that is not refused, and on which resource.

    Source: CloudTrail's records of KMS, DynamoDB, EventBridge and Lambda; EventBridge User Guide, content filtering.
    """
    table = resources["PaymentLedgerTable"]["Properties"]["TableName"]
    bus = resources["LedgerBus"]["Properties"]["Name"]
    keys = [arn("kms", f"key/{name}") for name in ("TokenKey", "IntakeKey", "TableKey", "HistoryKey")]
    own = arn("dynamodb", f"table/{table}")

    def calls(service: str, names: list[Any], **on: Any) -> dict[str, Any]:
        return {"eventSource": [f"{service}.amazonaws.com"], "eventName": names, **on}

    weakening = ["DisableKey", "DisableKeyRotation", "PutKeyPolicy", "RevokeGrant", "ScheduleKeyDeletion"]
    policies = {"resourceArn": [own, {"prefix": f"{own}/stream/"}]}
    reconfiguring = ["DeleteTable", "EnableKinesisStreamingDestination", "UpdateContinuousBackups", "UpdateTable"]
    mapping = [{"prefix": "DeleteEventSourceMapping"}, {"prefix": "UpdateEventSourceMapping"}]
    archive = {"archiveName": ["LedgerArchive"]}
    return {
        "source": ["aws.dynamodb", "aws.events", "aws.kms", "aws.lambda"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "errorCode": [{"exists": False}],
            "$or": [
                calls("kms", weakening, resources={"ARN": keys}),
                calls("dynamodb", ["DeleteResourcePolicy", "PutResourcePolicy"], requestParameters=policies),
                calls("dynamodb", reconfiguring, requestParameters={"tableName": [table, own]}),
                calls("events", ["PutPermission", "RemovePermission"], requestParameters={"eventBusName": [bus]}),
                calls("events", ["DeleteArchive"], requestParameters=archive),
                calls("events", ["DeleteEventBus"], requestParameters={"name": [bus]}),
                calls("lambda", mapping, requestParameters={"uuid": ["WatchLedgerItems"]}),
            ],
        },
    }


def a_role_is_its_functions(resources: Resources) -> Iterator[str]:
    """Each call of a function's role holds for that function's code and one endpoint, by their exact names."""
    functions = {
        function["Role"].rpartition("/")[2]: arn("lambda", f"function:{function['FunctionName']}")
        for _, function in of_type(resources, "AWS::Lambda::Function")
    }
    for name, role in of_type(resources, "AWS::IAM::Role"):
        statements = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
        for statement in statements:
            actions = as_list(statement["Action"])
            service = actions[0].partition(":")[0]
            conditions = statement.get("Condition", {})
            called = role["RoleName"] in functions and service in ENDPOINTS and not READS_OF_LAMBDA & {*actions}
            if not called or conditions == OF_SECRETS_MANAGER:
                continue
            source = conditions.get("ArnEquals", {}).get("lambda:SourceFunctionArn")
            endpoint = conditions.get("StringEquals", {}).get("aws:SourceVpce")
            if (source, endpoint) != (functions[role["RoleName"]], ENDPOINTS[service][1]):
                yield f"{name}: {actions[0]} from {source} through {endpoint}"


OF_SECRETS_MANAGER = {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}


def the_few_are_named(resources: Resources) -> Iterator[str]:
    """Who may write the table, tell outcomes and use the keys of tokens, by their exact names."""

    def roles(*names: str) -> list[str]:
        return [arn("iam", f"role/paymentledger-{name}", region="") for name in names]

    keys = dict(of_type(resources, "AWS::KMS::Key"))
    documents = {
        "table": resources["PaymentLedgerTable"]["Properties"]["ResourcePolicy"]["PolicyDocument"]["Statement"],
        "bus": as_list(resources["LedgerBusPolicy"]["Properties"]["Statement"]),
        "TokenKey": keys["TokenKey"]["KeyPolicy"]["Statement"],
        "IntakeKey": keys["IntakeKey"]["KeyPolicy"]["Statement"],
    }
    found = [
        (where, as_list(statement["Action"])[0], as_list(named))
        for where, statements in documents.items()
        for statement in statements
        for operator in ("ArnEquals", "ArnNotEquals")
        if (named := statement.get("Condition", {}).get(operator, {}).get("aws:PrincipalArn"))
    ]
    expected = [
        ("table", "dynamodb:PutItem", roles("role")),
        ("table", "dynamodb:UpdateItem", roles("publish-role", "republish-role")),
        ("table", "dynamodb:DeleteResourcePolicy", ["arn:aws:iam::123456789012:role/break-glass"]),
        ("bus", "events:PutEvents", roles("publish-role", "republish-role")),
        ("TokenKey", "kms:Encrypt", roles("encrypt-role")),
        ("TokenKey", "kms:Decrypt", roles("reveal-role")),
        ("IntakeKey", "kms:ReEncryptFrom", roles("encrypt-role")),
    ]
    if found != expected:
        yield f"who may: {[one for one in found if one not in expected]}"


def concurrency_is_reserved(resources: Resources) -> Iterator[str]:
    """The webhook cannot use up the account's concurrency, and tokens are read one at a time."""
    reserved = {
        name: function.get("ReservedConcurrentExecutions")
        for name, function in of_type(resources, "AWS::Lambda::Function")
        if "ReservedConcurrentExecutions" in function
    }
    if reserved != {"ReceivePayment": "100", "RevealSecureToken": 1}:
        yield f"reserved concurrency: {reserved}"


CHECKS: tuple[Callable[[Resources], Iterator[str]], ...] = (
    no_way_out,
    one_way_in,
    payments_from_the_bus,
    groups_are_closed_pairs,
    endpoints_are_exact,
    functions_are_inside,
    kept_for_good,
    keys_and_logs,
    events_and_alarms,
    what_alarms_count,
    workflow_runs_this_code,
    actions_are_explicit,
    changes_are_watched,
    a_role_is_its_functions,
    the_few_are_named,
    concurrency_is_reserved,
)


def problems(resources: Resources) -> list[str]:
    """Everything that does not hold. A check that cannot read the stack has found a problem too."""
    found = []
    for check in CHECKS:
        try:
            found += list(check(resources))
        except (KeyError, TypeError, IndexError, AttributeError) as broken:
            found.append(f"{check.__name__}: cannot be judged ({type(broken).__name__}: {broken})")
    return found
