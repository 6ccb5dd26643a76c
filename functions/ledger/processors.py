"""The processors that may post payments: how each signs and writes, and the secrets that it signs with."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.formats import FORMATS, Format
from ledger.payment import IDENTIFIER
from ledger.signature import STANDARD_WEBHOOKS, RefusedSignatureError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_SECRETS = 2
"""Active at once for a processor: the new one and, until it signs with that, the old one."""

STANDARD_KEY_BYTES = range(24, 65)
"""Source: the Standard Webhooks specification, version 1.0.0, signing secrets."""

KNOWN_FOR_S = 300
UNKNOWN_FOR_S = 60
MAX_UNKNOWN = 256


class ProcessorSecretError(Exception):
    """What Secrets Manager has for a processor is not usable: whoever put it there mends it. Says no part of it."""


@dataclass(frozen=True, slots=True)
class Processor:
    """One that was let in."""

    format: Format
    secrets: Sequence[str]

    @classmethod
    def parse(cls, text: str) -> "Processor":
        """The processor that a secret's text `{"Format": …, "Secrets": […]}` describes, the newest secret first.

        A text that was put there by hand may have any shape, and some would let everybody in: a string where the list
        should be is a list of its letters.

        Raises:
            ProcessorSecretError: it has not that shape, or a secret is none of its format.
        """
        try:
            described: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise ProcessorSecretError("it is not JSON") from None
        if not isinstance(described, dict) or described.keys() != {"Format", "Secrets"}:
            raise ProcessorSecretError('it is not {"Format": …, "Secrets": […]}')
        if described["Format"] not in list(FORMATS):
            raise ProcessorSecretError(f"Format is one of {', '.join(FORMATS)}")
        secrets = described["Secrets"]
        if not isinstance(secrets, list) or not 1 <= len(secrets) <= MAX_SECRETS:
            raise ProcessorSecretError(f"Secrets is a list of 1 to {MAX_SECRETS}")
        for secret in secrets:
            check_secret(described["Format"], secret)
        return cls(FORMATS[described["Format"]], secrets)


def check_secret(format_name: str, secret: object) -> None:
    """Return where a processor of this format can sign with *secret*, and nobody can guess it.

    Raises:
        ProcessorSecretError: says what a secret of this format is.
    """
    if not isinstance(secret, str) or not secret.isascii() or not secret.isprintable():
        raise ProcessorSecretError("a secret is one line of ASCII")
    if FORMATS[format_name].scheme is STANDARD_WEBHOOKS:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
        if len(key) not in STANDARD_KEY_BYTES:
            raise ProcessorSecretError("a secret is whsec_ and base64 of 24 to 64 bytes, as Standard Webhooks has it")
    elif not secret.startswith("whsec_") or len(secret) < len("whsec_") + 16:
        raise ProcessorSecretError("a Stripe endpoint's secret is whsec_ and 16 characters or more")


class Processors:
    """Asks Secrets Manager for each processor, and remembers the answer for a while.

    A rotated secret is known after `KNOWN_FOR_S`: until then the old one must stay active beside it. Names that nobody
    has can be made up without end, so they are remembered apart, and not many.
    """

    def __init__(self, client: "SecretsManagerClient", prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        self._known: dict[str, tuple[int, Processor]] = {}
        self._unknown: dict[str, int] = {}

    def of(self, processor_id: str, now_s: int) -> Processor:
        """The processor of that name.

        Raises:
            RefusedSignatureError: nobody has let it in, or it was shut out.
            ProcessorSecretError: its secret is not usable.
            ClientError: any other error of Secrets Manager, unchanged.
        """
        if not IDENTIFIER.fullmatch(processor_id) or now_s < self._unknown.get(processor_id, 0):
            raise RefusedSignatureError("unknown_processor")
        until_s, processor = self._known.get(processor_id, (0, None))
        if processor is None or now_s >= until_s:
            processor = Processor.parse(self._asked(processor_id, now_s))
            self._known[processor_id] = (now_s + KNOWN_FOR_S, processor)
        return processor

    def _asked(self, processor_id: str, now_s: int) -> str:
        errors = self.client.exceptions
        try:
            reply: Mapping[str, Any] = self.client.get_secret_value(SecretId=f"{self.prefix}{processor_id}")
        # Invalid is the request for a secret that is scheduled to be deleted: whoever did that shut the processor out.
        except (errors.ResourceNotFoundException, errors.InvalidRequestException):
            self._known.pop(processor_id, None)
            if len(self._unknown) >= MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown[processor_id] = now_s + UNKNOWN_FOR_S
            raise RefusedSignatureError("unknown_processor") from None
        return str(reply["SecretString"])
