"""The contexts (sets of condition keys) in which the evaluator tries each action of a policy."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.proof.resolved import ACCOUNT, REGION, arn

Context = dict[str, Any]
"""A named set of condition keys: `{"name": ..., "keys": {...}}`."""

OTHER_ACCOUNT = "999999999999"
NONE: Context = {"name": "-", "keys": {}}

THIS_WORKFLOW = arn("states", "stateMachine:PaymentLedger")
ENTRIES_WORKFLOW = arn("states", "stateMachine:PaymentEntries")
FAST_WORKFLOW = arn("states", "stateMachine:PaymentLedgerFast")
SERVICES_WITH_SECRETS = ("secretsmanager", "ssm")
FACTS = [
    "Amount", "Currency", "Execution", "Fingerprint", "Metadata", "ProcessorID", "PublishedAt", "RecordedAt", "Seal",
    "Status", "Timestamp", "TransactionID",
]  # fmt: skip
"""The attributes of an item that a query may read. The ciphertext is not one of them."""

LOOKED_UP = ["TransactionID", "Fingerprint", "Execution"]
"""The attributes that the webhook reads of a payment's item. Of an entry's, it reads the EntryID as well."""

JUDGED_BY = ["Amount", "Currency", "Fingerprint", "ProcessorID", "Status", "Timestamp", "TransactionID"]
"""The attributes of a payment's item that an entry is judged by."""

MARKER = ["TransactionID", "PublishedAt", "Unpublished"]
"""The attributes of an update of a payment's marker: its key, and the two that change. An entry's key has a number."""

SEAL_MARKER = ["TransactionID", "Seal", "Unsealed"]
"""The attributes of an update that gives a payment the number of its seal."""

CHECKPOINT = ["Log", "Seal", "Note", "VerifierKey"]
"""The attributes of an update that gives a seal its checkpoint."""

THIS_LOG = f"payment-ledger/{ACCOUNT}/{REGION}/PaymentLedger"
"""The name of the stack's sealed log, which is the partition key of its seals."""

SIGNING = {"kms:MessageType": "RAW", "kms:SigningAlgorithm": "ED25519_SHA_512"}

PAYMENTS_RULE = arn("events", "rule/payment-processors/start-payments")
ENTRIES_RULE = arn("events", "rule/payment-processors/start-entries")
PARTNER_SOURCE = "aws.partner/stripe.com/ed_1SampleLedger"
PARTNER_RULE = arn("events", f"rule/{PARTNER_SOURCE}/receive-partner-events")
VIA_LOGS = {"kms:ViaService": f"logs.{REGION}.amazonaws.com", "kms:CallerAccount": ACCOUNT}
VIA_DYNAMODB = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com", "kms:CallerAccount": ACCOUNT}

IS_SERVICE = {"a-person": "false", "a-service": "true"}
INTENDED = frozenset(
    {
        "bound",
        "bound-to-payment",
        "checkpoint",
        "checkpoint-event",
        "entry-look-up",
        "entry-marker",
        "entry-seal-marker",
        "facts",
        "judging",
        "ledger-source",
        "live",
        "live-synchronously",
        "look-up",
        "marker",
        "seal-marker",
        "signing",
        "this-log",
        "token",
    }
)
"""The contexts of the calls that the stack's own functions make."""

STEPS = ("-outside", "-other-endpoint", "-other-function", "-no-function", "-other-vpc")
"""The endings of the names of contexts one step away from an intended one."""

ENDPOINT_OF = {
    "dynamodb": "DynamoDBEndpoint",
    "events": "EventsEndpoint",
    "kms": "KmsEndpoint",
    "s3": "S3Endpoint",
    "secretsmanager": "SecretsManagerEndpoint",
    "states": "StatesEndpoint",
}
"""The endpoint of each service that has one."""

SYNCHRONOUS = ("states:StartSyncExecution", "SyncStatesEndpoint")
"""The one action that has an endpoint of its own, and that endpoint."""


def context(name: str, **keys: Any) -> Context:
    """Return a named set of condition keys, in whose names `__` stands for a colon."""
    return {"name": name, "keys": {key.replace("__", ":"): value for key, value in keys.items()}}


