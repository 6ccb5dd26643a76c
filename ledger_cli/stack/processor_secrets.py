"""The secrets of a stack's processors in Secrets Manager: reading them, and writing them so that a repeat is safe."""

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from ledger.fields import is_identifier
from ledger.processors import Processor, ProcessorSecretError
from ledger_cli.stack.client import Stack, StackError, explain

DELETION_S = 60
DELETION_POLL_S = 2
"""The name of a deleted secret is free a little later. Source: Secrets Manager API Reference, DeleteSecret."""


class WebhookError(StackError):
    """The webhook or its processors cannot be used as asked. The message says why, and what to do."""


def webhook_url(stack: Stack, processor_id: str) -> str:
    """Return the address to which the processor posts, at the endpoint of `--endpoint-url` if that is given."""
    url = _output(stack, "WebhookUrl").replace("{ProcessorID}", processor_id)
    return f"{stack.endpoint_url.rstrip('/')}{urlsplit(url).path}" if stack.endpoint_url else url


def read_secret_text(stack: Stack, processor_id: str) -> str | None:
    """Return the text of the processor's secret; None if the secret does not exist, or will be deleted.

    Raises:
        WebhookError: the ID is invalid, or the stack has no webhook.
        StackError: AWS denies a call, or does not answer.
    """
    name = _secret_name(stack, processor_id)
    client = stack.client("secretsmanager")
    try:
        return str(client.get_secret_value(SecretId=name)["SecretString"])
    except client.exceptions.ResourceNotFoundException:
        return None
    except client.exceptions.InvalidRequestException as error:
        if "DeletedDate" in _describe_secret(stack, name):
            return None
        raise StackError(explain(error, f"the secret {name}")) from None
    except (BotoCoreError, ClientError) as error:
        raise StackError(explain(error, f"the secret {name}")) from None


def parse_secret_text(stack: Stack, processor_id: str, text: str) -> dict[str, Any]:
    """Return the processor that a secret's text describes.

    Raises:
        WebhookError: the text is not usable, as the webhook would not use it either.
    """
    try:
        Processor.parse(text)
    except ProcessorSecretError as error:
        rotate = stack.command("rotate-secret", processor_id)
        raise WebhookError(
            f"the secret of {processor_id} is not usable, {error}: replace it with `{rotate} --format FORMAT --only`"
        ) from None
    described: dict[str, Any] = json.loads(text)
    return described


def write_secret_text(stack: Stack, processor_id: str, text: str, *, if_unknown: str, creates: bool = False) -> None:
    """Write the text of the processor's secret.

    Args:
        stack: the stack of the webhook.
        processor_id: the ProcessorID.
        text: the text to write.
        if_unknown: what the error says if nobody can know whether the text was written.
        creates: the processor has no secret, or one that will be deleted.

    Raises:
        StackError: AWS denies a call, or it is not known whether the text was written.
    """
    name = _secret_name(stack, processor_id)
    try:
        if creates:
            _create(stack, name, text)
        else:
            stack.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
    except ClientError as error:
        raise StackError(explain(error, f"the secret {name}")) from None
    except BotoCoreError as error:  # AWS did not answer
        if not _was_written(stack, processor_id, text):
            raise StackError(f"{explain(error, f'the secret {name}')}; {if_unknown}") from None


def _create(stack: Stack, name: str, text: str) -> None:
    """Create the secret, in the place of one that will be deleted if there is one.

    Restoring the old secret would make its revoked secrets active until the next call, or permanently if that call
    fails. So the old secret is deleted at once. Its name is free a little later.
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
    raise StackError(f"the secret {name}: Secrets Manager still deletes the old one: run this command again")


def _was_written(stack: Stack, processor_id: str, text: str) -> bool:
    try:
        return read_secret_text(stack, processor_id) == text
    except StackError:
        return False


def _output(stack: Stack, name: str) -> str:
    if name not in stack.outputs:
        raise WebhookError("the stack has no webhook: deploy it with the parameter Webhook=open")
    return stack.outputs[name]


def _secret_name(stack: Stack, processor_id: str) -> str:
    if not is_identifier(processor_id):
        raise WebhookError("a processor's id is 1 to 64 of A-Z a-z 0-9 _ -, and holds no card number")
    return f"{_output(stack, 'ProcessorSecrets')}{processor_id}"


def _describe_secret(stack: Stack, name: str) -> Mapping[str, Any]:
    try:
        described: Mapping[str, Any] = stack.client("secretsmanager").describe_secret(SecretId=name)
    except (BotoCoreError, ClientError) as error:
        raise StackError(explain(error, f"the secret {name}")) from None
    return described
