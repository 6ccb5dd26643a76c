"""The page `docs/internals/permissions.md`, made from the template."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine import template
from tests.proof.parameters import PARAMETERS
from tests.proof.policies import Resources, as_list, of_type
from tests.proof.resolved import ACCOUNT, PARTITION, REGION, Resolver
from tools.sdk_data import READ_BY_LAMBDA

PAGE = ROOT / "docs/internals/permissions.md"

CALLS = {
    "dynamodb:BatchGetItem": "dynamodb.batch_get_item(",
    "dynamodb:GetItem": "client.get_item(|dynamodb.get_item(",
    "dynamodb:PutItem": "client.put_item(|dynamodb.put_item(",
    "dynamodb:Query": "client.query(|dynamodb.query(",
    "dynamodb:UpdateItem": "client.update_item(|dynamodb.update_item(",
    "events:PutEvents": "client.put_events(",
    "kms:Encrypt": "client.encrypt(|kms.encrypt(",
    "kms:Decrypt": "kms.decrypt(",
    "kms:GetPublicKey": "kms.get_public_key(",
    "kms:Sign": "kms.sign(",
    "kms:ReEncryptFrom": "client.re_encrypt(",
    "kms:ReEncryptTo": "client.re_encrypt(",
    "s3:PutObject": "s3.put_object(",
    "secretsmanager:BatchGetSecretValue": "client.batch_get_secret_value(",
    "secretsmanager:GetSecretValue": "client.batch_get_secret_value(",
    "secretsmanager:ListSecrets": "client.batch_get_secret_value(",
    "states:DescribeExecution": "states.describe_execution(",
    "states:StartExecution": "states.start_execution(",
    "states:StartSyncExecution": "states.start_sync_execution(",
}
"""The call that an action allows, as the code writes it; `|` separates alternatives."""

BY_AWS = {
    **{f"dynamodb:{call}": "Lambda reads the tables' streams for the watch" for _, call in sorted(READ_BY_LAMBDA)},
    "cloudwatch:": "CodeDeploy watches the alarm of a deployment",
    "ec2:": "Lambda attaches a function to the VPC",
    "kms:Decrypt": "Step Functions reads the history that it continues",
    "kms:GenerateDataKey": "Step Functions encrypts the history, and delivers its log",
    "lambda:GetAlias": "CodeDeploy shifts an alias",
    "lambda:GetProvisionedConcurrencyConfig": "CodeDeploy waits until a new version has its provisioned concurrency",
    "lambda:UpdateAlias": "CodeDeploy shifts an alias",
    "logs:CreateLogStream": "the service writes the log",
    "logs:DescribeLogStreams": "the service writes the log",
    "logs:PutLogEvents": "the service writes the log",
    "logs:": "Step Functions delivers its log",
    "xray:": "the service sends its traces",
}
"""The purpose of calls that AWS itself makes with a role, by the beginning of the action."""

BY_ROLE = {
    "PaymentLedgerWorkflowRole": {"lambda:InvokeFunction": "statemachine/payment_ledger.asl.json"},
    "PaymentEntriesWorkflowRole": {"lambda:InvokeFunction": "statemachine/payment_entries.asl.json"},
    "FastPaymentLedgerWorkflowRole": {"lambda:InvokeFunction": "statemachine/payment_ledger.asl.json"},
    "EntryOperatorPolicy": {
        "cloudformation:DescribeStacks": "the `ledger` command reads the stack's outputs",
        "kms:Decrypt": "Step Functions reads the history for `ledger inspect`",
        "lambda:InvokeFunction": "`ledger accept` and `ledger inspect`",
        "logs:FilterLogEvents": "`ledger inspect` shows an execution of the fast lane",
        "states:DescribeExecution": "`ledger accept`, `ledger retry` and `ledger inspect`",
        "states:GetExecutionHistory": "`ledger inspect`",
        "states:ListExecutions": "`ledger inspect`",
        "states:StartExecution": "`ledger retry`",
    },
    "PaymentStarterPolicy": {
        **dict.fromkeys(("kms:Encrypt", "states:StartExecution"), "functions/ledger/intake.py"),
        "states:StartSyncExecution": "functions/ledger/fast_lane.py",
    },
    "PaymentsRuleRole": {"states:StartExecution": "EventBridge starts a payment or an entry"},
    "ReceivePartnerEventRole": {"sqs:SendMessage": "Lambda keeps an event that the function could not take"},
    "ReceivePaymentRole": {"kms:Decrypt": "Secrets Manager reads a processor's secret"},
    "RepublishScheduleRole": {"lambda:InvokeFunction": "EventBridge Scheduler starts the sweep"},
    "SealScheduleRole": {"lambda:InvokeFunction": "EventBridge Scheduler starts the sealer"},
}
"""The purpose of calls that no code of the role's own makes, by the action."""

HOLDERS = {
    "EntryOperatorPolicy": "for operators who decide about refused entries",
    "FunctionPlatformPolicy": "on every function's role",
    "PaymentStarterPolicy": "for senders of payments and entries",
}
"""Who has each managed policy."""

HEAD = """# Permissions

Each row says which action a role or principal may call, on which resource, under which condition, and what needs it.
`make generate` makes this page from `template.yaml`, and a test fails if the page is stale.
ARNs are shown without partition, region and account, which are the stack's own.
`tests/proof/reviewed.json` lists every request that a policy evaluator allows under these policies.
"""


