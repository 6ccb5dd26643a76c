"""The stack is private, least-privileged, encrypted, observable and recoverable: proven on the expanded template.

`docs/concepts/security.md` says what this proves, and what only a deployment can show.
"""

import ast
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ledger.intake import seal
from ledger_cli import ROOT
from ledger_cli.engine import Engine, http_api, template
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack.webhook import signed
from tests.proof import checks, contexts, policies
from tests.proof.checks import Rule
from tests.proof.evaluator import Evaluator
from tests.proof.mutants import mutants
from tests.proof.parameters import PARAMETERS
from tests.proof.resolved import Resolver, arn
from tests.support.checkpoints import bucket_of_checkpoints
from tests.support.faults import Faults
from tools import sample_requests

# ── What must hold ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rule", checks.RULES, ids=lambda rule: rule.__name__)
def test_the_stack_keeps_the_rule(resources: dict[str, Any], rule: Rule) -> None:
    """A rule's docstring says what must hold, and the mutants show that the rule can fail."""
    assert list(rule(resources)) == []


def test_the_policies_are_the_reviewed_ones(
    resources: dict[str, Any], evaluators: list[Evaluator], counts: dict[str, Any]
) -> None:
    """A policy that allows one request more than the reviewed file lists would go live unseen.

    Every action of the services that a policy names is tried, on the stack's resources and on others, in contexts that
    meet the policy's conditions and in others.
    """
    before = sum(evaluator.tried for evaluator in evaluators)
    assert policies.differences(resources, evaluators, policies.reviewed()) == []
    counts["cases"] = sum(evaluator.tried for evaluator in evaluators) - before


def test_all_policies_of_a_role_together_allow_nothing_else(
    resources: dict[str, Any], evaluators: list[Evaluator], counts: dict[str, Any]
) -> None:
    """Two policies that are right alone could allow more together, so every action of every service is tried."""
    before = sum(evaluator.tried for evaluator in evaluators)
    roles = dict(policies.of_type(resources, "AWS::IAM::Role"))
    managed = dict(policies.of_type(resources, "AWS::IAM::ManagedPolicy"))
    attached = {arn("iam", f"policy/{name}", region=""): policy["PolicyDocument"] for name, policy in managed.items()}
    platform = policies.reviewed()["policy FunctionPlatformPolicy"]

    def allowed_and_expected(name: str, evaluator: Evaluator) -> list[list[str]]:
        role = roles[name]
        documents = [policy["PolicyDocument"] for policy in role["Policies"]]
        documents += [attached[policy] for policy in role.get("ManagedPolicyArns", [])]
        named = sorted({service for document in documents for service in policies.services_of(document)})
        allowed = evaluator.lines(
            layer="identity",
            report="allowed",
            policies=documents,
            principals=[policies.role_principal(resources, name)],
            services=list(policies.SERVICES),
            arns=policies.stack_arns(resources),
            contexts=[
                one
                for one in contexts.contexts("identity", named, function=policies.function_of(resources, name))
                if not one["name"].endswith(contexts.STEPS)  # another test compares these, policy by policy
            ],
        )
        expected = [
            *granted(role["RoleName"]),
            f"{role['RoleName']} sts:GetCallerIdentity * any",
        ]  # no policy can forbid it
        if role.get("ManagedPolicyArns"):
            expected += [line.replace("any-function", role["RoleName"]) for line in platform]
        # The lines are compared without their contexts: `any` stands for more contexts here than for one policy.
        return [sorted({line.rpartition(" ")[0] for line in lines}) for lines in (allowed, expected)]

    with ThreadPoolExecutor(2) as pool:
        halves = pool.map(lambda i: [allowed_and_expected(name, evaluators[i]) for name in sorted(roles)[i::2]], (0, 1))
    for allowed, expected in [one for half in halves for one in half]:
        assert allowed == expected
    counts["roles"] = len(roles)
    counts["actions"] = sum(evaluator.tried for evaluator in evaluators) - before


