"""The engine over HTTP: whoever is given its address as an endpoint calls it as they would call AWS.

What is not signed for AWS goes to the stack's HTTP API, so that processors' webhooks have the same address.

A signature proves nothing here, and a web page in a browser of this machine can send requests to loopback. So a request
is answered only if its Host is the server's own, and if no browser sent it for a page: `ledger_cli.engine.served` says
what can be asked for.
"""

import contextlib
import http.client
import io
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from botocore.exceptions import HTTPClientError
from botocore.model import OperationNotFoundError
from moto.core.models import botocore_stubber

from ledger_cli import REGION
from ledger_cli.engine import served
from ledger_cli.engine.engine import Engine
from ledger_cli.engine.http_api import Request

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_BODY_BYTES = 16 * 1024 * 1024
"""More than any service here takes: a batch of DynamoDB's is 16 MB."""

IDLE_S = 60
"""How long a connection may wait for its next request, and for a client that does not read its answer."""

REQUEST_S = 60
"""How long a request may take to arrive, its body included: a slow client does not hold a connection forever."""

LINGER_S = 2
"""How long a closing connection discards what the client still sends. Closed at once, TCP would reset the connection,
and the client might lose the answer. Source: RFC 9112, 9.6."""

MAX_LINE_BYTES = 4096
"""Of the line before a chunk, extensions included, and of each line of a trailer."""

MAX_TRAILER_LINES = 100
"""As many as http.client takes of headers."""

CHUNK = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n]*)?\r\n")
"""The line before a chunk: its size in hexadecimal digits, and extensions, which are ignored. Source: RFC 9112, 7.1."""

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""A header's name and value as ISO 8859-1, on one line. Source: RFC 9110, 5.1 and 5.5."""

ABOUT_THE_CONNECTION = {"connection", "content-length", "expect", "keep-alive", "trailer", "transfer-encoding"}
"""Headers that are not passed on; the body's length is, whichever way it came."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""How a client on this machine calls the server."""

OF_A_PERSON = "none"
"""`Sec-Fetch-Site` of a request that a person makes, and not a page. Source: W3C, Fetch Metadata Request Headers."""

SIGNED_FOR = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request")


class _RefusedError(Exception):
    """The request is answered without asking the engine."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


NOT_FOR_PAGES = _RefusedError(
    HTTPStatus.FORBIDDEN, "AccessDenied", "the engine answers programs on this machine, and no web page"
)
NOT_SERVED = _RefusedError(
    HTTPStatus.BAD_REQUEST, "UnknownOperationException", "the engine serves what the stack and the ledger command use"
)
CODED = _RefusedError(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "the engine reads no Content-Encoding: send it as it is"
)
"""moto decompresses a body, to any size, and looks for the operation in the result, which `served` never saw."""
UNKNOWN = _RefusedError(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", "the engine does not know this")


def _bad_request(message: str) -> _RefusedError:
    return _RefusedError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def _check_json(body: bytes) -> None:
    """Refuse what an AWS service whose protocol is JSON refuses before it looks at the operation."""
    try:
        is_object = isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "SerializationException", "the body is not a JSON object")


TOO_LARGE = _RefusedError(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", f"a body is at most {MAX_BODY_BYTES} bytes"
)
TOO_SLOW = _RefusedError(HTTPStatus.REQUEST_TIMEOUT, "RequestTimeout", f"a request arrives within {REQUEST_S} seconds")


class _Incoming(io.RawIOBase):
    """What a client sends, until a deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.within(IDLE_S)

    def within(self, seconds: float) -> None:
        """Set the deadline."""
        self.deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """Say that it can be read; a buffer asks."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read what there is.

        Raises:
            TimeoutError: nothing came until the deadline.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)
        try:
            return self.connection.recv_into(buffer)
        finally:
            self.connection.settimeout(IDLE_S)


class _Lines(io.BufferedReader):
    """What a client sends, by lines. In a head, `email` takes a lone CR for the end of a line; other readers do not.

    Source: RFC 9112, 2.2, which forbids it.
    """

    in_head = False

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line.

        Raises:
            _RefusedError: it is one of a head, and has a CR within.
        """
        line = super().readline(size)
        if self.in_head and b"\r" in line.removesuffix(b"\r\n"):
            raise _bad_request("a line of the head has a CR within")
        return line


