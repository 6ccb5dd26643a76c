"""Receive Payment: a processor's webhook. It checks the sender, seals the token, and starts a workflow.

The response tells a processor whether it should send the payment again: docs/integrate/sending.md lists every response.
"""

import ledger.cold_start  # first: see its docstring

import base64
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from ledger.aws import private_client, sync_states_client
from ledger.entry import is_entry
from ledger.fast_lane import FastLane, count_fast_run, name_of_execution
from ledger.fields import is_identifier
from ledger.intake import Delivery, Intake, TooManyAttemptsError
from ledger.item import UnreadableItemError
from ledger.payment import valid_id
from ledger.processors import Processor, Processors, ProcessorSecretError
from ledger.signature import STANDARD_WEBHOOKS, InvalidSignatureError, Received, plausible_schemes, verify
from ledger.strict_json import StrictJSONError, loads
from ledger.violations import InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation, as_dicts

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
FAST_WORKFLOW = os.environ["FAST_WORKFLOW"]
# One attempt less than in other functions: a processor waits for the response, and sends again by itself. The fast lane
# takes a part of that time.
AFTER_ATTEMPTS = 1 if FAST_WORKFLOW else 2
secrets_manager = private_client("secretsmanager", attempts=2)
states = private_client("stepfunctions", attempts=AFTER_ATTEMPTS)
kms = private_client("kms", attempts=2)
dynamodb = private_client("dynamodb", attempts=AFTER_ATTEMPTS)
WORKFLOW = os.environ["WORKFLOW"]
ENTRIES_WORKFLOW = os.environ["ENTRIES_WORKFLOW"]
SYNC_STATES_ENDPOINT = os.environ["AWS_ENDPOINT_URL_SYNC_STATES"]
INTAKE_KEY = os.environ["INTAKE_KEY"]
TABLE_NAME = os.environ["TABLE_NAME"]
ENTRIES_TABLE_NAME = os.environ["ENTRIES_TABLE_NAME"]
DEFAULT_CURRENCY = os.environ["DEFAULT_CURRENCY"]
PROCESSOR_SECRETS = os.environ["PROCESSOR_SECRETS"]
PROCESSORS = Processors(secrets_manager, PROCESSOR_SECRETS)
COUNT = partial(count_fast_run, logger, metrics)
FAST_LANE = FastLane(sync_states_client(SYNC_STATES_ENDPOINT), FAST_WORKFLOW, COUNT) if FAST_WORKFLOW else None
INTAKE = Intake(
    states=states,
    kms=kms,
    dynamodb=dynamodb,
    workflow=WORKFLOW,
    entries_workflow=ENTRIES_WORKFLOW,
    intake_key=INTAKE_KEY,
    table_name=TABLE_NAME,
    entries_table_name=ENTRIES_TABLE_NAME,
    default_currency=DEFAULT_CURRENCY,
    fast_lane=FAST_LANE,
)

MAX_BODY_BYTES = 256 * 1024
"""Bytes that an execution's input may have. Source: Step Functions Developer Guide, quotas."""

TOO_LARGE = Violation("Payment", "too_large")
FOREIGN_ID = Violation("TransactionID", "id_prefix")

PLACEHOLDER_SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"
"""Secret of Standard Webhooks that no processor has."""

THROTTLED = frozenset(
    {
        "ExecutionLimitExceeded",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
    }
)
"""Error codes for too many calls at once. Source: botocore's service models, and the common errors of each API."""

RETRY_AFTER_S = 30


@dataclass(frozen=True, slots=True)
class Response:
    """The response to the processor."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_http_api_response(self) -> dict[str, Any]:
        """Return the form that an HTTP API expects. Source: API Gateway Developer Guide, payload format 2.0."""
        headers = {"content-type": "application/json", **self.headers}
        return {"statusCode": self.status, "headers": headers, "body": json.dumps(self.body)}


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one request of the HTTP API, as `receive` describes it."""
    # The HTTP API's clock says when the request came, and a test can set it.
    now_s = event["requestContext"]["timeEpoch"] // 1000
    url = f"https://{event['requestContext']['domainName']}{event['rawPath']}"
    received = Received.of(event["headers"], url, body_of(event))
    response = receive(event["pathParameters"]["ProcessorID"], received, now_s)
    return response.as_http_api_response()


