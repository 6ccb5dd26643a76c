"""The ways in: the webhook, the processors' bus, and nothing else."""

import re
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from tests.proof.contexts import PARTNER_RULE, PARTNER_SOURCE
from tests.proof.policies import Resources, as_list, of_type
from tests.proof.resolved import arn

MAX_INTEGRATION_S = 30
"""Source: API Gateway Developer Guide, quotas of an HTTP API, maximum integration timeout."""


def only_the_webhook_is_reachable(resources: Resources) -> Iterator[str]:
    """Check that the internet reaches one function by one throttled, logged route, and nothing else invokes one."""
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
        "SourceArn": arn("events", "rule/WatchLedgerProtection"),
    }
    partners = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": arn("lambda", "function:receive_partner_event:live"),
        "Principal": "events.amazonaws.com",
        "SourceArn": PARTNER_RULE,
    }
    if sorted(permissions, key=itemgetter("FunctionName")) != [partners, expected, watched]:
        yield f"permissions to invoke: {permissions}"
    if not resources["ReceivePayment"]["Properties"]["Timeout"] < MAX_INTEGRATION_S:
        yield "ReceivePayment: may answer after the API has given up"
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
                yield f"{name}: {path} does not use the payload format that the function reads"
    most = 1000 if "FastPaymentLedgerWorkflow" in resources else 300
    for name, stage in of_type(resources, "AWS::ApiGatewayV2::Stage"):
        settings = stage.get("DefaultRouteSettings", {})
        if not 0 < settings.get("ThrottlingRateLimit", 0) <= settings.get("ThrottlingBurstLimit", 0) <= most:
            yield f"{name}: lets more requests through than the workflow can start"
        logs = stage.get("AccessLogSettings", {})
        access_log = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/apis/payment-ledger:*"
        if logs.get("DestinationArn") != access_log:
            yield f"{name}: requests are not logged"
        logged = set(re.findall(r"\$context\.([\w.]+)", logs.get("Format", "")))
        if not {"requestId", "identity.sourceIp", "status"} <= logged or any("authorizer" in key for key in logged):
            yield f"{name}: its log lacks the request's ID, sender or status, or holds what an authorizer says"


def concurrency_is_reserved(resources: Resources) -> Iterator[str]:
    """Check that the webhook cannot use up the account's concurrency, and that tokens are revealed one at a time."""
    reserved = {
        name: function.get("ReservedConcurrentExecutions")
        for name, function in of_type(resources, "AWS::Lambda::Function")
        if "ReservedConcurrentExecutions" in function
    }
    if reserved != {"ReceivePayment": "100", "RevealSecureToken": 1}:
        yield f"reserved concurrency: {reserved}"


STARTS = {"RoleArn": "arn:aws:iam::123456789012:role/paymentledger-rule-role", "InputPath": "$.detail"}
RULES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "PaymentsRule": (
        "payment-processors",
        "start-payments",
        {"detail-type": ["PaymentReceived"]},
        {"Arn": arn("states", "stateMachine:PaymentLedger:live"), **STARTS},
    ),
    "EntriesRule": (
        "payment-processors",
        "start-entries",
        {"detail-type": ["EntryReceived"]},
        {"Arn": arn("states", "stateMachine:PaymentEntries:live"), **STARTS},
    ),
    "PartnerRule": (
        PARTNER_SOURCE,
        "receive-partner-events",
        {"source": [PARTNER_SOURCE]},
        {"Arn": arn("lambda", "function:receive_partner_event:live")},
    ),
}
"""The bus of each rule, the rule's name, what it matches, and its target without the queue."""


def payments_and_entries_from_buses(resources: Resources) -> Iterator[str]:
    """Check that rules start each workflow's alias and the partner's function, and that a queue keeps failed events."""
    rules = {name: rule for name, rule in of_type(resources, "AWS::Events::Rule") if name != "WatchLedgerProtection"}
    if rules.keys() != RULES.keys():
        yield "rules: not exactly one for each workflow and one for the partner, besides the watch's"
    for name, rule in rules.items():
        bus, rule_name, matched, target = RULES[name]
        if rule.get("EventPattern") != matched or rule.get("State", "ENABLED") != "ENABLED":
            yield f"{name}: does not match {matched}"
        if (rule.get("EventBusName"), rule.get("Name")) != (bus, rule_name):
            yield f"{name}: has another name than the one in its role's and its queue's policy"
        targets = [{key: value for key, value in target.items() if key != "Id"} for target in rule.get("Targets", [])]
        expected = {
            **target,
            "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
            "DeadLetterConfig": {"Arn": arn("sqs", "undelivered-payments")},
        }
        if targets != [expected]:
            yield f"{name}: its target is another, or has no dead-letter queue"
        needed = ["UndeliveredPaymentsPolicy", *(["PartnerRulePermission"] if name == "PartnerRule" else [])]
        if as_list(resources[name].get("DependsOn", [])) != needed:
            yield f"{name}: may send to its queue before the queue's policy allows it"
    for name, made in of_type(resources, "AWS::Events::EventBus"):
        # AWS refuses a partner's bus of another name than its source's, and no linter sees that.
        if made.get("EventSourceName") != (made["Name"] if made["Name"].startswith("aws.") else None):
            yield f"{name}: its name is not its source's"
    queues = dict(of_type(resources, "AWS::SQS::Queue"))
    policed = [queue for _, policy in of_type(resources, "AWS::SQS::QueuePolicy") for queue in policy["Queues"]]
    if sorted(queue["QueueName"] for queue in queues.values()) != sorted(policed):
        yield "queues: not every queue has one policy"
    for name, queue in queues.items():
        if queue.get("MessageRetentionPeriod") != 1209600 or queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: its messages are not kept for two weeks, or not encrypted"
