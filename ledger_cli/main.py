"""The `ledger` command."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from ledger_cli.reading import UnreadableInputError, read
from ledger_cli.samples import START_INPUTS


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Write each payment down once: run the payment ledger, and see what it did."""


@cli.command(epilog="Exit status: 0 every execution ended in an outcome, 1 one failed technically, 2 unreadable input.")
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a payment, for machines.")
def run(files: tuple[str, ...], *, as_json: bool) -> None:
    """Run payments through the whole workflow, on this machine.

    The real template is deployed into an embedded engine, which is gone again at the end. Each
    payment starts an execution of its own, in order, as an event bus would deliver it. A FILE holds
    one payment, an array of them, or JSON Lines; without one, the samples of events/start are run.

    \b
    Examples:
      ledger run
      ledger run events/start/01-success.json events/start/01-success.json
      ledger run --json - < payments.jsonl
    """  # noqa: D301  # \b is click's mark for lines that stay as they are
    try:
        inputs = [start_input for file in files or START_INPUTS for start_input in read(str(file))]
    except UnreadableInputError as error:
        click.echo(f"ledger: {error}", err=True)
        sys.exit(2)
    # The engine takes a second to import, and a mistyped file name should not.
    from ledger_cli.run import run_payments  # noqa: PLC0415

    sys.exit(run_payments(inputs, as_json=as_json, with_sealed_sample=not files))


@cli.command(epilog="Exit status: 0 stopped as asked, 2 it could not start.")
@click.option("--port", default=4510, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--sam",
    "sam_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Let containers in too, and write FILE for `sam local --env-vars`.",
)
def serve(port: int, sam_file: Path | None) -> None:
    """Deploy the stack into an embedded engine, and serve it until Ctrl-C.

    It listens on this machine's loopback, and with --sam on the container engine's bridge: the AWS CLI,
    boto3 and `sam local` can use it as they would use AWS. Nothing is kept when it stops.

    \b
    Examples:
      ledger serve
      ledger serve --sam env.json
      aws --endpoint-url http://127.0.0.1:4510 dynamodb scan --table-name PaymentLedger
    """  # noqa: D301
    from ledger_cli.serve import CannotServeError  # noqa: PLC0415
    from ledger_cli.serve import serve as serve_until_stopped  # noqa: PLC0415

    try:
        serve_until_stopped(port=port, sam_file=sam_file)
    except CannotServeError as error:
        click.echo(f"ledger: {error}", err=True)
        sys.exit(2)


def of_a_stack(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that speaks to a deployed stack."""
    for option in (
        click.option("--endpoint-url", metavar="URL", help="Another endpoint than AWS: what `ledger serve` prints."),
        click.option("--region", help="The stack's region; else as the AWS CLI finds it."),
        click.option("--profile", help="A profile of the AWS CLI."),
        click.option("--stack", "stack_name", default="payment-ledger", show_default=True, help="The stack's name."),
    ):
        command = option(command)
    return command


@cli.command(epilog="Exit status: 0 recorded, duplicate or under way; 1 refused or failed; 2 nothing could be started.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…|-")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until each execution has ended.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a payment, for machines.")
@of_a_stack
def start(
    files: tuple[str, ...],
    *,
    wait: bool,
    as_json: bool,
    stack_name: str,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
) -> None:
    """Start payments on a deployed stack, their tokens sealed before they leave this machine.

    Each execution has its payment's own name: started again, a payment meets the execution that it has,
    and nothing runs twice; one that failed technically is attempted anew.

    \b
    Examples:
      ledger start payment.json --stack payment-ledger-dev --profile sandbox
      ledger start --json - < payments.jsonl
      ledger start events/start/01-success.json --endpoint-url http://127.0.0.1:4510
    """  # noqa: D301
    try:
        inputs = [start_input for file in files for start_input in read(file)]
    except UnreadableInputError as error:
        click.echo(f"ledger: {error}", err=True)
        sys.exit(2)
    from ledger_cli.deployed import Stack, StackError  # noqa: PLC0415
    from ledger_cli.start import start_payments  # noqa: PLC0415

    try:
        stack = Stack(stack_name, profile=profile, region=region, endpoint_url=endpoint_url)
        sys.exit(start_payments(stack, inputs, wait=wait, as_json=as_json))
    except StackError as error:
        click.echo(f"ledger: {error}", err=True)
        sys.exit(2)