def granted(role: str) -> list[str]:
    """Return the reviewed lines of a role's own policies."""
    reviewed = policies.reviewed()
    return [line for label in reviewed if label.startswith(f"role {role}: ") for line in reviewed[label]]


@pytest.mark.parametrize(
    ("output", "workflow"),
    [("WorkflowArn", contexts.THIS_WORKFLOW), ("EntriesWorkflowArn", contexts.ENTRIES_WORKFLOW)],
)
def test_senders_get_the_alias(expanded: dict[str, Any], output: str, workflow: str) -> None:
    """AWS denies a sender that starts a workflow itself, which would also get every release at once."""
    assert Resolver(expanded, PARAMETERS).value(expanded["Outputs"][output]["Value"]) == f"{workflow}:live"


def test_the_outputs_name_the_tables(expanded: dict[str, Any]) -> None:
    """An operator's commands take the names, and those of the log's key and its sealer, from the outputs."""
    resolver = Resolver(expanded, PARAMETERS)
    expected = {
        "TableName": "PaymentLedger",
        "EntriesTableName": "PaymentEntries",
        "SealsTableName": "PaymentSeals",
        "SealKeyArn": arn("kms", "key/SealKey"),
        "SealFunction": arn("lambda", "function:seal_ledger:live"),
        "CheckpointsBucket": "checkpointsbucket",
    }
    assert {name: resolver.value(expanded["Outputs"][name]["Value"]) for name in expected} == expected


