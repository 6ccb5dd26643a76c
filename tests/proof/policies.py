"""Every policy of the stack as a question to the evaluator, whose answers are compared with the reviewed file.

Each layer (identity, endpoint, key, table) is judged alone, as if the other layers allowed everything. If all layers
were judged together, one layer could hide a fault of another.
"""

import fnmatch
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine import template
from tests.proof.contexts import OTHER_ACCOUNT, contexts
from tests.proof.evaluator import Evaluator
from tests.proof.parameters import PARAMETERS
from tests.proof.resolved import ACCOUNT, REGION, Resolver, arn

REVIEWED = Path(__file__).with_name("reviewed.json")

SERVICES = (
    "cloudformation", "cloudwatch", "codedeploy", "dynamodb", "ec2", "events", "iam", "kms", "lambda", "logs", "s3",
    "secretsmanager", "sns", "sqs", "states", "sts", "xray",
)  # fmt: skip
"""The services in use, and the services through which a role with too many permissions does the most harm."""

TABLES_WITH_STREAMS = ("PaymentLedger", "PaymentEntries", "PaymentSeals", "Other")
"""The names of the stack's tables, and of a table that is not the stack's."""

Resources = Mapping[str, Mapping[str, Any]]
Question = dict[str, Any]

BREAK_GLASS = f"arn:aws:iam::{ACCOUNT}:role/break-glass"


def function_of(resources: Resources, role: str) -> str | None:
    """Return the ARN of the function whose role this is."""
    own = arn("iam", f"role/{resources[role]['Properties']['RoleName']}", region="")
    for _, function in of_type(resources, "AWS::Lambda::Function"):
        if function.get("Role") == own:
            return arn("lambda", f"function:{function['FunctionName']}")
    return None


