"""Signatures of webhooks: HMAC-SHA-256 over the time and the raw body, under a secret that the processor shares.

The ledger knows two schemes. It defines neither of them, so a processor can sign with a library that it already has.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

TOLERANCE_S = 300
"""Difference that is allowed between a request's time and the ledger's, either way. With a longer one, an attacker
could replay a recorded request."""

TIME = re.compile(r"[0-9]{1,12}")


class InvalidSignatureError(Exception):
    """The processor did not sign the request, or signed it too long ago.

    The message is a reason for the ledger's log. The sender does not get it.
    """


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of a request's headers: when it was sent (Unix seconds), the signed content, and the signatures."""

    sent_at_s: int
    content: bytes
    signatures: Sequence[str]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to sign: how to read the claim from the headers, and how to sign content with a secret."""

    claim: Callable[[Mapping[str, str], bytes], Claim]
    sign: Callable[[str, bytes], str]


def plausible_schemes(headers: Mapping[str, str], now_s: int) -> list[Scheme]:
    """Return the schemes whose headers are well-formed and claim that the request was signed at about this time.

    Anybody can write such headers: only `verify` shows who signed. But checking them costs nothing.

    Args:
        headers: the request's headers, by name in any case.
        now_s: the ledger's time, in Unix seconds.

    Raises:
        InvalidSignatureError: no scheme has such headers.
    """
    plausible, reasons = [], []
    for scheme in (STANDARD_WEBHOOKS, STRIPE):
        try:
            _claim(scheme, headers, b"", now_s)
        except InvalidSignatureError as invalid:
            reasons.append(str(invalid))
        else:
            plausible.append(scheme)
    if not plausible:
        raise InvalidSignatureError(next((reason for reason in reasons if reason != "no_signature"), "no_signature"))
    return plausible


def verify(scheme: Scheme, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now_s: int) -> None:
    """Return if one of the processor's active secrets signed this body at about this time.

    Args:
        scheme: how the processor signs.
        secrets: the processor's active secrets.
        headers: the request's headers, by name in any case.
        body: the body as it came, byte for byte.
        now_s: the ledger's time, in Unix seconds.

    Raises:
        InvalidSignatureError: headers are missing or malformed, the time is too far away, or no signature is correct.
    """
    claim = _claim(scheme, headers, body, now_s)
    expected = [scheme.sign(secret, claim.content).encode() for secret in secrets]
    # Compare every pair, each in constant time, so that the time taken does not show what was nearly correct.
    matches = [hmac.compare_digest(_bytes(given), own) for given in claim.signatures for own in expected]
    if not any(matches):
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
    """Return the bytes of a header, which may hold anything. If it is not proper text, it cannot match a signature."""
    return text.encode(errors="replace")


def _seconds(text: str) -> int:
    if not TIME.fullmatch(text):
        raise InvalidSignatureError("malformed")
    return int(text)


def _standard_claim(headers: Mapping[str, str], body: bytes) -> Claim:
    """Return the claim of the `webhook-` headers; if there is none of them, that of Svix's own names for them.

    The two sets are never mixed. If one standard name is present, all standard headers must be correct.
    """
    names = ("id", "timestamp", "signature")
    prefix = "webhook" if any(f"webhook-{name}" in headers for name in names) else "svix"
    message_id, sent_at, signatures = (_header(headers, f"{prefix}-{name}") for name in names)
    versions = [part.partition(",") for part in signatures.split(" ")]
    return Claim(
        sent_at_s=_seconds(sent_at),
        content=_bytes(f"{message_id}.{sent_at}.") + body,
        signatures=[signature for version, _, signature in versions if version == "v1"],
    )


def _standard_sign(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))  # `processors.check_secret` has checked it
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
