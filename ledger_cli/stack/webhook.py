"""A request to a stack's webhook, made and signed as a processor makes it."""

import http.client
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from ledger.processors import Processor
from ledger.signature import (
    ADYEN,
    PADDLE,
    POLAR,
    SQUARE,
    STANDARD_WEBHOOKS,
    STRIPE,
    InvalidSignatureError,
    adyen_content,
    adyen_item,
)
from ledger.strict_json import loads
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
    body = signed_body(processor, body)
    signed_url = stack.outputs["WebhookUrl"].replace("{ProcessorID}", processor_id)
    return post(webhook_url(stack, processor_id), body, signed(processor, body, round(time.time()), signed_url))


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


def was_taken(status: int, answered: Any) -> bool:
    """Return whether the webhook took a message: its workflow runs, or the ledger has it, or it is ignored.

    A processor that corrects nothing gets 200 for each message that it signed, so the body decides as well.
    """
    taken = status < HTTPStatus.BAD_REQUEST and "Violations" not in answered
    return taken and answered.get("Outcome") in {None, "RECORDED", "IGNORED"}


def signed(processor: Mapping[str, Any], body: bytes, now_s: int, url: str = "") -> dict[str, str]:
    """Return the headers of a request that is signed with the newest secret of a processor's secret text.

    Args:
        processor: what the secret text describes.
        body: the body; for Adyen, whose signature it has, as `signed_body` returns it.
        now_s: the time of the signature, in Unix seconds.
        url: the address to which the processor posts, which Square signs.
    """
    known = Processor.parse(json.dumps(processor))
    secret, scheme = known.secrets[0], known.format.scheme
    headers = {"content-type": "application/json"}
    if scheme in (STANDARD_WEBHOOKS, POLAR):
        message_id = f"msg_{now_s}"
        signature = scheme.sign(secret, f"{message_id}.{now_s}.".encode() + body)
        return {
            **headers,
            "webhook-id": message_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": f"v1,{signature}",
        }
    if scheme is STRIPE:
        return {**headers, "stripe-signature": f"t={now_s},v1={scheme.sign(secret, f'{now_s}.'.encode() + body)}"}
    if scheme is PADDLE:
        return {**headers, "paddle-signature": f"ts={now_s};h1={scheme.sign(secret, f'{now_s}:'.encode() + body)}"}
    if scheme is SQUARE:
        return {**headers, "x-square-hmacsha256-signature": scheme.sign(secret, url.encode() + body)}
    if scheme is ADYEN:
        return headers
    return {**headers, scheme.header: scheme.prefix + scheme.sign(secret, body)}


def signed_body(processor: Mapping[str, Any], body: bytes) -> bytes:
    """Return the body as the processor sends it: Adyen's has its signature, and any other is unchanged.

    Raises:
        WebhookError: the body has nothing that Adyen could sign.
    """
    known = Processor.parse(json.dumps(processor))
    if known.format.scheme is not ADYEN:
        return body
    try:
        notification = loads(body)
        item = adyen_item(notification)
        content = adyen_content(item)
        item["additionalData"] = {
            **item.get("additionalData", {}),
            "hmacSignature": ADYEN.sign(known.secrets[0], content),
        }
    except (ValueError, TypeError, AttributeError, InvalidSignatureError):
        raise WebhookError("the file is not a notification of Adyen's: nothing was sent") from None
    return json.dumps(notification).encode()
