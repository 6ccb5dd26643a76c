"""The Lambda Runtime API and AWS over TLS, for the functions that are measured. Both listen on loopback."""

import base64
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.httpsession import get_cert_path
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REPLIES: dict[str, Any] = {
    "Encrypt": {"CiphertextBlob": base64.b64encode(b"c" * 200).decode(), "KeyId": "k"},
    "PutItem": {},
    "UpdateItem": {},
    "PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]},
}
SERVICES = {"TrentService": "kms", "DynamoDB_20120810": "dynamodb", "AWSEvents": "events"}
"""The services, by the first half of `X-Amz-Target`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to AWS: the service, the operation, the parameters as they were sent, and HTTP bytes both ways."""

    service: str
    operation: str
    body: Any
    size_bytes: int


@dataclass
class Invocations:
    """The invocations of one function, and its replies; `watch` is called before each invocation and after the last."""

    event: bytes
    count: int
    watch: Callable[[], None] = lambda: None
    replies: list[bytes] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    asked: int = 0


def reply_of(body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> bytes:
    """Return the bytes of a reply."""
    lines = {"Content-Length": str(len(body)), **(headers or {})}.items()
    head = "".join([f"HTTP/1.1 {status} \r\n", *(f"{name}: {value}\r\n" for name, value in lines), "\r\n"])
    return head.encode() + body


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def reply(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        """Send a reply."""
        self.wfile.write(reply_of(body, headers, status))

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class _RuntimeApi(_Quiet):
    """The runtime API. Source: Lambda Developer Guide, custom runtimes, runtime API."""

    server: "RuntimeApi"

    def do_GET(self) -> None:
        """Answer with the next invocation; after the last one, let the function wait."""
        work = self.server.work
        work.watch()
        if work.asked == work.count:
            work.done.set()
            threading.Event().wait(60)
            return
        work.asked += 1
        self.reply(
            work.event,
            {
                "Lambda-Runtime-Aws-Request-Id": f"00000000-0000-4000-8000-{work.asked:012}",
                "Lambda-Runtime-Deadline-Ms": "9999999999999",
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
                "Content-Type": "application/json",
            },
        )

    def do_POST(self) -> None:
        """Take the response or the error of an invocation."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        work = self.server.work
        work.replies.append(body)
        self.reply(b'{"status":"OK"}', status=202)
        if not self.path.endswith("/response"):
            work.done.set()


class _Aws(_Quiet):
    server: "Aws"

    def do_POST(self) -> None:
        """Answer as the service does if the call succeeds."""
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        target, _, operation = self.headers["X-Amz-Target"].rpartition(".")
        size_bytes = len(self.raw_requestline) + len(self.headers.as_bytes()) + len(sent)
        headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "0" * 52}
        reply = reply_of(json.dumps(REPLIES[operation]).encode(), headers)
        # First the note: after the reply, its reader may look for the call.
        self.server.calls.append(Call(SERVICES[target], operation, json.loads(sent), size_bytes + len(reply)))
        self.wfile.write(reply)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: the bench ends processes while they wait for a reply."""


class RuntimeApi(_Server):
    """The runtime API of one process. The process before it may still send requests while it is being ended."""

    def __init__(self, work: Invocations) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApi)
        self.work = work

    @property
    def address(self) -> str:
        """The value of `AWS_LAMBDA_RUNTIME_API`."""
        return f"127.0.0.1:{self.server_port}"


class Aws(_Server):
    """A stub of AWS with its own certificate, which collects calls and counts connections."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Aws)
        self.calls: list[Call] = []
        self.connections = 0
        self.authorities = folder / "authorities.pem"
        self.certificate, key_file = folder / "certificate.pem", folder / "key.pem"
        make_certificate(self.certificate, key_file)
        # The certificate comes after all that the SDK trusts by default: reading those is a part of every first call.
        self.authorities.write_bytes(Path(get_cert_path(verify=True)).read_bytes() + self.certificate.read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key_file)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a connection."""
        self.connections += 1
        super().process_request(request, client_address)

    @property
    def url(self) -> str:
        """The value of each `AWS_ENDPOINT_URL_…`."""
        return f"https://127.0.0.1:{self.server_port}"


def make_certificate(certificate_file: Path, key_file: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
