"""The watch: which changes of the tables' items and of their protection reach the function that reports them."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.proof.policies import Resources, of_type
from tests.proof.resolved import arn
from tests.proof.rules.data import TABLES


def changes_are_watched(resources: Resources) -> Iterator[str]:
    """Check that each change of an item, and each call that weakens the ledger's protection, reaches the watch."""
    watch = arn("lambda", "function:watch_ledger:live")
    mappings = [mapping for _, mapping in of_type(resources, "AWS::Lambda::EventSourceMapping")]
    expected = {
        "FunctionName": watch,
        "StartingPosition": "TRIM_HORIZON",  # changes from before the mapping existed are read too
        "MaximumBatchingWindowInSeconds": 60,
        "MaximumRetryAttempts": 20,  # a record that always fails does not stop the others
        "BisectBatchOnFunctionError": True,
    }
    # A record of a seal has up to 400 KB before the change and after it.
    sizes = {table: 10 if table == "PaymentSealsTable" else 1000 for table in TABLES}
    streams = [{"EventSourceArn": f"{table}.StreamArn", "BatchSize": size, **expected} for table, size in sizes.items()]
    if sorted(map(_in_order, mappings)) != sorted(map(_in_order, streams)):
        yield f"streams: {mappings}"
    rule = resources["WatchLedgerProtection"]["Properties"]
    targets = [{key: value for key, value in target.items() if key != "Id"} for target in rule["Targets"]]
    if targets != [{"Arn": watch}] or rule.get("State", "ENABLED") != "ENABLED":
        yield "WatchLedgerProtection: does not reach the watch"
    if rule.get("EventBusName", "default") != "default":
        yield "WatchLedgerProtection: not on the bus of CloudTrail's events"
    if rule["EventPattern"] != _protection_pattern(resources):
        yield f"WatchLedgerProtection: {rule['EventPattern']}"


def _in_order(properties: Mapping[str, Any]) -> str:
    return str(sorted(properties.items()))


def _protection_pattern(resources: Resources) -> dict[str, Any]:
    """Return the pattern of the calls that the watch must see: those that succeed, each with its resource.

    Source: CloudTrail's records of KMS, DynamoDB, EventBridge and Lambda; EventBridge User Guide, content filtering.
    """
    bus = resources["LedgerBus"]["Properties"]["Name"]
    keys = [arn("kms", f"key/{name}") for name in ("TokenKey", "IntakeKey", "SealKey", "TableKey", "HistoryKey")]
    tables = [resources[table]["Properties"]["TableName"] for table in TABLES]
    arns = [arn("dynamodb", f"table/{table}") for table in tables]

    def calls(service: str, names: list[Any], **on: Any) -> dict[str, Any]:
        return {"eventSource": [f"{service}.amazonaws.com"], "eventName": names, **on}

    weakening = ["DisableKey", "DisableKeyRotation", "PutKeyPolicy", "RevokeGrant", "ScheduleKeyDeletion"]
    policies = {"resourceArn": [one for own in arns for one in (own, {"prefix": f"{own}/stream/"})]}
    configured = {"tableName": [one for pair in zip(tables, arns, strict=True) for one in pair]}
    reconfiguring = ["DeleteTable", "EnableKinesisStreamingDestination", "UpdateContinuousBackups", "UpdateTable"]
    mapping = [{"prefix": "DeleteEventSourceMapping"}, {"prefix": "UpdateEventSourceMapping"}]
    mappings = ["WatchLedgerItems", "WatchLedgerEntries", "WatchLedgerSeals"]
    archive = {"archiveName": ["LedgerArchive"]}
    return {
        "source": ["aws.dynamodb", "aws.events", "aws.kms", "aws.lambda"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "errorCode": [{"exists": False}],
            "$or": [
                calls("kms", weakening, resources={"ARN": keys}),
                calls("dynamodb", ["DeleteResourcePolicy", "PutResourcePolicy"], requestParameters=policies),
                calls("dynamodb", reconfiguring, requestParameters=configured),
                calls("events", ["PutPermission", "RemovePermission"], requestParameters={"eventBusName": [bus]}),
                calls("events", ["DeleteArchive"], requestParameters=archive),
                calls("events", ["DeleteEventBus"], requestParameters={"name": [bus]}),
                calls("lambda", mapping, requestParameters={"uuid": mappings}),
            ],
        },
    }
