"""The operations of AWS that the server serves: those that the stack, the `ledger` command and the docs use.

moto has many more. Some of them send requests to an address that a caller names: a subscription of SNS, an API
destination of EventBridge, or a task of a workflow that the caller defines. The server does not serve these.
"""

from urllib.parse import parse_qsl

from botocore.awsrequest import AWSPreparedRequest
from moto.core.request import normalize_request
from moto.core.routing import get_service_router
from werkzeug.exceptions import NotFound

READS = ("BatchGet", "Describe", "Filter", "Get", "List", "Query", "Scan", "TransactGet")
"""The first words of the names of operations that change nothing. The server serves them for each service below."""

SERVICES: dict[str, frozenset[str]] = {
    "cloudformation": frozenset(),
    "dynamodb": frozenset({"DeleteItem", "PutItem", "UpdateContinuousBackups", "UpdateItem"}),
    "events": frozenset({"PutEvents"}),
    "kms": frozenset({"Decrypt", "Encrypt", "ReEncrypt", "Sign"}),
    "lambda": frozenset({"Invoke"}),
    "logs": frozenset(),
    "secretsmanager": frozenset({"CreateSecret", "DeleteSecret", "PutSecretValue"}),
    "sqs": frozenset({"DeleteMessage", "ReceiveMessage"}),
    "states": frozenset({"RedriveExecution", "StartExecution", "StartSyncExecution", "StopExecution"}),
    "sts": frozenset(),
}
"""The services by the names that requests are signed for, each with its served operations that write."""

REST = "lambda"
"""The one service here that names its operation by method and path. Requests to the others have the path `/`."""

FORM = "application/x-www-form-urlencoded"


def is_served(service: str, request: AWSPreparedRequest, path: str) -> bool:
    """Return whether the server serves the operation of the request to *service*, at *path*."""
    named = operation(service, request, path) if service in SERVICES else ""
    return named.startswith(READS) or named in SERVICES.get(service, ())


def operation(service: str, request: AWSPreparedRequest, path: str) -> str:
    """Return the name of the operation that moto would run; an empty text if that is not certain.

    moto finds the backend by matching the whole URL, so a path that names a host may lead to another service.
    """
    target = str(request.headers.get("X-Amz-Target", ""))
    if service == REST:
        return _routed(request) if not target and "." not in path else ""
    if path != "/":
        return ""
    return target.rpartition(".")[2] or _in_form(request)


def _routed(request: AWSPreparedRequest) -> str:
    try:
        return str(get_service_router(REST).match(normalize_request(request))[0].name)
    except NotFound:
        return ""


def _in_form(request: AWSPreparedRequest) -> str:
    is_form = request.headers.get("Content-Type", "").partition(";")[0] == FORM
    body = normalize_request(request).get_data().decode(errors="replace") if is_form else ""
    actions = [value for name, value in parse_qsl(body, keep_blank_values=True) if name == "Action"]
    return actions[0] if len(actions) == 1 else ""
