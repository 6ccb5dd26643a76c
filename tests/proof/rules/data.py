"""The data: what is retained, what encrypts it, and which logs and histories hold it."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.item import EncryptedPayment
from ledger.payment import Payment
from tests.proof.policies import Resources, as_list, of_type
from tests.proof.resolved import arn


def data_is_retained(resources: Resources) -> Iterator[str]:
    """Check that the resources that hold data, and the keys that open it, survive a mistake with the stack."""
    for name, resource in resources.items():
        if resource["Type"] in {
            "AWS::DynamoDB::Table",
            "AWS::KMS::Key",
            "AWS::Logs::LogGroup",
            "AWS::SQS::Queue",
            "AWS::StepFunctions::StateMachineVersion",
        }:
            # A resource that is empty until the stack works is deleted if the creation fails. Otherwise the next
            # creation would find it there.
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
            yield f"{name}: its stream does not show an item before and after its change"
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
    """Yield an index whose keys are not attributes of an item, or that holds the ciphertext."""
    attributes = _item_attributes()
    for index in table.get("GlobalSecondaryIndexes", []):
        projection = index["Projection"]
        if projection.get("ProjectionType") != "INCLUDE" or "SecureToken" in projection["NonKeyAttributes"]:
            yield f"{name}: index {index['IndexName']} holds the ciphertext"
        keys = {key["AttributeName"] for key in index["KeySchema"]}
        if not keys | set(projection.get("NonKeyAttributes", [])) <= attributes | {"PublishedAt"}:
            yield f"{name}: index {index['IndexName']} names attributes that items do not have"
    if [index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])] != [
        "PaymentsByProcessor",
        "UnpublishedPayments",
    ]:
        yield f"{name}: its indexes are not the two that the functions read"


def _item_attributes() -> set[str]:
    payment = Payment("t", "1", "JPY", "p", "Success", "2026-01-01T00:00:00.000000Z", {})
    return set(EncryptedPayment(payment, b"", "k", "e", "r").as_item())


WORKFLOW_LOG = arn("logs", "log-group:/aws/vendedlogs/states/payment-ledger:*")
"""The log group's ARN. Step Functions does not accept it without the last two characters."""


def keys_and_logs(resources: Resources) -> Iterator[str]:
    """Check that four keys are rotated, that logs are encrypted, expire and hold no payment, and the history's key."""
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
            yield f"{name}: the key does not let CloudWatch Logs encrypt it"
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
            yield f"{name}: logs the data of executions, or not every event"
        if machine.get("TracingConfiguration") != {"Enabled": True}:
            yield f"{name}: not traced"
        if machine.get("StateMachineName") != "PaymentLedger" or machine.get("StateMachineType") != "STANDARD":
            yield f"{name}: not a Standard workflow with its fixed name"
    for name, alias in of_type(resources, "AWS::StepFunctions::StateMachineAlias"):
        preference = alias.get("DeploymentPreference", {})
        alarms = ["payment-ledger-technical-failures", "payment-ledger-function-errors"]
        canary = {"Type": "CANARY", "Percentage": 10, "Interval": 10, "Alarms": alarms}
        if {**preference, **canary} != preference:
            yield f"{name}: a new version gets every payment at once, or no alarm rolls it back"
    if not dict(of_type(resources, "AWS::StepFunctions::StateMachineAlias")):
        yield "workflow: not behind an alias"
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        variables = function["Environment"]["Variables"]
        for variable, own_key in (("TOKEN_KEY", "TokenKey"), ("INTAKE_KEY", "IntakeKey")):
            if variable in variables and variables[variable].rpartition("/")[2] != own_key:
                yield f"{name}: {variable} is not {own_key}"
