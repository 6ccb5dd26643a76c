"""Receive Payment: a processor's webhook. Checks who sent it, seals the token, and starts the workflow.

The answer tells a processor what it needs to know to send again or not to: docs/sending.md lists them all.
"""

import base64
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ledger.aws import private_client
from ledger.intake import Intake, TooManyAttemptsError
from ledger.item import UnreadableItemError
from ledger.payment import InvalidPaymentError, Violation, is_identifier, valid_id
from ledger.processors import Processor, Processors, ProcessorSecretError
from ledger.signature import InvalidSignatureError, plausible_schemes, verify
from ledger.strict_json import StrictJSONError, loads

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()
metrics = Metrics()
# One attempt less than elsewhere: a processor waits, and sends again by itself.
secrets_manager: "SecretsManagerClient" = private_client("secretsmanager", attempts=2)
states: "SFNClient" = private_client("stepfunctions", attempts=2)
kms: "KMSClient" = private_client("kms", attempts=2)
dynamodb: "DynamoDBClient" = private_client("dynamodb", attempts=2)
WORKFLOW = os.environ["WORKFLOW"]
INTAKE_KEY = os.environ["INTAKE_KEY"]
TABLE_NAME = os.environ["TABLE_NAME"]
DEFAULT_CURRENCY = os.environ["DEFAULT_CURRENCY"]
PROCESSOR_SECRETS = os.environ["PROCESSOR_SECRETS"]

MAX_BODY_BYTES = 256 * 1024
"""What an execution's input may have. Source: Step Functions Developer Guide, quotas."""

TOO_LARGE = Violation("Payment", "too_large")
FOREIGN_ID = Violation("TransactionID", "id_prefix")

PLACEHOLDER_SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"

THROTTLED = frozenset(
    {
        "ExecutionLimitExceeded",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
    }
)
"""Too many at once. Source: botocore's service models, and the common errors of each API."""

RETRY_AFTER_S = 30


@dataclass(frozen=True, slots=True)
class Response:
    """What the processor gets."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_http_api_response(self) -> dict[str, Any]:
        """As an HTTP API takes it. Source: API Gateway Developer Guide, payload format 2.0."""
        headers = {"content-type": "application/json", **self.headers}
        return {"statusCode": self.status, "headers": headers, "body": json.dumps(self.body)}


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one request of the HTTP API; `receive` says what comes of it."""
    # The HTTP API's clock, which says when the request came, and which a test can set.
    now_s = event["requestContext"]["timeEpoch"] // 1000
    return receive(
        event["pathParameters"]["ProcessorID"], event["headers"], body_of(event), now_s
    ).as_http_api_response()


def receive(processor_id: str, headers: Mapping[str, str], body: bytes, now_s: int) -> Response:
    """Hand the payment in *body* to the workflow, if it is this processor's.

    Returns:
        202 where its execution runs, 200 where the ledger has it already or the message is not about an outcome,
        400 with every broken rule, or if this sealed token had nine attempts (413 if it is too large), 401 without a
        reason, 409 where the ledger has another payment under its id; 429 or 503 where the same request may pass later.
    """
    try:
        processor = authenticated(processor_id, headers, body, now_s)
        try:
            return start(processor_id, start_input_of(processor, processor_id, body))
        except InvalidPaymentError as refused:
            return violations_response(processor, processor_id, refused, body)
    except InvalidSignatureError as refused:
        return unauthorized_response(processor_id, str(refused))
    except UnreadableItemError as damaged:
        return retry_later_response(
            processor_id, damaged, transaction_id=damaged.transaction_id, attribute=damaged.attribute
        )
    except TooManyAttemptsError as ended:
        return retry_later_response(processor_id, ended, transaction_id=ended.transaction_id)
    except (ClientError, BotoCoreError, ProcessorSecretError) as failure:
        return retry_later_response(processor_id, failure)


def authenticated(processor_id: str, headers: Mapping[str, str], body: bytes, now_s: int) -> Processor:
    """Return the processor that has signed this request.

    The headers are checked before Secrets Manager is called, so that a forged request costs no call. Only the first
    request of an environment fetches the processors whatever its headers are: `unauthorized_response` has to know which
    names are registered, even if no processor has sent a valid request for days.

    Raises:
        InvalidSignatureError: nobody known has signed it, or not at about this time.
        ProcessorSecretError: the processor's secret is not usable.
        ClientError: Secrets Manager's, unchanged.
    """
    try:
        schemes = plausible_schemes(headers, now_s)
    except InvalidSignatureError:
        with suppress(ClientError, BotoCoreError):  # which would tell a stranger how Secrets Manager is
            PROCESSORS.fetch_once(now_s)
        raise
    processor = PROCESSORS.find(processor_id, now_s)
    if processor is None or processor.format.scheme not in schemes:
        # As much work as for a known processor: the time of an answer does not say which names are registered.
        schemes[0].sign(PLACEHOLDER_SECRET, body)
    if processor is None:
        raise InvalidSignatureError("unknown_processor")
    verify(processor.format.scheme, processor.active(now_s), headers, body, now_s)
    return processor