def contexts(layer: str, services: list[str], name: str = "", function: str | None = None) -> list[Context]:
    """Return the contexts in which each action is tried: the intended ones, and others one step away from them.

    A key is tried in the intended contexts of every key, and in contexts one step away from its own. For a role of
    *function* (an ARN), each context is tried for calls through the stack's endpoints, and for calls from elsewhere.
    """
    found = [NONE]
    if "kms" in services:
        found += _of_keys(layer, name)
    if "dynamodb" in services:
        found += _of_items()
    if "events" in services:
        found += _of_events()
    if "states" in services:
        found += [
            {"name": "live", "keys": {"states:StateMachineQualifier": ["live"]}},
            {"name": "a-version", "keys": {"states:StateMachineQualifier": ["1"]}},
        ]
    if "ec2" in services:
        found.append({"name": "from-code", "keys": {"lambda:SourceFunctionArn": arn("lambda", "function:any")}})
    if layer == "resource":
        found = _of_a_resource_policy(found, services, name)
    return _through_the_endpoints(found, services, function) if function else found


def _of_keys(layer: str, name: str) -> Iterator[Context]:
    """Yield the contexts of calls of KMS."""
    history = "kms:EncryptionContext:aws:states:stateMachineArn"
    yield context("bound", kms__EncryptionContextKeys=["TransactionID"])
    yield context("bound-to-payment", kms__EncryptionContextKeys=["TransactionID", "ProcessorID"])
    yield context("bound-and-more", kms__EncryptionContextKeys=["TransactionID", "Other"])
    yield context("bound-otherwise", kms__EncryptionContextKeys=["Other"])
    yield context("bound-to-processor", kms__EncryptionContextKeys=["ProcessorID"])
    yield {"name": "history", "keys": {history: THIS_WORKFLOW}}
    yield {"name": "entries-history", "keys": {history: ENTRIES_WORKFLOW}}
    yield {"name": "log-delivery", "keys": {"kms:EncryptionContext:SourceArn": arn("logs", "*")}}
    yield {"name": "signing", "keys": SIGNING}
    yield {"name": "signing-a-digest", "keys": {**SIGNING, "kms:MessageType": "DIGEST"}}
    yield {"name": "signing-otherwise", "keys": {**SIGNING, "kms:SigningAlgorithm": "ED25519_PH_SHA_512"}}
    if layer == "identity" or name == "HistoryKey":
        elsewhere = f"arn:aws:logs:{REGION}:{OTHER_ACCOUNT}:*"
        yield {"name": "other-history", "keys": {history: THIS_WORKFLOW + "2"}}
        yield {"name": "other-entries-history", "keys": {history: ENTRIES_WORKFLOW + "2"}}
        yield {"name": "other-delivery", "keys": {"kms:EncryptionContext:SourceArn": elsewhere}}
        for service in SERVICES_WITH_SECRETS:
            yield {"name": f"via-{service}", "keys": {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}}
    if layer == "resource":
        yield {"name": "via-dynamodb", "keys": VIA_DYNAMODB}
        yield _of_log_group("function-logs", "/payment-ledger/x")
    if name == "TableKey":
        yield {"name": "via-s3", "keys": {**VIA_DYNAMODB, "kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
        yield {"name": "via-dynamodb-elsewhere", "keys": {**VIA_DYNAMODB, "kms:CallerAccount": OTHER_ACCOUNT}}
    if name == "HistoryKey":
        via_states = {"kms:ViaService": f"states.{REGION}.amazonaws.com"}
        yield _of_log_group("workflow-logs", "/aws/vendedlogs/states/payment-ledger")
        yield _of_log_group("fast-lane-logs", "/aws/vendedlogs/states/payment-ledger/fast")
        yield _of_log_group("other-logs", "/payment-ledger-dev/x")
        yield {"name": "deploys", "keys": {history: THIS_WORKFLOW, **via_states}}
        yield {"name": "deploys-entries", "keys": {history: ENTRIES_WORKFLOW, **via_states}}
        yield {"name": "via-states", "keys": via_states}
        yield {"name": "via-logs", "keys": VIA_LOGS}
        yield {"name": "via-logs-elsewhere", "keys": {**VIA_LOGS, "kms:CallerAccount": OTHER_ACCOUNT}}


def _of_log_group(name: str, group: str) -> Context:
    return {"name": name, "keys": {"kms:EncryptionContext:aws:logs:arn": arn("logs", f"log-group:{group}")}}


def _of_events() -> Iterator[Context]:
    """Yield the contexts of calls of EventBridge: the sources and the types of a request's events."""
    outcomes, checkpoints = ["PaymentRecorded", "EntryRecorded"], ["LedgerSealed"]
    for name, types in (("ledger-source", outcomes), ("checkpoint-event", checkpoints)):
        yield _of_put(name, ["payment.ledger"], types)
    yield _of_put("other-source", ["payment.ledger", "other"], outcomes)
    yield _of_put("checkpoint-of-another-source", ["payment.ledger", "other"], checkpoints)
    yield _of_put("checkpoint-and-outcome", ["payment.ledger"], [*checkpoints, *outcomes])
    yield context("source-without-a-type", events__source=["payment.ledger"])
    yield {"name": "checkpoint-without-a-source", "keys": {"events:detail-type": checkpoints}}


def _of_put(name: str, sources: list[str], types: list[str]) -> Context:
    return {"name": name, "keys": {"events:source": sources, "events:detail-type": types}}


def _of_items() -> Iterator[Context]:
    """Yield the contexts of calls of DynamoDB: the attributes that a call writes or reads, and the partition's key."""
    yield context("marker", dynamodb__Attributes=MARKER)
    yield context("amount-too", dynamodb__Attributes=["TransactionID", "PublishedAt", "Amount"])
    yield context("marker-and-item-back", dynamodb__Attributes=MARKER, dynamodb__ReturnValues="ALL_OLD")
    entry_marker = [*MARKER, "Entry"]
    yield context("entry-marker", dynamodb__Attributes=entry_marker)
    yield context("totals-too", dynamodb__Attributes=[*entry_marker, "Totals"])
    yield context("entry-marker-and-item-back", dynamodb__Attributes=entry_marker, dynamodb__ReturnValues="ALL_OLD")
    yield from _of_seals()
    yield _of_read("facts", FACTS)
    yield _of_read("facts-and-token", [*FACTS, "SecureToken"])
    yield _of_read("token", ["SecureToken", "TransactionID"])
    yield _of_read("look-up", LOOKED_UP)
    yield context("all-of-it", dynamodb__Attributes=["TransactionID"], dynamodb__Select="ALL_ATTRIBUTES")
    yield _of_read("token-too", [*LOOKED_UP, "SecureToken"])
    yield _of_read("entry-look-up", [*LOOKED_UP, "EntryID"])
    yield _of_read("entry-look-up-further", [*LOOKED_UP, "EntryID", "Entry"])
    yield _of_read("entry-and-metadata", [*LOOKED_UP, "EntryID", "Metadata"])
    yield _of_read("judging", JUDGED_BY)
    yield _of_read("judging-and-token", [*JUDGED_BY, "SecureToken"])
    yield _of_read("judging-and-metadata", [*JUDGED_BY, "Metadata"])


def _of_seals() -> Iterator[Context]:
    """Yield the contexts of calls of the sealer: on a record, which it marks, and on the log, to which it adds."""
    yield context("seal-marker", dynamodb__Attributes=SEAL_MARKER)
    yield context("seal-and-amount", dynamodb__Attributes=[*SEAL_MARKER, "Amount"])
    yield context("seal-and-publication", dynamodb__Attributes=[*SEAL_MARKER, *MARKER[1:]])
    yield context("seal-marker-and-item-back", dynamodb__Attributes=SEAL_MARKER, dynamodb__ReturnValues="ALL_OLD")
    of_entry = [*SEAL_MARKER, "Entry"]
    yield context("entry-seal-marker", dynamodb__Attributes=of_entry)
    yield context("entry-seal-and-totals", dynamodb__Attributes=[*of_entry, "Totals"])
    yield context("entry-seal-marker-and-item-back", dynamodb__Attributes=of_entry, dynamodb__ReturnValues="ALL_OLD")
    yield context("this-log", dynamodb__LeadingKeys=[THIS_LOG])
    yield context("another-log", dynamodb__LeadingKeys=[f"{THIS_LOG}-dev"])
    yield _of_checkpoint("checkpoint", CHECKPOINT)
    yield _of_checkpoint("checkpoint-and-root", [*CHECKPOINT, "Root"])
    yield _of_checkpoint("checkpoint-of-another-log", CHECKPOINT, log=f"{THIS_LOG}-dev")
    yield _of_checkpoint("checkpoint-and-seal-back", CHECKPOINT, dynamodb__ReturnValues="ALL_OLD")
    yield context("checkpoint-of-no-log", dynamodb__Attributes=CHECKPOINT)


def _of_checkpoint(name: str, attributes: list[str], log: str = THIS_LOG, **more: Any) -> Context:
    return context(name, dynamodb__Attributes=attributes, dynamodb__LeadingKeys=[log], **more)


def _of_read(name: str, attributes: list[str]) -> Context:
    return context(name, dynamodb__Attributes=attributes, dynamodb__Select="SPECIFIC_ATTRIBUTES")


def _of_a_resource_policy(found: list[Context], services: list[str], resource: str) -> list[Context]:
    """Return the contexts in which a resource's own policy is tried: those found so far, and others of its service."""
    if "sqs" in services:
        safely, openly = {"aws:SecureTransport": "true"}, {"aws:SecureTransport": "false"}
        for name, rule in (("the", PAYMENTS_RULE), ("the-entries", ENTRIES_RULE), ("the-partners", PARTNER_RULE)):
            found += [
                {"name": f"by-{name}-rule", "keys": {**safely, "aws:SourceArn": rule}},
                {"name": f"by-{name}-rule-without-tls", "keys": {**openly, "aws:SourceArn": rule}},
            ]
        found.append({"name": "by-another-rule", "keys": {**safely, "aws:SourceArn": f"{PAYMENTS_RULE}2"}})
    if "s3" in services:
        found += [
            {"name": "over-tls", "keys": {"aws:SecureTransport": "true"}},
            {"name": "without-tls", "keys": {"aws:SecureTransport": "false"}},
        ]
    if "events" in services:
        found = [{"name": name, "keys": {"aws:PrincipalIsAWSService": text}} for name, text in IS_SERVICE.items()]
    if resource in {"TokenKey", "IntakeKey", "SealKey"} or {"dynamodb", "s3"} & {*services}:
        found = _from_the_vpc(found)
    if {"dynamodb", "s3"} & {*services}:
        found += [
            {"name": "via-cloudformation", "keys": {"aws:CalledVia": ["cloudformation.amazonaws.com"]}},
            {"name": "via-another", "keys": {"aws:CalledVia": ["athena.amazonaws.com"]}},
        ]
    return found


def _from_the_vpc(found: list[Context]) -> list[Context]:
    """Return each context for a call from the stack's VPC, and each intended context also for calls from elsewhere."""
    made = [NONE, {"name": "inside", "keys": {"aws:SourceVpc": "Vpc"}}]
    made += [{"name": one["name"], "keys": {**one["keys"], "aws:SourceVpc": "Vpc"}} for one in found if one is not NONE]
    for one in [*found, {"name": "nothing", "keys": {}}]:
        if one["name"] in INTENDED | {"nothing"}:
            made.append({"name": f"{one['name']}-outside", "keys": one["keys"]})
            made.append({"name": f"{one['name']}-other-vpc", "keys": {**one["keys"], "aws:SourceVpc": "vpc-other"}})
    return made


def _through_the_endpoints(found: list[Context], services: list[str], function: str) -> list[Context]:
    """Return each context for a call of *function*, and each intended context also for calls from elsewhere."""
    made = [one for one in found if not _service_of(one)]
    for service in sorted(ENDPOINT_OF.keys() & set(services)):
        own = {"lambda:SourceFunctionArn": function, "aws:SourceVpce": ENDPOINT_OF[service]}
        if service == "states":
            made += _through_the_synchronous_endpoint(function)
        steps = {
            "-outside": {"lambda:SourceFunctionArn": function},
            "-other-endpoint": {**own, "aws:SourceVpce": "vpce-other"},
            "-other-function": {**own, "lambda:SourceFunctionArn": arn("lambda", "function:other")},
            "-no-function": {"aws:SourceVpce": ENDPOINT_OF[service]},
        }
        for one in [*found, {"name": service, "keys": {}}]:
            if _service_of(one) == service or one["name"] == service:
                made.append({"name": one["name"], "keys": {**one["keys"], **own}})
                for step, keys in steps.items() if one["name"] in INTENDED | {service} else ():
                    made.append({"name": one["name"] + step, "keys": {**one["keys"], **keys}})
    return made


def _through_the_synchronous_endpoint(function: str) -> Iterator[Context]:
    """Yield the context of a synchronous execution of the alias, and others one step away from it."""
    keys = {"states:StateMachineQualifier": ["live"], "lambda:SourceFunctionArn": function}
    own = {**keys, "aws:SourceVpce": SYNCHRONOUS[1]}
    steps = {
        "": own,
        "-of-a-version": {**own, "states:StateMachineQualifier": ["1"]},
        "-outside": keys,
        "-other-function": {**own, "lambda:SourceFunctionArn": arn("lambda", "function:other")},
        "-no-function": {name: value for name, value in own.items() if name != "lambda:SourceFunctionArn"},
    }
    yield from ({"name": f"live-synchronously{step}", "keys": tried} for step, tried in steps.items())


def _service_of(tried: Mapping[str, Any]) -> str | None:
    """Return the service to which a context's keys belong, if it has an endpoint."""
    return next((key.partition(":")[0] for key in tried["keys"] if key.partition(":")[0] in ENDPOINT_OF), None)