def page() -> str:
    """Return the page's text for the template and the code as they are now."""
    resources = Resolver(template.expand(ROOT / "template.yaml", {}), PARAMETERS).resources()
    return HEAD + "".join(f"\n## {title}\n\n{_table(rows)}" for title, rows in _sections(resources))


def _sections(resources: Resources) -> Iterator[tuple[str, list[list[str]]]]:
    for name, role in of_type(resources, "AWS::IAM::Role"):
        who = _assumed_by(role["AssumeRolePolicyDocument"])
        documents = [policy["PolicyDocument"] for policy in role["Policies"]]
        title = f"Role `{role['RoleName']}`, for {who}"
        attached = " and `FunctionPlatformPolicy`" if role.get("ManagedPolicyArns") else ""
        yield title + attached, [row for document in documents for row in _rows(document, name)]
    for name, policy in of_type(resources, "AWS::IAM::ManagedPolicy"):
        yield f"Policy `{name}`, {HOLDERS[name]}", list(_rows(policy["PolicyDocument"], name))
    for kind, key, what in (
        ("AWS::KMS::Key", "KeyPolicy", "Key"),
        ("AWS::EC2::VPCEndpoint", "PolicyDocument", "Endpoint"),
    ):
        for name, properties in of_type(resources, kind):
            yield f"{what} `{name}`", list(_guard_rows(properties[key]))
    for name, table in of_type(resources, "AWS::DynamoDB::Table"):
        yield f"Table `{name}`", list(_guard_rows(table["ResourcePolicy"]["PolicyDocument"]))
    for name, policy in of_type(resources, "AWS::S3::BucketPolicy"):
        yield f"Bucket `{name.removesuffix('Policy')}`", list(_guard_rows(policy["PolicyDocument"]))
    for name, policy in of_type(resources, "AWS::Events::EventBusPolicy"):
        yield f"Bus `{name.removesuffix('Policy')}`", list(_guard_rows({"Statement": as_list(policy["Statement"])}))
    for name, policy in of_type(resources, "AWS::SQS::QueuePolicy"):
        yield f"Queue `{name.removesuffix('Policy')}`", list(_guard_rows(policy["PolicyDocument"]))


def _assumed_by(trust: Mapping[str, Any]) -> str:
    return str(trust["Statement"][0]["Principal"]["Service"])


def _rows(document: Mapping[str, Any], role: str) -> Iterator[list[str]]:
    yield ["", "action", "on", "if", "needed by"]
    for statement in document["Statement"]:
        for action in as_list(statement["Action"]):
            needed = "" if statement["Effect"] == "Deny" else needed_by(action, role)
            yield [statement["Effect"], f"`{action}`", _resources(statement), _conditions(statement), needed]


def _guard_rows(document: Mapping[str, Any]) -> Iterator[list[str]]:
    yield ["", "action", "on", "who", "if"]
    for statement in document["Statement"]:
        actions = ", ".join(f"`{action}`" for action in as_list(statement["Action"]))
        stated = statement["Principal"]
        principals = (
            [one for kind in stated.values() for one in as_list(kind)] if isinstance(stated, dict) else [stated]
        )
        who = ", ".join(f"`{principal}`" for principal in principals)
        yield [statement["Effect"], actions, _resources(statement), who, _conditions(statement)]


def needed_by(action: str, role: str) -> str:
    """Return the lines of code that make the call, or the service that makes it with the role."""
    if action in BY_ROLE.get(role, {}):
        return BY_ROLE[role][action]
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", role.removesuffix("Role")).lower()
    if action in CALLS and (ROOT / f"functions/{module}.py").exists():
        return "<br>".join(_calls(action, [f"functions/{module}.py"]))
    for beginning, reason in BY_AWS.items():
        if action.startswith(beginning):
            return reason
    raise LookupError(f"{role}: nothing in the code or at AWS is known to need {action}")


def _calls(action: str, files: list[str]) -> list[str]:
    """Return the lines of these files that make the call; if there are none, those of the modules that they import.

    Raises:
        LookupError: no module makes the call.
    """
    seen = set(files)
    while files:
        texts = {file: (ROOT / file).read_text() for file in files}
        found = [
            f"{file}:{number}"
            for file, text in texts.items()
            for number, line in enumerate(text.splitlines(), 1)
            if any(call in line for call in CALLS[action].split("|"))
        ]
        if found:
            return found
        names = {
            name for text in texts.values() for name in re.findall(r"^from ledger\.([\w.]+) import", text, re.MULTILINE)
        }
        paths = (f"functions/ledger/{name.replace('.', '/')}" for name in names)
        modules = {f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py" for path in paths}
        files = sorted(modules - seen)
        seen |= {*files}
    raise LookupError(f"no module makes the call that {action} allows")


def _resources(statement: Mapping[str, Any]) -> str:
    return "<br>".join(f"`{resource}`" for resource in as_list(statement["Resource"]))


def _conditions(statement: Mapping[str, Any]) -> str:
    return "<br>".join(
        f"{operator} `{key}` {json.dumps(value) if isinstance(value, list) else value}"
        for operator, keys in statement.get("Condition", {}).items()
        for key, value in keys.items()
    )


def _table(rows: list[list[str]]) -> str:
    head = rows[0]
    body = [row for row in rows if row != head]
    lines = [head, ["---"] * len(head), *body]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    # Only ARNs of this account and region are shortened.
    return re.sub(rf"arn:{PARTITION}:(\w+):(?:{REGION})?:(?:{ACCOUNT})?:", r"\1:", text)
