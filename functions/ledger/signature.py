"""Who sent a webhook: HMAC-SHA-256 over its time and its raw body, under a secret that the processor shares.

Two schemes are known. Neither is ours, so that a processor signs with a library that it has.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

TOLERANCE_S = 300
"""How far a request's time may be from ours, either way: longer, and a recorded request could be played again."""

TIME = re.compile(r"[0-9]{1,12}")


class InvalidSignatureError(Exception):
    """The request is not, or no longer, the processor's. Its text is for our log: the sender is not told it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request's headers claim: when it was sent (Unix seconds), what was signed, and the signatures of it."""

    sent_at_s: int
    content: bytes
    signatures: Sequence[str]


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to sign: what the headers claim, and the signature of some content under a secret."""

    claim: Callable[[Mapping[str, str], bytes], Claim]
    sign: Callable[[str, bytes], str]


def plausible_schemes(headers: Mapping[str, str], now_s: int) -> list[Scheme]:
    """Return the schemes by which the headers are well-formed and say that the request was signed at about this time.

    Anybody can write such headers: only `verify` says who signed. They are what costs nothing to check.

    Args:
        headers: the request's, by name in any case.
        now_s: our time, in Unix seconds.

    Raises:
        InvalidSignatureError: there is no such scheme.
    """
    plausible, reasons = [], []
    for scheme in (STANDARD_WEBHOOKS, STRIPE):
        try:
            _claim(scheme, headers, b"", now_s)
        except InvalidSignatureError as refused:
            reasons.append(str(refused))
        else:
            plausible.append(scheme)
    if not plausible:
        raise InvalidSignatureError(next((reason for reason in reasons if reason != "no_signature"), "no_signature"))
    return plausible


def verify(scheme: Scheme, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now_s: int) -> None:
    """Return where one of the processor's active secrets has signed this body at about this time.

    Args:
        scheme: how the processor signs.
        secrets: its active ones.
        headers: the request's, by name in any case.
        body: as it came, byte for byte.
        now_s: our time, in Unix seconds.

    Raises:
        InvalidSignatureError: headers are missing or malformed, the time is not near, or no signature is right.
    """
    claim = _claim(scheme, headers, body, now_s)
    expected = [scheme.sign(secret, claim.content).encode() for secret in secrets]
    # Every pair is compared, each in constant time: how long it takes tells nothing of what was nearly right.
    right = [hmac.compare_digest(_bytes(given), own) for given in claim.signatures for own in expected]
    if not any(right):
        raise InvalidSignatureError("wrong_signature")


def _claim(scheme: Scheme, headers: Mapping[str, str], body: bytes, now_s: int) -> Claim:
    claim = scheme.claim({name.lower(): value for name, value in headers.items()}, body)
    if abs(now_s - claim.sent_at_s) > TOLERANCE_S:
        raise InvalidSignatureError("not_now")
    return claim


def _header(headers: Mapping[str, str], name: str) -> str:
    if name not in headers:
        raise InvalidSignatureError("no_signature")
    return headers[name]


def _bytes(text: str) -> bytes:
    """A header may hold anything; what is no text is not what was signed."""
    return text.encode(errors="replace")


def _seconds(text: str) -> int:
    if not TIME.fullmatch(text):
        raise InvalidSignatureError("malformed")
    return int(text)


def _standard_claim(headers: Mapping[str, str], body: bytes) -> Claim:
    """What the `webhook-` headers claim; if there is none, what Svix's own names for them do.

    The two sets are never mixed. If a standard name is present, the standard ones have to be right.
    """
    names = ("id", "timestamp", "signature")
    prefix = "webhook" if any(f"webhook-{name}" in headers for name in names) else "svix"
    message_id, sent_at, signatures = (_header(headers, f"{prefix}-{name}") for name in names)
    versions = [one.partition(",") for one in signatures.split(" ")]
    return Claim(
        sent_at_s=_seconds(sent_at),
        content=_bytes(f"{message_id}.{sent_at}.") + body,
        signatures=[signature for version, _, signature in versions if version == "v1"],
    )


def _standard_sign(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))  # which `processors.check_secret` has looked at
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _stripe_claim(headers: Mapping[str, str], body: bytes) -> Claim:
    pairs = [part.partition("=") for part in _header(headers, "stripe-signature").split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1:
        raise InvalidSignatureError("malformed")
    (sent_at,) = times
    return Claim(
        sent_at_s=_seconds(sent_at),
        content=f"{sent_at}.".encode() + body,
        signatures=[value for name, _, value in pairs if name == "v1"],
    )


def _stripe_sign(secret: str, content: bytes) -> str:
    return hmac.digest(secret.encode(), content, hashlib.sha256).hex()


STANDARD_WEBHOOKS = Scheme(_standard_claim, _standard_sign)
"""Source: the Standard Webhooks specification, version 1.0.0, symmetric signatures; Svix's documentation, verifying
webhooks manually, for its header names."""

STRIPE = Scheme(_stripe_claim, _stripe_sign)
"""Source: Stripe's documentation, "Verify webhook signatures manually"."""
