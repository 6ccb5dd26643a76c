"""`ledger serve`: the engine for every program that speaks to AWS, and one clear line if it cannot start."""

import contextlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger_cli import REGION, ROOT, artefact
from ledger_cli.artefact import StaleArtefactError
from ledger_cli.engine import template
from tests.support.cli import ledger, ledger_process, ledger_serve


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, str]]:
    """Run `ledger serve`, and yield the values that it has printed. After Ctrl-C it must print nothing more."""
    with ledger_serve() as serving:
        yield serving.printed


@pytest.fixture
def elsewhere() -> Any:
    """Return a function that runs a script with boto3 in a process without an engine, and returns what it prints."""

    def run(endpoint: str, script: str, region: str = REGION) -> str:
        head = (
            "import boto3, json, time\n"
            f"session = boto3.Session('x', 'y', region_name={region!r})\n"
            f"def client(service): return session.client(service, endpoint_url={endpoint!r})\n"
        )
        asked = subprocess.run(  # noqa: S603
            [sys.executable, "-c", head + script], capture_output=True, text=True, timeout=60, check=False
        )
        return asked.stdout + "".join(asked.stderr.splitlines()[-1:])

    return run


def test_a_payment_from_another_process(served: dict[str, str], elsewhere: Any) -> None:
    """The process starts, runs and reads it through the endpoint alone, as on AWS."""
    printed = elsewhere(
        served["Endpoint"].partition(",")[0],
        f"""
states = client("stepfunctions")
text = open({str(ROOT / "events/start/01-success.json")!r}).read()
arn = states.start_execution(stateMachineArn={served["Workflow"]!r}, name="one", input=text)["executionArn"]
for _ in range(600):
    described = states.describe_execution(executionArn=arn)
    if described["status"] != "RUNNING":
        break
    time.sleep(0.05)
print(described["status"], client("dynamodb").scan(TableName={served["Table"]!r})["Count"])
print(client("lambda").invoke(FunctionName="validate_payment", Payload="{{}}")["FunctionError"])
""",
    )
    assert printed == "SUCCEEDED 1\nUnhandled\n"


def test_another_region_is_said_to_be_empty(served: dict[str, str], elsewhere: Any) -> None:
    """Without this answer, a shell's AWS_REGION would look like a table that is not there."""
    endpoint = served["Endpoint"].partition(",")[0]
    assert "the engine is in us-east-1: sign the request for that region" in elsewhere(
        endpoint, "client('dynamodb').list_tables()", "eu-west-1"
    )


CHUNKED = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
TRAILER = "name: value\r\n"
"""What is not signed for AWS is answered 403, once its body was read."""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 403),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 403),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
    ],
)
def test_an_invalid_request_does_not_stop_the_server(served: dict[str, str], head: str, status: int) -> None:
    """Any program may connect to the port."""
    host, _, port = served["Endpoint"].partition(",")[0].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.replace("Host: x", f"Host: {host}:{port}").encode())
        assert connection.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_connection_goes_on_after_a_body_and_ends_after_an_invalid_one(served: dict[str, str]) -> None:
    """Nobody can tell the end of an invalid body: the server must not take what follows for a request."""
    host, _, port = served["Endpoint"].partition(",")[0].removeprefix("http://").partition(":")
    whole = f"{CHUNKED}3\r\nabc\r\n0\r\n\r\n".replace("Host: x", f"Host: {host}:{port}").encode()
    for first, answers in ((whole, 3), (whole.replace(b"3\r\n", b"2\r\n"), 1)):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(first + whole + whole)
            connection.shutdown(socket.SHUT_WR)
            read = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    read += part
        assert read.count(b"HTTP/1.1 4") == answers


def test_a_client_that_goes_away_is_no_error(served: dict[str, str]) -> None:
    """The fixture checks at the end that the server has printed nothing."""
    host, _, port = served["Endpoint"].partition(",")[0].removeprefix("http://").partition(":")
    for _ in range(20):
        connection = socket.create_connection((host, int(port)), timeout=10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 50)
        connection.close()


def test_it_listens_on_loopback_only(served: dict[str, str]) -> None:
    """Other machines must not reach a laptop's engine."""
    port = int(served["Endpoint"].partition(",")[0].rpartition(":")[2])
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)}
    for address in addresses - {"127.0.0.1", "127.0.1.1"}:
        with contextlib.suppress(OSError), socket.create_connection((str(address), port), timeout=2):
            pytest.fail(f"it answers at {address}")


