"""Processors that may post payments: how each signs and formats its messages, and its secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ledger.fields import is_identifier
from ledger.formats import FORMATS, Format
from ledger.identifiers import READABLE_BYTES
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_SECRETS = 2
"""Secrets that a processor may have at once: the new one and, until the processor signs with it, the old one."""

OLDER_FOR_S = 24 * 3600
"""Time for which a replaced secret stays active beside the new one."""

PREFIX = re.compile(f"[A-Za-z0-9_-]{{1,{READABLE_BYTES}}}")
"""Form of a prefix, which all TransactionIDs of a processor begin with. A mapped ID keeps no more of its original."""

KNOWN_FOR_S = 300
"""Time after which the processors are fetched again."""

UNKNOWN_FOR_S = 60
"""Time after which they are fetched again for a name that is not registered, or whose secret is not usable."""

PAGE = 20
"""Secrets of one call. Source: Secrets Manager API Reference, BatchGetSecretValue, MaxResults."""

DELETED = frozenset({"InvalidRequestException", "ResourceNotFoundException"})
"""Error codes for a secret that is scheduled for deletion, or gone. Source: as above, errors."""


class ProcessorSecretError(Exception):
    """The secret that Secrets Manager has for a processor is not usable. The message contains no part of it.

    The operator who stored the secret has to fix it.
    """


@dataclass(frozen=True, slots=True)
class Processor:
    """A registered processor.

    Attributes:
        format: how the processor signs and formats its messages.
        secrets: its secrets, the newest first; `active` says which of them are valid.
        older_until_s: when the older one of two secrets ends, in Unix seconds.
        prefix: the beginning of its TransactionIDs; empty if they may be any.
    """

    format: Format
    secrets: Sequence[str]
    older_until_s: float
    prefix: str

    def active(self, now_s: int) -> Sequence[str]:
        """Return the secrets that are valid at *now_s* (Unix seconds): the newest, and the older one until its end."""
        return self.secrets if now_s < self.older_until_s else self.secrets[:1]

    @classmethod
    def parse(cls, text: str) -> Processor:
        """Return the processor that a secret's text describes.

        The text is `{"Format": …, "Secrets": […]}`, the newest secret first. It may have `"OlderUntil"`, the RFC 3339
        time at which the older one of two secrets ends, and `"Prefix"`. If there are two secrets and no `OlderUntil`,
        only the newest is active.

        A text that somebody wrote by hand may have any shape, and some shapes would admit every sender: a string in the
        place of the list would be a list of its letters.

        Raises:
            ProcessorSecretError: the text has another shape, or a secret does not fit the format.
        """
        try:
            described: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise ProcessorSecretError("it is not JSON") from None
        if not isinstance(described, dict) or described.keys() - {"OlderUntil", "Prefix"} != {"Format", "Secrets"}:
            raise ProcessorSecretError('it is not {"Format": …, "Secrets": […]}, with "OlderUntil" and "Prefix" if any')
        if described["Format"] not in list(FORMATS):
            raise ProcessorSecretError(f"Format is one of {', '.join(FORMATS)}")
        secrets = described["Secrets"]
        if not isinstance(secrets, list) or not 1 <= len(secrets) <= MAX_SECRETS:
            raise ProcessorSecretError(f"Secrets is a list of 1 to {MAX_SECRETS}")
        for secret in secrets:
            check_secret(described["Format"], secret)
        older_until_s = unix_seconds(described["OlderUntil"]) if "OlderUntil" in described else 0
        prefix = described.get("Prefix", "")
        if "Prefix" in described:
            check_prefix(prefix)
        return cls(FORMATS[described["Format"]], secrets, older_until_s, prefix)


def unix_seconds(older_until: object) -> float:
    """Return the time of an `OlderUntil`, in Unix seconds.

    Raises:
        ProcessorSecretError: the value is not a time.
    """
    try:
        return datetime.fromisoformat(utc_timestamp(older_until)).timestamp()
    except BrokenRuleError:
        raise ProcessorSecretError("OlderUntil is an RFC 3339 date-time with an offset") from None


def check_prefix(prefix: object) -> None:
    """Return if TransactionIDs can begin with *prefix*.

    Raises:
        ProcessorSecretError: they cannot. The message says what a prefix is.
    """
    if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix):
        raise ProcessorSecretError(f"a prefix is 1 to {READABLE_BYTES} of A-Z a-z 0-9 _ -")


def check_secret(format_name: str, secret: object) -> None:
    """Return if a processor of this format can sign with *secret*, and nobody can guess it.

    Raises:
        ProcessorSecretError: the secret is invalid or too short. The message says what a secret of this format is.
    """
    if not isinstance(secret, str) or not secret.isascii() or not secret.isprintable():
        raise ProcessorSecretError("a secret is one line of ASCII")
    form = FORMATS[format_name].scheme.secret
    if not form.is_valid(secret):
        raise ProcessorSecretError(f"a secret of the format {format_name} is {form.description}")


class Processors:
    """All processors of the stack, fetched from Secrets Manager at once and remembered for a while.

    A change takes effect after at most `KNOWN_FOR_S`. For a name that is not registered, or whose secret is not usable,
    the processors are fetched again after `UNKNOWN_FOR_S`. An attacker can invent any number of names: all of them
    together cost one fetch in that time.
    """

    def __init__(self, client: SecretsManagerClient, prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        self._found: dict[str, Processor | ProcessorSecretError] = {}
        self._fetched_at_s: int | None = None
        self._asked_at_s = -UNKNOWN_FOR_S

    def fetch_once(self, now_s: int) -> None:
        """Fetch the processors if no fetch has succeeded, and none was tried in the last `UNKNOWN_FOR_S`.

        Raises:
            ClientError: any Secrets Manager error, unchanged.
        """
        if self._fetched_at_s is None and now_s >= self._asked_at_s + UNKNOWN_FOR_S:
            self._fetch(now_s)

    def remembers(self, processor_id: str) -> bool:
        """Return whether the last fetch found this processor. It makes no call."""
        return processor_id in self._found

    def find(self, processor_id: str, now_s: int) -> Processor | None:
        """Return the processor of that name; None if it is not registered, or was revoked.

        Raises:
            ProcessorSecretError: the secret of this processor is not usable. Other processors are not affected.
            ClientError: any Secrets Manager error, unchanged.
        """
        if not is_identifier(processor_id):
            return None
        is_usable = isinstance(self._found.get(processor_id), Processor)
        if (
            self._fetched_at_s is None
            or now_s >= self._fetched_at_s + KNOWN_FOR_S
            or (not is_usable and now_s >= self._asked_at_s + UNKNOWN_FOR_S)
        ):
            self._fetch(now_s)
        found = self._found.get(processor_id)
        if isinstance(found, ProcessorSecretError):
            raise ProcessorSecretError(*found.args)
        return found

    def _fetch(self, now_s: int) -> None:
        self._asked_at_s = now_s
        # A processor that was fetched stays valid for its time, even if Secrets Manager fails to return its secret when
        # the fetch was for another processor.
        kept = self._found if self._fetched_at_s is not None and now_s < self._fetched_at_s + KNOWN_FOR_S else {}
        found: dict[str, Processor | ProcessorSecretError] = {}
        fetched_at_s = now_s
        page: dict[str, Any] = {}
        while True:
            reply: Mapping[str, Any] = self.client.batch_get_secret_value(
                Filters=[{"Key": "name", "Values": [self.prefix]}], MaxResults=PAGE, **page
            )
            for secret in reply["SecretValues"]:
                found[self._processor_id(secret["Name"])] = _parse_or_error(secret.get("SecretString", ""))
            for failed in reply.get("Errors", []):
                if failed["ErrorCode"] not in DELETED:
                    processor_id = self._processor_id(failed["SecretId"])
                    error = ProcessorSecretError(f"Secrets Manager does not give it: {failed['ErrorCode']}")
                    found[processor_id] = kept.get(processor_id, error)
                    if processor_id in kept and self._fetched_at_s is not None:
                        fetched_at_s = self._fetched_at_s
            if not reply.get("NextToken"):
                break
            page = {"NextToken": reply["NextToken"]}
        self._found, self._fetched_at_s = found, fetched_at_s

    def _processor_id(self, secret_id: str) -> str:
        """Return the ProcessorID in a secret's name or ARN. An ARN ends in a hyphen and six random characters."""
        if secret_id.startswith("arn:"):
            secret_id = secret_id.split(":", 6)[6][:-7]
        return secret_id.removeprefix(self.prefix)


def _parse_or_error(text: str) -> Processor | ProcessorSecretError:
    """Return the processor, or the error that its text causes: the error is raised when the processor is needed."""
    try:
        return Processor.parse(text)
    except ProcessorSecretError as error:
        return error
