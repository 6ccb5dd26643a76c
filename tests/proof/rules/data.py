"""The data: what is retained, what encrypts it, and which logs and histories hold it."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ledger.chain import RecordedEntry
from ledger.entry import Entry
from ledger.item import EncryptedPayment
from ledger.payment import Payment
from ledger.seal import SealedRecord, following
from ledger.totals import Totals
from tests.proof.policies import Resources, as_list, of_type
from tests.proof.resolved import arn


class Table(NamedTuple):
    """What a table must be: its name, its key, its indexes with their keys, and an item in attribute form."""

    name: str
    key: list[str]
    indexes: Mapping[str, list[str]]
    item: Mapping[str, Any]


MOMENT = "2026-01-01T00:00:00.000000Z"
TABLES = {
    "PaymentLedgerTable": Table(
        "PaymentLedger",
        ["TransactionID"],
        {
            "PaymentsByProcessor": ["ProcessorShard", "Timestamp"],
            "UnpublishedPayments": ["Unpublished", "RecordedAt"],
            "UnsealedPayments": ["Unsealed", "RecordedAt"],
        },
        EncryptedPayment(Payment("t", "1", "JPY", "p", "Success", MOMENT, {}), b"", "k", "e", MOMENT).as_item(),
    ),
    "PaymentEntriesTable": Table(
        "PaymentEntries",
        ["TransactionID", "Entry"],
        {
            "EntriesByProcessor": ["ProcessorShard", "Timestamp"],
            "UnpublishedEntries": ["Unpublished", "RecordedAt"],
            "UnsealedEntries": ["Unsealed", "RecordedAt"],
        },
        RecordedEntry(
            1, Entry("t", "e", "Refunded", "1", "JPY", "p", MOMENT, None, {}), Totals("1", "1", "0"), "h", "e", MOMENT
        ).as_item(),
    ),
    "PaymentSealsTable": Table(
        "PaymentSeals",
        ["Log", "Seal"],
        {},
        following(None, "log", MOMENT, [SealedRecord(("t", 0), b"", b"")]).as_item(),
    ),
}
"""The tables, by their logical IDs."""

READ_FROM_THE_TABLE = ("UnsealedPayments", "UnsealedEntries")
"""The indexes that only say which items to read: they hold keys and nothing else."""


def data_is_retained(resources: Resources) -> Iterator[str]:
    """Check that the resources that hold data, and the keys that open it, survive a mistake with the stack."""
    for name, resource in resources.items():
        if resource["Type"] in {
            "AWS::DynamoDB::Table",
            "AWS::KMS::Key",
            "AWS::Logs::LogGroup",
            "AWS::S3::Bucket",
            "AWS::S3::BucketPolicy",
            "AWS::SQS::Queue",
            "AWS::StepFunctions::StateMachineVersion",
        }:
            # A resource that is empty until the stack works is deleted if the creation fails. Otherwise the next
            # creation would find it there.
            empty_at_first = resource["Type"] not in {"AWS::DynamoDB::Table", "AWS::StepFunctions::StateMachineVersion"}
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
        if name in TABLES:
            yield from _key_and_indexes(name, table, TABLES[name])
    if {name for name, _ in of_type(resources, "AWS::DynamoDB::Table")} != TABLES.keys():
        yield "tables: not exactly those of payments, of entries and of seals"


def checkpoints_are_locked(resources: Resources) -> Iterator[str]:
    """Check that the bucket of checkpoints keeps each version for the parameter's years, and nobody can remove one.

    Source: S3 User Guide, Object Lock: governance mode has a way around it, and compliance mode has none.
    """
    buckets, policies = (dict(of_type(resources, f"AWS::S3::{kind}")) for kind in ("Bucket", "BucketPolicy"))
    if buckets.keys() != {"CheckpointsBucket"}:
        yield f"buckets: {sorted(buckets)}"
    expected = {
        "ObjectLockEnabled": True,
        "ObjectLockConfiguration": {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": "10"}},
        },
        "VersioningConfiguration": {"Status": "Enabled"},
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": dict.fromkeys(
            ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
        ),
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    }
    for name, bucket in buckets.items():
        for what in sorted({*bucket, *expected}):  # a name of its own would block its return, and a rule could expire
            if bucket.get(what) != expected.get(what):
                yield f"{name}: {what} is {bucket.get(what)}"
    if [policy["Bucket"] for policy in policies.values()] != ["checkpointsbucket"]:
        yield "buckets: not each has one policy"


def _key_and_indexes(name: str, table: Mapping[str, Any], expected: Table) -> Iterator[str]:
    """Yield what differs in a table's name and keys, and an index that lacks what is read or holds the ciphertext."""
    if table["TableName"] != expected.name:
        yield f"{name}: has another name than policies and alarms write out"
    if _keys(table) != expected.key:
        yield f"{name}: its key is not {' and '.join(expected.key)}"
    indexes = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", [])}
    if {index_name: _keys(index) for index_name, index in indexes.items()} != expected.indexes:
        yield f"{name}: its indexes are not those that the functions read"
    keys = {attribute for names in (expected.key, *expected.indexes.values()) for attribute in names}
    types = {attribute: kind for attribute in keys for kind in expected.item[attribute]}
    if {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]} != types:
        yield f"{name}: its keys have other types than the attributes of its items"
    for index_name, index in indexes.items():
        projection = index["Projection"]
        if index_name in READ_FROM_THE_TABLE:
            if projection != {"ProjectionType": "KEYS_ONLY"}:
                yield f"{name}: index {index_name} holds more than keys"
            continue
        if "SecureToken" not in expected.item:  # then an item is read whole or not at all
            if projection != {"ProjectionType": "ALL"}:
                yield f"{name}: index {index_name} does not have whole items"
            continue
        projected = projection.get("NonKeyAttributes", [])
        if projection.get("ProjectionType") != "INCLUDE" or "SecureToken" in projected:
            yield f"{name}: index {index_name} holds the ciphertext"
        if not set(projected) <= {*expected.item, "PublishedAt"}:
            yield f"{name}: index {index_name} names attributes that items do not have"