def receive(processor_id: str, received: Received, now_s: int) -> Response:
    """Hand the payment or the entry in a request to its workflow, if the processor signed the request.

    Returns:
        202 if its execution runs. 200 if the ledger has it, or if the message is about something else. 400 with every
        broken rule, or if this sealed token had nine attempts; 413 if the message is too large. 401 without a reason.
        409 if the ledger has another one under the ID. 429 or 503 if the same request may succeed later.
        A processor that corrects nothing gets 200 in the place of 202, 400, 409 and 413.
    """
    processor = None
    try:
        processor = authenticated(processor_id, received, now_s)
        try:
            response = start(processor_id, start_input_of(processor, processor_id, received.body))
        except InvalidInputError as invalid:
            response = violations_response(processor, processor_id, invalid, received.body)
        return response if processor.format.corrects else replace(response, status=200)
    except InvalidSignatureError as invalid:
        return unauthorized_response(processor_id, str(invalid))
    except (TooManyAttemptsError, UnreadableItemError) as failed:
        damaged = {"attribute": failed.attribute} if isinstance(failed, UnreadableItemError) else {}
        response = retry_later_response(processor_id, failed, transaction_id=failed.transaction_id, **damaged)
        # Some processors would send nothing else until this message is taken. The executions that it has keep it.
        return response if processor is None or processor.format.corrects else Response(200, {"Outcome": "NOT_STARTED"})
    except (ClientError, BotoCoreError, ProcessorSecretError) as failure:
        return retry_later_response(processor_id, failure)


def authenticated(processor_id: str, received: Received, now_s: int) -> Processor:
    """Return the processor that signed this request.

    The request's form is checked before Secrets Manager is called, so that a forged request costs no call. Only the
    first request of an environment fetches the processors whatever its form is: `unauthorized_response` has to know
    which names are registered, even if no processor has sent a valid request for days.

    Raises:
        InvalidSignatureError: no registered processor signed the request, or not at about this time.
        ProcessorSecretError: the processor's secret is not usable.
        ClientError: any Secrets Manager error, unchanged.
    """
    try:
        schemes = plausible_schemes(received, now_s)
    except InvalidSignatureError:
        with suppress(ClientError, BotoCoreError):  # the response must not show a stranger that Secrets Manager failed
            PROCESSORS.fetch_once(now_s)
        raise
    processor = PROCESSORS.find(processor_id, now_s)
    if processor is None or processor.format.scheme not in schemes:
        # Do as much work as for a registered processor: the response time does not show which names are registered.
        STANDARD_WEBHOOKS.sign(PLACEHOLDER_SECRET, received.body)
    if processor is None:
        raise InvalidSignatureError("unknown_processor")
    verify(processor.format.scheme, processor.active(now_s), received, now_s)
    return processor


def start_input_of(processor: Processor, processor_id: str, body: bytes) -> dict[str, Any] | None:
    """Return the start input in a signed message; None if the message is not about a payment's outcome or an entry.

    Raises:
        InvalidInputError: the message is too large, is not JSON, or breaks a rule of the processor's format, or its
            valid TransactionID does not begin with the processor's prefix.
    """
    if len(body) > MAX_BODY_BYTES:
        raise InvalidPaymentError([TOO_LARGE])
    try:
        message = loads(body)
    except StrictJSONError as unreadable:
        raise InvalidPaymentError([Violation("Payment", unreadable.rule)]) from None
    start_input = processor.format.start_input(message, processor_id)
    transaction_id = valid_id(start_input or {}, "TransactionID")
    if start_input is not None and transaction_id is not None and not transaction_id.startswith(processor.prefix):
        if is_entry(start_input):
            entry_id = valid_id(start_input, "EntryID")
            raise InvalidEntryError([FOREIGN_ID], transaction_id=transaction_id, entry_id=entry_id)
        raise InvalidPaymentError([FOREIGN_ID], transaction_id=transaction_id)
    return start_input


