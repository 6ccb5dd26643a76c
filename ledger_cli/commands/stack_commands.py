"""The commands that speak to a deployed stack, or to a served engine, with the caller's own credentials."""

import functools
import json
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import nullcontext
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from ledger_cli.environment import without_the_shells_variables
from ledger_cli.errors import CommandError
from ledger_cli.reading import contents, decoded, read
from ledger_cli.views.terminal import Entries, display, note, say, say_json

if TYPE_CHECKING:
    from ledger_cli.stack.client import Stack

COMMANDS: list[click.Command] = []
OPTIONS = {
    "stack_name": "--stack", "profile": "--profile", "region": "--region", "endpoint_url": "--endpoint-url",
}  # fmt: skip
"""Which options name the stack."""

AS_JSON = click.option("--json", "as_json", is_flag=True, help="One line of JSON a thing, for machines.")


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
        except ValueError:  # a port that is no number or too large, an address that is none
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
    """Return whether the host is an address of this machine that no network leads to, or its name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class _Name(click.ParamType[str]):
    """A name or an ID. An unset variable of a shell is an empty one."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is."""
        if not value.strip() or not value.isprintable():
            self.fail("it is empty, or is not text", param, ctx)
        return value


NAME = _Name()


class _Contents(click.ParamType[tuple[str, bytes]]):
    """What a file holds, read before anything else is done."""

    name = "file"

    def convert(self, value: Any, *_: Any) -> tuple[str, bytes]:
        """Return the file's name and its contents."""
        return value, contents(value)


def on_a_stack(epilog: str) -> Callable[[Callable[..., int]], click.Command]:
    """A command whose first argument is the stack that its options name, and which returns its exit status.

    boto3 takes a third of a second to import: it is left to the command, so that `--help` and completion are quick.
    """

    def of(command: Callable[..., int]) -> click.Command:
        @functools.wraps(command)
        def with_stack(
            stack_name: str, profile: str | None, region: str | None, endpoint_url: str | None, **given: Any
        ) -> None:
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

            from ledger_cli.stack.client import FunctionError, Stack, why  # noqa: PLC0415

            if overruled := _overruled():
                note(f"LEDGER_ENDPOINT_URL decides where this goes, and not {overruled}: unset it to reach AWS")
            # The endpoint is the engine's own: the shell's profile is AWS's, and a proxy does not know this machine.
            with without_the_shells_variables() if endpoint_url else nullcontext():
                try:
                    stack = Stack(stack_name, profile=profile, region=region, endpoint_url=endpoint_url)
                    stack.options = _typed()
                    status = command(stack, **given)
                except FunctionError as error:
                    raise CommandError(f"a function of the stack failed: {error}") from None
                except (BotoCoreError, ClientError) as error:
                    raise CommandError(why(error, f"stack {stack_name}")) from None
            sys.exit(status)

        decorated: Callable[..., None] = with_stack
        for option in (
            click.option(
                "--endpoint-url", metavar="URL", type=_Endpoint(), envvar="LEDGER_ENDPOINT_URL", show_envvar=True,
                help="Another endpoint than AWS: what `ledger serve` prints. The shell's AWS settings are ignored.",
            ),
            click.option("--region", help="The stack's region; else as the AWS CLI finds it."),
            click.option("--profile", help="A profile of the AWS CLI."),
            click.option(
                "--stack", "stack_name", type=NAME, metavar="NAME", default="payment-ledger", show_default=True,
                envvar="LEDGER_STACK", show_envvar=True, help="The stack's name.",
            ),
        ):  # fmt: skip
            decorated = option(decorated)
        made = click.command(epilog=epilog)(decorated)
        COMMANDS.append(made)
        return made

    return of


