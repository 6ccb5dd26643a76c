"""What leaves this machine: an endpoint never gets the shell's credentials, and an unknown server gets nothing."""

import re
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.runtime_api import make_certificate
from ledger_cli.cli import cli
from ledger_cli.stack import webhook
from ledger_cli.stack.processor_secrets import WebhookError
from tests.support.cli import Runner
from tests.support.commands import ARGUMENTS, ON_A_STACK

REAL = {
    "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
    "AWS_SECRET_ACCESS_KEY": "the-real-secret",
    "AWS_SESSION_TOKEN": "the-real-session",
    "AWS_SECURITY_TOKEN": "the-real-session",
}


class Listener(ThreadingHTTPServer):
    """A server that keeps what it receives, and answers nothing that a command can use."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Kept)
        self.came: list[str] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that does not trust the server, and goes away."""


class _Kept(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        """Keep the request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.came.append(f"{self.requestline}\n{self.headers}\n{body.decode()}")
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Start a server that stands for an endpoint of somebody else."""
    with Listener() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("name", ON_A_STACK)
def test_an_endpoint_never_gets_real_credentials(name: str, listener: Listener, tmp_path: Path) -> None:
    """The owner of an endpoint could use a session's token. It comes from a variable or from a profile."""
    config = tmp_path / "credentials"
    config.write_text("[default]\naws_access_key_id = AKIAREAL\naws_secret_access_key = the-real-secret\n")
    environment = {**REAL, "AWS_SHARED_CREDENTIALS_FILE": str(config), "HOME": str(tmp_path)}
    arguments = [name, *ARGUMENTS[name], "--endpoint-url", f"http://127.0.0.1:{listener.server_port}"]
    for profile in ([], ["--profile", "default"]):
        done = Runner(env=environment).invoke(cli, [*arguments, *profile])
        assert done.exit_code == 2, done.output
    assert listener.came
    for request in listener.came:
        assert re.search("^Authorization: AWS4-HMAC-SHA256 Credential=any/", request, re.MULTILINE)
        assert not re.search("real", request, re.IGNORECASE)


@pytest.fixture
def untrusted(listener: Listener, tmp_path: Path) -> str:
    """Yield the address of a server whose certificate no authority has signed."""
    make_certificate(tmp_path / "certificate.pem", tmp_path / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    return f"https://127.0.0.1:{listener.server_port}"


def test_an_endpoint_that_nobody_vouches_for_gets_nothing(untrusted: str, listener: Listener, tmp_path: Path) -> None:
    """The shell's variables may name other authorities, but they are for AWS."""
    environment = {"AWS_CA_BUNDLE": str(tmp_path / "certificate.pem")}
    done = Runner(env=environment).invoke(cli, ["get", "t", "--endpoint-url", untrusted])
    assert (done.exit_code, "certificate verify failed" in done.stderr, listener.came) == (2, True, []), done.output


def test_a_webhook_that_nobody_vouches_for_gets_nothing(untrusted: str, listener: Listener) -> None:
    """A payment is signed for a processor's webhook, and not for a server between."""
    with pytest.raises(WebhookError, match=r"nothing was sent \(SSLCertVerificationError\)"):
        webhook.post(f"{untrusted}/processors/acme-pay/payments", b"{}", {})
    assert listener.came == []


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDFORMATION"])
def test_a_setting_that_leads_elsewhere_by_http_is_not_accepted(name: str) -> None:
    """Nobody typed it for this command, and a token would cross the network in plaintext."""
    environment = {**REAL, "AWS_DEFAULT_REGION": "us-east-1", name: "http://127.0.0.2:9"}
    done = Runner(env=environment).invoke(cli, ["get", "t", "--stack", "s"])
    assert (done.exit_code, "leads to another machine by http: use https, or remove it" in done.stderr) == (2, True)
    assert name in done.stderr
