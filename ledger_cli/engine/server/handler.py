"""One connection to the server: it reads requests, asks the engine, and sends the answers."""

import contextlib
import json
import re
import socket
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from botocore.exceptions import HTTPClientError
from botocore.model import OperationNotFoundError
from moto.core.models import botocore_stubber

from ledger_cli import REGION
from ledger_cli.engine.engine import Engine
from ledger_cli.engine.http_api import Answer, Request
from ledger_cli.engine.server import errors, operations
from ledger_cli.engine.server.errors import RequestError
from ledger_cli.engine.server.head import check_head
from ledger_cli.engine.server.reading import IDLE_S, Lines, TimedConnection, declared_size, read_body

LINGER_S = 2
"""How long a closing connection discards what the client still sends. Closed at once, TCP would reset the connection,
and the client might lose the answer. Source: RFC 9112, 9.6."""

ABOUT_THE_CONNECTION = {"connection", "content-length", "expect", "keep-alive", "trailer", "transfer-encoding"}
"""Headers that are not passed on. The body's length is passed on, whether it was declared or came in chunks."""

SIGNED_FOR = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request")


class RequestHandler(BaseHTTPRequestHandler):
    """One connection. A request is for the service that it was signed for."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # with HTTP/0.9, the answer to an unreadable request would have no status
    # Headers and body are two writes. With Nagle's algorithm, the second waits for the first's acknowledgement.
    disable_nagle_algorithm = True

    server: "Listener"
    raw_requestline: bytes

    def setup(self) -> None:
        """Prepare to read until a deadline."""
        super().setup()
        self.incoming = TimedConnection(self.connection)
        self.rfile = self.lines = Lines(self.incoming)

    def handle(self) -> None:
        """Answer the connection's requests, then let the client read the last answer before the connection closes."""
        super().handle()
        self.incoming.set_deadline(LINGER_S)
        with contextlib.suppress(OSError):  # the client is gone, or does not end
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read1():
                pass

    def handle_one_request(self) -> None:
        """Wait for a request and answer it."""
        self.incoming.set_deadline(IDLE_S)
        # The answer to a rejected head must not depend on the request before it.
        self.command, self.headers = "", self.MessageClass()
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the request's head, and return whether it is valid. If it is not, an answer has been sent."""
        self.incoming.set_deadline(errors.REQUEST_S)
        try:
            if self.raw_requestline == b"\r\n":  # Source: RFC 9112, 2.2: an empty line before a request is ignored
                self.raw_requestline = self.rfile.readline(65537)
            self.lines.in_head = True
            if not super().parse_request():
                return False
            check_head(self.request_version, self.path, self.headers, self.server.authorities)
        except TimeoutError:
            self._reject_and_close(errors.TOO_SLOW)
            return False
        except RequestError as error:
            self._reject_and_close(error)
            return False
        finally:
            self.lines.in_head = False
        return True

    def handle_expect_100(self) -> bool:
        """Leave the answer to `_read_body`: the client need not send a body that is rejected anyway."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that http.server cannot read. Its message may hold the client's text, so it is not sent."""
        status = HTTPStatus(code)
        self._reject_and_close(RequestError(status, status.name.title().replace("_", ""), status.description))

    def _answer(self) -> None:
        try:
            body = self._read_body()
        except TimeoutError:
            self._reject_and_close(errors.TOO_SLOW)
        except RequestError as error:
            self._reject_and_close(error)
        else:
            self._answer_with(body)

    def _read_body(self) -> bytes:
        size = declared_size(self.headers)
        if self.headers.get("Expect", "").lower() == "100-continue" and size != 0:
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        return read_body(self.lines, size)

    def _answer_with(self, body: bytes) -> None:
        signed = SIGNED_FOR.search(self.headers.get("Authorization", ""))
        try:
            answer = (None if signed else self._api_answer(body)) or self._aws_answer(body, signed)
        except RequestError as error:
            self._reject(error)
        except HTTPClientError:  # a connection that a test breaks
            self.close_connection = True
        except (NotImplementedError, OperationNotFoundError):
            self._reject(errors.NOT_IMPLEMENTED)
        except Exception as error:  # noqa: BLE001  # moto raises anything at a request that no SDK makes
            self._reject(errors.engine_failed(error))
        else:
            self._send(*answer)

    def _passed_on(self, body: bytes) -> Iterator[tuple[str, str]]:
        yield from ((name, v) for name, v in self.headers.items() if name.lower() not in ABOUT_THE_CONNECTION)
        if body:
            yield "Content-Length", str(len(body))

    def _api_answer(self, body: bytes) -> Answer | None:
        headers: dict[str, str] = {}
        for name, value in self._passed_on(body):
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        path, head = urlsplit(self.path).path, len(self.requestline) + sum(map(len, self.headers.values()))
        return self.server.engine.answer(Request(self.command, path, headers, body, self.client_address[0], head))

    def _aws_answer(self, body: bytes, signed: re.Match[str] | None) -> Answer:
        request = self._aws_request(body, signed)
        if signed is None or not operations.is_served(signed["service"], request, urlsplit(self.path).path):
            raise errors.NOT_SERVED
        response = botocore_stubber("request-over-http", request)
        if response is None:
            raise errors.NOT_IMPLEMENTED
        return response.status_code, dict(response.headers), response.content

    def _aws_request(self, body: bytes, signed: re.Match[str] | None) -> AWSPreparedRequest:
        """Return the request as the SDK would have sent it to AWS itself."""
        if signed is None:
            raise errors.NOT_SIGNED
        if signed["region"] != REGION:
            raise errors.OTHER_REGION
        if any("_" in name for name in self.headers):  # moto reads it as a hyphen, so this would be another header
            raise errors.bad_request("a header's name has an underscore")
        if body and "X-Amz-Target" in self.headers:
            _require_json_object(body)
        headers = HTTPHeaders()
        for name, value in self._passed_on(body):
            headers[name] = value
        url = f"https://{signed['service']}.{REGION}.amazonaws.com{self.path}"
        return AWSPreparedRequest(self.command, url, headers, body, stream_output=False)

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _answer  # noqa: N815  # http.server finds them by name

    def _reject_and_close(self, error: RequestError) -> None:
        """Reject a request whose end is not known, so that what follows cannot be read."""
        self.close_connection = True
        self._reject(error)

    def _reject(self, error: RequestError) -> None:
        """Answer in the form that the caller's protocol has for errors: JSON if the operation is in a header."""
        if "X-Amz-Target" in self.headers:
            body = json.dumps({"__type": error.code, "message": error.message})
        else:
            text = f"<Code>{error.code}</Code><Message>{error.message}</Message>"
            body = f"<ErrorResponse><Error>{text}</Error></ErrorResponse>"
        self._send(error.status, {}, body.encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: a request's path or body may hold text that a log must not hold."""


class Listener(ThreadingHTTPServer):
    """A server at one address."""

    engine: Engine
    authorities: frozenset[str]
    daemon_threads = True
    block_on_close = False
    request_queue_size: ClassVar[int] = 128  # type: ignore[misc]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that goes away before its answer. Report any other error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _require_json_object(body: bytes) -> None:
    """Reject what an AWS service whose protocol is JSON rejects before it looks at the operation."""
    try:
        is_object = isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise errors.NOT_A_JSON_OBJECT
