"""The served engine over raw sockets: it accepts what API Gateway accepts, and answers the rest with a true status."""

import contextlib
import gzip
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import BytesParser
from typing import Any, NamedTuple

import pytest

from ledger_cli import ROOT, samples
from ledger_cli.engine import Engine, http_api
from ledger_cli.engine.server import EngineServer, errors
from ledger_cli.engine.server.operations import READS, SERVICES
from ledger_cli.stack.webhook import signed
from tools import sdk_data

WEBHOOK = "/processors/acme-pay/payments"
SAMPLE = (ROOT / "events/webhooks/acme-pay.json").read_bytes()
SIGNED = (
    "Authorization: AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
)
DYNAMODB = ("POST", "/", SIGNED.format("dynamodb"))


class Answer(NamedTuple):
    """One answer, read from the socket."""

    status: int
    headers: Message
    body: bytes


class Client:
    """One connection, without a library that would correct what it sends. `Host: x` stands for the server's host."""

    def __init__(self, port: int) -> None:
        self.own = f"Host: 127.0.0.1:{port}"
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def send(self, *parts: str | bytes) -> None:
        """Send the parts without a change."""
        text = (part.replace("Host: x", self.own) if isinstance(part, str) else part for part in parts)
        self.socket.sendall(b"".join(part.encode("latin-1") if isinstance(part, str) else part for part in text))

    def answer(self, *, to_head: bool = False) -> Answer:
        """Read the next answer to its end."""
        status = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [^\r\n]+\r\n", self.file.readline())
        assert status, "no status line"
        head = b"".join(iter(self.file.readline, b"\r\n"))
        headers = BytesParser().parsebytes(head)
        body = b"" if to_head else self.file.read(int(headers.get("Content-Length", "0")))
        return Answer(int(status[1]), headers, body)

    def is_closed(self) -> bool:
        """Return whether the server has closed the connection and sent no further answer."""
        return self.file.read() == b""


@pytest.fixture(scope="module")
def served(deployed: tuple[Engine, list[float]]) -> Iterator[EngineServer]:
    """Yield the served engine, which all tests here share."""
    with EngineServer(["127.0.0.1"]) as listening:
        listening.start(deployed[0])
        yield listening


@pytest.fixture
def port(served: EngineServer, engine: Engine, capsys: pytest.CaptureFixture[str]) -> Iterator[int]:
    """Yield the port of the served engine, which has the sample processors. No request makes the server print."""
    samples.register_sample_processors(engine)
    yield served.port
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], Client]]:
    """Yield a function that opens a connection."""
    with contextlib.ExitStack() as stack:

        def client() -> Client:
            opened = Client(port)
            stack.callback(opened.socket.close)
            stack.callback(opened.file.close)
            return opened

        yield client


def head(method: str, path: str, *headers: str) -> str:
    """Return the head of a request."""
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "Host: x", *headers, ""))


def posted(body: bytes = SAMPLE) -> list[str]:
    """Return the headers with which the sample processor signs *body* now."""
    headers = signed(samples.PROCESSORS["acme-pay"], body, round(time.time()))
    return [f"{name}: {value}" for name, value in headers.items()]


