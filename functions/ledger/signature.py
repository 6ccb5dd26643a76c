"""Signatures of webhooks: HMAC-SHA-256 under a secret that the processor shares, over the body and more.

The ledger defines none of these schemes, so a processor signs as it always does. What each signs:

| scheme | the signed content | time |
|---|---|---|
| `STANDARD_WEBHOOKS`, `POLAR` | the message's ID, the time, the body | signed |
| `STRIPE`, `PADDLE` | the time, the body | signed |
| `SQUARE` | the URL of the webhook, the body | none |
| `CHECKOUT`, `LEMON_SQUEEZY`, `MOLLIE`, `RAZORPAY` | the body | none |
| `ADYEN` | eight values in the body, and no time | none |

Without a signed time, a recorded request is valid forever. Then it is the ledger that records nothing twice.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ledger.strict_json import StrictJSONError, loads

TOLERANCE_S = 300
"""Difference that is allowed between a request's time and the ledger's, either way. With a longer one, an attacker
could replay a recorded request."""

TIME = re.compile(r"[0-9]{1,12}")

MAX_ADYEN_BYTES = 256 * 1024
"""The largest body that is read before it is known who signed it."""

STANDARD_KEY_BYTES = range(24, 65)
"""Lengths of a key. Source: the Standard Webhooks specification, version 1.0.0, signing secrets."""


class InvalidSignatureError(Exception):
    """The processor did not sign the request, or signed it too long ago.

    The message is a reason for the ledger's log. The sender does not get it.
    """


class Received(NamedTuple):
    """A request as it came.

    `headers` are by name in lower case, `url` is the address to which it was posted, and `body` is as it came, byte for
    byte.
    """

    headers: Mapping[str, str]
    url: str
    body: bytes

    @classmethod
    def of(cls, headers: Mapping[str, str], url: str, body: bytes) -> "Received":
        """Return the request with these headers, whose names may be in any case."""
        return cls({name.lower(): value for name, value in headers.items()}, url, body)


class Claim(NamedTuple):
    """What a request claims: its signed content, the signatures, and the signed time (Unix seconds) if it has one."""

    content: bytes
    signatures: Sequence[str]
    sent_at_s: int | None = None


@dataclass(frozen=True, slots=True)
class SecretForm:
    """The form of a scheme's secrets.

    Attributes:
        description: what such a secret is, for a message.
        is_valid: whether a text is such a secret, and nobody can guess it.
        keys: returns the keys that such a secret may hold, the usual one first.
    """

    description: str
    is_valid: Callable[[str], bool]
    keys: Callable[[str], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to sign.

    Attributes:
        claim: reads the claim of a request.
        secret: the form of the secrets.
        encode: returns a signature as requests have it.
        signs: what it signs, in a few words. Without a time, a recorded request is valid forever.
        leaves_unsigned: what it does not sign, in a few words.
        header: the name of the header that has nothing but one signature, if there is such a header.
        prefix: what stands before the signature in that header.
    """

    claim: Callable[[Received], Claim]
    secret: SecretForm
    encode: Callable[[bytes], str]
    signs: str
    leaves_unsigned: str
    header: str = ""
    prefix: str = ""

    def signatures(self, secret: str, content: bytes) -> list[str]:
        """Return the signature of *content* under each key that a secret of this scheme may hold."""
        return [self.encode(hmac.digest(key, content, hashlib.sha256)) for key in self.secret.keys(secret)]

    def sign(self, secret: str, content: bytes) -> str:
        """Return the signature of *content* under the usual key of a secret of this scheme."""
        return self.signatures(secret, content)[0]


def plausible_schemes(received: Received, now_s: int) -> list[Scheme]:
    """Return the schemes whose form the request has, if it claims to be signed at about this time.

    Anybody can write such a request: only `verify` shows who signed. But checking its form costs nothing.

    Args:
        received: the request.
        now_s: the ledger's time, in Unix seconds.

    Raises:
        InvalidSignatureError: the request has the form of no scheme.
    """
    plausible: list[Scheme] = []
    reasons = []
    for scheme in SCHEMES:
        if scheme is ADYEN:
            # It has no header, and reading a body costs something: only a processor that signs so is worth that.
            if not plausible and _may_be_adyens(received.body):
                plausible.append(scheme)
            continue
        try:
            _claim(scheme, received, now_s)
        except InvalidSignatureError as invalid:
            reasons.append(str(invalid))
        else:
            plausible.append(scheme)
    if not plausible:
        raise InvalidSignatureError(next((reason for reason in reasons if reason != "no_signature"), "no_signature"))
    return plausible


