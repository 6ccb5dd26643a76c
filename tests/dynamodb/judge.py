"""The embedded engine with Amazon's own DynamoDB instead of moto's.

Requests of the engine's stack to DynamoDB are forwarded to DynamoDB Local, and moto answers all others. So the tests of
the engine run unchanged on both, with their faults: a lost reply is lost after DynamoDB Local has answered.
"""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from botocore.httpsession import URLLib3Session
from moto.core.botocore_stubber import BotocoreStubber

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.dynamodb import tables
from tests.dynamodb.expressions import FUNCTIONS_FOLDER, Evaluated

OF_DYNAMODB = re.compile(r"dynamodb\.[\w-]+\.amazonaws\.com")
REQUEST_TIMEOUT_S = 20

_thread = threading.local()


@contextmanager
def in_place_of_motos(endpoint: str) -> Iterator[Evaluated]:
    """Forward DynamoDB's requests to *endpoint*, empty its tables with the engine, and yield what it evaluated."""
    dynamodb, declared, evaluated = tables.client(endpoint), tables.declared(), Evaluated(ROOT / FUNCTIONS_FOLDER)
    for properties in declared:
        tables.create(dynamodb, properties)
    with (
        patch.object(URLLib3Session, "send", _observed(endpoint, evaluated)),
        # This must happen before an engine is made: the engine patches the method that it finds here.
        patch.object(BotocoreStubber, "process_request", _forwarding(endpoint)),
        patch.object(Engine, "clear", _emptying(lambda: tables.empty(dynamodb, declared))),
    ):
        yield evaluated


@contextmanager
def asking_moto() -> Iterator[None]:
    """Let moto answer this thread's requests, for a comparison of the two."""
    _thread.asks_moto = True
    try:
        yield
    finally:
        _thread.asks_moto = False


def _observed(endpoint: str, evaluated: Evaluated) -> Callable[..., Any]:
    send = URLLib3Session.send

    def observed(session: URLLib3Session, request: Any) -> Any:
        response = send(session, request)
        if request.url.startswith(endpoint):
            evaluated.observe(request.body, response.status_code, response.content)
        return response

    return observed


def _forwarding(endpoint: str) -> Callable[..., Any]:
    process_request = BotocoreStubber.process_request
    # The SDK sets this option as well. Without it, each request waits 40 ms for the acknowledgement of its head.
    socket_options: list[Any] = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    session = URLLib3Session(timeout=REQUEST_TIMEOUT_S, socket_options=socket_options)

    def forwarding(stubber: BotocoreStubber, request: Any) -> Any:
        if request.url.startswith(endpoint):
            return None  # the caller's client then sends it itself, and several can do so at the same time
        to_dynamodb = OF_DYNAMODB.fullmatch(urlsplit(request.url).hostname or "")
        if not to_dynamodb or getattr(_thread, "asks_moto", False):
            return process_request(stubber, request)
        request.url = f"{endpoint}/"
        signed = request.headers["Authorization"]
        text = signed.decode() if isinstance(signed, bytes) else signed
        request.headers["Authorization"] = re.sub(r"Credential=[^/]+", f"Credential={tables.ACCESS_KEY_ID}", text)
        response = session.send(request)
        return response.status_code, dict(response.headers), response.content

    return forwarding


def _emptying(empty: Callable[[], None]) -> Callable[[Engine], None]:
    clear = Engine.clear

    def emptying(engine: Engine) -> None:
        clear(engine)
        empty()

    return emptying