class _Handler(BaseHTTPRequestHandler):
    """One connection; the service is the one that the request was signed for."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # as HTTP/0.9, a request that cannot be read would get no status
    # Headers and body are two writes; with Nagle's algorithm the second waits for the first's acknowledgement.
    disable_nagle_algorithm = True

    server: "_Listener"
    raw_requestline: bytes

    def setup(self) -> None:
        """Read until a deadline, which http.server has for single calls of `recv` alone."""
        super().setup()
        self.incoming = _Incoming(self.connection)
        self.rfile = self.lines = _Lines(self.incoming)

    def handle(self) -> None:
        """Answer the connection's requests, then let the client read the last answer before it is closed."""
        super().handle()
        self.incoming.within(LINGER_S)
        with contextlib.suppress(OSError):  # the client is gone, or does not end
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read1():
                pass

    def handle_one_request(self) -> None:
        """Wait for a request and answer it."""
        self.incoming.within(IDLE_S)
        self.command, self.headers = "", self.MessageClass()  # else a refused head would be answered as the one before
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the request's head; returns whether it is one. An answer has been sent if it is not."""
        self.incoming.within(REQUEST_S)
        try:
            if self.raw_requestline == b"\r\n":  # Source: RFC 9112, 2.2: an empty line before a request is ignored
                self.raw_requestline = self.rfile.readline(65537)
            self.lines.in_head = True
            if not super().parse_request():
                return False
            self._check_head()
        except TimeoutError:
            self._refuse_and_close(TOO_SLOW)
            return False
        except _RefusedError as refused:
            self._refuse_and_close(refused)
            return False
        finally:
            self.lines.in_head = False
        return True

    def handle_expect_100(self) -> bool:
        """Leave the answer to `_body`: a body that is refused anyway need not be sent."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer a request that http.server cannot read: its message may hold the client's text, so it is not sent."""
        status = HTTPStatus(code)
        self._refuse_and_close(_RefusedError(status, status.name.title().replace("_", ""), status.description))

    def _check_head(self) -> None:
        """Refuse a head that another reader may understand otherwise. Source: RFC 9112, 2.2, 3.2 and 5."""
        # A line that http.client does not understand ends the headers for it.
        cut = self.headers.defects or self.headers.get_payload() or self.headers.get_unixfrom()
        if cut or not all(
            HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(v) for name, v in self.headers.items()
        ):
            raise _bad_request("a line of the head is not a header")
        hosts = self.headers.get_all("Host", [])
        if self.request_version < "HTTP/1.1":
            raise _RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HttpVersionNotSupported", "use HTTP/1.1")
        if len(hosts) != 1:
            raise _bad_request("a request has one Host")
        if len(self.headers.get_all("X-Amz-Target", [])) > 1:
            raise _bad_request("a request has one X-Amz-Target")
        if not self.path.startswith("/"):
            raise _bad_request("the target is not a path")
        if hosts[0].strip(" \t").lower() not in self.server.authorities or self._is_of_a_page():
            raise NOT_FOR_PAGES
        codings = ",".join(self.headers.get_all("Content-Encoding", ["identity"])).split(",")
        if {coding.strip(" \t").lower() for coding in codings} != {"identity"}:
            raise CODED

    def _is_of_a_page(self) -> bool:
        """Return whether a browser says so. Source: Fetch Standard, 3.2 (Origin)."""
        return "Origin" in self.headers or not {OF_A_PERSON}.issuperset(self.headers.get_all("Sec-Fetch-Site", []))

    def _answer(self) -> None:
        try:
            body = self._body()
        except TimeoutError:
            self._refuse_and_close(TOO_SLOW)
        except _RefusedError as refused:
            self._refuse_and_close(refused)
        else:
            self._answer_with(body)

    def _answer_with(self, body: bytes) -> None:
        signed = SIGNED_FOR.search(self.headers.get("Authorization", ""))
        try:
            answer = (None if signed else self._api_answer(body)) or self._aws_answer(body, signed)
        except _RefusedError as refused:
            self._refuse(refused)
        except HTTPClientError:  # a connection that a test breaks
            self.close_connection = True
        except (NotImplementedError, OperationNotFoundError):
            self._refuse(UNKNOWN)
        except Exception as error:  # noqa: BLE001  # moto raises anything at a request that no SDK makes
            what = f"the engine failed ({type(error).__name__}): is a parameter missing?"
            self._refuse(_RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalFailure", what))
        else:
            self._send(*answer)

    def _passed_on(self, body: bytes) -> Iterator[tuple[str, str]]:
        yield from ((name, v) for name, v in self.headers.items() if name.lower() not in ABOUT_THE_CONNECTION)
        if body:
            yield "Content-Length", str(len(body))

    def _api_answer(self, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        headers: dict[str, str] = {}
        for name, value in self._passed_on(body):
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        path, head = urlsplit(self.path).path, len(self.requestline) + sum(map(len, self.headers.values()))
        return self.server.engine.answer(Request(self.command, path, headers, body, self.client_address[0], head))

    def _aws_answer(self, body: bytes, signed: re.Match[str] | None) -> tuple[int, dict[str, str], bytes]:
        request = self._request(body, signed)
        if signed is None or not served.is_served(signed["service"], request, urlsplit(self.path).path):
            raise NOT_SERVED
        response = botocore_stubber("request-over-http", request)
        if response is None:
            raise UNKNOWN
        return response.status_code, dict(response.headers), response.content

    def _body(self) -> bytes:
        """Read the body, by its length or in chunks.

        Raises:
            _RefusedError: its form is wrong, it is too large, or it ends early.
            TimeoutError: it is too slow.
        """
        size = self._declared_size()
        if self.headers.get("Expect", "").lower() == "100-continue" and size != 0:
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
        return self._chunks() if size is None else self._exactly(size)

    def _declared_size(self) -> int | None:
        """Return the body's length in bytes; None if it comes in chunks. Source: RFC 9112, 6."""
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        if codings and lengths:
            raise _bad_request("a body has a Content-Length or a Transfer-Encoding, and never both")
        if codings:
            if [coding.strip(" \t").lower() for coding in codings] != ["chunked"]:
                raise _RefusedError(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", "chunked is the one transfer coding")
            return None
        if not lengths:
            return 0
        length = lengths[0].strip(" \t")
        if len(lengths) > 1 or not re.fullmatch("[0-9]+", length):
            raise _bad_request("a body has one Content-Length, a decimal number")
        if len(length.lstrip("0")) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
            raise TOO_LARGE
        return int(length)

    def _chunks(self) -> bytes:
        """Read a chunked body to the end of its trailer, which is ignored. Source: RFC 9112, 7.1."""
        body = bytearray()
        while size := self._chunk_size():
            if len(body) + size > MAX_BODY_BYTES:
                raise TOO_LARGE
            body += self._exactly(size)
            if self._exactly(2) != b"\r\n":
                raise _bad_request("a chunk is longer than its size")
        for _ in range(MAX_TRAILER_LINES):
            if self._line() == b"\r\n":
                return bytes(body)
        raise _bad_request("a trailer is too long")

    def _chunk_size(self) -> int:
        line = CHUNK.fullmatch(self._line())
        if line is None:
            raise _bad_request("a chunk begins with its size in hexadecimal digits")
        return int(line[1], 16)

    def _line(self) -> bytes:
        line = self.rfile.readline(MAX_LINE_BYTES)
        if not line.endswith(b"\r\n"):
            raise _bad_request("a line of a chunked body does not end, or is too long")
        return line

    def _exactly(self, size: int) -> bytes:
        read = self.rfile.read(size)
        if len(read) < size:
            raise _bad_request("the body ends early")
        return read

    def _request(self, body: bytes, signed: re.Match[str] | None) -> AWSPreparedRequest:
        """What was asked, as the SDK would have asked AWS itself."""
        if signed is None:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "MissingAuthenticationToken", "sign it, with any credentials")
        if signed["region"] != REGION:
            where = f"the engine is in {REGION}: ask there"
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "InvalidRegion", where)
        if any("_" in name for name in self.headers):  # to moto it is a hyphen, and the header another one
            raise _bad_request("a header's name has an underscore")
        if body and "X-Amz-Target" in self.headers:
            _check_json(body)
        headers = HTTPHeaders()
        for name, value in self._passed_on(body):
            headers[name] = value
        url = f"https://{signed['service']}.{REGION}.amazonaws.com{self.path}"
        return AWSPreparedRequest(self.command, url, headers, body, stream_output=False)

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _answer  # noqa: N815  # http.server finds them by name

    def _refuse_and_close(self, refused: _RefusedError) -> None:
        """Refuse a request whose end is not known, so that what follows cannot be read."""
        self.close_connection = True
        self._refuse(refused)

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
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged: a request's path or body may hold what a log must not."""


class _Listener(ThreadingHTTPServer):
    engine: Engine
    authorities: frozenset[str]
    daemon_threads = True
    block_on_close = False
    request_queue_size: ClassVar[int] = 128  # type: ignore[misc]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away before its answer is no error of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class EngineServer:
    """Serves the engine that lives in this process, at each of some addresses, from `with` to the end of the block."""

    def __init__(self, hosts: Iterable[str], port: int = 0, *, names: Iterable[str] = ()) -> None:
        """Listen.

        Args:
            hosts: addresses of this machine: loopback, and a container bridge's.
            port: 0 takes one that is free, the same at each address.
            names: how clients call this machine, other than by these addresses and loopback's.

        Raises:
            OSError: an address is not this machine's, or the port is in use there.
        """
        self._listeners: list[_Listener] = []
        self._started = False
        self.port = port
        hosts = list(hosts)
        try:
            for host in hosts:
                listener = _Listener((host, self.port), _Handler)
                self._listeners.append(listener)
                self.port = listener.server_port
        except OSError:
            self.close()
            raise
        self._authorities = frozenset(f"{name}:{self.port}" for name in LOOPBACK.union(hosts, names))
        if self.port == http.client.HTTP_PORT:  # which clients leave out
            self._authorities |= LOOPBACK.union(hosts, names)

    def start(self, engine: Engine) -> None:
        """Answer for *engine*; until then, callers wait."""
        self._started = True
        for listener in self._listeners:
            listener.engine, listener.authorities = engine, self._authorities
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