def verify(scheme: Scheme, secrets: Sequence[str], received: Received, now_s: int) -> None:
    """Return if one of the processor's active secrets signed this request, and at about this time if it has a time.

    Args:
        scheme: how the processor signs.
        secrets: the processor's active secrets.
        received: the request.
        now_s: the ledger's time, in Unix seconds.

    Raises:
        InvalidSignatureError: the signature is missing or malformed, the time is too far away, or no signature is
            correct.
    """
    claim = _claim(scheme, received, now_s)
    expected = [own.encode() for secret in secrets for own in scheme.signatures(secret, claim.content)]
    # Compare every pair, each in constant time, so that the time taken does not show what was nearly correct.
    matches = [hmac.compare_digest(_bytes(given), own) for given in claim.signatures for own in expected]
    if not any(matches):
        raise InvalidSignatureError("wrong_signature")


def _claim(scheme: Scheme, received: Received, now_s: int) -> Claim:
    claim = scheme.claim(received)
    if claim.sent_at_s is not None and abs(now_s - claim.sent_at_s) > TOLERANCE_S:
        raise InvalidSignatureError("not_now")
    return claim


def _header(received: Received, name: str) -> str:
    if name not in received.headers:
        raise InvalidSignatureError("no_signature")
    return received.headers[name]


def _bytes(text: str) -> bytes:
    """Return the bytes of a header, which may hold anything. If it is not proper text, it cannot match a signature."""
    return text.encode(errors="replace")


def _seconds(text: str) -> int:
    if not TIME.fullmatch(text):
        raise InvalidSignatureError("malformed")
    return int(text)


# ── Secrets ─────────────────────────────────────────────────────────────────────────────────────────


def _standard_keys(secret: str) -> list[bytes]:
    return [base64.b64decode(secret.removeprefix("whsec_"), validate=True)]


def _is_standard(secret: str) -> bool:
    try:
        return len(_standard_keys(secret)[0]) in STANDARD_KEY_BYTES
    except binascii.Error:
        return False


def _polar_keys(secret: str) -> list[bytes]:
    """Return the secret as it stands, and what its base64 holds: Polar signs with either, as the endpoint is set.

    What is too short for a key of the standard is no key.
    """
    text = secret.removeprefix("whsec_")
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return [secret.encode()]
    return [secret.encode(), decoded] if len(decoded) >= STANDARD_KEY_BYTES.start else [secret.encode()]


def _text(secret: str) -> list[bytes]:
    return [secret.encode()]


def _hexadecimal_keys(secret: str) -> list[bytes]:
    return [bytes.fromhex(secret)]


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda secret: re.fullmatch(pattern, secret) is not None


STANDARD_SECRET = SecretForm("whsec_ and base64 of 24 to 64 bytes", _is_standard, _standard_keys)
STRIPES_SECRET = SecretForm("whsec_ and 16 characters or more", _matches("whsec_.{16,}"), _text)
ADYENS_SECRET = SecretForm("64 hexadecimal digits", _matches("[0-9A-Fa-f]{64}"), _hexadecimal_keys)
OWN_SECRET = SecretForm("16 characters or more", _matches(".{16,}"), _text)
CHOSEN_SECRET = SecretForm("16 characters or more, chosen by you", _matches(".{16,}"), _text)
"""Of a processor that lets a person choose the secret."""
POLARS_SECRET = SecretForm(OWN_SECRET.description, OWN_SECRET.is_valid, _polar_keys)


def _hexadecimal(digest: bytes) -> str:
    return digest.hex()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


# ── Claims ──────────────────────────────────────────────────────────────────────────────────────────


def _standard_claim(received: Received) -> Claim:
    """Return the claim of the `webhook-` headers; if there is none of them, that of Svix's own names for them.

    The two sets are never mixed. If one standard name is present, all standard headers must be correct.
    """
    names = ("id", "timestamp", "signature")
    prefix = "webhook" if any(f"webhook-{name}" in received.headers for name in names) else "svix"
    message_id, sent_at, signatures = (_header(received, f"{prefix}-{name}") for name in names)
    versions = [part.partition(",") for part in signatures.split(" ")]
    return Claim(
        content=_bytes(f"{message_id}.{sent_at}.") + received.body,
        signatures=[signature for version, _, signature in versions if version == "v1"],
        sent_at_s=_seconds(sent_at),
    )


def _timed(header: str, time: str, version: str, *, separator: str, after_time: bytes) -> Callable[[Received], Claim]:
    """Return the claim of a header with named parts: one time, and a signature of each active secret."""

    def claim(received: Received) -> Claim:
        pairs = [part.partition("=") for part in _header(received, header).split(separator)]
        times = [value for name, _, value in pairs if name == time]
        if len(times) != 1:
            raise InvalidSignatureError("malformed")
        sent_at_s = _seconds(times[0])
        return Claim(
            content=times[0].encode() + after_time + received.body,
            signatures=[value for name, _, value in pairs if name == version],
            sent_at_s=sent_at_s,
        )

    return claim


