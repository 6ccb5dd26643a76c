"""`ledger run`: payments and entries in the embedded engine."""

import time

import click
from rich.console import Console

from ledger_cli.commands.options import json_option
from ledger_cli.reading import read
from ledger_cli.samples import START_INPUTS, sealed_sample
from ledger_cli.views import records
from ledger_cli.views.run_report import run_report
from ledger_cli.views.terminal import display, progress, say_json

MAX_WAIT_S = 0.05


@click.command(
    epilog="Exit status: 0 every execution ended in an outcome, 1 one had a technical failure, 2 unreadable input."
)
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@json_option
def run(files: tuple[str, ...], *, as_json: bool) -> int:
    """Run payments, and entries (refunds, captures, disputes), through their workflows, on this machine.

    The real template is deployed into an embedded engine, which ends with the command. Each payment and each entry
    starts an execution of its own, in order, as an event bus would deliver it. A FILE holds one of them, an array, or
    JSON Lines. Without a FILE, the samples of events/start are run. Waits before retries are cut short.

    \b
    Examples:
      ledger run
      ledger run events/start/01-success.json events/start/01-success.json
      ledger run --json - < payments.jsonl
    """
    inputs = [start_input for file in files or START_INPUTS for start_input in read(str(file))]
    with Console(stderr=True).status("Deploying template.yaml into the embedded engine"):
        from ledger_cli.engine import Engine  # moto takes a second, which `--help` must not take

        # An entry waits an hour for its payment, which nobody can send to an engine that ends with the command.
        engine = Engine(wait=lambda seconds: time.sleep(min(seconds, MAX_WAIT_S)))
    with engine:
        if not files:
            inputs.append(sealed_sample(engine.client("kms"), engine.outputs["IntakeKeyArn"]))
        executions = []
        with progress("Running") as track:
            for start_input in track.over(inputs, total=len(inputs)):
                execution = engine.run(start_input.text)
                executions.append((start_input, execution))
                if as_json:
                    say_json(records.run(start_input, execution))
        if not as_json:
            display(*run_report(executions, engine.items(), engine.entries(), engine.published()))
    return 0 if all(execution.outcome for _, execution in executions) else 1