def chunked(body: bytes, size: int, *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """Return the body in chunks of *size* bytes."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    chunks = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    return chunks + b"0\r\n" + trailer + b"\r\n"


# ── What the server accepts ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("chunked", chunked(SAMPLE, len(SAMPLE))),
        ("Chunked", chunked(SAMPLE, 1)),
        ("chunked", chunked(SAMPLE, 100, extension=b' ; a="b"')),
        ("chunked", chunked(SAMPLE, 100, trailer=b"Content-Length: 1\r\nX-Checksum: none\r\n")),
    ],
)
def test_a_chunked_payment_is_recorded(connect: Callable[[], Client], engine: Engine, coding: str, body: bytes) -> None:
    """API Gateway accepts chunked requests. A sender whose client streams must not fail here alone."""
    client = connect()
    client.send(head("POST", WEBHOOK, f"Transfer-Encoding: {coding}", *posted()), body)
    answer = client.answer()
    assert answer.status == 202, answer.body
    assert engine.wait_for(engine.executions()[0]).outcome == "RECORDED"
    client.send(head("POST", WEBHOOK, f"Content-Length: {len(SAMPLE)}", *posted()), SAMPLE)
    assert client.answer().status == 200  # nothing of the first request is left in the connection


def test_the_function_gets_the_length_and_no_framing(
    connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function must not see how a request was sent: API Gateway gives it the same event for a chunked request."""
    events: list[Any] = []

    def event_of(request: http_api.Request, *others: Any) -> Any:
        events.append(made := make(request, *others))
        return made

    make = http_api.event_of
    monkeypatch.setattr(http_api, "event_of", event_of)
    client = connect()
    client.send(head("POST", WEBHOOK, "Transfer-Encoding: chunked", "Trailer: X", *posted()), chunked(SAMPLE, 9))
    assert client.answer().status == 202
    (event,) = events
    assert event["headers"]["content-length"] == str(len(SAMPLE))
    assert not {"transfer-encoding", "trailer"} & event["headers"].keys()
    assert event["body"] == SAMPLE.decode()


def test_a_chunked_call_of_aws_is_answered(connect: Callable[[], Client]) -> None:
    """An SDK streams a body whose length it does not know."""
    client, body = connect(), b'{"TableName": "PaymentLedger"}'
    target = "X-Amz-Target: DynamoDB_20120810.DescribeTable"
    client.send(head(*DYNAMODB, target, "Transfer-Encoding: chunked"), chunked(body, 7))
    assert json.loads(client.answer().body)["Table"]["TableName"] == "PaymentLedger"


def test_a_client_that_waits_for_continue_is_asked_to_go_on(connect: Callable[[], Client]) -> None:
    """Before a larger body, curl waits a second for status 100, and other clients wait longer."""
    client = connect()
    for framing, body in (("Content-Length: 5", b"12345"), ("Transfer-Encoding: chunked", chunked(b"12345", 5))):
        client.send(head("POST", WEBHOOK, framing, "Expect: 100-Continue"))
        assert client.answer().status == 100
        client.send(body)
        assert client.answer().status == 401
    client.send(head("POST", WEBHOOK, "Content-Length: 0", "Expect: 100-continue"))
    assert client.answer().status == 401  # there is nothing to wait for


def test_requests_that_come_at_once_are_answered_in_order(connect: Callable[[], Client]) -> None:
    """A client need not wait for an answer before its next request. An empty line between them is not a request."""
    client = connect()
    chunks = [head("POST", WEBHOOK, "Transfer-Encoding: chunked"), "3\r\nabc\r\n0\r\n\r\n"]
    client.send(*chunks, head("POST", "/"), "\r\n", head("OPTIONS", WEBHOOK), *chunks)
    assert [client.answer().status for _ in range(4)] == [401, 403, 404, 401]


def test_a_head_gets_no_body(connect: Callable[[], Client]) -> None:
    """The client would take the body of an answer to HEAD for the next answer."""
    client = connect()
    client.send(head("HEAD", WEBHOOK), head("HEAD", "/"), head("GET", WEBHOOK))
    assert [client.answer(to_head=True).status, client.answer(to_head=True).status] == [404, 403]
    assert json.loads(client.answer().body) == {"message": "Not Found"}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_path_without_the_method_is_not_found(connect: Callable[[], Client], method: str) -> None:
    """An HTTP API answers 404 if no route matches. After 403, a sender would look for credentials."""
    client = connect()
    client.send(head(method, WEBHOOK, "Content-Length: 2"), b"{}")
    assert client.answer().status == 404


# ── What the server rejects ─────────────────────────────────────────────────────────────────────────

CHUNKS = "Transfer-Encoding: chunked"
REJECTED: dict[str, tuple[list[str], bytes, int]] = {
    "a negative length": (["Content-Length: -1"], b"", 400),
    "a length with a sign": (["Content-Length: +2"], b"{}", 400),
    "a length in other digits": (["Content-Length: \u00b2"], b"{}", 400),
    "an empty length": (["Content-Length:"], b"", 400),
    "two lengths": (["Content-Length: 2", "Content-Length: 3"], b"{}", 400),
    "two equal lengths": (["Content-Length: 2", "Content-Length: 2"], b"{}", 400),
    "two lengths in one line": (["Content-Length: 2, 2"], b"{}", 400),
    "a length above the limit": (["Content-Length: 16777217"], b"", 413),
    "an absurd length": ([f"Content-Length: {'9' * 5000}"], b"", 413),
    "a length and chunks": (["Content-Length: 2", CHUNKS], chunked(b"{}", 2), 400),
    "chunks and a length": ([CHUNKS, "Content-Length: 2"], chunked(b"{}", 2), 400),
    "another coding": (["Transfer-Encoding: gzip, chunked"], chunked(b"{}", 2), 501),
    "chunks twice": ([CHUNKS, CHUNKS], chunked(b"{}", 2), 501),
    "identity as the coding": (["Transfer-Encoding: identity"], b"{}", 501),
    "a folded header": (["X: a", " b"], b"", 400),
    "a folded coding": (["Transfer-Encoding:", " chunked"], chunked(b"{}", 2), 400),
    "a blank before the colon": (["Content-Length : 2"], b"{}", 400),
    "no colon": (["nonsense", "Content-Length: 2"], b"{}", 400),
    "a control character": (["X: a\0b"], b"", 400),
    "a second host": (["Host: y"], b"", 400),
    "a header of 64 KiB": ([f"X: {'a' * 65536}"], b"", 431),
    "a hundred headers more": ([f"X{number}: a" for number in range(100)], b"", 431),
    "a chunk without a size": ([CHUNKS], b"\r\n", 400),
    "a size that is not hexadecimal": ([CHUNKS], b"g\r\n", 400),
    "a size with a sign": ([CHUNKS], b"-1\r\n", 400),
    "a size with a prefix": ([CHUNKS], b"0x1\r\na\r\n0\r\n\r\n", 400),
    "a size with a blank before it": ([CHUNKS], b" 1\r\na\r\n0\r\n\r\n", 400),
    "a size that ends in a line feed": ([CHUNKS], b"1\na\r\n0\r\n\r\n", 400),
    "a size above the limit": ([CHUNKS], b"1000001\r\n", 413),
    "an absurd size": ([CHUNKS], b"f" * 4000 + b"\r\n", 413),
    "a size line without an end": ([CHUNKS], b"0" * 5000, 400),
    "a chunk that is longer than its size": ([CHUNKS], b"1\r\nab\r\n0\r\n\r\n", 400),
    "a chunk that is shorter than its size": ([CHUNKS], b"3\r\na\r\n0\r\n\r\n", 400),
    "a trailer without an end": ([CHUNKS], b"0\r\n" + b"X: a\r\n" * 200, 400),
}


@pytest.mark.parametrize(("headers", "body", "status"), REJECTED.values(), ids=REJECTED)
def test_a_bad_form_is_rejected_and_the_connection_closed(
    connect: Callable[[], Client], headers: list[str], body: bytes, status: int
) -> None:
    """Two readers may disagree where such a request ends, so a second request could be smuggled past a proxy."""
    client = connect()
    client.send(head("POST", WEBHOOK, *headers), body, head("POST", WEBHOOK))
    answer = client.answer()
    assert (answer.status, answer.headers["Connection"]) == (status, "close")
    assert client.is_closed()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("POST /\r\n\r\n", 400),
        ("POST / HTTP/x\r\n\r\n", 400),
        ("POST / HTTP/2.0\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\n\r\n", 400),
        ("POST http://[/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (f"POST /{'a' * 65536} HTTP/1.1\r\n", 414),
        ("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        ("POST / HTTP/1.0\r\nHost: x\r\n\r\n", 505),
        ("GET /\r\n\r\n", 505),
    ],
)
def test_a_bad_first_line_is_rejected(connect: Callable[[], Client], text: str, status: int) -> None:
    """A client of any version must find a status in the first line of the answer."""
    client = connect()
    client.send(text)
    answer = client.answer()
    assert (answer.status, client.is_closed()) == (status, True)
    assert b"nonsense" not in answer.body


@pytest.mark.parametrize(
    ("headers", "body"), [(["Content-Length: 5"], b"{}"), ([CHUNKS], b"5\r\n{}"), ([CHUNKS], b"2\r\n{}\r\n")]
)
def test_a_body_that_ends_early_is_rejected(
    connect: Callable[[], Client], engine: Engine, headers: list[str], body: bytes
) -> None:
    """A sender that stopped in the middle has sent half a payment, which must not be processed."""
    client = connect()
    client.send(head("POST", WEBHOOK, *headers), body)
    client.socket.shutdown(socket.SHUT_WR)
    answer = client.answer()
    assert (answer.status, client.is_closed()) == (400, True)
    assert engine.logs() == ""


@pytest.mark.parametrize(
    "sent", ["POST / HTTP/1.1\r\nHo", head("POST", "/", "Content-Length: 9"), head("POST", "/", CHUNKS)]
)
def test_a_slow_request_is_rejected(connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    """A client that sends a byte now and then could hold a connection for hours, although no single byte is late."""
    monkeypatch.setattr(errors, "REQUEST_S", 0.5)
    client = connect()
    client.send(sent)
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        for _ in range(20):
            client.send("0")
            time.sleep(0.1)
            if time.monotonic() - began > 1:
                break
    assert client.answer().status == 408


def test_a_client_that_sends_all_before_it_reads_gets_the_answer(connect: Callable[[], Client]) -> None:
    """If the server closed with unread data, TCP would reset the connection, and the client would try again."""
    client = connect()
    client.send(head("POST", WEBHOOK, "Content-Length: 17000000"))
    for _ in range(17):
        client.send(b"0" * 1_000_000)
    assert client.answer().status == 413


def test_a_client_is_not_asked_for_a_body_that_is_too_large(connect: Callable[[], Client]) -> None:
    """A client that waits for status 100 gets 413 at once, and sends nothing in vain."""
    client = connect()
    client.send(head("POST", WEBHOOK, "Content-Length: 17000000", "Expect: 100-continue"))
    assert client.answer().status == 413


@pytest.mark.parametrize(("size", "status"), [(6 * 1024 * 1024 + 1, 413), (256 * 1024, 401)])
def test_a_limit_is_the_same_in_chunks(connect: Callable[[], Client], size: int, status: int) -> None:
    """The docs call 413 final: a sender does not try again. So the status must be true in chunks as well."""
    client = connect()
    client.send(head("POST", WEBHOOK, CHUNKS), chunked(b"0" * size, 65536))
    assert client.answer().status == status


@pytest.mark.parametrize(("size", "status"), [(17 * 1024 * 1024, 413), (1024 * 1024, 403)])
def test_chunks_are_limited_together(connect: Callable[[], Client], size: int, status: int) -> None:
    """Each chunk is small, and no header says how many will come."""
    client = connect()
    client.send(head("POST", "/", CHUNKS), chunked(b"0" * size, 65536))
    assert client.answer().status == status


@pytest.mark.parametrize(
    "line",
    [
        "A: b\rTransfer-Encoding: chunked",
        "A: b\rContent-Length: 2",
        "Host: x\rX: y",
        "Transfer-Encoding: chunked\xa0",
        "Transfer-Encoding: \x85chunked",
    ],
)
def test_a_head_that_another_reader_may_read_otherwise_is_rejected(connect: Callable[[], Client], line: str) -> None:
    """A proxy in front of the server that does not see the second header would see another request after it."""
    client = connect()
    client.send(head("POST", WEBHOOK, line), b"2\r\n{}\r\n0\r\n\r\n")
    assert client.answer().status in {400, 501}


@pytest.mark.parametrize(("size", "status"), [(10_100, 401), (10_300, 431)])
def test_a_head_is_limited_as_api_gateway_limits_it(connect: Callable[[], Client], size: int, status: int) -> None:
    """A sender that works here must work with API Gateway: request line and header values have 10,240 bytes at most."""
    client = connect()
    client.send(head("POST", WEBHOOK, f"X: {'a' * size}"))
    assert client.answer().status == status


@pytest.mark.parametrize(
    ("service", "headers", "body", "status", "code"),
    [
        ("dynamodb", ["X-Amz-Target: DynamoDB_20120810.GetItem"], b"{", 400, "SerializationException"),
        ("dynamodb", ["X-Amz-Target: DynamoDB_20120810.GetItem"], b"[]", 400, "SerializationException"),
        ("dynamodb", ["X-Amz-Target: DynamoDB_20120810.GetItem"], b"\xff", 400, "SerializationException"),
        ("dynamodb", ["X-Amz-Target: DynamoDB_20120810.GetItem"], b"[" * 100_000, 400, "SerializationException"),
        ("dynamodb", ["X-Amz-Target: DynamoDB_20120810.GetNothing"], b"{}", 501, "NotImplemented"),
        ("dynamodb", ["X-Amz-Target: DynamoDB_20120810.GetItem"], b"{}", 500, "InternalFailure"),
        ("sts", ["Content-Type: application/x-www-form-urlencoded"], b"Action=GetNothing", 501, "NotImplemented"),
    ],
)
def test_a_call_that_no_sdk_makes_is_answered(
    connect: Callable[[], Client], service: str, headers: list[str], body: bytes, status: int, code: str
) -> None:
    """Such a call makes moto fail. The connection must not end without an answer, and no traceback may be printed."""
    client = connect()
    framing = f"Content-Length: {len(body)}"
    client.send(head("POST", "/", SIGNED.format(service), framing, *headers), body, head("POST", "/"))
    answer = client.answer()
    assert (answer.status, code in answer.body.decode()) == (status, True)
    assert client.answer().status == 403  # the connection stays open


# ── Which callers the server answers, and which operations it serves ────────────────────────────────

SCAN = [SIGNED.format("dynamodb"), "X-Amz-Target: DynamoDB_20120810.Scan", "Content-Length: 29"]
SCANNED = b'{"TableName":"PaymentLedger"}'


def asked(method: str, path: str, *headers: str) -> str:
    """Return the head of a request whose Host is among the headers, or absent."""
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", *headers, ""))


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "LocalHost:{}", "[::1]:{}"])
def test_a_program_on_this_machine_is_answered(connect: Callable[[], Client], port: int, host: str) -> None:
    """The tests below would pass with a server that rejects everything, so each name of loopback must work."""
    client = connect()
    client.send(asked("POST", "/", f"Host: {host.format(port)}", *SCAN), SCANNED)
    answer = client.answer()
    assert (answer.status, json.loads(answer.body)["Count"]) == (200, 0)


