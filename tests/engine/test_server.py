"""The served engine over raw sockets: what API Gateway takes it takes, and what it refuses gets a true status."""

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
from ledger_cli.engine import Engine, http_api, server
from ledger_cli.engine.server import EngineServer
from ledger_cli.stack.webhook import signed

WEBHOOK = "/processors/acme-pay/payments"
SAMPLE = (ROOT / "events/webhooks/acme-pay.json").read_bytes()
SIGNED = (
    "Authorization: AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
)
DYNAMODB = ("POST", "/", SIGNED.format("dynamodb"))


class Answer(NamedTuple):
    """One answer as it was read from the socket."""

    status: int
    headers: Message
    body: bytes


class Client:
    """One connection, without a library that would correct what it sends. `Host: x` stands for the server's own."""

    def __init__(self, port: int) -> None:
        self.own = f"Host: 127.0.0.1:{port}"
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def send(self, *parts: str | bytes) -> None:
        """Send the parts as they are."""
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
        """Whether the server has ended the connection; no further answer is on it."""
        return self.file.read() == b""


@pytest.fixture(scope="module")
def served(deployed: tuple[Engine, list[float]]) -> Iterator[EngineServer]:
    """The engine, served for all tests here: a server takes half a second to stop."""
    with EngineServer(["127.0.0.1"]) as listening:
        listening.start(deployed[0])
        yield listening


@pytest.fixture
def port(served: EngineServer, engine: Engine, capsys: pytest.CaptureFixture[str]) -> Iterator[int]:
    """The port of the served engine, with the sample processors; a request never makes the server print."""
    samples.register_sample_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
    yield served.port
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], Client]]:
    """A function that opens a connection."""
    with contextlib.ExitStack() as stack:

        def client() -> Client:
            opened = Client(port)
            stack.callback(opened.socket.close)
            stack.callback(opened.file.close)
            return opened

        yield client


def head(method: str, path: str, *headers: str) -> str:
    """The head of a request."""
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "Host: x", *headers, ""))


def posted(body: bytes = SAMPLE) -> list[str]:
    """The headers with which the sample processor signs *body* now."""
    headers = signed(samples.PROCESSORS["acme-pay"], body, round(time.time()))
    return [f"{name}: {value}" for name, value in headers.items()]


