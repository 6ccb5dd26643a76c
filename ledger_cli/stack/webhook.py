"""`ledger processor` and `ledger send`: who may post payments to a webhook, and a post as a processor makes it."""

import base64
import http.client
import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from ledger.formats import FORMATS
from ledger.payment import is_identifier
from ledger.processors import (
    KNOWN_FOR_S,
    MAX_SECRETS,
    OLDER_FOR_S,
    UNKNOWN_FOR_S,
    Processor,
    ProcessorSecretError,
    check_prefix,
    check_secret,
)
from ledger.signature import STRIPE
from ledger_cli.stack.client import Stack, StackError, why

GENERATED_BYTES = 32
ANSWER_S = 35
"""An HTTP API answers within 30 s."""

NEW_WITHIN_S = 300 + UNKNOWN_FOR_S
"""When the webhook knows a new processor at the latest, if it sends meanwhile. Usually it takes `UNKNOWN_FOR_S`, but
Secrets Manager may list a new secret five minutes late. Source: Secrets Manager API Reference, ListSecrets."""

DELETION_S = 60
DELETION_POLL_S = 2
"""A deleted secret's name is free a little later. Source: Secrets Manager API Reference, DeleteSecret."""


class WebhookError(StackError):
    """What was asked for cannot be done; the message says why, and what to do."""


def let_in(
    stack: Stack,
    processor_id: str,
    *,
    format_name: str | None,
    secret: str | None,
    only: bool = False,
    prefix: str | None = None,
) -> dict[str, Any]:
    """Register a processor, give it a new secret, or set its prefix.

    Repeating it is safe. A secret that was to be revoked is not active again whatever fails on the way: a processor
    whose secret was deleted gets a new one under its name, and the deleted one is never restored.

    Args:
        stack: whose webhook it is.
        processor_id: as its payments name it.
        format_name: one of `FORMATS`; None keeps the processor's own.
        secret: the one that the processor signs with; None makes one up if the format leaves it to us. With a *prefix*
            for a registered processor, and without *only*, None keeps the processor's secrets.
        only: revoke every other secret, instead of keeping the one before for `OLDER_FOR_S`.
        prefix: what the processor's TransactionIDs have to begin with; empty for no prefix; None keeps its own.

    Returns:
        What is active, by lower-case keys; the secret only if it was made up.

    Raises:
        WebhookError: something that was given is wrong, or the stack has no webhook. Nothing was changed.
        StackError: AWS refuses, or gives no answer.
    """
    now_s = int(time.time())
    text_before = _text_of(stack, processor_id)
    before = _usable(stack, processor_id, text_before, is_replaced=only and format_name is not None)
    format_name = _agreed(processor_id, before, format_name)
    given = secret
    known = list(Processor.parse(json.dumps(before)).active(now_s)) if before else []
    if secret is None and known and prefix is not None and not only:
        active = known
    else:
        secret = _made_up(format_name) if secret is None else secret
        active = [secret] if only else [secret, *(one for one in known if one != secret)][:MAX_SECRETS]
    after: dict[str, Any] = {"Format": format_name, "Secrets": active}
    if len(active) > 1:
        is_same = before is not None and active == before["Secrets"]
        after["OlderUntil"] = before["OlderUntil"] if before and is_same else _utc(now_s + OLDER_FOR_S)
    if prefix_after := (before or {}).get("Prefix", "") if prefix is None else prefix:
        after["Prefix"] = prefix_after
    _check(format_name, active, prefix_after)
    if after != before:
        _put(stack, processor_id, json.dumps(after), is_new=text_before is None, only=only)
    return {
        "processor": processor_id,
        "format": format_name,
        "webhook": url_of(stack, processor_id),
        "secret": None if given else secret,
        "prefix": prefix_after or None,
        "active": len(active),
        "older_until": after.get("OlderUntil"),
        "within_minutes": (NEW_WITHIN_S if text_before is None else KNOWN_FOR_S) // 60,
    }


def validity(told: Mapping[str, Any]) -> str:
    """Return in words how many secrets are active, from when and until when."""
    if told["older_until"]:
        return f"2 within {told['within_minutes']} minutes; the older one ends at {told['older_until']}"
    return f"1 within {told['within_minutes']} minutes; any other one ends by then"


def _made_up(format_name: str) -> str:
    if FORMATS[format_name].scheme is STRIPE:
        raise WebhookError("Stripe makes its secrets itself: copy the endpoint's, and give it with --secret -")
    return f"whsec_{base64.b64encode(secrets.token_bytes(GENERATED_BYTES)).decode()}"