def test_an_existing_vpc_is_used(expanded: dict[str, Any]) -> None:
    """The stack then creates no network, and puts its functions, endpoints and groups into the given one."""
    own = {"OwnVpcId": "vpc-12345678", "OwnSubnetA": "subnet-aaaaaaaa", "OwnSubnetB": "subnet-bbbbbbbb"}
    resources = Resolver(expanded, own).resources()
    made = {resource["Type"] for resource in resources.values()}
    assert not made & {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::RouteTable", "AWS::EC2::FlowLog"}
    for _, group in policies.of_type(resources, "AWS::EC2::SecurityGroup"):
        assert group["VpcId"] == "vpc-12345678"
    endpoints = [endpoint for _, endpoint in policies.of_type(resources, "AWS::EC2::VPCEndpoint")]
    functions = [function["VpcConfig"] for _, function in policies.of_type(resources, "AWS::Lambda::Function")]
    assert endpoints
    assert functions
    for inside in [*endpoints, *functions]:
        assert inside["SubnetIds"] == ["subnet-aaaaaaaa", "subnet-bbbbbbbb"]


@pytest.fixture
def bucket(engine: Engine) -> Iterator[None]:
    """Give the sealer a bucket of checkpoints, as the judged stack has one."""
    with bucket_of_checkpoints(engine):
        yield


# ── Granted equals used ─────────────────────────────────────────────────────────────────────────────

USED_BY_AWS_ITSELF = {
    # Lambda reads the tables' streams for the watch.
    "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams",
    # Lambda keeps an event that the partner's function could not take.
    "sqs:SendMessage",
    # Lambda writes the log, attaches the network interface and sends the trace in the function's name.
    "logs:CreateLogStream", "logs:PutLogEvents", "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
}  # fmt: skip

SAMPLES = ROOT / "events/functions"
ACTIONS_OF_A_CALL = {
    "BatchGetItem": ["dynamodb:BatchGetItem"],
    "BatchGetSecretValue": [
        "secretsmanager:BatchGetSecretValue",
        "secretsmanager:GetSecretValue",
        "secretsmanager:ListSecrets",
    ],
    "Decrypt": ["kms:Decrypt"],
    "DescribeExecution": ["states:DescribeExecution"],
    "Encrypt": ["kms:Encrypt"],
    "GetItem": ["dynamodb:GetItem"],
    "GetPublicKey": ["kms:GetPublicKey"],
    "PutEvents": ["events:PutEvents"],
    "PutItem": ["dynamodb:PutItem"],
    "PutObject": ["s3:PutObject"],
    "Query": ["dynamodb:Query"],
    "ReEncrypt": ["kms:ReEncryptFrom", "kms:ReEncryptTo"],
    "Sign": ["kms:Sign"],
    "StartExecution": ["states:StartExecution"],
    "StartSyncExecution": ["states:StartSyncExecution"],
    "UpdateItem": ["dynamodb:UpdateItem"],
}


def receive(engine: Engine, faults: Faults) -> None:
    """Have the webhook and the partner's function make each of their calls.

    The first execution fails, another one is started, and the message comes again. A payment is throttled in the fast
    lane each time, and then runs there. The partner's function makes the same calls, but for the secrets.
    """
    register_sample_processors(engine)
    posted = sample_requests.event_of("acme-pay")
    delivered = json.loads(posted["body"])
    for request, workflow in ((posted, "WorkflowArn"), (signed_event(entry_of(delivered)), "EntriesWorkflowArn")):
        faults.refuse("PutItem", "ResourceNotFoundException")
        for status in (202, 202, 200):
            if request is posted:
                faults.refuse("StartSyncExecution", "ThrottlingException")
            reply = json.loads(engine.functions["ReceivePayment"].invoke(json.dumps(request).encode())[0])
            assert reply["statusCode"] == status
            name = json.loads(reply["body"])["Execution"]
            engine.wait_for(f"{engine.outputs[workflow].replace(':stateMachine:', ':execution:')}:{name}")
    fast = json.loads(engine.functions["ReceivePayment"].invoke(json.dumps(posted).encode())[0])
    assert json.loads(fast["body"])["Outcome"] == "DUPLICATE"
    charge = json.loads((ROOT / "events/webhooks/stripe-charge.succeeded.json").read_text())
    refund = json.loads((ROOT / "events/webhooks/stripe-refund.created.json").read_text())
    for message in (charge, refund):
        detail = json.loads(json.dumps(message).replace("3SampleLedger0000000000001", "3PartnerSample000000000001"))
        event = {"id": "1", "source": sample_requests.PARTNER_SOURCE, "detail-type": detail["type"], "detail": detail}
        faults.refuse("PutItem", "ResourceNotFoundException")
        for outcome in (None, None, "RECORDED"):
            if message is charge:
                faults.refuse("StartSyncExecution", "ThrottlingException")
            reply = json.loads(engine.functions["ReceivePartnerEvent"].invoke(json.dumps(event).encode())[0])
            assert reply.get("Outcome") == outcome
            workflow = "WorkflowArn" if message is charge else "EntriesWorkflowArn"
            engine.wait_for(f"{engine.outputs[workflow].replace(':stateMachine:', ':execution:')}:{reply['Execution']}")
        fast = json.loads(engine.functions["ReceivePartnerEvent"].invoke(json.dumps(event).encode())[0])
        assert fast["Outcome"] == ("DUPLICATE" if message is charge else "RECORDED")


@pytest.mark.usefixtures("bucket")
def test_every_grant_is_used_and_every_call_is_granted(
    engine: Engine, payment: dict[str, Any], resources: dict[str, Any], faults: Faults
) -> None:
    """A grant that no call uses is an opening for an attacker, and a call without a grant is an outage.

    A grant on a table, an index or a workflow must be used on this very one.
    """
    key = engine.outputs["IntakeKeyArn"]
    sealed = {**payment, "TransactionID": "sealed"}
    sealed["SealedToken"] = seal(engine.client("kms"), key, "sealed", payment["ProcessorID"], sealed.pop("SecureToken"))
    for start_input in (payment, payment, {**payment, "Amount": "1"}, {**payment, "Amount": "x"}, sealed):
        assert engine.run(json.dumps(start_input)).outcome
    overlooked = json.loads((ROOT / "events/functions/persist_payment_ledger.json").read_text())
    overlooked["Payment"] |= {"TransactionID": "overlooked"}
    engine.functions["PersistPaymentLedger"].invoke(json.dumps(overlooked).encode())
    entry = entry_of(payment)
    for start_input in (
        entry,
        entry,
        {**entry, "Amount": "2.00"},
        {**entry, "EntryID": "early", "TransactionID": "no"},
    ):
        assert engine.run(json.dumps(start_input)).outcome
    other = {"Entry": {**entry, "EntryID": "overlooked", "Metadata": {}}, "StartTime": overlooked["StartTime"]}
    engine.functions["AppendEntry"].invoke(json.dumps({**other, "Execution": overlooked["Execution"]}).encode())
    accepting = {"Reason": "the processor confirms it", "Requester": "operator", "Execution": overlooked["Execution"]}
    accepted = {"Entry": {**entry, "EntryID": "accepted", "Amount": "1000000.00"}, **accepting}
    accepted["Execution"] = accepted["Execution"].replace(":PaymentLedger:", ":PaymentEntries:")
    assert not engine.functions["AcceptEntry"].invoke(json.dumps(accepted).encode())[1]
    assert not engine.functions["RepublishOutcomes"].invoke((SAMPLES / "republish_outcomes.json").read_bytes())[1]
    assert not engine.functions["SealLedger"].invoke((SAMPLES / "seal_ledger.json").read_bytes())[1]
    receive(engine, faults)
    for query in (
        {"TransactionID": payment["TransactionID"]},
        {"ProcessorID": "acme-pay"},
        {"Unpublished": True},
        {"Entries": True, "ProcessorID": "acme-pay"},
        {"Entries": True, "Unpublished": True},
        {"Seals": True},
    ):
        assert not engine.functions["QueryPaymentLedger"].invoke(json.dumps(query).encode())[1]
    reveal = json.loads((SAMPLES / "reveal_secure_token.json").read_text())
    for transaction_id in {item["TransactionID"]["S"] for item in engine.items()}:
        asked = json.dumps(reveal | {"TransactionID": transaction_id}).encode()
        engine.functions["RevealSecureToken"].invoke(asked)
    used: dict[str, set[tuple[str, str]]] = {}
    for call in engine.calls:
        for action in ACTIONS_OF_A_CALL[call.operation]:
            used.setdefault(call.function, set()).add((action, granted_resource(call.resource)))
    for _, function in policies.of_type(resources, "AWS::Lambda::Function"):
        role = function["Role"].rpartition("/")[2]
        lines = [
            line for line in granted(role) if not line.split()[-1].startswith("via-")
        ]  # calls that another service makes
        grants = {(action, granted_on) for _, action, granted_on, _ in map(str.split, lines)}
        expected = {
            (action, granted_resource(granted_on.split(":", 5)[-1]) if action.startswith(ON_RESOURCES) else "")
            for action, granted_on in grants
            if action not in USED_BY_AWS_ITSELF
        }
        assert used.get(function["FunctionName"], set()) == expected, role


ON_RESOURCES = ("dynamodb:", "states:")
"""Beginnings of the actions whose calls name a table or a workflow. Others have one key, bus or prefix each."""


def granted_resource(resource: str) -> str:
    """Return a resource as a grant names it: a grant on a workflow holds for all of its executions and its alias."""
    kind, _, name = resource.partition(":")
    return f"{kind}:{name.partition(':')[0]}" if name else resource


def entry_of(payment: dict[str, Any]) -> dict[str, Any]:
    """Return a small refund of the payment."""
    same = {name: payment[name] for name in ("TransactionID", "Currency", "ProcessorID")}
    return {**same, "EntryID": "refund-1", "Kind": "Refunded", "Amount": "1.00", "Timestamp": "2026-11-27T10:00:00Z"}


def signed_event(message: dict[str, Any]) -> dict[str, Any]:
    """Return the event with which the webhook's function is invoked when the sample processor posts the message."""
    (route,) = http_api.routes(template.expand(ROOT / "template.yaml", {}))
    body, processor_id = json.dumps(message).encode(), message["ProcessorID"]
    headers = signed(PROCESSORS[processor_id], body, round(sample_requests.SENT_AT.timestamp()))
    path = route.path.replace("{ProcessorID}", processor_id)
    request = http_api.Request(route.method, path, headers, body, source_ip="192.0.2.1")
    return http_api.event_of(request, route, {"ProcessorID": processor_id}, sample_requests.SENT_AT)


MARKED = {"marker", "marker-and-item-back"}
ENTRY_MARKED = {*MARKED, "entry-marker", "entry-marker-and-item-back"}
SEALED = {"seal-marker", "seal-marker-and-item-back"}
ENTRY_SEALED = {*SEALED, "entry-seal-marker", "entry-seal-marker-and-item-back"}
CHECKPOINTED = {"checkpoint", "checkpoint-and-seal-back", "checkpoint-of-no-log"}
"""The contexts of updates that a table's own policy lets through. The roles' policies narrow them further."""


def granted_lines(action: str) -> set[str]:
    """Return the reviewed lines, of every role's policies, whose action matches the regular expression."""
    labels = {label: lines for label, lines in policies.reviewed().items() if label.startswith(("role ", "policy "))}
    return {line for lines in labels.values() for line in lines if re.search(f" {action} ", line)}


def test_only_markers_and_checkpoints_change_and_nothing_is_deleted() -> None:
    """The reviewed file is long, and these are the lines that keep all three tables whole."""
    writing = granted_lines(r"dynamodb:\w*(Write|Put|Update|Delete|PartiQL)\w*")
    assert {" ".join(line.split()[:3]) for line in writing if " dynamodb:UpdateItem " not in line} == {
        f"paymentledger-role dynamodb:PutItem {arn('dynamodb', 'table/PaymentLedger')}",
        f"paymentledger-append-role dynamodb:PutItem {arn('dynamodb', 'table/PaymentEntries')}",
        f"paymentledger-accept-role dynamodb:PutItem {arn('dynamodb', 'table/PaymentEntries')}",
        f"paymentledger-seal-role dynamodb:PutItem {arn('dynamodb', 'table/PaymentSeals')}",
    }
    updates = {
        ("publish", "PaymentLedger"): {"marker"},
        ("publish", "PaymentEntries"): {"marker", "entry-marker"},
        ("republish", "PaymentLedger"): {"marker"},
        ("republish", "PaymentEntries"): {"marker", "entry-marker"},
        ("seal", "PaymentLedger"): {"seal-marker"},
        ("seal", "PaymentEntries"): {"seal-marker", "entry-seal-marker"},
        ("seal", "PaymentSeals"): {"checkpoint"},
    }
    assert {line for line in writing if " dynamodb:UpdateItem " in line} == {
        f"paymentledger-{role}-role dynamodb:UpdateItem {arn('dynamodb', f'table/{table}')} {context}"
        for (role, table), made in updates.items()
        for context in made
    }


@pytest.mark.parametrize(
    ("table", "putting", "marking"),
    [
        ("PaymentLedger", {"role"}, {"publish-role": MARKED, "republish-role": MARKED, "seal-role": SEALED}),
        (
            "PaymentEntries",
            {"append-role", "accept-role"},
            {"publish-role": ENTRY_MARKED, "republish-role": ENTRY_MARKED, "seal-role": ENTRY_SEALED},
        ),
        ("PaymentSeals", {"seal-role"}, {"seal-role": CHECKPOINTED}),
    ],
)
def test_a_table_denies_by_itself_what_no_role_may_do(
    resources: dict[str, Any], table: str, putting: set[str], marking: dict[str, set[str]]
) -> None:
    """A role with a policy of its own that allows everything still cannot rewrite a record or a seal."""
    label = f"table {table}Table"
    denied = {(line.split()[0], line.split()[1], line.split()[3]) for line in policies.reviewed()[label]}
    callers = {caller for caller, _, _ in denied}
    assert callers > {f"paymentledger-{role}" for role in {*putting, *marking}} | {"admin", "break-glass"}

    def always_denied(action: str) -> set[str]:
        return {caller for caller in callers if (caller, f"dynamodb:{action}", "any") in denied}

    for action in ("BatchWriteItem", "DeleteItem", "PartiQLDelete", "PartiQLInsert", "PartiQLUpdate"):
        assert always_denied(action) == callers
    assert callers - always_denied("PutItem") == {f"paymentledger-{role}" for role in putting}
    assert callers - always_denied("UpdateItem") == {f"paymentledger-{role}" for role in marking}
    # An update knows no dynamodb:Select, so it is not tried in the contexts that have it.
    tried = {c["name"] for c in policies.questions(resources)[label]["contexts"] if "dynamodb:Select" not in c["keys"]}
    for role, made in marking.items():
        named = f"paymentledger-{role}"
        assert tried - {how for who, what, how in denied if (who, what) == (named, "dynamodb:UpdateItem")} == made


def test_only_the_sealer_signs_and_only_checkpoints() -> None:
    """Another role that signed with the key of the log could show an auditor another ledger."""
    key = arn("kms", "key/SealKey")
    signing = granted_lines(r"kms:(Sign|GenerateMac|DeriveSharedSecret)")
    assert signing == {f"paymentledger-seal-role kms:Sign {key} signing"}
    others = {line for line in granted_lines(r"kms:\w+") if f" {key} " in line} - signing
    assert {line.rpartition(" ")[0] for line in others} == {f"paymentledger-seal-role kms:GetPublicKey {key}"}
    for label, lines in policies.reviewed().items():
        if label.startswith("key "):
            found = {line for line in lines if re.search(r" kms:(Sign|Verify|GenerateMac|DeriveSharedSecret) ", line)}
            expected = {f"paymentledger-seal-role kms:Sign {key} signing"} if label == "key SealKey" else set()
            assert found == expected, label
    administering = {line.split()[1] for line in policies.reviewed()["key TokenKey"] if line.startswith("admin ")}
    using = {line.split()[1] for line in policies.reviewed()["key SealKey"]} - administering
    assert using == {"kms:Sign", "kms:GetPublicKey"}


def test_only_the_sealer_puts_checkpoints_and_nobody_takes_one_away(resources: dict[str, Any]) -> None:
    """Object Lock keeps each version. Without these lines, a deletion marker or a false version could hide it."""
    checkpoint = "arn:aws:s3:::checkpointsbucket/checkpoints/any"
    assert granted_lines(r"s3:\w+") == {f"paymentledger-seal-role s3:PutObject {checkpoint} s3"}
    denied = [line.split() for line in policies.reviewed()["bucket CheckpointsBucketPolicy"]]
    always = {(who, action) for who, action, _, context in denied if context == "any"}
    callers = {"admin", "break-glass", "paymentledger-role", "paymentledger-seal-role"}
    for action in ("DeleteObject", "DeleteObjectVersion", "PutObjectLegalHold", "PutObjectRetention"):
        assert {who for who, denied_action in always if denied_action == f"s3:{action}"} == callers
    assert {who for who, action in always if action == "s3:PutObject"} == callers - {"paymentledger-seal-role"}
    tried = {one["name"] for one in policies.questions(resources)["bucket CheckpointsBucketPolicy"]["contexts"]}
    by_the_sealer = {c for who, action, _, c in denied if (who, action) == ("paymentledger-seal-role", "s3:PutObject")}
    assert tried - by_the_sealer == {"inside", "over-tls"}  # both from the VPC
    changing = {(who, action) for who, action, on, _ in denied if not on.endswith("/any")}
    assert changing == {
        (who, f"s3:{action}")
        for who in callers - {"break-glass"}
        for action in (
            "DeleteBucketPolicy", "PutBucketObjectLockConfiguration", "PutBucketPolicy", "PutLifecycleConfiguration"
        )
    }  # fmt: skip
    openly = {line.split()[1] for line in policies.reviewed()["bucket CheckpointsBucketPolicy without TLS"]}
    assert {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucketVersions", "s3:PutObject"} < openly


def test_three_roles_publish_and_only_the_sealer_publishes_checkpoints() -> None:
    """A consumer that keeps the checkpoints is a witness, so no other role may send it one."""
    bus = arn("events", "event-bus/payment-ledger")
    outcomes = ("ledger-source", "source-without-a-type")
    assert granted_lines("events:PutEvents") == {
        f"paymentledger-seal-role events:PutEvents {bus} checkpoint-event",
        *(
            f"paymentledger-{role}-role events:PutEvents {bus} {o}"
            for role in ("publish", "republish")
            for o in outcomes
        ),
    }
    denied = {
        line.split()[0] for line in policies.reviewed()["bus LedgerBusPolicy"] if line.endswith(("any", "a-person"))
    }
    assert not denied & {f"paymentledger-{role}-role" for role in ("publish", "republish", "seal")}
    assert {"admin", "paymentledger-role", "paymentledger-append-role", "paymentledger-accept-role"} <= denied


def test_two_roles_read_ciphertexts_and_only_one_of_them_opens_them() -> None:
    """The sealer needs the ciphertext for its hash. Only the role that reveals a token may decrypt one."""
    ledger, entries = (arn("dynamodb", f"table/{table}") for table in ("PaymentLedger", "PaymentEntries"))
    batches = granted_lines("dynamodb:(BatchGetItem|Scan|PartiQLSelect|ExportTableToPointInTime)")
    assert {line.rpartition(" ")[0] for line in batches} == {
        f"paymentledger-seal-role dynamodb:BatchGetItem {table}" for table in (ledger, entries)
    }
    tried = contexts.contexts("identity", ["dynamodb"])
    narrow = {c["name"] for c in tried if "SecureToken" not in c["keys"].get("dynamodb:Attributes", ["SecureToken"])}
    reading = [line.split() for line in granted_lines(r"dynamodb:(GetItem|Query)") if f" {ledger} " in line]
    assert {role for role, _, _, context in reading if context not in narrow} == {"paymentledger-reveal-role"}
    assert {action for _, action, _, _ in reading} == {"dynamodb:GetItem"}
    opening = {line for line in granted_lines(r"kms:(Decrypt|ReEncryptFrom)") if arn("kms", "key/TokenKey") in line}
    assert opening == {f"paymentledger-reveal-role kms:Decrypt {arn('kms', 'key/TokenKey')} bound"}
    by_the_sealer = {
        line
        for label, lines in policies.reviewed().items()
        if label.startswith(("key TokenKey", "key IntakeKey"))
        for line in lines
        if re.match(r"paymentledger-seal-role kms:(Decrypt|ReEncrypt)", line)
    }
    assert by_the_sealer == set()


def test_no_function_of_a_workflow_may_decrypt(resources: dict[str, Any]) -> None:
    """The reviewed file is long, and these are its most important lines."""
    assert resources
    for label, lines in policies.reviewed().items():
        if label.startswith(("role ", "key TokenKey", "key IntakeKey")):
            decrypting = {line for line in lines if "kms:Decrypt " in line} - {
                f"paymentledger-workflow-role kms:Decrypt {arn('kms', 'key/HistoryKey')} history",
                f"paymentledger-entries-workflow-role kms:Decrypt {arn('kms', 'key/HistoryKey')} entries-history",
                f"paymentledger-reveal-role kms:Decrypt {arn('kms', 'key/TokenKey')} bound",
                f"paymentledger-receive-role kms:Decrypt {arn('kms', 'key/HistoryKey')} via-secretsmanager",
            }
            assert not decrypting, label


def test_a_default_stack_is_closed(expanded: dict[str, Any]) -> None:
    """With its default parameters, nothing comes in from outside, and nobody can decrypt a token or accept an entry."""
    closed = Resolver(expanded, {}).resources()
    kinds = {resource["Type"] for resource in closed.values()}
    assert not [kind for kind in kinds if kind.startswith("AWS::ApiGatewayV2")]
    may_start = [*policies.of_type(closed, "AWS::Events::Rule"), *policies.of_type(closed, "AWS::Lambda::Permission")]
    assert {name for name, _ in may_start} == {"WatchLedgerProtection", "WatchLedgerProtectionPermission"}
    assert (
        not {"ReceivePayment", "ReceivePartnerEvent", "RevealSecureToken", "AcceptEntry", "EntryOperatorPolicy"}
        & closed.keys()
    )
    endpoints = [e["ServiceName"].rpartition(".")[2] for _, e in policies.of_type(closed, "AWS::EC2::VPCEndpoint")]
    assert sorted(endpoints) == ["dynamodb", "events", "kms"]
    keys = dict(policies.of_type(closed, "AWS::KMS::Key"))
    assert "kms:Decrypt" not in json.dumps([keys["TokenKey"], keys["IntakeKey"]])
    # The proof of the whole stack covers this one: it only has fewer policies than the reviewed file.
    reviewed = policies.reviewed()
    assert policies.questions(closed).keys() <= reviewed.keys()


# ── The proof itself ────────────────────────────────────────────────────────────────────────────────


def test_the_resolved_policies_are_those_that_are_deployed(
    engine: Engine, expanded: dict[str, Any], pytestconfig: pytest.Config
) -> None:
    """A fault of the proof's own resolver would spoil every proof, so it is compared with moto's CloudFormation."""
    iam = engine.client("iam")
    named = ("AWS::EC2::VPC", "AWS::EC2::VPCEndpoint", "AWS::KMS::Key")
    types = {name: resource["Type"] for name, resource in engine.template["Resources"].items()}
    keys = {physical: name for name, physical in engine.physical_ids.items() if types[name] in named}

    def plain(document: Any) -> Any:
        # moto keeps an inline policy as the text of a Python dictionary.
        text = json.dumps(ast.literal_eval(document) if isinstance(document, str) else document)
        for physical, name in keys.items():
            text = text.replace(str(physical), name)
        text = re.sub(r"(:log-group:[\w/-]+):\*", r"\1", text)  # moto leaves this ending out of a log group's ARN
        return json.loads(text)

    of_the_engine = {"AlarmTopicArn": "", "CheckpointYears": "0", "Lane": pytestconfig.getoption("lane")}
    resolved = Resolver(expanded, {**PARAMETERS, **of_the_engine}).resources()
    compared = 0
    for _, role in policies.of_type(resolved, "AWS::IAM::Role"):
        for policy in role["Policies"]:
            deployed = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy["PolicyName"])
            assert plain(deployed["PolicyDocument"]) == plain(policy["PolicyDocument"])
            compared += 1
    for name, key in policies.of_type(resolved, "AWS::KMS::Key"):
        deployed = engine.client("kms").get_key_policy(KeyId=engine.physical_ids[name], PolicyName="default")["Policy"]
        assert plain(deployed) == plain(key["KeyPolicy"])
        compared += 1
    assert compared > 14


def test_every_mutant_is_caught(
    expanded: dict[str, Any], resources: dict[str, Any], evaluators: list[Evaluator], counts: dict[str, Any]
) -> None:
    """A proof that accepts every template proves nothing."""
    reviewed, original = policies.reviewed(), policies.questions(resources)
    made = list(mutants(expanded))
    assert len({name for name, _ in made}) > 2000

    def judged(index: int) -> list[str]:
        survivors = []
        for name, mutant in made[index::2]:
            try:
                changed = Resolver(mutant, PARAMETERS).resources()
            except KeyError:
                continue  # CloudFormation would not accept a template that cannot be resolved
            found = checks.problems(changed)
            if not (found or policies.first_difference(changed, evaluators[index], reviewed, original)):
                survivors.append(name)
        return survivors

    with ThreadPoolExecutor(2) as pool:
        survivors = [name for found in pool.map(judged, (0, 1)) for name in found]
    counts["mutants"], counts["killed"] = len(made), len(made) - len(survivors)
    assert survivors == []


def test_every_condition_is_tried(resources: dict[str, Any]) -> None:
    """A condition on a key that no request has would be judged only for requests without the key."""
    asked = policies.questions(resources)
    tried = {key for question in asked.values() for one in question["contexts"] for key in one["keys"]}
    tried |= {"aws:PrincipalAccount", "aws:PrincipalArn"}  # the evaluator sets these for each principal
    for label, question in asked.items():
        for statement in question["policies"][0]["Statement"]:
            for keys in statement.get("Condition", {}).values():
                assert keys.keys() <= tried, label
