"""The `ledger` command."""

import json
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, TextIO

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


@cli.command(epilog="Exit status: 0 the secret is active, 2 it is not.")
@click.argument("processor_id", metavar="PROCESSOR")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["standard-webhooks", "stripe", "stripe-test"]),
    help="How it signs and writes; standard-webhooks where it is new.",
)
@click.option("--secret", "secret_file", metavar="FILE|-", type=click.File(), help="Holds the secret that it has.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, for machines.")
@of_a_stack
def processor(
    processor_id: str,
    *,
    format_name: str | None,
    secret_file: TextIO | None,
    as_json: bool,
    stack_name: str,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
) -> None:
    """Let a processor post payments to the stack's webhook, or give it a new secret.

    Without --secret one is made up, and shown this once. A processor that has a secret keeps it beside the
    new one: call this, have it sign with the new one, and the next new one puts the old one out of use.

    \b
    Examples:
      ledger processor acme-pay --stack payment-ledger-dev
      ledger processor stripe --format stripe --secret - < secret.txt
    """  # noqa: D301
    from ledger_cli.deployed import Stack, StackError  # noqa: PLC0415
    from ledger_cli.webhook import ProcessorSecretError, WebhookError, let_in  # noqa: PLC0415

    try:
        stack = Stack(stack_name, profile=profile, region=region, endpoint_url=endpoint_url)
        secret = None if secret_file is None else secret_file.read().strip()
        told = let_in(stack, processor_id, format_name=format_name, secret=secret)
    except (StackError, WebhookError, ProcessorSecretError) as error:
        click.echo(f"ledger: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"{'Processor':<11}{told['processor']} ({told['format']})")
    click.echo(f"{'Webhook':<11}{told['webhook']}")
    if told["secret"]:
        click.echo(f"{'Secret':<11}{told['secret']}  (shown this once)")
    click.echo(f"{'Active':<11}{told['active']}, within five minutes")


@cli.command(epilog="Exit status: 0 the webhook took it, 1 it refused, 2 nothing was sent.")
@click.argument("file", metavar="FILE|-", type=click.File("rb"))
@click.option("--processor", "processor_id", required=True, help="Who sends it.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, for machines.")
@of_a_stack
def send(
    file: BinaryIO,
    *,
    processor_id: str,
    as_json: bool,
    stack_name: str,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
) -> None:
    """Post FILE to the stack's webhook as a processor would, signed with its secret.

    For trying, and for asking whether a deployed webhook answers.

    \b
    Examples:
      ledger send events/webhooks/acme-pay.json --processor acme-pay --endpoint-url http://127.0.0.1:4510
      ledger send payment.json --processor acme-pay --stack payment-ledger-dev
    """  # noqa: D301
    from ledger_cli.deployed import Stack, StackError  # noqa: PLC0415
    from ledger_cli.webhook import ProcessorSecretError, WebhookError  # noqa: PLC0415
    from ledger_cli.webhook import send as post  # noqa: PLC0415

    try:
        stack = Stack(stack_name, profile=profile, region=region, endpoint_url=endpoint_url)
        status, body = post(stack, processor_id, file.read())
    except (StackError, WebhookError, ProcessorSecretError) as error:
        click.echo(f"ledger: {error}", err=True)
        sys.exit(2)
    click.echo(json.dumps({"status": status, "body": body}) if as_json else f"{status} {json.dumps(body)}")
    sys.exit(0 if status < HTTPStatus.BAD_REQUEST else 1)
