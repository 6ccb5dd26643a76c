"""`ledger processor` and `ledger send`: who may post payments to a webhook, and a post as a processor makes it."""

import base64
import http.client
import json
import secrets
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from ledger.formats import FORMATS
from ledger.payment import is_identifier
from ledger.processors import MAX_SECRETS, Processor, ProcessorSecretError, check_secret
from ledger.signature import STRIPE
from ledger_cli.deployed import Stack, StackError, why

GENERATED_BYTES = 32
ANSWER_S = 35
"""An HTTP API answers within 30 s."""


class WebhookError(StackError):
    """What was asked for cannot be done; the message says why, and what to do."""


def let_in(stack: Stack, processor_id: str, *, format_name: str | None, secret: str | None) -> dict[str, Any]:
    """Give a processor a secret: its first, or a new one beside the one that it has.

    Args:
        stack: whose webhook it is.
        processor_id: as its payments name it.
        format_name: one of `FORMATS`; None keeps the processor's own.
        secret: the one that the processor signs with; None makes one up, where the format leaves it to us.

    Returns:
        What is to be told, the secret only where it was made up.

    Raises:
        WebhookError: something that was given is wrong, or the stack has no webhook. Nothing was changed.
        StackError: AWS refuses.
    """
    name = _secret_name(stack, processor_id)
    before = _secrets_of(stack, processor_id)
    format_name = _agreed(processor_id, before, format_name)
    given = secret
    if secret is None:
        if FORMATS[format_name].scheme is STRIPE:
            raise WebhookError("Stripe makes its secrets itself: copy the endpoint's, and give it with --secret -")
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(GENERATED_BYTES)).decode()}"
    try:
        check_secret(format_name, secret)
    except ProcessorSecretError as error:
        raise WebhookError(str(error)) from None
    known = before["Secrets"] if before else []
    active = [secret, *(one for one in known if one != secret)][:MAX_SECRETS]
    text = json.dumps({"Format": format_name, "Secrets": active})
    client = stack.client("secretsmanager")
    try:
        if before is None:
            client.create_secret(Name=name, SecretString=text)
        elif active != known:
            client.put_secret_value(SecretId=name, SecretString=text)
    except ClientError as error:
        raise StackError(why(error, f"the secret {name}")) from None
    except BotoCoreError as error:  # no answer
        unknown = f"whether {processor_id} has the new secret is not known: look before you call this again"
        raise StackError(f"{why(error, f'the secret {name}')}; {unknown}") from None
    told = {"processor": processor_id, "format": format_name, "webhook": url_of(stack, processor_id)}
    return {**told, "secret": None if given else secret, "active": len(active)}


def send(stack: Stack, processor_id: str, body: bytes) -> tuple[int, Any]:
    """Post *body* to the webhook as the processor would, signed now with its newest secret.

    Returns:
        The answer's status and its JSON.

    Raises:
        WebhookError: the processor is not known, or nothing answers.
        StackError: AWS refuses.
    """
    processor = _secrets_of(stack, processor_id)
    if processor is None:
        raise WebhookError(f"{processor_id} is not known: let it in with `{stack.command('processor', processor_id)}`")
    try:
        headers = signed(processor, body, round(time.time()))
    except ProcessorSecretError as error:
        raise WebhookError(f"the secret of {processor_id}: {error}") from None
    return post(url_of(stack, processor_id), body, headers)


def post(address: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    """The answer's status and its JSON.

    Raises:
        WebhookError: nothing answers there as a webhook does.
    """
    url = urlsplit(address)
    connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = connect(url.hostname or "", url.port, timeout=ANSWER_S)
    try:
        connection.connect()
    except OSError as error:
        raise WebhookError(f"{url.hostname}: no connection, nothing was sent ({type(error).__name__})") from None
    try:
        connection.request("POST", url.path, body=body, headers=headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WebhookError(f"{url.hostname}: sent, and no answer of a webhook ({type(error).__name__})") from None
    finally:
        connection.close()
    accepted = answer.status < HTTPStatus.BAD_REQUEST
    if accepted and not (isinstance(told, dict) and told.keys() & {"Execution", "Outcome"}):
        raise WebhookError(f"{url.hostname}: sent, and what answered is no webhook of the ledger")
    return answer.status, told


def signed(processor: Mapping[str, Any], body: bytes, now_s: int) -> dict[str, str]:
    """The headers of a request that the processor, as Secrets Manager has it, has signed with its newest secret."""
    known = Processor.parse(json.dumps(processor))
    secret, scheme = known.secrets[0], known.format.scheme
    headers = {"content-type": "application/json"}
    if scheme is STRIPE:
        return {**headers, "stripe-signature": f"t={now_s},v1={scheme.sign(secret, f'{now_s}.'.encode() + body)}"}
    message_id = f"msg_{now_s}"
    signature = scheme.sign(secret, f"{message_id}.{now_s}.".encode() + body)
    return {
        **headers,
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": f"v1,{signature}",
    }


def url_of(stack: Stack, processor_id: str) -> str:
    """Where the processor posts to; with `--endpoint-url`, there."""
    url = _output(stack, "WebhookUrl").replace("{ProcessorID}", processor_id)
    return f"{stack.endpoint_url.rstrip('/')}{urlsplit(url).path}" if stack.endpoint_url else url


def _output(stack: Stack, name: str) -> str:
    if name not in stack.outputs:
        raise WebhookError("the stack has no webhook: deploy it with the parameter Webhook=open")
    return stack.outputs[name]


def _secret_name(stack: Stack, processor_id: str) -> str:
    if not is_identifier(processor_id):
        raise WebhookError("a processor's id is 1 to 64 of A-Z a-z 0-9 _ -, and holds no card number")
    return f"{_output(stack, 'ProcessorSecrets')}{processor_id}"


def _secrets_of(stack: Stack, processor_id: str) -> dict[str, Any] | None:
    name = _secret_name(stack, processor_id)
    client = stack.client("secretsmanager")
    try:
        loaded: dict[str, Any] = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
    except client.exceptions.ResourceNotFoundException:
        return None
    except (BotoCoreError, ClientError) as error:
        raise StackError(why(error, f"the secret {name}")) from None
    return loaded


def _agreed(processor_id: str, before: dict[str, Any] | None, asked: str | None) -> str:
    if before is None:
        return asked or "standard-webhooks"
    own: str = before["Format"]
    if asked not in {None, own}:
        raise WebhookError(f"{processor_id} has the format {own}: give another format a processor's id of its own")
    return own
