"""`ledger serve`: the embedded engine as a server, for every program that speaks to AWS.

The functions import the engine when they run, since moto takes a second, which `--help` must not take.
"""

import errno
import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.text import Text

from ledger_cli import REGION, samples
from ledger_cli.errors import CommandError
from ledger_cli.views.layout import Labelled
from ledger_cli.views.terminal import display, note, say, visible

if TYPE_CHECKING:
    from ledger_cli.engine import Engine
    from ledger_cli.engine.server import EngineServer
    from ledger_cli.engine.state import State

LOOPBACK = "127.0.0.1"
WRITE_EVERY_S = 5


class CannotServeError(CommandError):
    """The server cannot start. The message says why, and what to do."""


@click.command(epilog="Exit status: 0 stopped as requested, 1 its state could not be kept, 2 it could not start.")
@click.option(
    "--port", default=4510, show_default=True, type=click.IntRange(0, 65535), help="Listen here; 0 takes a free port."
)
@click.option(
    "--sam",
    "sam_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Serve containers too, and write FILE for `sam local --env-vars`.",
)
@click.option(
    "--state",
    "state_folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Keep payments, executions and keys in FOLDER, and continue with them. Without it nothing is kept.",
)
@click.option(
    "--lane",
    type=click.Choice(["standard", "fast"]),
    default="standard",
    show_default=True,
    help="The stack's parameter Lane: with fast, each payment is answered with its outcome.",
)
def serve(port: int, sam_file: Path | None, state_folder: Path | None, lane: str) -> int:
    """Deploy the stack into an embedded engine, and serve it until Ctrl-C.

    It listens on this machine's loopback, and with --sam on the container engine's bridge. The AWS CLI, boto3,
    `sam local` and this command's own commands can use it as they use AWS.

    \b
    Examples:
      ledger serve
      ledger serve --state ~/ledger-trial
      ledger serve --sam env.json
      aws --endpoint-url http://127.0.0.1:4510 dynamodb scan --table-name PaymentLedger
    """
    from ledger_cli.engine import Engine
    from ledger_cli.engine.state import State, StateError

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    container_host = _container_host() if sam_file else LOOPBACK
    try:
        state = State(state_folder, note) if state_folder else None
        server = _listen(port, container_host)
        with Console(stderr=True).status("Deploying template.yaml into the embedded engine"):
            engine = Engine(parameters={"Lane": lane}, state=state)
    except StateError as error:
        raise CannotServeError(str(error)) from None
    with engine, server:
        if not (state and state.kept):
            samples.register_sample_processors(engine)
        server.start(engine)
        if sam_file:
            _write_variables(sam_file, engine, f"http://{container_host}:{server.port}")
        _print_addresses(server.port, engine, sam_file, state)
        while not stopped.wait(WRITE_EVERY_S):
            _write_state(state, engine)
        server.stop()
        return 0 if _write_state(state, engine) else 1


def _listen(port: int, container_host: str) -> "EngineServer":
    from ledger_cli.engine.server import EngineServer

    hosts = [LOOPBACK]
    if container_host != LOOPBACK and container_host[0].isdecimal():
        hosts.append(container_host)
    try:
        return EngineServer(hosts, port, names=[container_host])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotServeError(f"port {port} is in use: choose another with --port") from None
        where = f"port {port} of {' and '.join(hosts)}"
        raise CannotServeError(f"cannot listen on {where}: {error.strerror}") from None


def _container_host() -> str:
    """Return the host by which containers reach this machine."""
    from ledger_cli import artefact
    from ledger_cli.engine import sam_local

    try:
        artefact.require_fresh()
        return sam_local.host_of_containers()
    except (artefact.StaleArtefactError, sam_local.NoContainerEngineError) as error:
        raise CannotServeError(str(error)) from None


def _write_variables(sam_file: Path, engine: "Engine", endpoint: str) -> None:
    """Write the functions' variables for `sam local`."""
    from ledger_cli.engine import sam_local

    variables = json.dumps(sam_local.variables(engine.functions.items(), endpoint), indent=2)
    try:
        sam_file.write_text(variables + "\n", encoding="utf-8")
    except OSError as error:
        raise CannotServeError(f"{sam_file}: {(error.strerror or 'cannot be written').lower()}") from None


def _write_state(state: "State | None", engine: "Engine") -> bool:
    """Write the state if there is one, and return whether that succeeded."""
    from ledger_cli.engine.state import StateError

    if state:
        try:
            state.write(engine.snapshot)
        except StateError as error:
            note(str(error))
            return False
    return True


def _print_addresses(port: int, engine: "Engine", sam_file: Path | None, state: "State | None") -> None:
    """Print how to reach the engine and what it holds."""
    address = f"http://{LOOPBACK}:{port}"
    lines = {
        "Endpoint": f"{address}, region {REGION}, any credentials",
        "Workflow": engine.outputs["WorkflowArn"],
        **({"Fast lane": engine.outputs["FastWorkflowArn"]} if "FastWorkflowArn" in engine.outputs else {}),
        "Entries": engine.outputs["EntriesWorkflowArn"],
        "Table": engine.outputs["TableName"],
        "Event bus": engine.outputs["EventBusName"],
        "Intake key": engine.outputs["IntakeKeyArn"],
        "Webhook": f"{address}{urlsplit(engine.outputs['WebhookUrl']).path}",
        "Processors": f"{', '.join(samples.PROCESSORS)}: samples, whose secrets are not secret",
    }
    if sam_file:
        lines["SAM"] = f"sam local invoke … --env-vars {sam_file}"
    if state:
        lines["State"] = f"{state.file}, written every {WRITE_EVERY_S} s and at the end"
    lines["Connect"] = f"export LEDGER_ENDPOINT_URL={address}  (or --endpoint-url)"
    for name, value in lines.items():
        display(Labelled(Text(name), visible(value), 11))
    say(f"Ready; Ctrl-C stops it, and {'its state' if state else 'nothing'} is kept.")