def of_type(resources: Resources, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and properties of each resource of one type."""
    for name, resource in resources.items():
        if resource["Type"] == kind:
            yield name, resource.get("Properties", {})


def as_list(value: Any) -> list[Any]:
    """Return a list: IAM allows a list with one element to be written as that element."""
    return value if isinstance(value, list) else [value]


def services_of(policy: Mapping[str, Any]) -> list[str]:
    """Return the services that a policy's statements name, or all services if a statement names every action."""
    actions = [a for statement in policy["Statement"] for a in as_list(statement.get("Action", "*"))]
    return sorted(SERVICES) if "*" in actions else sorted({action.partition(":")[0] for action in actions})


def stack_arns(resources: Resources) -> list[str]:
    """Return the ARNs of the stack's resources, and others one step away from them."""
    found = [arn("kms", f"key/{name}") for name, _ in of_type(resources, "AWS::KMS::Key")]
    found += [arn("dynamodb", f"table/{table['TableName']}") for _, table in of_type(resources, "AWS::DynamoDB::Table")]
    found += [
        arn("dynamodb", f"table/{table['TableName']}/index/{index['IndexName']}")
        for _, table in of_type(resources, "AWS::DynamoDB::Table")
        for index in table.get("GlobalSecondaryIndexes", [])
    ]
    found += [arn("events", f"event-bus/{bus['Name']}") for _, bus in of_type(resources, "AWS::Events::EventBus")]
    for _, function in of_type(resources, "AWS::Lambda::Function"):
        name = arn("lambda", f"function:{function['FunctionName']}")
        found += [name, f"{name}:live", f"{name}2:live"]
    for _, m in of_type(resources, "AWS::StepFunctions::StateMachine"):
        found.append(arn("states", f"stateMachine:{m['StateMachineName']}"))
        found += [arn("states", f"execution:{m['StateMachineName']}{other}:any") for other in ("", "2")]
    found += [arn("dynamodb", f"table/{name}/stream/2026-11-26") for name in TABLES_WITH_STREAMS]
    found += [arn("cloudformation", f"stack/{stack}/1") for stack in ("payment-ledger", "another")]
    for name, _ in of_type(resources, "AWS::S3::Bucket"):
        own = bucket_arn(name)
        found += [own, f"{own}/checkpoints/any", f"{own}/another", f"{own}2/checkpoints/any"]
    found += [arn("sqs", queue["QueueName"]) for _, queue in of_type(resources, "AWS::SQS::Queue")]
    found += [arn("secretsmanager", f"secret:payment-ledger{suffix}/processors/any") for suffix in ("", "-dev")]
    for _, group in of_type(resources, "AWS::Logs::LogGroup"):
        name = arn("logs", f"log-group:{group['LogGroupName']}")
        found += [name, f"{name}:*", f"{name}:log-stream:a"]
    return sorted(found)


def bucket_arn(name: str) -> str:
    """Return the ARN of a bucket of the stack by its logical ID, in whose place AWS chooses a name."""
    return f"arn:aws:s3:::{name.lower()}"


def role_principal(resources: Resources, name: str) -> dict[str, str]:
    """Return the stack's role as the principal of a request."""
    role = resources[name]["Properties"]["RoleName"]
    return {"name": role, "principal": arn("iam", f"role/{role}", region=""), "account": ACCOUNT}


def person(name: str, account: str = ACCOUNT) -> dict[str, str]:
    """Return a role outside the stack as the principal of a request."""
    return {"name": name, "principal": f"arn:aws:iam::{account}:role/{name}", "account": account}


def questions(resources: Resources) -> dict[str, Question]:
    """Return the question for each policy of the stack, by a label of its own."""
    arns = stack_arns(resources)
    asked: dict[str, Question] = {}

    def ask(label: str, layer: str, policy: Any, principals: list[Any], services: list[str], **more: Any) -> None:
        question = {
            "layer": layer,
            "report": "allowed",
            "alone": False,
            "policies": [policy],
            "principals": principals,
            "services": services,
            "arns": arns,
            "contexts": contexts(layer, services, label.split()[1], more.pop("function", None)),
        }
        asked[label] = {**question, **more}

    for name, role in of_type(resources, "AWS::IAM::Role"):
        for policy in role.get("Policies", []):
            document = policy["PolicyDocument"]
            label = f"role {role['RoleName']}: {policy['PolicyName']}"
            who, function = [role_principal(resources, name)], function_of(resources, name)
            ask(label, "identity", document, who, services_of(document), function=function)
    for name, policy in of_type(resources, "AWS::IAM::ManagedPolicy"):
        document = policy["PolicyDocument"]
        ask(f"policy {name}", "identity", document, [person("any-function")], services_of(document))

    insiders = [role_principal(resources, name) for name in ("PersistPaymentLedgerRole", "EncryptTokenRole")]
    for name, endpoint in of_type(resources, "AWS::EC2::VPCEndpoint"):
        service = endpoint["ServiceName"].rpartition(".")[2].removeprefix("sync-")
        callers = [*insiders, person("outsider", OTHER_ACCOUNT)]
        open_to_all = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
        }
        ask(f"endpoint {name}", "endpoint", endpoint.get("PolicyDocument", open_to_all), callers, [service])

    workflows = ["PaymentLedgerWorkflowRole", "PaymentEntriesWorkflowRole"]
    workflows += [name for name in ("FastPaymentLedgerWorkflowRole",) if name in resources]
    callers = [role_principal(resources, name) for name in ("EncryptTokenRole", *workflows, "SealLedgerRole")]
    reveals = [role_principal(resources, name) for name in ("RevealSecureTokenRole",) if name in resources]
    callers += [*reveals, person("admin"), person("outsider", OTHER_ACCOUNT)]
    services = [
        {"name": "log-delivery", "principal": "delivery.logs.amazonaws.com"},
        {"name": "cloudwatch-logs", "principal": f"logs.{REGION}.amazonaws.com"},
        {"name": "another-service", "principal": "s3.amazonaws.com"},
    ]
    for name, key in of_type(resources, "AWS::KMS::Key"):
        only = [arn("kms", f"key/{name}")]
        ask(f"key {name}", "resource", key["KeyPolicy"], [*callers, *services], ["kms"], arns=only)
        # If a statement names the account, the caller's own policy must allow the action too. Without one, nothing is.
        ask(f"key {name} alone", "resource", key["KeyPolicy"], callers, ["kms"], arns=only, alone=True)

    senders = [
        {"name": "event-bus", "principal": "events.amazonaws.com"},
        {"name": "another-service", "principal": "s3.amazonaws.com"},
        person("admin"),
        person("outsider", OTHER_ACCOUNT),
    ]
    for name, policy in of_type(resources, "AWS::SQS::QueuePolicy"):
        own = [arn("sqs", queue) for queue in policy["Queues"]]
        ask(f"queue {name}", "resource", policy["PolicyDocument"], senders, ["sqs"], arns=own)
        ask(f"queue {name} alone", "resource", policy["PolicyDocument"], senders, ["sqs"], arns=own, alone=True)

    writing = ("PersistPaymentLedgerRole", "AppendEntryRole", "PublishOutcomeRole", "RepublishOutcomesRole")
    writing += ("SealLedgerRole", *(("AcceptEntryRole",) if "AcceptEntryRole" in resources else ()))
    people = [person("admin"), {**person("break-glass"), "principal": BREAK_GLASS}]
    for name, table in of_type(resources, "AWS::DynamoDB::Table"):
        writers = [role_principal(resources, name) for name in writing]
        document = table.get("ResourcePolicy", {}).get("PolicyDocument", {"Version": "2012-10-17", "Statement": []})
        own = [a for a in arns if a.endswith(f"table/{table['TableName']}")]
        ask(f"table {name}", "resource", document, [*writers, *people], ["dynamodb"], arns=own, report="denied")
    for name, policy in of_type(resources, "AWS::S3::BucketPolicy"):
        writers = [role_principal(resources, role) for role in ("SealLedgerRole", "PersistPaymentLedgerRole")]
        own = [f"arn:aws:s3:::{policy['Bucket']}{key}" for key in ("", "/checkpoints/any")]
        tried = contexts("resource", ["s3"])
        openly = [one for one in tried if one["name"] == "without-tls"]  # every call is denied, so one caller is enough
        for label, callers, made in (
            ("", [*writers, *people], [one for one in tried if one not in openly]),
            (" without TLS", [person("admin")], openly),
        ):
            asked_of = {"arns": own, "report": "denied", "contexts": made}
            ask(f"bucket {name}{label}", "resource", policy["PolicyDocument"], callers, ["s3"], **asked_of)
    for name, policy in of_type(resources, "AWS::Events::EventBusPolicy"):
        publishers = [role_principal(resources, name) for name in writing]
        document = {"Version": "2012-10-17", "Statement": as_list(policy["Statement"])}
        own = [arn("events", f"event-bus/{policy['EventBusName']}")]
        ask(f"bus {name}", "resource", document, [*publishers, person("admin")], ["events"], arns=own, report="denied")
    return asked


