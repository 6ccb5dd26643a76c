"""The `ledger` command."""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from ledger_cli.commands import stack_commands
from ledger_cli.errors import FAULT, INTERRUPTED, CommandError
from ledger_cli.reading import read
from ledger_cli.samples import START_INPUTS
from ledger_cli.views.terminal import checked_streams, note


class _Commands(click.Group):
    """Whatever ends a command, it is one line on standard error, and the exit status is true."""

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run a command, and exit."""
        for name in ("COLUMNS", "LINES"):  # rich fails on digits of other scripts
            if not os.environ.get(name, "").isascii():
                del os.environ[name]
        try:
            with checked_streams():
                status = self._status(*arguments, **named)
        except CommandError as error:  # there is no standard output
            status = _ended(str(error), error.status)
        sys.exit(status)

    def _status(self, *arguments: Any, **named: Any) -> int:
        try:
            try:
                status = super().main(*arguments, **{**named, "standalone_mode": False})
            except SystemExit as ended:  # a command's, or that of the shell's completion
                status = ended.code
            sys.stdout.flush()
        except CommandError as error:
            return _ended(str(error), error.status)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)  # noqa: TID251  # the help, in lines
            return error.exit_code
        except click.ClickException as error:
            where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "ledger"
            return _ended(f"{' '.join(error.format_message().split())} See: {where} --help", error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            return _ended("interrupted", INTERRUPTED)
        except Exception as error:  # noqa: BLE001  # a fault of ours is one line too; its message may hold a value
            at = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}"
            return _ended(f"a fault of this command, please report it: {what}", FAULT)
        return status if isinstance(status, int) else 0


def _ended(message: str, status: int) -> int:
    if message:
        note(message)
    return status


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status of every command, beside its own: 2 wrong usage, 70 a fault of the command, "
    "74 standard output cannot be written, 130 interrupted, 141 whatever read the output went away.",
)
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
    inputs = [start_input for file in files or START_INPUTS for start_input in read(str(file))]
    # The engine takes a second to import, and a mistyped file name should not.
    from ledger_cli.commands.run import run_payments  # noqa: PLC0415

    sys.exit(run_payments(inputs, as_json=as_json, with_sealed_sample=not files))


@cli.command(epilog="Exit status: 0 stopped as asked, 1 its state could not be kept, 2 it could not start.")
@click.option("--port", default=4510, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--sam",
    "sam_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Let containers in too, and write FILE for `sam local --env-vars`.",
)
@click.option(
    "--state",
    "state_folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Keep payments, executions and keys there, and go on with them; else nothing is kept.",
)
def serve(port: int, sam_file: Path | None, state_folder: Path | None) -> None:
    """Deploy the stack into an embedded engine, and serve it until Ctrl-C.

    It listens on this machine's loopback, and with --sam on the container engine's bridge: the AWS CLI,
    boto3, `sam local` and this command's own commands can use it as they would use AWS.

    \b
    Examples:
      ledger serve
      ledger serve --state ~/ledger-trial
      ledger serve --sam env.json
      aws --endpoint-url http://127.0.0.1:4510 dynamodb scan --table-name PaymentLedger
    """  # noqa: D301
    from ledger_cli.commands.serve import serve as serve_until_stopped  # noqa: PLC0415

    sys.exit(serve_until_stopped(port=port, sam_file=sam_file, state_folder=state_folder))


@cli.command(epilog="Exit status: 0.")
@click.option("--svg", "as_svg", is_flag=True, help="A picture, instead of text.")
def graph(*, as_svg: bool) -> None:
    """Draw the workflow, from its definition.

    \b
    Examples:
      ledger graph
      ledger graph --svg > workflow.svg
    """  # noqa: D301
    from ledger_cli.views import graph as drawing  # noqa: PLC0415

    drawn = drawing.read()
    click.echo(drawing.svg(drawn) if as_svg else drawing.text(drawn), nl=not as_svg)  # noqa: TID251  # lines


@cli.command(epilog="Exit status: 0.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete this command's names and options.

    \b
    Examples:
      ledger completion bash >> ~/.bashrc
      ledger completion fish > ~/.config/fish/completions/ledger.fish
    """  # noqa: D301
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # for the type checker: click knows these three
    click.echo(kind(cli, {}, "ledger", "_LEDGER_COMPLETE").source())  # noqa: TID251  # lines


for command in stack_commands.COMMANDS:
    cli.add_command(command)