OTHERS = [
    ["Host: rebind.example:{}"],
    ["Host: 127.0.0.1"],
    ["Host: 127.0.0.1:1"],
    ["Host: 127.0.0.1:{}.rebind.example"],
    ["Host: 127.0.0.1.rebind.example:{}"],
    ["Host: localhost.:{}"],
    ["Host: 0.0.0.0:{}"],
    ["Host: 172.17.0.1:{}"],
    ["Host: host.docker.internal:{}"],
    ["Host: me@127.0.0.1:{}"],
    ["Host: "],
    ["Host: 127.0.0.1:{}", "Origin: http://rebind.example"],
    ["Host: 127.0.0.1:{}", "Origin: http://127.0.0.1:{}"],
    ["Host: 127.0.0.1:{}", "Origin: null"],
    ["Host: 127.0.0.1:{}", "Origin: "],
    ["Host: 127.0.0.1:{}", "Sec-Fetch-Site: cross-site"],
    ["Host: 127.0.0.1:{}", "Sec-Fetch-Site: same-site"],
    ["Host: 127.0.0.1:{}", "Sec-Fetch-Site: same-origin"],
    ["Host: 127.0.0.1:{}", "Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
]


@pytest.mark.parametrize("others", OTHERS, ids=" ".join)
@pytest.mark.parametrize("path", ["/", WEBHOOK])
def test_a_web_page_is_not_answered(
    connect: Callable[[], Client], port: int, engine: Engine, others: list[str], path: str
) -> None:
    """A page whose name leads to this machine could read the ledger and the secrets, and reveal tokens."""
    client = connect()
    client.send(asked("POST", path, *(header.format(port) for header in others), *SCAN, *posted()), SCANNED)
    answer = client.answer()
    assert (answer.status, client.is_closed()) == (403, True)
    assert json.loads(answer.body)["message"] == "the engine answers programs on this machine, and no web page"
    assert (engine.logs(), engine.executions()) == ("", [])


def test_a_person_who_types_the_address_is_answered(connect: Callable[[], Client]) -> None:
    """A browser sends `Sec-Fetch-Site: none` for an address that a person types."""
    client = connect()
    client.send(head("GET", WEBHOOK, "Sec-Fetch-Site: none"))
    assert client.answer().status == 404


@pytest.mark.parametrize("target", ["http://rebind.example/", "http://127.0.0.1/", "*", "@rebind.example/", ".x/"])
def test_a_target_is_a_path(connect: Callable[[], Client], target: str) -> None:
    """A whole address would override Host, and a target without a slash would become part of a host's name."""
    client = connect()
    client.send(head("POST", target, *SCAN), SCANNED)
    assert client.answer().status == 400


def test_containers_are_answered_under_the_name_that_they_get(deployed: tuple[Engine, list[float]]) -> None:
    """On a desktop, that name is not an address of this machine. Other names of a container must stay rejected."""
    with EngineServer(["127.0.0.1"], names=["host.docker.internal"]) as listening:
        listening.start(deployed[0])
        for name, status in (("host.docker.internal", 200), ("gateway.docker.internal", 403)):
            client = Client(listening.port)
            client.send(asked("POST", "/", f"Host: {name}:{listening.port}", *SCAN), SCANNED)
            assert client.answer().status == status
            client.file.close()
            client.socket.close()


FORM_BODY = ["Content-Type: application/x-www-form-urlencoded"]
NOT_SERVED: dict[str, tuple[str, str, str, list[str], bytes]] = {
    "another service": ("sns", "POST", "/", FORM_BODY, b"Action=ListTopics"),
    "moto's own": ("motoapi", "POST", "/moto-api/reset", [], b""),
    "a workflow of the caller's": ("states", "POST", "/", ["X-Amz-Target: AWSStepFunctions.CreateStateMachine"], b"{}"),
    "a change of the workflow": ("states", "POST", "/", ["X-Amz-Target: AWSStepFunctions.UpdateStateMachine"], b"{}"),
    "a state to try": ("states", "POST", "/", ["X-Amz-Target: AWSStepFunctions.TestState"], b"{}"),
    "an address for events": ("events", "POST", "/", ["X-Amz-Target: AWSEvents.CreateApiDestination"], b"{}"),
    "a target of events": ("events", "POST", "/", ["X-Amz-Target: AWSEvents.PutTargets"], b"{}"),
    "a stack": ("cloudformation", "POST", "/", FORM_BODY, b"Action=CreateStack&StackName=x"),
    "two actions": ("cloudformation", "POST", "/", FORM_BODY, b"Action=ListStacks&Action=CreateStack"),
    "an action in the target": ("cloudformation", "POST", "/?Action=CreateStack", [], b""),
    "a form without its type": ("cloudformation", "POST", "/", [], b"Action=ListStacks"),
    "an action in a header": ("dynamodb", "POST", "/", ["Action: DeleteTable"], b""),
    "a subscriber of a log": ("logs", "POST", "/", ["X-Amz-Target: Logs_20140328.PutSubscriptionFilter"], b"{}"),
    "a rotation": ("secretsmanager", "POST", "/", ["X-Amz-Target: secretsmanager.RotateSecret"], b"{}"),
    "a function": ("lambda", "POST", "/2015-03-31/functions", [], b"{}"),
    "a function's address": ("lambda", "POST", "/2021-10-31/functions/validate_payment/url", [], b"{}"),
    "a function's code": ("lambda", "PUT", "/2015-03-31/functions/validate_payment/code", [], b"{}"),
    "a path that names a host": ("states", "POST", "/x.queue.amazonaws.com/", ["X-Amz-Target: x.ListQueues"], b"{}"),
    "a function that names a host": ("lambda", "GET", "/2015-03-31/functions/x.sqs.amazonaws.com", [], b""),
    "an unknown operation": ("dynamodb", "POST", "/", ["X-Amz-Target: DynamoDB_20120810.Nothing"], b"{}"),
}


@pytest.mark.parametrize(("service", "method", "path", "headers", "body"), NOT_SERVED.values(), ids=NOT_SERVED)
def test_an_operation_that_the_stack_does_not_use_is_not_served(
    connect: Callable[[], Client], service: str, method: str, path: str, headers: list[str], body: bytes
) -> None:
    """Many of these operations let moto send requests to an address that a caller names."""
    client = connect()
    client.send(head(method, path, SIGNED.format(service), f"Content-Length: {len(body)}", *headers), body)
    answer = client.answer()
    assert (answer.status, b"UnknownOperationException" in answer.body) == (400, True)


def test_every_operation_of_the_functions_is_served() -> None:
    """In containers, the functions call the served engine. Its stack has no bucket, so nothing calls S3."""
    for service, names in sdk_data.operations().items():
        if service in sdk_data.OPTIONAL:
            continue
        signed_for = next((iam for iam, sdk in sdk_data.SDK_NAMES.items() if sdk == service), service)
        assert {name for name in names if not name.startswith(READS)} <= SERVICES[signed_for]


def zipped(body: bytes, name: bytes) -> bytes:
    """Compress the body; the header of the result has *name* in plain text. Source: RFC 1952, 2.3 (FNAME)."""
    packed = gzip.compress(body, mtime=0)
    return packed[:3] + b"\x08" + packed[4:10] + name + b"\0" + packed[10:]


DELETE = zipped(b"Action=DeleteStack&StackName=payment-ledger", b"&Action=ListStacks&x=")
PLAIN = b"Action=ListStacks"


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        (["Content-Encoding: gzip"], DELETE, 415, b"UnsupportedMediaType"),
        (["Content-Encoding: GZIP"], DELETE, 415, b"UnsupportedMediaType"),
        (["Content-Encoding: identity, gzip"], DELETE, 415, b"UnsupportedMediaType"),
        (["Content-Encoding: identity", "Content-Encoding: gzip"], DELETE, 415, b"UnsupportedMediaType"),
        (["Content-Encoding: "], PLAIN, 415, b"UnsupportedMediaType"),
        (["Content_Encoding: gzip"], DELETE, 400, b"a header's name has an underscore"),
        (["X_Amz_Target: x.DeleteStack"], PLAIN, 400, b"a header's name has an underscore"),
        (["Content-Encoding: Identity"], PLAIN, 200, b"payment-ledger"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_moto_runs_the_operation_that_the_server_has_checked(
    connect: Callable[[], Client], engine: Engine, headers: list[str], body: bytes, status: int, code: bytes
) -> None:
    """In moto, a body is decompressed, and an underscore in a header is a hyphen. So a read could delete the stack."""
    client = connect()
    framing = f"Content-Length: {len(body)}"
    client.send(head("POST", "/", SIGNED.format("cloudformation"), framing, *FORM_BODY, *headers), body)
    answer = client.answer()
    assert (answer.status, code in answer.body) == (status, True)
    (stack,) = engine.client("cloudformation").describe_stacks(StackName="payment-ledger")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.parametrize("path", ["/", WEBHOOK])
def test_a_compressed_body_is_rejected_before_it_is_read(connect: Callable[[], Client], path: str) -> None:
    """A few compressed kilobytes could become gigabytes in memory."""
    client = connect()
    client.send(head("POST", path, "Content-Encoding: gzip", "Content-Length: 9", "Expect: 100-continue"))
    assert (client.answer().status, client.is_closed()) == (415, True)


def test_a_header_decides_the_operation_whatever_a_body_says(engine: Engine, payment: dict[str, Any]) -> None:
    """In moto, `Action=` in a body is the operation, so the metadata of a payment could run another one."""
    note = "a&Action=DeleteTable&TableName=PaymentLedger&b"
    assert engine.run(json.dumps({**payment, "Metadata": {"note": note}})).outcome == "RECORDED"
    (item,) = engine.items()
    assert item["Metadata"]["M"]["note"]["S"] == note