def _overruled() -> str:
    """Return the typed options that the shell's LEDGER_ENDPOINT_URL overrules: with it, the stack is not on AWS."""
    context = click.get_current_context()
    if context.get_parameter_source("endpoint_url") is not ParameterSource.ENVIRONMENT:
        return ""
    names = ("stack_name", "profile", "region")
    typed = [OPTIONS[name] for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    return " or ".join(typed)


def _typed() -> str:
    """Return the options that name the stack, as they were typed: a hint to type is for the same one."""
    context = click.get_current_context()
    typed = ""
    for name, option in OPTIONS.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            typed += f" {option} {shlex.quote(context.params[name])}"
    return typed


# ── Sending ─────────────────────────────────────────────────────────────────────────────────────────


@on_a_stack(
    "Exit status: 0 every payment is recorded, or is under way; 1 one is not, "
    "2 it stopped: the line says at which payment."
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…|-")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until each execution has ended.")
@click.option("--again", is_flag=True, help="Start an execution under a name of its own, whatever was started before.")
@AS_JSON
def start(stack: "Stack", *, files: tuple[str, ...], wait: bool, again: bool, as_json: bool) -> int:
    """Start payments on a deployed stack, their tokens sealed before they leave this machine.

    Each execution has its payment's own name: started again, a payment meets the execution that it has,
    and nothing runs twice; one that recorded nothing is attempted again, up to nine times. With --again
    it runs after that as well; the ledger has a payment once, however often it runs.

    \b
    Examples:
      ledger start payment.json --stack payment-ledger-dev --profile sandbox
      ledger start --json - < payments.jsonl
      ledger start events/start/01-success.json --endpoint-url http://127.0.0.1:4510
    """  # noqa: D301
    from ledger_cli.commands.start import start_payments  # noqa: PLC0415

    inputs = [start_input for file in files for start_input in read(file)]
    return start_payments(stack, inputs, wait=wait, again=again, as_json=as_json)


@on_a_stack("Exit status: 0 done, 2 it is not, or AWS gave no answer.")
@click.argument("processor_id", metavar="PROCESSOR", type=NAME)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["standard-webhooks", "stripe", "stripe-test"]),
    help="How it signs and writes; standard-webhooks if it is new.",
)
@click.option("--secret", "secret_file", metavar="FILE|-", type=_Contents(), help="Holds the secret that it has.")
@click.option("--only", is_flag=True, help="Revoke every other secret of the processor.")
@click.option("--prefix", metavar="TEXT", help="What its TransactionIDs have to begin with; '' for anything.")
@AS_JSON
def processor(
    stack: "Stack",
    *,
    processor_id: str,
    format_name: str | None,
    secret_file: tuple[str, bytes] | None,
    only: bool,
    prefix: str | None,
    as_json: bool,
) -> int:
    """Let a processor post payments to the stack's webhook, or give it a new secret.

    Without --secret one is made up, and shown this once. The secret before stays active beside the new one
    for a day, in which the processor changes to the new one. With --only it is revoked within five minutes.
    With --prefix alone, a processor keeps its secrets.

    \b
    Examples:
      ledger processor acme-pay --stack payment-ledger-dev
      ledger processor stripe --format stripe --secret - < secret.txt
      ledger processor acme-pay --only
      ledger processor acme-pay --prefix txn-
    """  # noqa: D301
    from ledger_cli.stack.client import stopping_says  # noqa: PLC0415
    from ledger_cli.stack.webhook import let_in, validity  # noqa: PLC0415

    secret = None if secret_file is None else decoded(*secret_file).strip()
    told = let_in(stack, processor_id, format_name=format_name, secret=secret, only=only, prefix=prefix)
    lines = {"Processor": f"{told['processor']} ({told['format']})", "Webhook": told["webhook"]}
    if told["secret"]:
        lines["Secret"] = f"{told['secret']}  (shown this once)"
    if told["prefix"]:
        lines["Prefix"] = f"{told['prefix']}  (its TransactionIDs begin so)"
    if told["secret"]:
        done = f"{processor_id} has a new secret all the same, and nobody has seen it"
    else:
        done = f"{processor_id} was changed all the same"
    with stopping_says(lambda: done):
        if as_json:
            say_json(told)
        else:
            display(Entries({**lines, "Active": validity(told)}))
        sys.stdout.flush()
    return 0


