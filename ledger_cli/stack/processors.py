"""The processors that may post payments to a stack's webhook: registering them, and changing their secrets."""

import base64
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger.formats import FORMATS
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
from ledger.signature import CHOSEN_SECRET, STANDARD_SECRET
from ledger_cli.stack.client import Stack
from ledger_cli.stack.processor_secrets import (
    WebhookError,
    parse_secret_text,
    read_secret_text,
    webhook_url,
    write_secret_text,
)

GENERATED_BYTES = 32
GENERATED_HEX_BYTES = 20
DEFAULT_FORMAT = "standard-webhooks"

NEW_WITHIN_S = 300 + UNKNOWN_FOR_S
"""The time after which the webhook knows a new processor at the latest, if the processor sends meanwhile. Usually it
takes `UNKNOWN_FOR_S`, but Secrets Manager may list a new secret five minutes late. Source: Secrets Manager API
Reference, ListSecrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What the webhook will accept from a processor after a change.

    Attributes:
        webhook: the address to which the processor posts.
        secret: the new secret, only if it was generated; a given one is never repeated.
        active: the number of active secrets.
        older_until: the end of the older of two active secrets.
        within_minutes: the time after which the webhook knows the change at the latest.
    """

    processor_id: str
    format: str
    webhook: str
    secret: str | None
    prefix: str | None
    active: int
    older_until: str | None
    within_minutes: int


def register_processor(
    stack: Stack,
    processor_id: str,
    *,
    format_name: str | None = None,
    secret: str | None = None,
    prefix: str | None = None,
) -> Registration:
    """Register a new processor, or one whose secret was deleted.

    Repeating this is safe: it never changes a registered processor. A deleted secret is never restored, so that a
    revoked secret does not become active again.

    Args:
        stack: the stack of the webhook.
        processor_id: the ProcessorID that its payments have.
        format_name: one of `FORMATS`; None means `DEFAULT_FORMAT`.
        secret: the secret that the processor signs with; None generates one, if the format allows that.
        prefix: the text with which the processor's TransactionIDs must begin; none if it is empty or None.

    Raises:
        WebhookError: the processor is registered already, its secret text is not usable, an argument is wrong, or the
            stack has no webhook. Nothing was changed.
        StackError: AWS denies a call, or does not answer.
    """
    text_before = read_secret_text(stack, processor_id)
    format_name = format_name or DEFAULT_FORMAT
    if text_before is not None:
        parse_secret_text(stack, processor_id, text_before)
        if secret is None:
            raise _registered_already(stack, processor_id)
    new_secret = _generate_secret(format_name) if secret is None else secret
    after = _describe(format_name, [new_secret], None, prefix)
    text = json.dumps(after)
    if text_before is None:
        unknown = f"whether {processor_id} is registered is not known: run this command again"
        write_secret_text(stack, processor_id, text, creates=True, if_unknown=unknown)
    elif text_before != text:
        raise _registered_already(stack, processor_id)
    return _registration(
        stack, processor_id, after, new_secret if secret is None else None, known_within_s=NEW_WITHIN_S
    )


def rotate_secret(
    stack: Stack,
    processor_id: str,
    *,
    format_name: str | None = None,
    secret: str | None = None,
    only: bool = False,
) -> Registration:
    """Give a registered processor a new secret.

    Args:
        stack: the stack of the webhook.
        processor_id: the ProcessorID.
        format_name: the processor's format. It is needed only to replace a secret text that is not usable.
        secret: the secret that the processor signs with; None generates one, if the format allows that.
        only: revoke every other secret, instead of keeping the newest of them for `OLDER_FOR_S`.

    Raises:
        WebhookError: the processor is not registered, an argument is wrong, or the stack has no webhook. Nothing was
            changed.
        StackError: AWS denies a call, or does not answer.
    """
    now_s = int(time.time())
    text_before = _read_registered(stack, processor_id)
    before = _parse(stack, processor_id, text_before, is_replaced=only and format_name is not None)
    format_name = _resolve_format(processor_id, before, format_name)
    new_secret = _generate_secret(format_name) if secret is None else secret
    older = [] if only or not before else [one for one in _active_secrets(before, now_s) if one != new_secret]
    active = [new_secret, *older][:MAX_SECRETS]
    older_until = None
    if len(active) > 1:
        is_same = before is not None and active == before["Secrets"]
        older_until = before["OlderUntil"] if before and is_same else _utc(now_s + OLDER_FOR_S)
    after = _describe(format_name, active, older_until, (before or {}).get("Prefix"))
    if after != before:
        unknown = (
            f"whether the old secrets of {processor_id} are still active is not known: run this command again"
            if only
            else f"whether {processor_id} has the new secret is not known: look before you run this command again"
        )
        write_secret_text(stack, processor_id, json.dumps(after), if_unknown=unknown)
    return _registration(stack, processor_id, after, new_secret if secret is None else None)


