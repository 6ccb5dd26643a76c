"""The embedded engine, which listens where containers reach it, and `sam local start-lambda` for its functions."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger_cli import ROOT, artefact
from ledger_cli.engine import Engine, sam_local
from ledger_cli.engine.server import EngineServer

START_TIMEOUT_S = 120
# The environment without the credentials of an engine in this process: SAM CLI would ask AWS whose they are.
SHELL = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
SHELL["AWS_EC2_METADATA_DISABLED"] = "true"
try:
    GATEWAY = sam_local.host_of_containers()
    artefact.require_fresh()
except (sam_local.NoContainerEngineError, artefact.StaleArtefactError) as error:
    pytest.exit(f"{error} (make test-containers sets up both)", 2)


@pytest.fixture(scope="session")
def env_file(deployed: tuple[Engine, list[float]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve the engine on the containers' bridge, and write its address for them as `ledger serve --sam` does."""
    with EngineServer([GATEWAY]) as server:
        server.start(deployed[0])
        written = tmp_path_factory.mktemp("sam") / "env.json"
        endpoint = f"http://{GATEWAY}:{server.port}"
        written.write_text(json.dumps(sam_local.variables(deployed[0].functions.items(), endpoint)))
        yield written


@contextmanager
def start_lambda(env_file: Path, log: Path, template: Path = artefact.BUILT / "template.yaml") -> Iterator[str]:
    """Run `sam local start-lambda` with a warm container for each function, and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["sam", "local", "start-lambda", "--port", str(port), "--warm-containers", "EAGER"]
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603
            # Without --config-file, SAM CLI looks for its settings beside the template.
            [*command, "--env-vars", env_file, "--template", template, "--config-file", ROOT / "samconfig.toml"],
            cwd=ROOT,
            env=SHELL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_it_listens(server, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)


def _wait_until_it_listens(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"sam local start-lambda does not listen:\n{log.read_text()}")


@pytest.fixture(scope="session")
def start_lambda_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file into which `start-lambda` and the containers print."""
    return tmp_path_factory.mktemp("start-lambda") / "log"


@pytest.fixture(scope="session")
def warm(env_file: Path, start_lambda_log: Path) -> Iterator[str]:
    """Return the address of `start-lambda`."""
    with start_lambda(env_file, start_lambda_log) as address:
        yield address


@pytest.fixture
def in_containers(engine: Engine, warm: str) -> Iterator[Engine]:
    """Return the engine, with functions that run in containers."""
    engine.lambda_endpoint = warm
    yield engine
    engine.lambda_endpoint = None


@contextmanager
def with_timeout(function: str, timeout_s: int) -> Iterator[Path]:
    """Yield a copy of the built template, beside it, in which one function has another timeout."""
    built = (artefact.BUILT / "template.yaml").read_text()
    before, name, after = built.partition(f"  {function}:\n    Type: AWS::Serverless::Function\n")
    assert name
    changed = artefact.BUILT / f"template.{function}.yaml"
    changed.write_text(before + name + re.sub(r"Timeout: \d+", f"Timeout: {timeout_s}", after, count=1))
    yield changed
    changed.unlink()
