"""Faults at AWS calls: what can go wrong at one call, and `Faults`, by which a test orders that it does."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from moto.core.botocore_stubber import MockRawResponse

Send = Callable[[], Any]
"""Sends the request to the engine's AWS, and returns the reply."""

Fault = Callable[[Send, Any], Any]
"""What happens in place of a plain call, from `Send` and the request."""


def lose_request(_send: Send, request: Any) -> Any:
    """Lose the request, so that the client waits for its timeout."""
    raise ReadTimeoutError(endpoint_url=request.url)


def lose_reply(send: Send, request: Any) -> Any:
    """Let the call take effect, and lose its reply."""
    send()
    raise ReadTimeoutError(endpoint_url=request.url)


def answer_with_error(code: str, status: int = 400) -> Fault:
    """Make a fault at which the service does nothing and answers with an error."""
    return lambda _send, request: reply_to(request, status, {"__type": code, "message": "ordered by the test"})


def reply_to(request: Any, status: int, body: dict[str, Any]) -> AWSResponse:
    """Return a reply of the service."""
    return AWSResponse(request.url, status, {}, MockRawResponse(json.dumps(body)))


def operation_of(request: Any) -> str:
    """Return the operation that a request calls. If its header names none, it is S3's `PutObject` or `Invoke`."""
    target = request.headers.get("X-Amz-Target", b"")
    text = target.decode() if isinstance(target, bytes) else target
    return text.rpartition(".")[2] or {"PUT": "PutObject"}.get(request.method, "Invoke")


@dataclass
class Faults:
    """Faults that a test orders, each used once, in order. `calls` lists the operation of each call that was made."""

    planned: list[tuple[str, Fault]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose_reply(self, operation: str, *, times: int = 1) -> None:
        """Order that the call takes effect and its reply never arrives."""
        self.planned += [(operation, lose_reply)] * times

    def lose_request(self, operation: str, *, times: int = 1) -> None:
        """Order that the call never arrives."""
        self.planned += [(operation, lose_request)] * times

    def refuse(self, operation: str, code: str, *, status: int = 400, times: int = 1) -> None:
        """Order that the service does nothing and answers with an error."""
        self.planned += [(operation, answer_with_error(code, status))] * times

    def answer(self, operation: str, body: dict[str, Any], *, times: int = 1) -> None:
        """Order that the service does nothing and answers with *body*."""

        def fault(_send: Send, request: Any) -> Any:
            return reply_to(request, 200, body)

        self.planned += [(operation, fault)] * times

    def delay(self, operation: str, seconds: float, *, times: int = 1) -> None:
        """Order that the call takes effect and its reply is late."""

        def fault(send: Send, _request: Any) -> Any:
            reply = send()
            time.sleep(seconds)
            return reply

        self.planned += [(operation, fault)] * times

    def around(self, send: Send, request: Any) -> Any:
        """Send the request, or do what was ordered for it."""
        operation = operation_of(request)
        with self._lock:
            self.calls.append(operation)
            planned = next((planned for planned in self.planned if planned[0] == operation), None)
            if planned:
                self.planned.remove(planned)
        return planned[1](send, request) if planned else send()