def start(processor_id: str, start_input: dict[str, Any] | None) -> Response:
    """Start the execution of a payment or an entry, or answer with the outcome of the one that it has already."""
    if start_input is None:
        logger.info("message ignored", processor_id=processor_id)
        metrics.add_metric(name="MessageIgnored", unit=MetricUnit.Count, value=1)
        metrics.flush_metrics()
        return Response(200, {"Outcome": "IGNORED"})
    delivery = INTAKE.deliver(start_input)
    name = delivery.execution_name
    received = "entry received" if is_entry(start_input) else "payment received"
    logger.info(received, processor_id=processor_id, execution=name, started=delivery.started)
    return Response(STATUSES[delivery.outcome], {"Execution": name, **said_of(delivery)})


STATUSES = {None: 202, "RECORDED": 200, "DUPLICATE": 200, "CONFLICT": 409, "REJECTED": 400}
"""The status of the response to a payment or an entry, by its outcome."""


def said_of(delivery: Delivery) -> dict[str, Any]:
    """Return what the response says of a delivery beside its execution.

    A processor learns in which fields its payment differs from its own recorded one, and nothing of another's payment.
    """
    refusal = delivery.refusal or {}
    if delivery.outcome == "REJECTED":
        return {"Violations": refusal["Violations"]}
    differs = refusal.get("Differs", [])
    own = {"Differs": differs} if differs and "ProcessorID" not in differs else {}
    return {} if delivery.outcome is None else {"Outcome": delivery.outcome, **own}


def unauthorized_response(processor_id: str, reason: str) -> Response:
    """Answer 401 without a reason, so that an attacker learns nothing.

    The reason is logged and counted. If the name is registered, the metric has an alarm: only a sender that knows such
    a name can raise it. Otherwise the metric is another one. The ProcessorID is logged only if it is well-formed:
    otherwise it is the attacker's text.
    """
    named = processor_id if is_identifier(processor_id) else None
    known = PROCESSORS.remembers(processor_id)
    logger.warning("signature invalid", processor_id=named, known=known, reason=reason)
    if known:
        metrics.add_metric(name="SignatureRefused", unit=MetricUnit.Count, value=1)
    else:
        metrics.add_metric(name="UnknownSenderRefused", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    return Response(401, {"message": "Unauthorized"})


def violations_response(processor: Processor, processor_id: str, invalid: InvalidInputError, body: bytes) -> Response:
    """Have the workflow publish the rejection, then answer with every broken rule: sending the same again cannot help.

    The processor signed the message, so the rejection has its ProcessorID, whatever the message says.

    Raises:
        ClientError: the workflow could not be started; the processor should send the message again.
    """
    rejected = invalid.sent_by(processor_id)
    name = name_of_execution(INTAKE.reject(rejected, message_id(processor, body)))
    event = "entry refused" if isinstance(rejected, InvalidEntryError) else "payment rejected"
    logger.warning(event, **rejected.log_keys, execution=name)
    status = 413 if rejected.violations == [TOO_LARGE] else 400
    return Response(status, {"Execution": name, "Violations": as_dicts(rejected.violations)})


def message_id(processor: Processor, body: bytes) -> str:
    """Return a digest of the body, which is the same for each delivery.

    The key of the digest is the processor's secret: without a key, a reader of execution names could try tokens against
    them. No request can sign a text that begins like this one, because no header contains a line break.
    """
    return processor.format.scheme.sign(processor.secrets[0], b"refused\n" + body)


def retry_later_response(processor_id: str, failure: Exception, **names: Any) -> Response:
    """Answer that the same request may succeed later.

    The log has the failure's code and not its message, which could repeat a part of the request.
    """
    code = failure.response["Error"]["Code"] if isinstance(failure, ClientError) else type(failure).__name__
    logger.error("payment not started", processor_id=processor_id, code=code, **names)
    metrics.add_metric(name="PaymentNotStarted", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    headers = {"retry-after": str(RETRY_AFTER_S)}
    if code in THROTTLED:
        return Response(429, {"message": "Too Many Requests"}, headers)
    return Response(503, {"message": "Service Unavailable"}, headers)


def body_of(event: Mapping[str, Any]) -> bytes:
    """Return the request's body as it came."""
    body: str = event.get("body") or ""
    return base64.b64decode(body) if event["isBase64Encoded"] else body.encode(errors="surrogatepass")