def test_a_port_in_use_is_reported(served: dict[str, str]) -> None:
    """The command says so before it deploys the stack, which takes seconds."""
    port = served["Endpoint"].partition(",")[0].rpartition(":")[2]
    done = ledger_process("serve", "--port", port)
    assert (done.returncode, done.stderr) == (2, f"ledger: port {port} is in use: choose another with --port\n")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Make an artefact as `sam build` leaves it, as far as the check looks."""
    folder = tmp_path / "build"
    folder.mkdir()
    text = (ROOT / "template.yaml").read_text()
    (folder / "template.yaml").write_text(text.replace("CodeUri: functions/", "CodeUri: ValidatePayment"))
    pins = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "functions/requirements.txt").read_text(), re.MULTILINE)
    resources = template.load(ROOT / "template.yaml")["Resources"]
    for name in [name for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"]:
        shutil.copytree(ROOT / "functions", folder / name)
        for package, version in pins:
            (folder / name / f"{package.replace('-', '_')}-{version}.dist-info").mkdir()
    return folder


def test_a_fresh_artefact_passes(built: Path) -> None:
    """A check that rejects everything would pass the tests below."""
    artefact.require_fresh(built)


def test_an_artefact_that_is_not_there(tmp_path: Path) -> None:
    """A newcomer meets this first."""
    with pytest.raises(StaleArtefactError, match="is not there: run `make build` or `sam build` first"):
        artefact.require_fresh(tmp_path)


@pytest.mark.parametrize("file", ["validate_payment.py", "ledger/payment.py"])
def test_a_stale_module_is_named(built: Path, file: str) -> None:
    """`sam local` would run the old code, and nobody would see why."""
    with (built / "PublishOutcome" / file).open("a") as module:
        module.write("# older\n")
    with pytest.raises(StaleArtefactError, match=rf"functions/{file} has changed since it was built"):
        artefact.require_fresh(built)


def test_a_module_that_is_missing_is_named(built: Path) -> None:
    """A new module is a change too."""
    (built / "EncryptToken/ledger/aws.py").unlink()
    with pytest.raises(StaleArtefactError, match=r"functions/ledger/aws\.py"):
        artefact.require_fresh(built)


@pytest.mark.parametrize(("now", "then"), [("Timeout: 30", "Timeout: 29"), ("MemorySize: 256", "MemorySize: 128")])
def test_a_stale_template_is_named(built: Path, now: str, then: str) -> None:
    """A variable or a timeout would be the old one, and so would the settings that all functions share."""
    file = built / "template.yaml"
    assert now in file.read_text()
    file.write_text(file.read_text().replace(now, then))
    with pytest.raises(StaleArtefactError, match=r"template\.yaml has changed"):
        artefact.require_fresh(built)


def test_a_stale_dependency_is_named(built: Path) -> None:
    """An upgrade that was not built would not be tried."""
    next((built / "ValidatePayment").glob("aws_lambda_powertools-*.dist-info")).rmdir()
    with pytest.raises(StaleArtefactError, match=r"functions/requirements\.txt has changed"):
        artefact.require_fresh(built)


def test_a_missing_container_engine_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says what to do, and nothing has started."""
    from ledger_cli.commands import serve  # noqa: PLC0415

    monkeypatch.setattr(artefact, "require_fresh", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(serve.CannotServeError, match="no container engine answers the docker command: start one"):
        serve.serve.callback(port=0, sam_file=tmp_path / "env.json", state_folder=None, lane="standard")
    assert not (tmp_path / "env.json").exists()


def test_a_state_folder_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    """The command says so before it deploys the engine, and changes nothing."""
    (tmp_path / "ledger.json").write_text("{")
    done = ledger("serve", "--port", "0", "--state", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    why = "holds no state of this version: move it away, or choose another with --state"
    assert done.stderr == f"ledger: {tmp_path}/ledger.json: {why}\n"


def test_a_served_state_survives_a_kill(tmp_path: Path) -> None:
    """The last state that was written is there, however the server ended."""
    state = ("--state", str(tmp_path / "state"))
    with ledger_serve(*state) as first:
        assert first.printed["State"].startswith(f"{tmp_path}/state/ledger.json")
        at = {"LEDGER_ENDPOINT_URL": first.address}
        assert ledger("start", "events/start/01-success.json", **at).returncode == 0
        deadline, written = time.monotonic() + 30, tmp_path / "state/ledger.json"
        # On a busy machine, a first write may come before the payment.
        while not (written.exists() and "txn-2026-0001" in written.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        first.process.kill()
        first.process.communicate()
    with ledger_serve(*state) as second:
        at = {"LEDGER_ENDPOINT_URL": second.address}
        assert "RECORDED" in ledger("inspect", "txn-2026-0001", **at).stdout
        assert ledger("start", "events/start/02-failure.json", **at).returncode == 0
    with ledger_serve(*state) as third:
        assert ledger("get", "txn-2026-0002", LEDGER_ENDPOINT_URL=third.address).returncode == 0