@on_a_stack("Exit status: 0 the webhook accepted it, 1 it did not, 2 nothing was sent, or no answer came.")
@click.argument("file", metavar="FILE|-", type=_Contents())
@click.option("--processor", "processor_id", required=True, type=NAME, metavar="PROCESSOR", help="Who sends it.")
@AS_JSON
def send(stack: "Stack", *, file: tuple[str, bytes], processor_id: str, as_json: bool) -> int:
    """Post FILE to the stack's webhook as a processor would, signed with its secret.

    For trying, and for asking whether a deployed webhook answers.

    \b
    Examples:
      ledger send events/webhooks/acme-pay.json --processor acme-pay --endpoint-url http://127.0.0.1:4510
      ledger send payment.json --processor acme-pay --stack payment-ledger-dev
    """  # noqa: D301
    from ledger_cli.stack.webhook import send as post  # noqa: PLC0415

    status, body = post(stack, processor_id, file[1])
    if as_json:
        say_json({"status": status, "body": body})
    else:
        say(f"{status} {json.dumps(body)}")
    return 0 if status < HTTPStatus.BAD_REQUEST else 1


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────


@on_a_stack("Exit status: 0 it is there, 1 it is not, 2 it cannot be read.")
@click.argument("transaction_id", metavar="TRANSACTION_ID", type=NAME)
@AS_JSON
def get(stack: "Stack", *, transaction_id: str, as_json: bool) -> int:
    """Show one recorded payment. Its token is not shown.

    \b
    Examples:
      ledger get txn-2026-0001
      ledger get txn-2026-0001 --json --stack payment-ledger-dev
    """  # noqa: D301
    from ledger_cli.commands import payments  # noqa: PLC0415

    return payments.get(stack, transaction_id, as_json=as_json)