def _keys(holder: Mapping[str, Any]) -> list[str]:
    """Return the attributes of a table's or an index's key, or nothing if their order is not partition and sort key."""
    kinds = [key["KeyType"] for key in holder["KeySchema"]]
    return [key["AttributeName"] for key in holder["KeySchema"]] if kinds == ["HASH", "RANGE"][: len(kinds)] else []


class Workflow(NamedTuple):
    """What a state machine must be: its name, its role, its type, and the ARN of its log group.

    Step Functions does not accept the ARN of a log group without its last two characters.
    """

    name: str
    role: str
    kind: str = "STANDARD"
    log: str = arn("logs", "log-group:/aws/vendedlogs/states/payment-ledger:*")

    @property
    def has_history(self) -> bool:
        """Whether Step Functions keeps what its executions got and returned, so that a key must encrypt it."""
        return self.kind == "STANDARD"


WORKFLOWS = {
    "PaymentLedgerWorkflow": Workflow("PaymentLedger", "paymentledger-workflow-role"),
    "PaymentEntriesWorkflow": Workflow("PaymentEntries", "paymentledger-entries-workflow-role"),
    # Its failures are no failures of payments, so no alarm of the other group may count them.
    "FastPaymentLedgerWorkflow": Workflow(
        "PaymentLedgerFast",
        "paymentledger-fast-workflow-role",
        "EXPRESS",
        arn("logs", "log-group:/aws/vendedlogs/states/payment-ledger/fast:*"),
    ),
}
"""Each workflow, by its logical ID."""


