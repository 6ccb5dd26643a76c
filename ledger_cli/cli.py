"""The `ledger` command: the group of its commands, and how each of them ends."""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from ledger_cli.commands.books import reconcile, totals
from ledger_cli.commands.executions import executions, inspect, redrive
from ledger_cli.commands.exports import export
from ledger_cli.commands.graph import graph
from ledger_cli.commands.imports import import_
from ledger_cli.commands.payments import entries, get, list_, republish, reveal, unpublished
from ledger_cli.commands.processors import formats, register_processor, rotate_secret, send, set_prefix
from ledger_cli.commands.refusals import accept, retry
from ledger_cli.commands.run import run
from ledger_cli.commands.sealed_log import checkpoint, prove, seal, verify
from ledger_cli.commands.serve import serve
from ledger_cli.commands.start import start
from ledger_cli.errors import FAULT, INTERRUPTED, CommandError
from ledger_cli.views.terminal import checked_streams, note, say_as_it_is


class _Commands(click.Group):
    """A group whose commands return their exit status, and end with at most one line on standard error."""

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run a command, and exit with its status."""
        sys.set_int_max_str_digits(0)  # an execution's input may have an integer of any length
        for name in ("COLUMNS", "LINES"):  # rich fails on digits of other scripts
            if not os.environ.get(name, "").isascii():
                del os.environ[name]
        try:
            with checked_streams():
                status = self._run(*arguments, **named)
        except CommandError as error:  # standard output is closed
            status = _end(str(error), error.status)
        sys.exit(status)

    def _run(self, *arguments: Any, **named: Any) -> int:
        """Run a command, and return its exit status."""
        try:
            try:
                status = super().main(*arguments, **{**named, "standalone_mode": False})
            except SystemExit as end:  # the shell's completion exits
                status = end.code
            sys.stdout.flush()
        except CommandError as error:
            return _end(str(error), error.status)
        except click.exceptions.NoArgsIsHelpError as error:
            say_as_it_is(error.format_message(), err=True)
            return error.exit_code
        except click.ClickException as error:
            where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "ledger"
            return _end(f"{' '.join(error.format_message().split())} See: {where} --help", error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            return _end("interrupted", INTERRUPTED)
        except Exception as error:  # noqa: BLE001  # a fault of the command is one line too; its message may hold a value
            at = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}"
            return _end(f"a fault of this command, please report it: {what}", FAULT)
        return status if isinstance(status, int) else 0


def _end(message: str, status: int) -> int:
    if message:
        note(message)
    return status


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Each command has these exit statuses beside its own: 2 wrong usage, 70 a fault of the command, "
    "74 standard output cannot be written, 130 interrupted, 141 the reader of the output ended.",
)
def cli() -> None:
    """Record each payment once: run the payment ledger, and see what it did."""


SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(epilog="Exit status: 0.")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> int:
    """Print the script with which SHELL completes this command's names and options.

    \b
    Examples:
      ledger completion bash >> ~/.bashrc
      ledger completion fish > ~/.config/fish/completions/ledger.fish
    """
    say_as_it_is(SHELLS[shell](cli, {}, "ledger", "_LEDGER_COMPLETE").source())
    return 0


COMMANDS = (
    run, serve, start, send, formats, register_processor, rotate_secret, set_prefix,
    get, list_, entries, reveal, unpublished, republish, export, import_, totals, reconcile,
    seal, checkpoint, verify, prove,
    executions, inspect, redrive, retry, accept, graph, completion,
)  # fmt: skip

for command in COMMANDS:
    cli.add_command(command)