def start_input_of(processor: Processor, processor_id: str, body: bytes) -> dict[str, Any] | None:
    """Read the signed message; None if it is not about a payment's outcome.

    Raises:
        InvalidPaymentError: it is too large, is not JSON, breaks a rule of the processor's format, or its valid
            TransactionID does not begin with the processor's prefix.
    """
    if len(body) > MAX_BODY_BYTES:
        raise InvalidPaymentError([TOO_LARGE])
    try:
        message = loads(body)
    except StrictJSONError as unreadable:
        raise InvalidPaymentError([Violation("Payment", unreadable.rule)]) from None
    start_input = processor.format.start_input(message, processor_id)
    transaction_id = valid_id(start_input or {}, "TransactionID")
    if transaction_id is not None and not transaction_id.startswith(processor.prefix):
        raise InvalidPaymentError([FOREIGN_ID], transaction_id=transaction_id)
    return start_input


def start(processor_id: str, start_input: dict[str, Any] | None) -> Response:
    """Start the payment's execution, or tell of the one that it has."""
    if start_input is None:
        logger.info("message ignored", processor_id=processor_id)
        return Response(200, {"Outcome": "IGNORED"})
    delivery = INTAKE.deliver(start_input)
    name = delivery.execution.rpartition(":")[2]
    logger.info("payment received", processor_id=processor_id, execution=name, started=delivery.started)
    if delivery.outcome is None:
        return Response(202, {"Execution": name})
    return Response(409 if delivery.outcome == "CONFLICT" else 200, {"Execution": name, "Outcome": delivery.outcome})


def unauthorized_response(processor_id: str, reason: str) -> Response:
    """Response 401 without a reason, so that a stranger learns nothing.

    The reason is logged and counted: under the name of a known processor in a metric that has an alarm, which nobody
    who does not know such a name can ring; otherwise in a metric of its own. The ProcessorID is logged only if it is
    well-formed: otherwise it is a stranger's text.
    """
    named = processor_id if is_identifier(processor_id) else None
    known = PROCESSORS.remembers(processor_id)
    logger.warning("signature refused", processor_id=named, known=known, reason=reason)
    if known:
        metrics.add_metric(name="SignatureRefused", unit=MetricUnit.Count, value=1)
    else:
        metrics.add_metric(name="UnknownSenderRefused", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    return Response(401, {"message": "Unauthorized"})


def violations_response(processor: Processor, processor_id: str, invalid: InvalidPaymentError, body: bytes) -> Response:
    """Have the workflow publish the refusal, then answer every broken rule: sending the same again will not help.

    The processor has signed the message, so the refusal has its ProcessorID, whatever the message says.

    Raises:
        ClientError: the refusal could not be handed over; the processor is to send again.
    """
    refused = InvalidPaymentError(invalid.violations, transaction_id=invalid.transaction_id, processor_id=processor_id)
    name = INTAKE.reject(refused, message_id(processor, body)).rpartition(":")[2]
    logger.warning("payment refused", **refused.log_keys, execution=name)
    violations = [{"Field": violation.field, "Rule": violation.rule} for violation in refused.violations]
    told = {"Execution": name, "Violations": violations}
    return Response(413, told) if refused.violations == [TOO_LARGE] else Response(400, told)


def message_id(processor: Processor, body: bytes) -> str:
    """Return a digest of the body, the same for each delivery.

    Its key is the processor's secret: without a key, a reader of execution names could try tokens against them. No
    request signs a text that begins like this one, since no header has a line break.
    """
    return processor.format.scheme.sign(processor.secrets[0], b"refused\n" + body)


def retry_later_response(processor_id: str, failure: Exception, **names: Any) -> Response:
    """The same request may pass later. The log has the failure's code: its text could repeat what was sent."""
    code = failure.response["Error"]["Code"] if isinstance(failure, ClientError) else type(failure).__name__
    logger.error("payment not started", processor_id=processor_id, code=code, **names)
    metrics.add_metric(name="PaymentNotStarted", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    headers = {"retry-after": str(RETRY_AFTER_S)}
    if code in THROTTLED:
        return Response(429, {"message": "Too Many Requests"}, headers)
    return Response(503, {"message": "Service Unavailable"}, headers)


def body_of(event: Mapping[str, Any]) -> bytes:
    """The request's body as it came."""
    body: str = event.get("body") or ""
    return base64.b64decode(body) if event["isBase64Encoded"] else body.encode(errors="surrogatepass")


PROCESSORS = Processors(secrets_manager, PROCESSOR_SECRETS)
INTAKE = Intake(
    states=states,
    kms=kms,
    dynamodb=dynamodb,
    workflow=WORKFLOW,
    intake_key=INTAKE_KEY,
    table_name=TABLE_NAME,
    default_currency=DEFAULT_CURRENCY,
)
