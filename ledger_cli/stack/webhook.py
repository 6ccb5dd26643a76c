"""A request to a stack's webhook, made and signed as a processor makes it."""

import http.client
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from ledger.processors import Processor
from ledger.signature import STRIPE
from ledger_cli.stack.client import Stack
from ledger_cli.stack.processor_secrets import WebhookError, parse_secret_text, read_secret_text, webhook_url
from ledger_cli.stack.processors import not_registered

ANSWER_S = 35
"""An HTTP API answers within 30 s."""


def send(stack: Stack, processor_id: str, body: bytes) -> tuple[int, Any]:
    """Post *body* to the webhook, signed now with the processor's newest secret.

    Returns:
        The answer's status and its JSON.

    Raises:
        WebhookError: the processor is not registered, or nothing answers.
        StackError: AWS denies a call.
    """
    text = read_secret_text(stack, processor_id)
    if text is None:
        raise not_registered(stack, processor_id)
    processor = parse_secret_text(stack, processor_id, text)
    return post(webhook_url(stack, processor_id), body, signed(processor, body, round(time.time())))


def post(address: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    """Post *body*, and return the answer's status and its JSON.

    `http.client` connects and sends in two calls, so that the error can say whether the payment may have been sent.
    urllib3 raises the same classes for both.

    Raises:
        WebhookError: nothing answers there, or the answer is not one of the ledger's webhook.
    """
    url = urlsplit(address)
    connection_class = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = connection_class(url.hostname or "", url.port, timeout=ANSWER_S)
    try:
        connection.connect()
    except OSError as error:
        raise WebhookError(f"{url.hostname}: no connection, nothing was sent ({type(error).__name__})") from None
    try:
        connection.request("POST", url.path, body=body, headers=headers)
        answer = connection.getresponse()
        answered = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WebhookError(f"{url.hostname}: sent, and no answer of a webhook ({type(error).__name__})") from None
    finally:
        connection.close()
    accepted = answer.status < HTTPStatus.BAD_REQUEST
    if accepted and not (isinstance(answered, dict) and answered.keys() & {"Execution", "Outcome"}):
        raise WebhookError(f"{url.hostname}: sent, and the answer is not one of the ledger's webhook")
    return answer.status, answered


def signed(processor: Mapping[str, Any], body: bytes, now_s: int) -> dict[str, str]:
    """Return the headers of a request that is signed with the newest secret of a processor's secret text."""
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
