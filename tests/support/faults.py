"""Faults at AWS calls, in the order in which a test plans them."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from moto.core.botocore_stubber import MockRawResponse


@dataclass
class Faults:
    """Planned faults at AWS calls, each used once. `calls` has the operations that arrived."""

    planned: list[tuple[str, Callable[[Callable[[], Any], Any], Any]]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose_reply(self, operation: str, *, times: int = 1) -> None:
        """Plan that a call takes effect, and that its reply never arrives."""

        def fault(send: Callable[[], Any], request: Any) -> Any:
            send()
            raise ReadTimeoutError(endpoint_url=request.url)

        self.planned += [(operation, fault)] * times

    def lose_request(self, operation: str, *, times: int = 1) -> None:
        """Plan that a call never arrives."""

        def fault(_send: Callable[[], Any], request: Any) -> Any:
            raise ReadTimeoutError(endpoint_url=request.url)

        self.planned += [(operation, fault)] * times

    def refuse(self, operation: str, code: str, *, status: int = 400, times: int = 1) -> None:
        """Plan that the service answers with an error."""

        def fault(_send: Callable[[], Any], request: Any) -> Any:
            return _answer(request, status, {"__type": code, "message": "ordered by the test"})

        self.planned += [(operation, fault)] * times

    def answer(self, operation: str, body: dict[str, Any], *, times: int = 1) -> None:
        """Plan that the service does nothing, and answers with *body*."""

        def fault(_send: Callable[[], Any], request: Any) -> Any:
            return _answer(request, 200, body)

        self.planned += [(operation, fault)] * times

    def delay(self, operation: str, seconds: float, *, times: int = 1) -> None:
        """Plan that a call takes effect, and that its reply is late."""

        def fault(send: Callable[[], Any], _request: Any) -> Any:
            reply = send()
            time.sleep(seconds)
            return reply

        self.planned += [(operation, fault)] * times

    def around(self, send: Callable[[], Any], request: Any) -> Any:
        """Let the request pass, or do what is planned for it."""
        operation = _operation(request)
        with self._lock:
            self.calls.append(operation)
            fault = next((planned for planned in self.planned if planned[0] == operation), None)
            if fault:
                self.planned.remove(fault)
        return fault[1](send, request) if fault else send()


def _operation(request: Any) -> str:
    target = request.headers.get("X-Amz-Target", b"")
    text = target.decode() if isinstance(target, bytes) else target
    return text.rpartition(".")[2] or "Invoke"


def _answer(request: Any, status: int, body: dict[str, Any]) -> AWSResponse:
    return AWSResponse(request.url, status, {}, MockRawResponse(json.dumps(body)))
