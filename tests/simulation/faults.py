"""What can go wrong at an AWS call, and at an invocation of a function.

Each fault has a name, by which a run is replayed, and says where it can happen.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from moto.core.botocore_stubber import MockRawResponse

from ledger_cli.engine.lambda_runtime import TIMED_OUT, SandboxEndedError

Send = Callable[[], Any]
CRASHED = "Runtime.ExitError"


@dataclass(frozen=True, slots=True)
class Call:
    """One request that is on its way."""

    operation: str
    request: Any
    send: Send
    later: Callable[[Send], None]
    """Keeps a request that the network delays: it arrives after the next one."""


def lose_request(call: Call) -> Any:
    """It never arrives; the client waits for its timeout."""
    raise ReadTimeoutError(endpoint_url=call.request.url)


def lose_reply(call: Call) -> Any:
    """It takes effect, and nobody learns of it."""
    call.send()
    raise ReadTimeoutError(endpoint_url=call.request.url)


def delay(call: Call) -> Any:
    """It is slow beyond the client's timeout: it takes effect after the client has sent its next request."""
    call.later(call.send)
    raise ReadTimeoutError(endpoint_url=call.request.url)


def fail_after(call: Call) -> Any:
    """It takes effect, and the service answers 500."""
    call.send()
    return answer(call.request, 500, {"__type": SERVER_ERRORS[call.operation]})


def crash_before(_: Call) -> Any:
    """The process ends before the request leaves."""
    raise SandboxEndedError(CRASHED, "Error: Runtime exited with error: signal: killed")


def crash_after(call: Call) -> Any:
    """The process ends when the call has taken effect."""
    call.send()
    raise SandboxEndedError(CRASHED, "Error: Runtime exited with error: signal: killed")


def time_out_after(call: Call) -> Any:
    """The function's time is up when the call has taken effect."""
    call.send()
    raise SandboxEndedError(TIMED_OUT, "Error: Task timed out")


def fail_first_entry(call: Call, code: str) -> Any:
    """PutEvents takes all entries but the first, and answers 200."""
    body = json.loads(call.request.body)
    first, *others = body["Entries"]
    assert first
    entries: list[dict[str, str]] = [{"ErrorCode": code, "ErrorMessage": "ordered by the simulation"}]
    if others:
        call.request.body = json.dumps({**body, "Entries": others}).encode()
        entries += json.loads(call.send().content)["Entries"]
    return answer(call.request, 200, {"FailedEntryCount": 1, "Entries": entries})


def answer(request: Any, status: int, body: dict[str, Any]) -> AWSResponse:
    """A reply of the service."""
    return AWSResponse(request.url, status, {}, MockRawResponse(json.dumps(body)))


def refusing(code: str, status: int = 400) -> Callable[[Call], Any]:
    """The service answers with an error, and does nothing."""
    return lambda call: answer(call.request, status, {"__type": code, "message": "ordered by the simulation"})


SERVER_ERRORS = {
    "Encrypt": "KMSInternalException",
    "ReEncrypt": "KMSInternalException",
    "PutEvents": "InternalException",
    "PutItem": "InternalServerError",
    "Query": "InternalServerError",
    "UpdateItem": "InternalServerError",
}
THROTTLES = {"PutItem": "ProvisionedThroughputExceededException", "UpdateItem": "RequestLimitExceeded"}

AT_EVERY_CALL: dict[str, Callable[[Call], Any]] = {
    "request lost": lose_request,
    "reply lost": lose_reply,
    "slow": delay,
    "throttled": lambda call: refusing(THROTTLES.get(call.operation, "ThrottlingException"))(call),
    "error 500": lambda call: refusing(SERVER_ERRORS[call.operation], 500)(call),
    "error 500 after the effect": fail_after,
    "access denied": refusing("AccessDeniedException"),
    "crash before": crash_before,
    "crash after": crash_after,
    "time up after": time_out_after,
}
AT_KMS = {
    "key disabled": refusing("DisabledException"),
    "key pending deletion": refusing("KMSInvalidStateException"),
}
AT_PUT_EVENTS = {
    "first entry throttled": lambda call: fail_first_entry(call, "ThrottlingException"),
    "first entry refused": lambda call: fail_first_entry(call, "NotAuthorizedForSourceException"),
}


def at_call(operation: str) -> dict[str, Callable[[Call], Any]]:
    """The faults that a call can meet."""
    if operation in {"Encrypt", "ReEncrypt"}:
        return AT_EVERY_CALL | AT_KMS
    if operation == "PutEvents":
        return AT_EVERY_CALL | AT_PUT_EVENTS
    return AT_EVERY_CALL


# At an invocation: the error's name for the workflow, and whether the function runs all the same.
AT_INVOCATION: dict[str, tuple[str, bool]] = {
    "invocation throttled": ("Lambda.TooManyRequestsException", False),
    "crash at the start": (CRASHED, False),
    "crash at the end": (CRASHED, True),
    "service error after": ("Lambda.ServiceException", True),
    "state timed out": ("States.Timeout", True),
}
COLD = "cold restart"
STOP = "stopped by an operator"
