"""What can go wrong at an AWS call, and at an invocation of a function.

Each fault has a name, by which a run is replayed, and says at which calls it can happen.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ReadTimeoutError

from ledger_cli.engine.lambda_runtime import TIMED_OUT, SandboxEndedError
from tests.support.faults import Fault, Send, answer_with_error, lose_reply, lose_request, reply_to

CRASHED = "Runtime.ExitError"


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way."""

    operation: str
    request: Any
    send: Send
    send_later: Callable[[Send], None]
    """Keeps a request that the network delays: it arrives after the next one."""
    send_stale: Send
    """Sends a read that is answered as the table was before its last change."""
    use_up_time: Callable[[], None]
    """Leaves the invocation too little time for another call."""
    begin_beside: Callable[[], None]
    """Begins a synchronous execution, which runs beside whatever is started next."""


CallFault = Callable[[Call], Any]
"""What happens in place of a plain call."""


def at(fault: Fault) -> CallFault:
    """Make a fault of `tests.support.faults` one of a `Call`."""
    return lambda call: fault(call.send, call.request)


def delay(call: Call) -> Any:
    """Delay the request beyond the client's timeout: it takes effect after the client has sent its next request."""
    call.send_later(call.send)
    raise ReadTimeoutError(endpoint_url=call.request.url)


def fail_after(call: Call) -> Any:
    """Let the call take effect, and have the service answer 500."""
    call.send()
    return reply_to(call.request, 500, {"__type": SERVER_ERRORS[call.operation]})


def crash_before(_: Call) -> Any:
    """End the process before the request leaves."""
    raise SandboxEndedError(CRASHED, "Error: Runtime exited with error: signal: killed")


def crash_after(call: Call) -> Any:
    """End the process when the call has taken effect."""
    call.send()
    raise SandboxEndedError(CRASHED, "Error: Runtime exited with error: signal: killed")


def time_out_after(call: Call) -> Any:
    """End the function's time when the call has taken effect."""
    call.send()
    raise SandboxEndedError(TIMED_OUT, "Error: Task timed out")


def answer_too_late(call: Call) -> Any:
    """Let a synchronous execution take longer than its caller waits."""
    call.begin_beside()
    raise ReadTimeoutError(endpoint_url=call.request.url)


def read_stale(call: Call) -> Any:
    """Answer a read as the table was before its last change."""
    return call.send_stale()


def use_up_time(call: Call) -> Any:
    """Let the call take so long that the function has too little time for another one."""
    reply = call.send()
    call.use_up_time()
    return reply


def read_no_key(call: Call) -> Any:
    """Have BatchGetItem read nothing for now, and answer 200."""
    asked = json.loads(call.request.body)["RequestItems"]
    return reply_to(call.request, 200, {"Responses": {}, "UnprocessedKeys": asked})


def leave_last_key(call: Call) -> Any:
    """Have BatchGetItem read all keys but the last one, and answer 200."""
    ((table, asked),) = json.loads(call.request.body)["RequestItems"].items()
    *keys, last = asked["Keys"]
    read: dict[str, Any] = {"Responses": {}}
    if keys:
        call.request.body = json.dumps({"RequestItems": {table: {**asked, "Keys": keys}}}).encode()
        read = json.loads(call.send().content)
    return reply_to(call.request, 200, {**read, "UnprocessedKeys": {table: {**asked, "Keys": [last]}}})


def fail_first_entry(call: Call, code: str) -> Any:
    """Have PutEvents accept all entries but the first, and answer 200."""
    body = json.loads(call.request.body)
    first, *others = body["Entries"]
    assert first
    entries: list[dict[str, str]] = [{"ErrorCode": code, "ErrorMessage": "ordered by the test"}]
    if others:
        call.request.body = json.dumps({**body, "Entries": others}).encode()
        entries += json.loads(call.send().content)["Entries"]
    return reply_to(call.request, 200, {"FailedEntryCount": 1, "Entries": entries})


SERVER_ERRORS = {
    "BatchGetItem": "InternalServerError",
    "BatchGetSecretValue": "InternalServiceError",
    "DescribeExecution": "InternalFailure",
    "Encrypt": "KMSInternalException",
    "GetItem": "InternalServerError",
    "GetPublicKey": "KMSInternalException",
    "ReEncrypt": "KMSInternalException",
    "PutEvents": "InternalException",
    "PutItem": "InternalServerError",
    "Query": "InternalServerError",
    "Sign": "KMSInternalException",
    "StartExecution": "InternalFailure",
    "StartSyncExecution": "InternalFailure",
    "UpdateItem": "InternalServerError",
}
THROTTLES = {"PutItem": "ProvisionedThroughputExceededException", "UpdateItem": "RequestLimitExceeded"}

AT_EVERY_CALL: dict[str, CallFault] = {
    "request lost": at(lose_request),
    "reply lost": at(lose_reply),
    "slow": delay,
    "throttled": lambda call: at(answer_with_error(THROTTLES.get(call.operation, "ThrottlingException")))(call),
    "error 500": lambda call: at(answer_with_error(SERVER_ERRORS[call.operation], 500))(call),
    "error 500 after the effect": fail_after,
    "access denied": at(answer_with_error("AccessDeniedException")),
    "crash before": crash_before,
    "crash after": crash_after,
    "time up after": time_out_after,
}
AT_KMS = {
    "key disabled": at(answer_with_error("DisabledException")),
    "key pending deletion": at(answer_with_error("KMSInvalidStateException")),
}
AT_PUT_EVENTS: dict[str, CallFault] = {
    "first entry throttled": lambda call: fail_first_entry(call, "ThrottlingException"),
    "first entry not accepted": lambda call: fail_first_entry(call, "NotAuthorizedForSourceException"),
}
AT_EVENTUAL_READ: dict[str, CallFault] = {"stale read": read_stale}
"""A read of an index, or of a table without `ConsistentRead`. Source: DynamoDB Developer Guide, read consistency."""
AT_BATCH_GET_ITEM: dict[str, CallFault] = {"no key read": read_no_key, "last key not read": leave_last_key}
"""DynamoDB answers 200 and names the keys that it has not read. Source: DynamoDB API, BatchGetItem."""
AT_SEALER: dict[str, CallFault] = {"time nearly up after": use_up_time}

AT_SYNCHRONOUS_START: dict[str, CallFault] = {"answer too late": answer_too_late}

AT_SOME = {
    "StartSyncExecution": AT_SYNCHRONOUS_START,
    "BatchGetItem": AT_BATCH_GET_ITEM,
    "PutEvents": AT_PUT_EVENTS,
    **dict.fromkeys(("Encrypt", "ReEncrypt", "GetPublicKey", "Sign"), AT_KMS),
}


def at_call(operation: str, *, is_eventual: bool = False, is_sealer: bool = False) -> dict[str, CallFault]:
    """Return the faults that a call can meet."""
    stale = AT_EVENTUAL_READ if is_eventual else {}
    return AT_EVERY_CALL | AT_SOME.get(operation, {}) | stale | (AT_SEALER if is_sealer else {})


AT_INVOCATION: dict[str, tuple[str, bool]] = {
    "invocation throttled": ("Lambda.TooManyRequestsException", False),
    "crash at the start": (CRASHED, False),
    "crash at the end": (CRASHED, True),
    "service error after": ("Lambda.ServiceException", True),
    "state timed out": ("States.Timeout", True),
}
"""Faults at an invocation: the error's name for the workflow, and whether the function runs nevertheless."""

COLD = "cold restart"
STOP = "stopped by an operator"