@on_a_stack("Exit status: 0 all are listed, 1 damaged ones are named instead, 2 the list cannot be read to its end.")
@click.option("--processor", "processor_id", required=True, type=NAME, metavar="PROCESSOR", help="Whose payments.")
@click.option("--from", "first", metavar="TIME", help="Not before this time, such as 2026-11-24T00:00:00Z.")
@click.option("--to", "last", metavar="TIME", help="Before this time.")
@click.option("--status", type=click.Choice(["Success", "Failure"]), help="Only these.")
@click.option("--limit", default=25, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--cursor", help="Go on behind a page: the last line of --json has it where there are more.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values.")
@AS_JSON
def list_(
    stack: "Stack",
    *,
    processor_id: str,
    first: str | None,
    last: str | None,
    status: str | None,
    limit: int,
    everything: bool,
    cursor: str | None,
    as_csv: bool,
    as_json: bool,
) -> int:
    """List a processor's payments, the newest first.

    \b
    Examples:
      ledger list --processor acme-pay
      ledger list --processor acme-pay --status Failure --from 2026-11-24T00:00:00Z
      ledger list --processor acme-pay --all --csv > payments.csv
    """  # noqa: D301
    from ledger_cli.commands import payments  # noqa: PLC0415

    query = {"ProcessorID": processor_id, "From": first, "To": last, "Status": status}
    form = "json" if as_json else "csv" if as_csv else "table"
    return payments.show(stack, query, most=None if everything else limit, cursor=cursor, form=form)


list_.name = "list"


@on_a_stack("Exit status: 0 it is shown, 1 there is no such payment, 2 it is not shown.")
@click.argument("transaction_id", metavar="TRANSACTION_ID", type=NAME)
@click.option("--reason", required=True, help="Why: it is logged, with who you are.")
@AS_JSON
def reveal(stack: "Stack", *, transaction_id: str, reason: str, as_json: bool) -> int:
    """Show the token of one payment, in clear.

    The stack has this function only where its parameter RevealTokens allows it, and an alarm tells of each use.

    \b
    Examples:
      ledger reveal txn-2026-0001 --reason "refund, ticket 4711"
    """  # noqa: D301
    from ledger_cli.commands import payments  # noqa: PLC0415

    return payments.reveal(stack, transaction_id, reason, as_json=as_json)


@on_a_stack("Exit status: 0 all are listed, 1 damaged ones are named instead, 2 the list cannot be read to its end.")
@click.option("--limit", default=25, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@AS_JSON
def unpublished(stack: "Stack", *, limit: int, everything: bool, as_json: bool) -> int:
    """List what is recorded and was not told of yet, the oldest first.

    \b
    Examples:
      ledger unpublished
      ledger unpublished --all --json
    """  # noqa: D301
    from ledger_cli.commands import payments  # noqa: PLC0415

    most, form = None if everything else limit, "json" if as_json else "table"
    return payments.show(stack, {"Unpublished": True}, most=most, cursor=None, form=form)


@on_a_stack("Exit status: 0 all was published, or --dry-run; 1 some was not, 2 the sweep failed, or gave no answer.")
@click.option("--dry-run", is_flag=True, help="Say what would be published.")
@AS_JSON
def republish(stack: "Stack", *, dry_run: bool, as_json: bool) -> int:
    """Publish what is overdue now, as the scheduled sweep does every five minutes.

    \b
    Examples:
      ledger republish --dry-run
      ledger republish
    """  # noqa: D301
    from ledger_cli.commands import payments  # noqa: PLC0415

    return payments.republish(stack, dry_run=dry_run, as_json=as_json)


# ── Operating ───────────────────────────────────────────────────────────────────────────────────────


@on_a_stack("Exit status: 0 they are listed, 2 they cannot be read, or not all of them.")
@click.option(
    "--status", type=click.Choice(["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]), help="Only these."
)
@click.option("--limit", default=25, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@AS_JSON
def executions(stack: "Stack", *, status: str | None, limit: int, as_json: bool) -> int:
    """List the workflow's executions, the newest first, and what became of each.

    \b
    Examples:
      ledger executions
      ledger executions --status FAILED --limit 100
    """  # noqa: D301
    from ledger_cli.commands import operate  # noqa: PLC0415

    return operate.show_executions(stack, status=status, most=limit, as_json=as_json)


@on_a_stack("Exit status: 0 it is shown, 1 nothing was found under this id, 2 it cannot be read.")
@click.argument("asked", metavar="ID", type=NAME)
@click.option(
    "--html", "html_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Write one page that needs nothing else, instead.",
)  # fmt: skip
@AS_JSON
def inspect(stack: "Stack", *, asked: str, html_file: Path | None, as_json: bool) -> int:
    """Show what became of a payment: its states, why it was refused, what the ledger has, and what to do next.

    ID is a TransactionID, or the name or ARN of an execution. No token is shown.

    \b
    Examples:
      ledger inspect txn-2026-0001
      ledger inspect txn-2026-0001 --html payment.html
    """  # noqa: D301
    from ledger_cli.commands import operate  # noqa: PLC0415

    return operate.show_inspection(stack, asked, as_json=as_json, html_file=html_file)


@on_a_stack(
    "Exit status: 0 all are redriven (with --all, also if there is none), 1 ID has nothing to redrive, "
    "or one cannot be, 2 it stopped: the line says after how many."
)
@click.argument("asked", metavar="ID", type=NAME, required=False)
@click.option("--all", "everything", is_flag=True, help="All that failed technically, instead of one payment's.")
@click.option("--dry-run", is_flag=True, help="Say what would be redriven.")
@AS_JSON
def redrive(stack: "Stack", *, asked: str | None, everything: bool, dry_run: bool, as_json: bool) -> int:
    """Go on with executions that failed technically, in the state that failed.

    Mend the cause first. Step Functions does this within 14 days; what was done is not done again.

    \b
    Examples:
      ledger redrive txn-2026-0001
      ledger redrive --all --dry-run
    """  # noqa: D301
    from ledger_cli.commands import operate  # noqa: PLC0415

    if (asked is None) is not everything:
        raise click.UsageError("name an ID, or say --all")
    return operate.redrive(stack, asked, dry_run=dry_run, as_json=as_json)