def chunked(body: bytes, size: int, *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """The body in chunks of *size* bytes."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    chunks = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    return chunks + b"0\r\n" + trailer + b"\r\n"


# ── What it takes ───────────────────────────────────────────────────────────────────────────────────


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
    """API Gateway takes chunked requests: a sender whose client streams would be refused here alone, and for good."""
    client = connect()
    client.send(head("POST", WEBHOOK, f"Transfer-Encoding: {coding}", *posted()), body)
    answer = client.answer()
    assert answer.status == 202, answer.body
    assert engine.ended(engine.executions()[0]).outcome == "RECORDED"
    client.send(head("POST", WEBHOOK, f"Content-Length: {len(SAMPLE)}", *posted()), SAMPLE)
    assert client.answer().status == 200  # nothing of the first request is left in the connection


def test_the_function_gets_the_length_and_no_framing(
    connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event of a chunked request is that of any other: how it was sent ends at the gateway."""
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
    """SDKs stream bodies whose length they do not know."""
    client, body = connect(), b'{"TableName": "PaymentLedger"}'
    target = "X-Amz-Target: DynamoDB_20120810.DescribeTable"
    client.send(head(*DYNAMODB, target, "Transfer-Encoding: chunked"), chunked(body, 7))
    assert json.loads(client.answer().body)["Table"]["TableName"] == "PaymentLedger"


def test_a_client_that_waits_for_continue_is_asked_to_go_on(connect: Callable[[], Client]) -> None:
    """A client such as curl waits a second for it with each larger body; others wait for longer."""
    client = connect()
    for framing, body in (("Content-Length: 5", b"12345"), ("Transfer-Encoding: chunked", chunked(b"12345", 5))):
        client.send(head("POST", WEBHOOK, framing, "Expect: 100-Continue"))
        assert client.answer().status == 100
        client.send(body)
        assert client.answer().status == 401
    client.send(head("POST", WEBHOOK, "Content-Length: 0", "Expect: 100-continue"))
    assert client.answer().status == 401  # there is nothing to wait for


def test_requests_that_come_at_once_are_answered_in_order(connect: Callable[[], Client]) -> None:
    """A client need not wait for an answer before its next request, and an empty line between them is no request."""
    client = connect()
    chunks = [head("POST", WEBHOOK, "Transfer-Encoding: chunked"), "3\r\nabc\r\n0\r\n\r\n"]
    client.send(*chunks, head("POST", "/"), "\r\n", head("OPTIONS", WEBHOOK), *chunks)
    assert [client.answer().status for _ in range(4)] == [401, 403, 404, 401]


def test_a_head_gets_no_body(connect: Callable[[], Client]) -> None:
    """Else the client would take the body for the next answer."""
    client = connect()
    client.send(head("HEAD", WEBHOOK), head("HEAD", "/"), head("GET", WEBHOOK))
    assert [client.answer(to_head=True).status, client.answer(to_head=True).status] == [404, 403]
    assert json.loads(client.answer().body) == {"message": "Not Found"}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_path_without_the_method_is_not_found(connect: Callable[[], Client], method: str) -> None:
    """An HTTP API has routes, and answers 404 beside them; 403 would have a sender look for credentials."""
    client = connect()
    client.send(head(method, WEBHOOK, "Content-Length: 2"), b"{}")
    assert client.answer().status == 404


# ── What it refuses ─────────────────────────────────────────────────────────────────────────────────

CHUNKS = "Transfer-Encoding: chunked"
REFUSED: dict[str, tuple[list[str], bytes, int]] = {
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
    "no coding": (["Transfer-Encoding: identity"], b"{}", 501),
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


@pytest.mark.parametrize(("headers", "body", "status"), REFUSED.values(), ids=REFUSED)
def test_a_bad_form_is_refused_and_the_connection_closed(
    connect: Callable[[], Client], headers: list[str], body: bytes, status: int
) -> None:
    """Two readers may disagree where such a request ends: what follows could be a second one, smuggled past a proxy."""
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
def test_a_bad_first_line_is_refused(connect: Callable[[], Client], text: str, status: int) -> None:
    """With a status in the first line of the answer, whatever version the client speaks."""
    client = connect()
    client.send(text)
    answer = client.answer()
    assert (answer.status, client.is_closed()) == (status, True)
    assert b"nonsense" not in answer.body


@pytest.mark.parametrize(
    ("headers", "body"), [(["Content-Length: 5"], b"{}"), ([CHUNKS], b"5\r\n{}"), ([CHUNKS], b"2\r\n{}\r\n")]
)
def test_a_body_that_ends_early_is_refused(
    connect: Callable[[], Client], engine: Engine, headers: list[str], body: bytes
) -> None:
    """A sender that died in the middle has not sent what came: half a payment must not be judged."""
    client = connect()
    client.send(head("POST", WEBHOOK, *headers), body)
    client.socket.shutdown(socket.SHUT_WR)
    answer = client.answer()
    assert (answer.status, client.is_closed()) == (400, True)
    assert engine.logs() == ""


@pytest.mark.parametrize(
    "sent", ["POST / HTTP/1.1\r\nHo", head("POST", "/", "Content-Length: 9"), head("POST", "/", CHUNKS)]
)
def test_a_slow_request_is_refused(connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    """Bytes that trickle in for hours keep a connection busy, though none of them is late by itself."""
    monkeypatch.setattr(server, "REQUEST_S", 0.5)
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


def test_a_client_that_sends_all_before_it_reads_sees_the_refusal(connect: Callable[[], Client]) -> None:
    """Closed on unread data, TCP resets the connection, and the client reports a network failure and tries again."""
    client = connect()
    client.send(head("POST", WEBHOOK, "Content-Length: 17000000"))
    for _ in range(17):
        client.send(b"0" * 1_000_000)
    assert client.answer().status == 413


def test_a_body_that_is_too_large_is_not_asked_for(connect: Callable[[], Client]) -> None:
    """A client that waits for 100 gets the refusal, and has sent nothing in vain."""
    client = connect()
    client.send(head("POST", WEBHOOK, "Content-Length: 17000000", "Expect: 100-continue"))
    assert client.answer().status == 413


@pytest.mark.parametrize(("size", "status"), [(6 * 1024 * 1024 + 1, 413), (256 * 1024, 401)])
def test_a_limit_is_the_same_in_chunks(connect: Callable[[], Client], size: int, status: int) -> None:
    """413 means too large, and docs/sending.md calls it final: it must be true."""
    client = connect()
    client.send(head("POST", WEBHOOK, CHUNKS), chunked(b"0" * size, 65536))
    assert client.answer().status == status


@pytest.mark.parametrize(("size", "status"), [(17 * 1024 * 1024, 413), (1024 * 1024, 403)])
def test_chunks_are_limited_together(connect: Callable[[], Client], size: int, status: int) -> None:
    """Each is small, and nobody says how many there will be."""
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
def test_a_head_is_read_as_every_other_reader_reads_it(connect: Callable[[], Client], line: str) -> None:
    """A proxy before it that sees no second header would see another request behind it."""
    client = connect()
    client.send(head("POST", WEBHOOK, line), b"2\r\n{}\r\n0\r\n\r\n")
    assert client.answer().status in {400, 501}


@pytest.mark.parametrize(("size", "status"), [(10_100, 401), (10_300, 431)])
def test_a_head_is_limited_as_api_gateway_limits_it(connect: Callable[[], Client], size: int, status: int) -> None:
    """A sender that works here works there: the request line and the header values have 10,240 bytes."""
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
    """It makes moto fail: the connection would end without an answer, and `ledger serve` would show a traceback."""
    client = connect()
    framing = f"Content-Length: {len(body)}"
    client.send(head("POST", "/", SIGNED.format(service), framing, *headers), body, head("POST", "/"))
    answer = client.answer()
    assert (answer.status, code in answer.body.decode()) == (status, True)
    assert client.answer().status == 403  # the connection goes on


# ── Whom it answers, and what about ─────────────────────────────────────────────────────────────────

SCAN = [SIGNED.format("dynamodb"), "X-Amz-Target: DynamoDB_20120810.Scan", "Content-Length: 29"]
SCANNED = b'{"TableName":"PaymentLedger"}'


def asked(method: str, path: str, *headers: str) -> str:
    """The head of a request whose Host is among the headers, or absent."""
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", *headers, ""))


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "LocalHost:{}", "[::1]:{}"])
def test_a_program_on_this_machine_is_answered(connect: Callable[[], Client], port: int, host: str) -> None:
    """Under each name of loopback; the tests below would pass with a server that refuses everything."""
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
    """A page whose name leads to this machine would read the ledger, the secrets and each token that it reveals."""
    client = connect()
    client.send(asked("POST", path, *(header.format(port) for header in others), *SCAN, *posted()), SCANNED)
    answer = client.answer()
    assert (answer.status, client.is_closed()) == (403, True)
    assert json.loads(answer.body)["message"] == "the engine answers programs on this machine, and no web page"
    assert (engine.logs(), engine.executions()) == ("", [])


def test_what_a_person_opens_is_no_page(connect: Callable[[], Client]) -> None:
    """`Sec-Fetch-Site: none` is the address bar's."""
    client = connect()
    client.send(head("GET", WEBHOOK, "Sec-Fetch-Site: none"))
    assert client.answer().status == 404


@pytest.mark.parametrize("target", ["http://rebind.example/", "http://127.0.0.1/", "*", "@rebind.example/", ".x/"])
def test_a_target_is_a_path(connect: Callable[[], Client], target: str) -> None:
    """A whole address overrules Host, and what does not begin with a slash would become part of a host's name."""
    client = connect()
    client.send(head("POST", target, *SCAN), SCANNED)
    assert client.answer().status == 400


def test_containers_are_answered_under_the_name_that_they_are_given(deployed: tuple[Engine, list[float]]) -> None:
    """On a desktop that is no address of this machine; the others of a container's names stay refused."""
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
def test_what_the_stack_does_not_use_is_not_served(
    connect: Callable[[], Client], service: str, method: str, path: str, headers: list[str], body: bytes
) -> None:
    """Much of it has moto send requests to whatever address a caller names."""
    client = connect()
    client.send(head(method, path, SIGNED.format(service), f"Content-Length: {len(body)}", *headers), body)
    answer = client.answer()
    assert (answer.status, b"UnknownOperationException" in answer.body) == (400, True)


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
def test_the_operation_is_the_one_that_was_looked_at(
    connect: Callable[[], Client], engine: Engine, headers: list[str], body: bytes, status: int, code: bytes
) -> None:
    """In moto it is that of the decompressed body, and an underscore for a hyphen: a read would delete the stack."""
    client = connect()
    framing = f"Content-Length: {len(body)}"
    client.send(head("POST", "/", SIGNED.format("cloudformation"), framing, *FORM_BODY, *headers), body)
    answer = client.answer()
    assert (answer.status, code in answer.body) == (status, True)
    (stack,) = engine.client("cloudformation").describe_stacks(StackName="payment-ledger")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.parametrize("path", ["/", WEBHOOK])
def test_a_compressed_body_is_refused_before_it_is_read(connect: Callable[[], Client], path: str) -> None:
    """A few kilobytes could become gigabytes."""
    client = connect()
    client.send(head("POST", path, "Content-Encoding: gzip", "Content-Length: 9", "Expect: 100-continue"))
    assert (client.answer().status, client.is_closed()) == (415, True)


def test_the_operation_is_the_headers_whatever_a_body_says(engine: Engine, payment: dict[str, Any]) -> None:
    """In moto, `Action=` in a body is the operation: a payment's metadata would call another one than its sender."""
    note = "a&Action=DeleteTable&TableName=PaymentLedger&b"
    assert engine.run(json.dumps({**payment, "Metadata": {"note": note}})).outcome == "RECORDED"
    (item,) = engine.items()
    assert item["Metadata"]["M"]["note"]["S"] == note
