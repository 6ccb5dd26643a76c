"""`ledger register-processor`, `rotate-secret`, `set-prefix` and `send`: a webhook's processors, and a post by one."""

import json
import sys

import click

from ledger.formats import FORMATS
from ledger_cli.commands.options import CONTENTS, NAME, json_option, processor_argument, stack_command
from ledger_cli.reading import decoded
from ledger_cli.stack import processors
from ledger_cli.stack.client import Stack, report_if_stopped
from ledger_cli.stack.partner import put_partner_event
from ledger_cli.stack.webhook import send as send_payment
from ledger_cli.stack.webhook import was_taken
from ledger_cli.views import records, text
from ledger_cli.views.terminal import display, say, say_json

FORMAT = click.Choice(list(FORMATS))
CHANGED = "0 done, 2 not done, or AWS did not answer"

secret_option = click.option(
    "--secret",
    "secret_file",
    metavar="FILE|-",
    type=CONTENTS,
    help="Read the secret from FILE. Without this option a secret is generated.",
)


@stack_command(CHANGED)
@processor_argument
@click.option(
    "--format",
    "format_name",
    type=FORMAT,
    help="The format in which the processor signs and writes; standard-webhooks by default.",
)
@secret_option
@click.option("--prefix", metavar="TEXT", help="The text with which the processor's TransactionIDs must begin.")
@json_option
def register_processor(
    stack: Stack,
    *,
    processor_id: str,
    format_name: str | None,
    secret_file: tuple[str, bytes] | None,
    prefix: str | None,
    as_json: bool,
) -> int:
    """Register a processor, so that it can post payments to the stack's webhook.

    A generated secret is printed only once. A processor that is registered already is not changed.

    \b
    Examples:
      ledger register-processor new-pay --stack payment-ledger-dev
      ledger register-processor stripe-eu --format stripe --secret - < secret.txt
    """
    registration = processors.register_processor(
        stack, processor_id, format_name=format_name, secret=_secret(secret_file), prefix=prefix
    )
    return _print_registration(registration, as_json=as_json)


@stack_command(CHANGED)
@processor_argument
@click.option(
    "--format",
    "format_name",
    type=FORMAT,
    help="The processor's format, to replace a secret in Secrets Manager that is not usable.",
)
@secret_option
@click.option("--only", is_flag=True, help="Revoke every other secret of the processor.")
@json_option
def rotate_secret(
    stack: Stack,
    *,
    processor_id: str,
    format_name: str | None,
    secret_file: tuple[str, bytes] | None,
    only: bool,
    as_json: bool,
) -> int:
    """Give a registered processor a new secret.

    A generated secret is printed only once. The previous secret stays active for one day, in which the processor
    changes to the new one. With --only it is revoked within five minutes.

    \b
    Examples:
      ledger rotate-secret acme-pay --stack payment-ledger-dev
      ledger rotate-secret stripe --secret - < secret.txt
      ledger rotate-secret acme-pay --only
    """
    registration = processors.rotate_secret(
        stack, processor_id, format_name=format_name, secret=_secret(secret_file), only=only
    )
    return _print_registration(registration, as_json=as_json)


@stack_command(CHANGED)
@processor_argument
@click.argument("prefix", metavar="TEXT")
@json_option
def set_prefix(stack: Stack, *, processor_id: str, prefix: str, as_json: bool) -> int:
    """Set the TEXT with which a registered processor's TransactionIDs must begin; '' allows any.

    The processor keeps its secrets.

    \b
    Examples:
      ledger set-prefix acme-pay txn-
      ledger set-prefix acme-pay ''
    """
    return _print_registration(processors.set_prefix(stack, processor_id, prefix), as_json=as_json)


def _secret(secret_file: tuple[str, bytes] | None) -> str | None:
    return None if secret_file is None else decoded(*secret_file).strip()


def _print_registration(registration: processors.Registration, *, as_json: bool) -> int:
    """Print the change. If that fails, say that the change is made all the same: a secret is not printed again."""
    if registration.secret:
        done = f"{registration.processor_id} has a new secret all the same, and nobody has seen it"
    else:
        done = f"{registration.processor_id} was changed all the same"
    with report_if_stopped(lambda: done):
        if as_json:
            say_json(records.registration(registration))
        else:
            display(text.registration(registration))
        sys.stdout.flush()
    return 0


@click.command(epilog="Exit status: 0.")
@json_option
def formats(*, as_json: bool) -> int:
    """List the formats of processors: what each signs, and what its secret is.

    \b
    Examples:
      ledger formats
    """
    if as_json:
        for name, format_ in FORMATS.items():
            say_json(records.format_(name, format_))
    else:
        display(text.formats(FORMATS))
    return 0


@stack_command("0 it was taken, 1 it was refused or is a conflict, 2 nothing was sent, or no answer came")
@click.argument("file", metavar="FILE|-", type=CONTENTS)
@click.option("--processor", "processor_id", type=NAME, metavar="PROCESSOR", help="The processor that posts it.")
@click.option("--partner", is_flag=True, help="Put it on the partner's event bus instead, as the partner does.")
@json_option
def send(stack: Stack, *, file: tuple[str, bytes], processor_id: str | None, partner: bool, as_json: bool) -> int:
    """Send FILE as a processor sends it: signed to the webhook, or as an event of the partner event source.

    Use it to try a stack, and to check whether a deployed webhook answers. On AWS, only the partner itself can put
    events on its bus, so --partner is for `ledger serve` alone.

    \b
    Examples:
      ledger send events/webhooks/acme-pay.json --processor acme-pay --endpoint-url http://127.0.0.1:4510
      ledger send events/webhooks/stripe-charge.succeeded.json --partner --endpoint-url http://127.0.0.1:4510
      ledger send payment.json --processor acme-pay --stack payment-ledger-dev
    """
    if partner == (processor_id is not None):
        raise click.UsageError("Give either --processor PROCESSOR or --partner.")
    if processor_id is None:
        event_id = put_partner_event(stack, *file)
        if as_json:
            say_json({"event_id": event_id})
        else:
            say(f"The bus has the event {event_id}.")
        return 0
    status, body = send_payment(stack, processor_id, file[1])
    if as_json:
        say_json({"status": status, "body": body})  # the body is the webhook's, as the processor gets it
    else:
        say(f"{status} {json.dumps(body)}")
    return 0 if was_taken(status, body) else 1
