"""`ledger run`: payments in the embedded engine."""

import click
from rich.console import Console

from ledger_cli.commands.options import json_option
from ledger_cli.reading import read
from ledger_cli.samples import START_INPUTS, sealed_sample
from ledger_cli.views import records
from ledger_cli.views.run_report import run_report
from ledger_cli.views.terminal import display, progress, say_json


@click.command(
    epilog="Exit status: 0 every execution ended in an outcome, 1 one had a technical failure, 2 unreadable input."
)
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@json_option
def run(files: tuple[str, ...], *, as_json: bool) -> int:
    """Run payments through the whole workflow, on this machine.

    The real template is deployed into an embedded engine, which ends with the command. Each payment starts an
    execution of its own, in order, as an event bus would deliver it. A FILE holds one payment, an array of them, or
    JSON Lines. Without a FILE, the samples of events/start are run.

    \b
    Examples:
      ledger run
      ledger run events/start/01-success.json events/start/01-success.json
      ledger run --json - < payments.jsonl
    """
    inputs = [start_input for file in files or START_INPUTS for start_input in read(str(file))]
    with Console(stderr=True).status("Deploying template.yaml into the embedded engine"):
        from ledger_cli.engine import Engine  # moto takes a second, which `--help` must not take

        engine = Engine()
    with engine:
        if not files:
            inputs.append(sealed_sample(engine.client("kms"), engine.outputs["IntakeKeyArn"]))
        executions = []
        with progress("Running payments") as track:
            for start_input in track.over(inputs, total=len(inputs)):
                execution = engine.run(start_input.text)
                executions.append((start_input, execution))
                if as_json:
                    say_json(records.run(start_input, execution))
        if not as_json:
            display(*run_report(executions, engine.items(), engine.published()))
    return 0 if all(execution.outcome for _, execution in executions) else 1