def keys_and_logs(resources: Resources) -> Iterator[str]:
    """Check the five keys, that logs are encrypted, expire and hold no payment, and the history's key."""
    keys = dict(of_type(resources, "AWS::KMS::Key"))
    yield from _kinds_of_keys(keys)
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
        expected = WORKFLOWS[name]
        key = machine.get("EncryptionConfiguration", {}).get("KmsKeyId")
        if key != (history_key if expected.has_history else None):
            yield f"{name}: its history is not encrypted with the stack's key, or has one without a history"
        logging = machine.get("LoggingConfiguration", {})
        if (
            logging.get("IncludeExecutionData") is not False
            or logging.get("Level") != "ALL"
            or logging.get("Destinations") != [{"CloudWatchLogsLogGroup": {"LogGroupArn": expected.log}}]
        ):
            yield f"{name}: logs the data of executions, or not every event"
        if machine.get("TracingConfiguration") != {"Enabled": True}:
            yield f"{name}: not traced"
        named = (machine.get("StateMachineName"), machine["RoleArn"].rpartition("/")[2])
        if named != (expected.name, expected.role) or machine.get("StateMachineType") != expected.kind:
            yield f"{name}: not a workflow of its type with its fixed name and its own role"
    yield from _workflows_are_behind_aliases(resources)


def _kinds_of_keys(keys: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a key that exists elsewhere too, is off, is not rotated, or is of another kind than its use needs.

    Source: KMS Developer Guide: only symmetric keys of KMS's own material are rotated, and a key of several regions or
    of imported material has copies.
    """
    if set(keys) != {"TokenKey", "IntakeKey", "SealKey", "TableKey", "HistoryKey"}:
        yield f"keys: {sorted(keys)}"
    for name, key in keys.items():
        kind = (key.get("KeySpec", "SYMMETRIC_DEFAULT"), key.get("KeyUsage", "ENCRYPT_DECRYPT"))
        signs = name == "SealKey"
        if kind != (("ECC_NIST_EDWARDS25519", "SIGN_VERIFY") if signs else ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")):
            yield f"{name}: is a key of the kind {kind}"
        if key.get("EnableKeyRotation", False) is signs:
            yield f"{name}: {'rotated, although KMS cannot' if signs else 'not rotated'}"
        if key.get("MultiRegion", False) is not False or key.get("Origin", "AWS_KMS") != "AWS_KMS":
            yield f"{name}: may have a copy outside KMS or in another region"
        if key.get("Enabled", True) is not True:
            yield f"{name}: is off"


def _workflows_are_behind_aliases(resources: Resources) -> Iterator[str]:
    """Yield a workflow without one version and one alias, and an alias that a release does not reach gradually."""
    machines = dict(of_type(resources, "AWS::StepFunctions::StateMachine"))
    versions = dict(of_type(resources, "AWS::StepFunctions::StateMachineVersion"))
    aliases = dict(of_type(resources, "AWS::StepFunctions::StateMachineAlias"))
    for kind, found in (("Version", versions), ("Alias", aliases)):
        if found.keys() != {f"{name}{kind}" for name in WORKFLOWS}:
            yield f"workflows: not each has one {kind.lower()}"
    if machines.keys() != WORKFLOWS.keys():
        yield f"workflows: {sorted(machines)}"
    for name, version in versions.items():
        own = arn("states", f"stateMachine:{WORKFLOWS[name.removesuffix('Version')].name}")
        if version["StateMachineArn"] != own:
            yield f"{name}: is a version of {version['StateMachineArn']}"
    for name, alias in aliases.items():
        preference = alias.get("DeploymentPreference", {})
        alarms = ["payment-ledger-technical-failures", "payment-ledger-function-errors"]
        if WORKFLOWS[name.removesuffix("Alias")].kind == "EXPRESS":
            alarms.append("payment-ledger-fast-lane")
        canary = {"Type": "CANARY", "Percentage": 10, "Interval": 10, "Alarms": alarms}
        own_version = {"StateMachineVersionArn": f"{name.removesuffix('Alias')}Version"}
        if {**canary, **own_version} != preference:
            yield f"{name}: a new version gets everything at once, no alarm rolls it back, or it is another workflow's"
        if alias.get("Name") != "live":
            yield f"{name}: not the alias that senders start"
