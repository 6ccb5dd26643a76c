"""Templates with one fault each, which AWS would not accept, or which would not change what they say."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.proof.mutants import Mutant, Template, changed, dropped
from tests.proof.policies import as_list

KEY_ADMINISTRATION = (
    "kms:DescribeKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags",
    "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateKeyDescription",
)  # fmt: skip
"""The calls that CloudFormation's handlers make on a key of the stack."""

STATEMENTS_FOR_CALLERS = {
    "HistoryKey": ["TheDeployerCreatesTheWorkflows", "CloudWatchLogsUsesItForCallersOfThisAccount"],
    "TableKey": ["DynamoDBUsesItForCallersOfThisAccount"],
}

WORKFLOWS = {
    "PaymentLedgerWorkflow": "PaymentEntriesWorkflow",
    "PaymentEntriesWorkflow": "PaymentLedgerWorkflow",
    "FastPaymentLedgerWorkflow": "PaymentLedgerWorkflow",
}
"""Each workflow, and another one."""

TABLE_ADMINISTRATION = (
    "dynamodb:DescribeTable", "dynamodb:PutResourcePolicy", "dynamodb:TagResource", "dynamodb:UpdateContinuousBackups",
    "dynamodb:UpdateTable",
)  # fmt: skip


def mutants_of_a_stack(expanded: Template) -> Iterator[Mutant]:
    """Yield the mutants that one stack shows: its policies, what it leaves behind, and the length of its texts."""
    for key, sids in STATEMENTS_FOR_CALLERS.items():
        for sid in sids:
            yield from _without_statement(expanded, key, sid)
    for name, resource in expanded["Resources"].items():
        at: list[str | int] = ["Resources", name, "Properties"]
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::KMS::Key":
            path = [*at, "KeyPolicy", "Statement", 0, "Action"]
            for action in KEY_ADMINISTRATION:
                fewer = [one for one in properties["KeyPolicy"]["Statement"][0]["Action"] if one != action]
                yield f"{name}: without {action}", changed(expanded, path, fewer)
        if resource["Type"] == "AWS::DynamoDB::Table":
            denied = properties["ResourcePolicy"]["PolicyDocument"]["Statement"][0]["Action"]
            for action in TABLE_ADMINISTRATION:
                path = [*at, "ResourcePolicy", "PolicyDocument", "Statement", 0, "Action"]
                yield f"{name}: denies {action}", changed(expanded, path, [*as_list(denied), action])
            yield f"{name}: deleted with the stack", changed(expanded, ["Resources", name, "DeletionPolicy"], "Delete")
        if resource["Type"] == "AWS::SQS::QueuePolicy":
            path = [*at, "PolicyDocument", "Statement", 1, "Condition", "Bool", "aws:SecureTransport"]
            yield f"{name}: denies everybody", changed(expanded, path, "true")
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
            yield f"{name}: Retain", changed(expanded, ["Resources", name, "DeletionPolicy"], "Retain")
        if resource["Type"] == "AWS::Lambda::Version":
            yield f"{name}: Retain", changed(expanded, ["Resources", name, "DeletionPolicy"], "Retain")
        if resource["Type"] == "AWS::Lambda::Function":
            words = properties["Description"]["Fn::Join"][1]
            path = [*at, "Description", "Fn::Join", 1]
            yield f"{name}: a long description", changed(expanded, path, ["long " * 40, *words])


def mutants_of_changes(source: Template) -> Iterator[Mutant]:
    """Yield the mutants that only a change shows: settings that do not reach `live`, and names that block a change."""
    for name, resource in source["Resources"].items():
        at: list[str | int] = ["Resources", name, "Properties"]
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            words = properties["Description"]["Fn::Join"][1]
            yield f"{name}: without VersionDescription", changed(source, [*at, "VersionDescription"], None)
            more = {"Fn::Join": [" ", [*words, {"Ref": "LogRetentionDays"}]]}
            mutant = changed(source, [*at, "Description"], more)
            yield f"{name}: a description with another setting", changed(mutant, [*at, "VersionDescription"], more)
            yield f"{name}: not all properties", changed(source, [*at, "AutoPublishAliasAllProperties"], None)
            for index, word in enumerate(words[1:], 1):
                fewer = {"Fn::Join": [" ", dropped(words, index)]}
                mutant = changed(source, [*at, "Description"], fewer)
                yield f"{name}: description without {word}", changed(mutant, [*at, "VersionDescription"], fewer)
        if resource["Type"] == "AWS::EC2::SecurityGroup":
            yield f"{name}: a fixed name", changed(source, [*at, "GroupName"], f"ledger-{name}")
    for name, condition in (
        ("AcceptEntryLogs", "AcceptsEntries"),
        ("FlowLogs", "MakesVpc"),
        ("ReceivePaymentLogs", "HasWebhook"),
        ("RevealSecureTokenLogs", "RevealsTokens"),
        ("UndeliveredPayments", "HasProcessorsBus"),
        ("WebhookLogs", "HasWebhook"),
    ):
        yield f"{name}: only if {condition}", changed(source, ["Resources", name, "Condition"], condition)
    for workflow, other in WORKFLOWS.items():
        version: list[str | int] = ["Resources", f"{workflow}Version", "Properties"]
        yield f"{workflow}Version: of no revision", changed(source, [*version, "StateMachineRevisionId"], "1")
        yield f"{workflow}Version: of {other}", changed(source, [*version, "StateMachineArn"], {"Ref": other})
    for name, resource in source["Resources"].items():
        if resource["Type"] == "AWS::DynamoDB::Table":
            by_currency = {"Fn::Sub": f"{name}${{Suffix}}-${{DefaultCurrency}}"}
            yield (
                f"{name}: a name by currency",
                changed(source, ["Resources", name, "Properties", "TableName"], by_currency),
            )


def _without_statement(expanded: Template, key: str, sid: str) -> Iterator[Mutant]:
    statements: list[Mapping[str, Any]] = expanded["Resources"][key]["Properties"]["KeyPolicy"]["Statement"]
    path: list[str | int] = ["Resources", key, "Properties", "KeyPolicy", "Statement"]
    (index,) = [index for index, statement in enumerate(statements) if statement.get("Sid") == sid]
    yield f"{key}: without {sid}", changed(expanded, path, dropped(statements, index))
    for operator, keys in statements[index]["Condition"].items():
        for name in keys:
            other = {**keys, name: "another"}
            yield f"{key}: {sid} for another {name}", changed(expanded, [*path, index, "Condition", operator], other)