def _of_the_body(header: str, secret: SecretForm, prefix: str = "") -> "Scheme":
    """Return the scheme of a header that has signatures of the body alone, each after a prefix.

    A processor that changes its secret may send the header twice. API Gateway joins the two with a comma.
    """

    def claim(received: Received) -> Claim:
        signatures = [part.strip() for part in _header(received, header).split(",")]
        return Claim(
            content=received.body,
            signatures=[one.removeprefix(prefix) for one in signatures if one.startswith(prefix)],
        )

    return Scheme(claim, secret, _hexadecimal, "the body", "the time, the webhook's URL", header, prefix)


def _square_claim(received: Received) -> Claim:
    signature = _header(received, "x-square-hmacsha256-signature")
    return Claim(content=_bytes(received.url) + received.body, signatures=[signature])


def _may_be_adyens(body: bytes) -> bool:
    return len(body) <= MAX_ADYEN_BYTES and b'"hmacSignature"' in body


def _adyen_claim(received: Received) -> Claim:
    """Return the claim of the one notification in the body. Its signature is in the body too."""
    if not _may_be_adyens(received.body):
        raise InvalidSignatureError("no_signature")
    try:
        notification = loads(received.body)
    except StrictJSONError:
        raise InvalidSignatureError("no_signature") from None
    item = adyen_item(notification)
    added = item.get("additionalData") if isinstance(item, dict) else None
    signature = added.get("hmacSignature") if isinstance(added, dict) else None
    if not isinstance(signature, str):
        raise InvalidSignatureError("no_signature")
    return Claim(content=adyen_content(item), signatures=[signature])


def adyen_item(notification: Any) -> Any:
    """Return the first item of a notification; None if it has none. The mapping rejects one that has several."""
    items = notification.get("notificationItems") if isinstance(notification, dict) else None
    first = items[0] if isinstance(items, list) and items else None
    return first.get("NotificationRequestItem") if isinstance(first, dict) else None


ADYEN_SIGNED = (
    ("pspReference",),
    ("originalReference",),
    ("merchantAccountCode",),
    ("merchantReference",),
    ("amount", "value"),
    ("amount", "currency"),
    ("eventCode",),
    ("success",),
)
"""The values that Adyen signs, in this order, with a colon between them. One that is missing is empty."""


def adyen_content(item: Any) -> bytes:
    """Return what Adyen signs of an item.

    Raises:
        InvalidSignatureError: one of the values is neither text nor a whole number.
    """
    values = []
    for names in ADYEN_SIGNED:
        value = item
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            raise InvalidSignatureError("malformed")
        values.append("" if value is None else f"{value}")
    return _bytes(":".join(values))


# ── Schemes ─────────────────────────────────────────────────────────────────────────────────────────

STANDARD_WEBHOOKS = Scheme(
    _standard_claim, STANDARD_SECRET, _base64, "the message's ID, the time, the body", "the webhook's URL"
)
"""Source: the Standard Webhooks specification, version 1.0.0, symmetric signatures; Svix's documentation, verifying
webhooks manually, for its header names."""

POLAR = Scheme(_standard_claim, POLARS_SECRET, _base64, STANDARD_WEBHOOKS.signs, STANDARD_WEBHOOKS.leaves_unsigned)

STRIPE = Scheme(
    _timed("stripe-signature", "t", "v1", separator=",", after_time=b"."),
    STRIPES_SECRET,
    _hexadecimal,
    "the time, the body",
    "the webhook's URL",
)
"""Source: Stripe's documentation, "Verify webhook signatures manually"."""

PADDLE = Scheme(
    _timed("paddle-signature", "ts", "h1", separator=";", after_time=b":"),
    OWN_SECRET,
    _hexadecimal,
    "the time, the body",
    "the webhook's URL",
)
SQUARE = Scheme(_square_claim, OWN_SECRET, _base64, "the webhook's URL, the body", "the time")
CHECKOUT = _of_the_body("cko-signature", OWN_SECRET)
LEMON_SQUEEZY = _of_the_body("x-signature", CHOSEN_SECRET)
MOLLIE = _of_the_body("x-mollie-signature", OWN_SECRET, prefix="sha256=")
RAZORPAY = _of_the_body("x-razorpay-signature", CHOSEN_SECRET)
ADYEN = Scheme(_adyen_claim, ADYENS_SECRET, _base64, "eight values", "the time, the mode, the token")

SCHEMES = (STANDARD_WEBHOOKS, POLAR, STRIPE, PADDLE, SQUARE, CHECKOUT, LEMON_SQUEEZY, MOLLIE, RAZORPAY, ADYEN)