def set_prefix(stack: Stack, processor_id: str, prefix: str) -> Registration:
    """Set the text with which a registered processor's TransactionIDs must begin; an empty text allows any.

    The processor keeps its active secrets, and their ends.

    Raises:
        WebhookError: the processor is not registered, the prefix is wrong, or the stack has no webhook. Nothing was
            changed.
        StackError: AWS denies a call, or does not answer.
    """
    before = parse_secret_text(stack, processor_id, _read_registered(stack, processor_id))
    active = _active_secrets(before, int(time.time()))
    older_until = before["OlderUntil"] if len(active) > 1 else None
    after = _describe(before["Format"], active, older_until, prefix)
    if after != before:
        unknown = f"whether {processor_id} has the new prefix is not known: run this command again"
        write_secret_text(stack, processor_id, json.dumps(after), if_unknown=unknown)
    return _registration(stack, processor_id, after, None)


def not_registered(stack: Stack, processor_id: str) -> WebhookError:
    """Return the error for a processor that the stack does not know."""
    register = stack.command("register-processor", processor_id)
    return WebhookError(f"{processor_id} is not registered: register it with `{register}`")


def _registered_already(stack: Stack, processor_id: str) -> WebhookError:
    rotate = stack.command("rotate-secret", processor_id)
    return WebhookError(f"{processor_id} is registered already: give it a new secret with `{rotate}`")


def _read_registered(stack: Stack, processor_id: str) -> str:
    text = read_secret_text(stack, processor_id)
    if text is None:
        raise not_registered(stack, processor_id)
    return text


def _parse(stack: Stack, processor_id: str, text: str, *, is_replaced: bool) -> dict[str, Any] | None:
    """Return what the text describes; None if the text is not usable, and is replaced as a whole."""
    try:
        return parse_secret_text(stack, processor_id, text)
    except WebhookError:
        if is_replaced:
            return None
        raise


def _resolve_format(processor_id: str, before: Mapping[str, Any] | None, requested: str | None) -> str:
    """Return the processor's own format, which nobody can change."""
    if before is None:
        return requested or DEFAULT_FORMAT
    own: str = before["Format"]
    if requested not in {None, own}:
        raise WebhookError(f"{processor_id} has the format {own}: register another ProcessorID for another format")
    return own


def _generate_secret(format_name: str) -> str:
    form = FORMATS[format_name].scheme.secret
    if form is STANDARD_SECRET:
        return f"whsec_{base64.b64encode(secrets.token_bytes(GENERATED_BYTES)).decode()}"
    if form is CHOSEN_SECRET:
        return secrets.token_hex(GENERATED_HEX_BYTES)
    raise WebhookError(
        f"with the format {format_name}, the processor makes the secret: copy it, and give it with --secret -"
    )


def _active_secrets(described: Mapping[str, Any], now_s: int) -> Sequence[str]:
    return Processor.parse(json.dumps(described)).active(now_s)


def _describe(format_name: str, active: Sequence[str], older_until: str | None, prefix: str | None) -> dict[str, Any]:
    """Return what the secret's text is to describe, after checking it as the webhook will."""
    try:
        for secret in active:
            check_secret(format_name, secret)
        if prefix:
            check_prefix(prefix)
    except ProcessorSecretError as error:
        raise WebhookError(str(error)) from None
    described: dict[str, Any] = {"Format": format_name, "Secrets": list(active)}
    if older_until:
        described["OlderUntil"] = older_until
    if prefix:
        described["Prefix"] = prefix
    return described


def _registration(
    stack: Stack,
    processor_id: str,
    described: Mapping[str, Any],
    generated: str | None,
    *,
    known_within_s: int = KNOWN_FOR_S,
) -> Registration:
    return Registration(
        processor_id=processor_id,
        format=described["Format"],
        webhook=webhook_url(stack, processor_id),
        secret=generated,
        prefix=described.get("Prefix"),
        active=len(described["Secrets"]),
        older_until=described.get("OlderUntil"),
        within_minutes=known_within_s // 60,
    )


def _utc(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
