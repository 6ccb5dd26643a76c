"""`ledger serve`: the embedded engine as a server, for whatever speaks to AWS."""

import errno
import json
import signal
import threading
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from ledger_cli import REGION, artefact, samples
from ledger_cli.engine import Engine, sam_local
from ledger_cli.engine.server import EngineServer
from ledger_cli.engine.state import State, StateError
from ledger_cli.errors import CommandError
from ledger_cli.views.terminal import Entry, display, note, say, visible

LOOPBACK = "127.0.0.1"
WRITE_EVERY_S = 5


class CannotServeError(CommandError):
    """The server cannot start; the message says why, and what to do."""


def serve(*, port: int, sam_file: Path | None, state_folder: Path | None) -> int:
    """Serve until interrupted; returns the command's exit status.

    Args:
        port: 0 takes one that is free.
        state_folder: what the engine holds is read from it, and written to it while it is served.
        sam_file: written for `sam local … --env-vars`; containers are then let in too.

    Raises:
        CannotServeError: nothing was served.
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
        state = State(state_folder, note) if state_folder else None
        server = EngineServer(hosts, port, names=[container_host])
    except StateError as error:
        raise CannotServeError(str(error)) from None
    except OSError as error:
        raise CannotServeError(_why(error, hosts, port)) from None
    try:
        with errors.status("Deploying template.yaml into the embedded engine"):
            engine = Engine(state=state)
    except StateError as error:
        raise CannotServeError(str(error)) from None
    with engine, server:
        if not (state and state.kept):
            samples.let_in_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
        server.start(engine)
        if sam_file:
            endpoint = f"http://{container_host}:{server.port}"
            written = json.dumps(sam_local.variables(engine.functions.items(), endpoint), indent=2)
            try:
                sam_file.write_text(written + "\n", encoding="utf-8")
            except OSError as error:
                raise CannotServeError(f"{sam_file}: {(error.strerror or 'cannot be written').lower()}") from None
        _tell(server.port, engine, sam_file, state)
        while not stopped.wait(WRITE_EVERY_S):
            _write(state, engine)
        server.stop()
        return 0 if _write(state, engine) else 1


def _write(state: State | None, engine: Engine) -> bool:
    if state:
        try:
            state.write(engine.snapshot)
        except StateError as error:
            note(str(error))
            return False
    return True


def _tell(port: int, engine: Engine, sam_file: Path | None, state: State | None) -> None:
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
    if state:
        lines["State"] = f"{state.file}, written every {WRITE_EVERY_S} s and at the end"
    lines["Connect"] = f"export LEDGER_ENDPOINT_URL=http://{LOOPBACK}:{port}  (or --endpoint-url)"
    for name, value in lines.items():
        display(Entry(Text(name), visible(value), 11))
    say(f"Ready; Ctrl-C stops it, and {'its state' if state else 'nothing'} is kept.")


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
