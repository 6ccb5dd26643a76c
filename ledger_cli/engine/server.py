"""The engine over HTTP: whoever is given its address as an endpoint calls it as they would call AWS.

What is not signed for AWS goes to the stack's HTTP API, so that processors' webhooks have the same address.
"""

import json
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from botocore.exceptions import HTTPClientError
from moto.core.models import botocore_stubber

from ledger_cli import REGION
from ledger_cli.engine.http_api import Request
from ledger_cli.engine.stack import Engine

MAX_BODY_BYTES = 16 * 1024 * 1024
"""More than any service here takes: a batch of DynamoDB's is 16 MB."""

MAX_LINE_BYTES = 4096
MAX_TRAILERS = 100
LENGTH = re.compile(r"[0-9]{1,18}")
CHUNK_SIZE = re.compile(rb"(?P<size>[0-9A-Fa-f]{1,8})[ \t]*(;[^\r\n]*)?\r\n")

IDLE_S = 60
SIGNED_FOR = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request")


class _RefusedError(Exception):
    """The request is answered without asking the engine."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def _bad_request(expected: str) -> _RefusedError:
    return _RefusedError(HTTPStatus.BAD_REQUEST, "BadRequest", f"send {expected}")


TOO_LARGE = _RefusedError(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", f"a body of at most {MAX_BODY_BYTES} bytes"
)
UNKNOWN = _RefusedError(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", "the engine does not know this")


class _Handler(BaseHTTPRequestHandler):
    """One connection; the service is the one that the request was signed for."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    # Headers and body are two writes; with Nagle's algorithm the second waits for the first's acknowledgement.
    disable_nagle_algorithm = True

    server: "_Listener"

    def _answer(self) -> None:
        try:
            body = self._body()
            signed = SIGNED_FOR.search(self.headers.get("Authorization", ""))
            if not signed and self._answered_by_the_api(body):
                return
            response = botocore_stubber("request-over-http", self._request(body, signed))
        except _RefusedError as refused:
            self._refuse(refused)
        except HTTPClientError:  # a connection that a test breaks
            self.close_connection = True
        except NotImplementedError:
            self._refuse(UNKNOWN)
        else:
            if response is None:
                self._refuse(UNKNOWN)
            else:
                self._send(response.status_code, dict(response.headers), response.content)

    def _answered_by_the_api(self, body: bytes) -> bool:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        path = urlsplit(self.path).path
        answer = self.server.engine.answer(Request(self.command, path, headers, body, self.client_address[0]))
        if answer is not None:
            self._send(*answer)
        return answer is not None

    def _body(self) -> bytes:
        """The request's body. Where it ends cannot be told after a refusal, so the connection is closed then."""
        try:
            if "Transfer-Encoding" in self.headers:
                return b"".join(self._chunks())
            lengths = set(self.headers.get_all("Content-Length", ["0"]))
            if len(lengths) > 1 or not LENGTH.fullmatch(size := lengths.pop()):
                raise _bad_request("one Content-Length, a number of bytes")
            if int(size) > MAX_BODY_BYTES:
                raise TOO_LARGE
            return self._read(int(size))
        except _RefusedError:
            self.close_connection = True
            raise

    def _chunks(self) -> Iterator[bytes]:
        """The parts of a chunked body; extensions and trailers are read and not used. Source: RFC 9112, section 7.1."""
        codings = ",".join(self.headers.get_all("Transfer-Encoding", []))
        if codings.strip().lower() != "chunked" or "Content-Length" in self.headers:
            raise _bad_request("Transfer-Encoding: chunked alone, without a Content-Length")
        total = 0
        while size := self._chunk_size():
            total += size
            if total > MAX_BODY_BYTES:
                raise TOO_LARGE
            yield self._read(size)
            if self._read(2) != b"\r\n":
                raise _bad_request("each chunk as long as it says")
        for _ in range(MAX_TRAILERS):
            line = self.rfile.readline(MAX_LINE_BYTES)
            if line in {b"\r\n", b""}:
                return
        raise _bad_request(f"at most {MAX_TRAILERS} trailers")

    def _chunk_size(self) -> int:
        found = CHUNK_SIZE.fullmatch(self.rfile.readline(MAX_LINE_BYTES))
        if not found:
            raise _bad_request("chunks, each behind its size")
        return int(found["size"], 16)

    def _read(self, size: int) -> bytes:
        read = self.rfile.read(size)
        if len(read) < size:
            raise _bad_request("the whole body")
        return read

    def _request(self, body: bytes, signed: re.Match[str] | None) -> AWSPreparedRequest:
        """What was asked, as the SDK would have asked AWS itself."""
        if signed is None:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "MissingAuthenticationToken", "sign it, with any credentials")
        if signed["region"] != REGION:
            where = f"the engine is in {REGION}: ask there"
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "InvalidRegion", where)
        headers = HTTPHeaders()
        for name, value in self.headers.items():
            headers[name] = value
        url = f"https://{signed['service']}.{REGION}.amazonaws.com{self.path}"
        return AWSPreparedRequest(self.command, url, headers, body, stream_output=False)

    do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _answer  # noqa: N815  # http.server finds them by name

    def _refuse(self, refused: _RefusedError) -> None:
        """In the form that the caller's protocol has for errors: it is JSON where the operation is in a header."""
        if "X-Amz-Target" in self.headers:
            body = json.dumps({"__type": refused.code, "message": refused.message})
        else:
            error = f"<Code>{refused.code}</Code><Message>{refused.message}</Message>"
            body = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
        self._send(refused.status, {}, body.encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged: a request's path or body may hold what a log must not."""


class _Listener(ThreadingHTTPServer):
    engine: Engine
    daemon_threads = True
    block_on_close = False
    request_queue_size: ClassVar[int] = 128  # type: ignore[misc]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away before its answer is no error of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class EngineServer:
    """Serves the engine that lives in this process, at each of some addresses, from `with` to the end of the block."""

    def __init__(self, hosts: Iterable[str], port: int = 0) -> None:
        """Listen.

        Args:
            hosts: addresses of this machine: loopback, and a container bridge's.
            port: 0 takes one that is free, the same at each address.

        Raises:
            OSError: an address is not this machine's, or the port is in use there.
        """
        self._listeners: list[_Listener] = []
        self._started = False
        self.port = port
        try:
            for host in hosts:
                listener = _Listener((host, self.port), _Handler)
                self._listeners.append(listener)
                self.port = listener.server_port
        except OSError:
            self.close()
            raise

    def start(self, engine: Engine) -> None:
        """Answer for *engine*; until then, callers wait."""
        self._started = True
        for listener in self._listeners:
            listener.engine = engine
            threading.Thread(target=listener.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.close()

    def stop(self) -> None:
        """Answer no more."""
        if self._started:
            for listener in self._listeners:
                listener.shutdown()
        self._started = False

    def close(self) -> None:
        """Give the port back."""
        for listener in self._listeners:
            listener.server_close()
