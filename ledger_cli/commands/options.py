"""What the commands share: the options that name a stack, `--json`, and the types of arguments."""

import functools
import re
import shlex
from collections.abc import Callable
from contextlib import nullcontext
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from botocore.exceptions import BotoCoreError, ClientError
from click.core import ParameterSource

from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError
from ledger_cli import STACK_NAME
from ledger_cli.environment import without_the_shells_variables
from ledger_cli.errors import CommandError
from ledger_cli.reading import contents
from ledger_cli.stack.client import FunctionError, Stack, explain
from ledger_cli.views.terminal import note


class _Endpoint(click.ParamType[str]):
    """The beginning of a URL, as `ledger serve` prints it."""

    name = "url"
    HOST = re.compile(r"((?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.?")

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL without its last slash."""
        try:
            url = urlsplit(value)
            host, port = url.hostname or "", url.port
            named = IPv6Address(host) if "[" in url.netloc else self.HOST.fullmatch(host)
            valid = bool(named) and port != 0 and url.scheme in {"http", "https"}
        except ValueError:  # the port is not a number or too large, or the address is invalid
            valid = False
        if not valid or value.removesuffix("/") != f"{url.scheme}://{url.netloc}" or "@" in url.netloc:
            self.fail("give http://HOST:PORT, as `ledger serve` prints it", param, ctx)
        if url.scheme == "http" and not _is_loopback(host):
            self.fail(
                "http is for this machine only, since tokens would cross the network in plaintext: give https://",
                param,
                ctx,
            )
        return value.removesuffix("/")


def _is_loopback(host: str) -> bool:
    """Return whether the host is an address or the name of this machine that no network reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class _Name(click.ParamType[str]):
    """A name or an ID. It is never empty, since a shell's unset variable is."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it is."""
        if not value.strip() or not value.isprintable():
            self.fail("it is empty, or is not text", param, ctx)
        return value


class _Contents(click.ParamType[tuple[str, bytes]]):
    """The contents of a file, which is read before anything else is done."""

    name = "file"

    def convert(self, value: Any, *_: Any) -> tuple[str, bytes]:
        """Return the file's name and its contents."""
        return value, contents(value)


class _Time(click.ParamType[str]):
    """A time, in the ledger's form of UTC."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the time in the ledger's form."""
        try:
            return utc_timestamp(value)
        except BrokenRuleError:
            self.fail("give a date and time with an offset, such as 2026-11-24T00:00:00Z", param, ctx)


class _Zone(click.ParamType[ZoneInfo]):
    """The name of a time zone."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        """Return the zone."""
        try:
            return value if isinstance(value, ZoneInfo) else ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail("give the name of a time zone, such as Europe/Berlin or UTC", param, ctx)


class _Seal(click.ParamType[int | str]):
    """The number of a seal, or `last`."""

    name = "seal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or `last`."""
        text = str(value)
        if text != "last" and not re.fullmatch("[1-9][0-9]{0,11}", text):
            self.fail("give the number of a seal, or `last`", param, ctx)
        return text if text == "last" else int(text)


NAME, CONTENTS, TIME, ZONE, SEAL = _Name(), _Contents(), _Time(), _Zone(), _Seal()
FILE = click.Path(dir_okay=False, path_type=Path)
"""The name of a file, which the command itself opens."""

transaction_argument = click.argument("transaction_id", metavar="TRANSACTION_ID", type=NAME)
processor_argument = click.argument("processor_id", metavar="PROCESSOR", type=NAME)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print lines of JSON for machines, with keys in snake case."
)
limit_option = click.option(
    "--limit", default=25, show_default=True, type=click.IntRange(1), help="List at most this number."
)
from_option = click.option("--from", "first", metavar="TIME", type=TIME, help="From this time on.")
to_option = click.option("--to", "last", metavar="TIME", type=TIME, help="Before this time.")
all_option = click.option("--all", "everything", is_flag=True, help="List all of them.")

OPTIONS = {
    "stack_name": "--stack",
    "profile": "--profile",
    "region": "--region",
    "endpoint_url": "--endpoint-url",
}
"""The options that name the stack, by their parameter."""

STACK_OPTIONS = (
    click.option(
        "--endpoint-url",
        metavar="URL",
        type=_Endpoint(),
        envvar="LEDGER_ENDPOINT_URL",
        show_envvar=True,
        help="Use this endpoint instead of AWS: `ledger serve` prints it. The shell's AWS settings are ignored.",
    ),
    click.option("--region", help="The stack's region. By default the region that the AWS CLI finds."),
    click.option("--profile", help="A profile of the AWS CLI."),
    click.option(
        "--stack",
        "stack_name",
        type=NAME,
        metavar="NAME",
        default=STACK_NAME,
        show_default=True,
        envvar="LEDGER_STACK",
        show_envvar=True,
        help="The stack's name.",
    ),
)


def stack_command(
    exit_status: str, name: str | None = None, *, instead: str | None = None
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function whose first argument is the stack that the command's options name.

    Args:
        exit_status: what each exit status means, for the end of the help text.
        name: the command's name; None means the function's.
        instead: an argument of the function that names files. If it is given, no stack is needed: then the first
            argument is None.
    """

    def decorate(function: Callable[..., int]) -> click.Command:
        @functools.wraps(function)
        def run_on_stack(
            stack_name: str, profile: str | None, region: str | None, endpoint_url: str | None, **arguments: Any
        ) -> int:
            if instead is not None and arguments[instead]:
                return function(None, **arguments)
            if overruled := _overruled_options():
                note(f"LEDGER_ENDPOINT_URL is set, so {overruled} does not reach AWS: unset it to reach AWS")
            # A served engine needs no settings of AWS, and a proxy does not know this machine.
            with without_the_shells_variables() if endpoint_url else nullcontext():
                try:
                    stack = Stack(stack_name, profile=profile, region=region, endpoint_url=endpoint_url)
                    stack.options = _typed_options()
                    return function(stack, **arguments)
                except FunctionError as error:
                    raise CommandError(f"a function of the stack failed: {error}") from None
                except (BotoCoreError, ClientError) as error:
                    raise CommandError(explain(error, f"stack {stack_name}")) from None

        decorated: Callable[..., int] = run_on_stack
        for option in STACK_OPTIONS:
            decorated = option(decorated)
        return click.command(name, epilog=f"Exit status: {exit_status}.")(decorated)

    return decorate


def _overruled_options() -> str:
    """Return the typed options that the shell's LEDGER_ENDPOINT_URL overrules, since the stack is not on AWS then."""
    context = click.get_current_context()
    if context.get_parameter_source("endpoint_url") is not ParameterSource.ENVIRONMENT:
        return ""
    names = ("stack_name", "profile", "region")
    typed = [OPTIONS[name] for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    return " or ".join(typed)


def _typed_options() -> str:
    """Return the options that name the stack as they were typed, so that a printed command is for the same stack."""
    context = click.get_current_context()
    typed = ""
    for name, option in OPTIONS.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            typed += f" {option} {shlex.quote(context.params[name])}"
    return typed


def rate_option(default: int, about: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--rate` of a command that starts many executions: a number in a second."""
    kind = click.IntRange(1, 1000)
    return click.option("--rate", default=default, show_default=True, type=kind, metavar="NUMBER", help=about)


def write_text(file: Path, text: str) -> None:
    """Write a page or a proof to the file that an option names.

    Raises:
        CommandError: the file cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {(error.strerror or 'cannot be written').lower()}") from None