def _check(format_name: str, active: list[str], prefix: str) -> None:
    try:
        for secret in active:
            check_secret(format_name, secret)
        if prefix:
            check_prefix(prefix)
    except ProcessorSecretError as error:
        raise WebhookError(str(error)) from None


def _utc(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _put(stack: Stack, processor_id: str, text: str, *, is_new: bool, only: bool) -> None:
    """Make *text* what Secrets Manager has for the processor.

    Raises:
        StackError: AWS refuses, or it is not known whether the text is there.
    """
    name = _secret_name(stack, processor_id)
    try:
        if is_new:
            _create(stack, name, text)
        else:
            stack.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
    except ClientError as error:
        raise StackError(why(error, f"the secret {name}")) from None
    except BotoCoreError as error:  # no answer
        if _is_there(stack, processor_id, text):
            return
        unknown = (
            f"whether the old secrets of {processor_id} are still active is not known: call this again"
            if only
            else f"whether {processor_id} has the new secret is not known: look before you call this again"
        )
        raise StackError(f"{why(error, f'the secret {name}')}; {unknown}") from None


def _create(stack: Stack, name: str, text: str) -> None:
    """Create the secret, in the place of one that is to be deleted if there is one.

    Restoring that one would make the revoked secrets in it active until the next call, or for good if that call fails.
    So it is deleted for good first, and its name is free a little later.
    """
    client, key = stack.client("secretsmanager"), stack.outputs["ProcessorSecretsKeyArn"]
    taken = (client.exceptions.InvalidRequestException, client.exceptions.ResourceExistsException)
    try:
        client.create_secret(Name=name, SecretString=text, KmsKeyId=key)
    except taken:
        if "DeletedDate" not in client.describe_secret(SecretId=name):
            raise
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    else:
        return
    for _ in range(DELETION_S // DELETION_POLL_S):
        try:
            client.create_secret(Name=name, SecretString=text, KmsKeyId=key)
        except taken:
            time.sleep(DELETION_POLL_S)
        else:
            return
    raise StackError(f"the secret {name}: Secrets Manager still deletes the one before, call this again")


def _is_there(stack: Stack, processor_id: str, text: str) -> bool:
    try:
        return _text_of(stack, processor_id) == text
    except StackError:
        return False


def send(stack: Stack, processor_id: str, body: bytes) -> tuple[int, Any]:
    """Post *body* to the webhook as the processor would, signed now with its newest secret.

    Returns:
        The answer's status and its JSON.

    Raises:
        WebhookError: the processor is not known, or nothing answers.
        StackError: AWS refuses.
    """
    processor = _usable(stack, processor_id, _text_of(stack, processor_id), is_replaced=False)
    if processor is None:
        raise WebhookError(f"{processor_id} is not known: let it in with `{stack.command('processor', processor_id)}`")
    return post(url_of(stack, processor_id), body, signed(processor, body, round(time.time())))


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


def _text_of(stack: Stack, processor_id: str) -> str | None:
    """Return what Secrets Manager has for the processor; None if it has nothing, or that is to be deleted."""
    name = _secret_name(stack, processor_id)
    client = stack.client("secretsmanager")
    try:
        return str(client.get_secret_value(SecretId=name)["SecretString"])
    except client.exceptions.ResourceNotFoundException:
        return None
    except client.exceptions.InvalidRequestException as error:
        if "DeletedDate" in _described(stack, name):
            return None
        raise StackError(why(error, f"the secret {name}")) from None
    except (BotoCoreError, ClientError) as error:
        raise StackError(why(error, f"the secret {name}")) from None


def _described(stack: Stack, name: str) -> Mapping[str, Any]:
    try:
        described: Mapping[str, Any] = stack.client("secretsmanager").describe_secret(SecretId=name)
    except (BotoCoreError, ClientError) as error:
        raise StackError(why(error, f"the secret {name}")) from None
    return described


def _usable(stack: Stack, processor_id: str, text: str | None, *, is_replaced: bool) -> dict[str, Any] | None:
    """Return what *text* describes; None if there is none, or if it is not usable and is replaced as a whole."""
    if text is None:
        return None
    try:
        Processor.parse(text)
    except ProcessorSecretError as error:
        if is_replaced:
            return None
        replace = stack.command("processor", processor_id)
        raise WebhookError(
            f"the secret of {processor_id} is not usable, {error}: replace it with `{replace} --format FORMAT --only`"
        ) from None
    described: dict[str, Any] = json.loads(text)
    return described


def _agreed(processor_id: str, before: dict[str, Any] | None, asked: str | None) -> str:
    if before is None:
        return asked or "standard-webhooks"
    own: str = before["Format"]
    if asked not in {None, own}:
        raise WebhookError(f"{processor_id} has the format {own}: give another format a processor's id of its own")
    return own