def answers(resources: Resources, evaluators: list[Evaluator]) -> dict[str, Any]:
    """Return the reviewed file's content: every answer, who may assume each role, and the policies attached to it."""
    asked = list(questions(resources).items())

    def share(index: int) -> list[tuple[str, list[str]]]:
        return [(label, evaluators[index].lines(**question)) for label, question in asked[index :: len(evaluators)]]

    with ThreadPoolExecutor() as pool:
        answered = dict(pair for pairs in pool.map(share, range(len(evaluators))) for pair in pairs)
    return {label: answered[label] for label, _ in asked} | _kept_as_written(resources)


def _kept_as_written(resources: Resources) -> dict[str, Any]:
    """Return what needs no evaluator: who may assume each role, and the managed policies attached to it."""
    found: dict[str, Any] = {}
    for _, role in of_type(resources, "AWS::IAM::Role"):
        found[f"trust {role['RoleName']}"] = role["AssumeRolePolicyDocument"]["Statement"]
        found[f"attached {role['RoleName']}"] = role.get("ManagedPolicyArns", [])
    return found


def reviewed() -> dict[str, Any]:
    """Return the reviewed file's content."""
    loaded: dict[str, Any] = json.loads(REVIEWED.read_text())
    return loaded


def differences(resources: Resources, evaluators: list[Evaluator], expected: Mapping[str, Any]) -> list[str]:
    """Return each difference of the stack's policies from the reviewed file."""
    found = answers(resources, evaluators)
    return [problem for label in sorted(expected.keys() | found.keys()) for problem in _differs(label, expected, found)]


def first_difference(
    resources: Resources, evaluator: Evaluator, expected: Mapping[str, Any], original: Mapping[str, Question]
) -> str | None:
    """Return a difference of a mutant from the reviewed file, and ask only what the mutant can have changed.

    A request's answer depends on the statements whose actions match it. So if the questions of *original* and the
    mutant differ in some statements alone, only the actions of these statements can have other answers.
    """
    asked, found = questions(resources), _kept_as_written(resources)
    for label in sorted(expected.keys() | asked.keys() | found.keys()):
        if label in asked and label not in expected:
            return label
        if label in asked:
            changed = _changed_actions(original[label], asked[label])
            if changed == []:
                continue
            lines = evaluator.lines(**asked[label], **({} if changed is None else {"only": changed}))
            before = [line for line in expected[label] if changed is None or _any_matches(changed, line.split()[1])]
            if lines != before:
                return label
        elif next(_differs(label, expected, found), None):
            return label
    return None


def _changed_actions(original: Question, mutant: Question) -> list[str] | None:
    """Return the actions of the statements that differ, or None if more than statements differ."""
    if {**original, "policies": []} != {**mutant, "policies": []}:
        return None
    (before,), (now,) = original["policies"], mutant["policies"]
    differing = [s for s in before["Statement"] if s not in now["Statement"]]
    differing += [s for s in now["Statement"] if s not in before["Statement"]]
    return sorted({action for statement in differing for action in as_list(statement["Action"])})


def _any_matches(wildcards: list[str], action: str) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), wildcard.lower()) for wildcard in wildcards)


def _differs(label: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    before, now = expected.get(label), found.get(label)
    if before == now:
        return
    if before is None or now is None:
        yield f"{label}: {'is not reviewed' if before is None else 'is missing'}"
        return
    lines = [f"{label}: new: {line}" for line in now if line not in before]
    lines += [f"{label}: missing: {line}" for line in before if line not in now]
    yield from lines or [f"{label}: in another order, or more than once"]


def write_reviewed() -> None:
    """Write the reviewed file again, so that a person can read the difference."""
    evaluator = Evaluator()
    resources = Resolver(template.expand(ROOT / "template.yaml", PARAMETERS), PARAMETERS).resources()
    REVIEWED.write_text(json.dumps(answers(resources, [evaluator]), indent=1) + "\n")
    evaluator.close()


if __name__ == "__main__":
    write_reviewed()
