"""`ledger serve`: the embedded engine as a server, for whatever speaks to AWS."""

import errno
import json
import signal
import threading
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from ledger_cli import REGION, artefact, samples
from ledger_cli.engine import Engine, sam_local
from ledger_cli.engine.server import EngineServer

LOOPBACK = "127.0.0.1"


class CannotServeError(Exception):
    """The server cannot start; the message says why, and what to do."""


def serve(*, port: int, sam_file: Path | None) -> None:
    """Serve until interrupted.

    Args:
        port: 0 takes one that is free.
        sam_file: written for `sam local … --env-vars`; containers are then let in too.

    Raises:
        CannotServeError: before anything has started.
    """
    errors = Console(stderr=True)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    hosts, container_host = [LOOPBACK], LOOPBACK
    if sam_file:
        container_host = _container_host()
        hosts += [container_host] if container_host[0].isdecimal() else []
    try:
        server = EngineServer(hosts, port)
    except OSError as error:
        raise CannotServeError(_why(error, hosts, port)) from None
    with errors.status("Deploying template.yaml into the embedded engine"):
        engine = Engine()
    with engine, server:
        samples.let_in_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
        server.start(engine)
        if sam_file:
            endpoint = f"http://{container_host}:{server.port}"
            written = json.dumps(sam_local.variables(engine.functions.items(), endpoint), indent=2)
            sam_file.write_text(written + "\n")
        _tell(server.port, engine, sam_file)
        stopped.wait()


def _tell(port: int, engine: Engine, sam_file: Path | None) -> None:
    lines = {
        "Endpoint": f"http://{LOOPBACK}:{port}, region {REGION}, any credentials",
        "Workflow": engine.outputs["WorkflowArn"],
        "Table": engine.outputs["TableName"],
        "Event bus": engine.outputs["EventBusName"],
        "Intake key": engine.outputs["IntakeKeyArn"],
        "Webhook": f"http://{LOOPBACK}:{port}{urlsplit(engine.outputs['WebhookUrl']).path}",
        "Processors": f"{', '.join(samples.PROCESSORS)}: samples, whose secrets are no secrets",
    }
    if sam_file:
        lines["SAM"] = f"sam local invoke … --env-vars {sam_file}"
    for name, value in lines.items():
        print(f"{name:<11}{value}")  # noqa: T201
    print("Ready; Ctrl-C stops it, and nothing is kept.", flush=True)  # noqa: T201


def _container_host() -> str:
    try:
        artefact.require_fresh()
        return sam_local.host_of_containers()
    except (artefact.StaleArtefactError, sam_local.NoContainerEngineError) as error:
        raise CannotServeError(str(error)) from None


def _why(error: OSError, hosts: list[str], port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: choose another with --port"
    return f"cannot listen on port {port} of {' and '.join(hosts)}: {error.strerror}"
