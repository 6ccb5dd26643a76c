"""Signatures: known vectors, and every request that is not the processor's own and recent."""

import base64
import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import signature
from ledger.formats import FORMATS
from ledger.signature import (
    POLAR,
    STANDARD_WEBHOOKS,
    STRIPE,
    InvalidSignatureError,
    Received,
    Scheme,
    SecretForm,
    plausible_schemes,
    verify,
)
from ledger_cli.stack.webhook import signed, signed_body

NOW_S = 1614265330
URL = "https://api.example/processors/acme-pay/payments"
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STRIPE_SECRET = "whsec_of_the_test"
STANDARD_BODY, STRIPE_BODY = b'{"test": 2432232314}', b'{"id": "evt_1"}'
# The vector that the specification's own libraries are tested with.
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(NOW_S),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
# Made with OpenSSL: printf '1614265330.{"id": "evt_1"}' | openssl dgst -sha256 -hmac whsec_of_the_test
STRIPE_SIGNATURE = "3b65804b1ab17283addc62a63a07cf72467a6928cd84e7317ae5c620e96e6a97"
STRIPE_HEADERS = {"stripe-signature": f"t={NOW_S},v1={STRIPE_SIGNATURE}"}

VECTORS = [
    (STANDARD_WEBHOOKS, STANDARD_SECRET, STANDARD, STANDARD_BODY),
    (STRIPE, STRIPE_SECRET, STRIPE_HEADERS, STRIPE_BODY),
]


def reason(scheme: Scheme, secrets: list[str], headers: dict[str, str], body: bytes, now_s: int = NOW_S) -> str | None:
    """Return why the signature is invalid; None if it is valid."""
    try:
        verify(scheme, secrets, Received.of(headers, URL, body), now_s)
    except InvalidSignatureError as refused:
        return str(refused)
    return None


@pytest.mark.parametrize(("scheme", "secret", "headers", "body"), VECTORS)
def test_a_known_vector_is_the_processors(scheme: Scheme, secret: str, headers: dict[str, str], body: bytes) -> None:
    """Others made these vectors: the ledger's own signing would agree with its own mistake."""
    assert reason(scheme, [secret], headers, body) is None


@pytest.mark.parametrize(("scheme", "secret", "headers", "body"), VECTORS)
def test_a_signature_of_any_other_body_is_invalid(
    scheme: Scheme, secret: str, headers: dict[str, str], body: bytes
) -> None:
    """Each byte is changed, added or removed."""
    changed = [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in range(len(body))]
    for other in [*changed, body + b"\n", b" " + body, body[:-1], b""]:
        assert reason(scheme, [secret], headers, other) == "wrong_signature"


@pytest.mark.parametrize(("scheme", "secret", "headers", "body"), VECTORS)
def test_a_request_is_good_for_five_minutes(scheme: Scheme, secret: str, headers: dict[str, str], body: bytes) -> None:
    """The request was recorded and replayed later, or made in advance. Clocks differ a little, either way."""
    for seconds in (-300, 300):
        assert reason(scheme, [secret], headers, body, NOW_S + seconds) is None
    for seconds in (-301, 301):
        assert reason(scheme, [secret], headers, body, NOW_S + seconds) == "not_now"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (STANDARD, [STANDARD_WEBHOOKS, POLAR]),
        ({name.upper(): value for name, value in STANDARD.items()}, [STANDARD_WEBHOOKS, POLAR]),
        (STRIPE_HEADERS, [STRIPE]),
        ({**STANDARD, **STRIPE_HEADERS}, [STANDARD_WEBHOOKS, POLAR, STRIPE]),
        ({**STANDARD, "stripe-signature": "x"}, [STANDARD_WEBHOOKS, POLAR]),
        ({**STANDARD, "webhook-timestamp": "x", **STRIPE_HEADERS}, [STRIPE]),
        ({}, "no_signature"),
        ({"stripe-signature": "x"}, "malformed"),
        ({**STANDARD, "webhook-timestamp": "x"}, "malformed"),
        ({**STANDARD, "webhook-timestamp": str(NOW_S - 301)}, "not_now"),
        ({"stripe-signature": f"t={NOW_S + 301},v1=x"}, "not_now"),
    ],
)
def test_headers_say_by_which_scheme_they_may_be_signed(headers: dict[str, str], expected: list[Scheme] | str) -> None:
    """The check comes before any secret is fetched, and so before the processor's scheme is known."""
    if isinstance(expected, list):
        assert plausible_schemes(Received.of(headers, URL, b""), NOW_S) == expected
        return
    with pytest.raises(InvalidSignatureError, match=expected):
        plausible_schemes(Received.of(headers, URL, b""), NOW_S)


@pytest.mark.parametrize(("scheme", "secret", "headers", "body"), VECTORS)
def test_the_time_is_signed(scheme: Scheme, secret: str, headers: dict[str, str], body: bytes) -> None:
    """Otherwise an attacker that recorded a request could write a new time on it."""
    later = {name: value.replace(str(NOW_S), str(NOW_S + 1)) for name, value in headers.items()}
    assert reason(scheme, [secret], later, body) == "wrong_signature"


def test_the_message_id_is_signed() -> None:
    """The specification signs the ID of a message together with its content."""
    headers = {**STANDARD, "webhook-id": "msg_another"}
    assert reason(STANDARD_WEBHOOKS, [STANDARD_SECRET], headers, STANDARD_BODY) == "wrong_signature"


SVIX = {name.replace("webhook-", "svix-"): value for name, value in STANDARD.items()}


@pytest.mark.parametrize("case", [str.lower, str.title, str.upper])
@pytest.mark.parametrize(
    ("scheme", "secret", "headers", "body"), [*VECTORS, (STANDARD_WEBHOOKS, STANDARD_SECRET, SVIX, STANDARD_BODY)]
)
def test_a_right_signature_counts_under_each_of_its_names(
    scheme: Scheme, secret: str, headers: dict[str, str], body: bytes, case: Callable[[str], str]
) -> None:
    """Svix sends the same headers under its own names, and HTTP does not distinguish the case of a name."""
    assert reason(scheme, [secret], {case(name): value for name, value in headers.items()}, body) is None
    assert reason(scheme, [secret], {case(name): value for name, value in headers.items()}, body + b" ")


def test_the_standard_names_win() -> None:
    """The two sets never mix: the ledger verifies what another reader of the standard would verify."""
    assert reason(STANDARD_WEBHOOKS, [STANDARD_SECRET], {**STANDARD, **dict.fromkeys(SVIX, "x")}, STANDARD_BODY) is None
    for name, value in STANDARD.items():
        wrong = {**SVIX, **STANDARD, name: value + "1"}
        assert reason(STANDARD_WEBHOOKS, [STANDARD_SECRET], wrong, STANDARD_BODY) in {"wrong_signature", "not_now"}
        assert reason(STANDARD_WEBHOOKS, [STANDARD_SECRET], {**SVIX, name: value}, STANDARD_BODY) == "no_signature"


@pytest.mark.parametrize(("scheme", "secret", "headers", "body"), VECTORS)
def test_each_active_secret_counts(scheme: Scheme, secret: str, headers: dict[str, str], body: bytes) -> None:
    """While a processor changes to a new secret, it has two."""
    other = f"whsec_{base64.b64encode(b'x' * 24).decode()}"
    assert reason(scheme, [other, secret], headers, body) is None
    assert reason(scheme, [other, other], headers, body) == "wrong_signature"
    assert reason(scheme, [], headers, body) == "wrong_signature"


def test_one_right_signature_of_several_is_enough() -> None:
    """A processor signs with both of its secrets while it changes them. Nothing else in the header counts."""
    right = STANDARD["webhook-signature"]
    headers = {**STANDARD, "webhook-signature": f"v1a,b3RoZXI= v1,bm9wZQ== {right}"}
    assert reason(STANDARD_WEBHOOKS, [STANDARD_SECRET], headers, STANDARD_BODY) is None
    headers = {"stripe-signature": f"t={NOW_S},v1=00,v0={STRIPE_SIGNATURE},v1={STRIPE_SIGNATURE}"}
    assert reason(STRIPE, [STRIPE_SECRET], headers, STRIPE_BODY) is None


@pytest.mark.parametrize(
    ("scheme", "headers", "expected"),
    [
        *((STANDARD_WEBHOOKS, {k: v for k, v in STANDARD.items() if k != name}, "no_signature") for name in STANDARD),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-timestamp": "soon"}, "malformed"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-timestamp": "-1614265330"}, "malformed"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-timestamp": "١٦١٤٢٦٥٣٣٠"}, "malformed"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-timestamp": "9" * 5000}, "malformed"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-timestamp": "9" * 13}, "malformed"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-timestamp": "9" * 12}, "not_now"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-timestamp": "9"}, "not_now"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-signature": ""}, "wrong_signature"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-signature": "v1"}, "wrong_signature"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-signature": "v1,"}, "wrong_signature"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-signature": "v1,\udcff\ud800"}, "wrong_signature"),
        (STANDARD_WEBHOOKS, {**STANDARD, "webhook-signature": STANDARD["webhook-signature"][3:]}, "wrong_signature"),
        (
            STANDARD_WEBHOOKS,
            {**STANDARD, "webhook-signature": f"v2,{STANDARD['webhook-signature']}"},
            "wrong_signature",
        ),
        (
            STANDARD_WEBHOOKS,
            {**STANDARD, "webhook-signature": STANDARD["webhook-signature"].replace("v1,", "v2,")},
            "wrong_signature",
        ),
        (
            STANDARD_WEBHOOKS,
            {**STANDARD, "webhook-signature": f"v1,bm9wZQ==\t{STANDARD['webhook-signature']}"},
            "wrong_signature",
        ),
        (STRIPE, {}, "no_signature"),
        (STRIPE, {"stripe-signature": ""}, "malformed"),
        (STRIPE, {"stripe-signature": f"v1={STRIPE_SIGNATURE}"}, "malformed"),
        (STRIPE, {"stripe-signature": f"t={NOW_S},t={NOW_S},v1={STRIPE_SIGNATURE}"}, "malformed"),
        (STRIPE, {"stripe-signature": f"t={NOW_S}.0,v1={STRIPE_SIGNATURE}"}, "malformed"),
        (STRIPE, {"stripe-signature": f"t={NOW_S}"}, "wrong_signature"),
        (STRIPE, {"stripe-signature": f"t={NOW_S},v0={STRIPE_SIGNATURE}"}, "wrong_signature"),
        (STRIPE, {"stripe-signature": f"t={NOW_S},v1={STRIPE_SIGNATURE.upper()}"}, "wrong_signature"),
    ],
)
def test_what_is_not_a_signature_is_invalid(scheme: Scheme, headers: dict[str, str], expected: str) -> None:
    """The signature is invalid by a reason, and never an internal error: anybody on the internet may send it."""
    secret, body = (STRIPE_SECRET, STRIPE_BODY) if scheme is STRIPE else (STANDARD_SECRET, STANDARD_BODY)
    assert reason(scheme, [secret], headers, body) == expected


@given(header=st.text(), body=st.binary(max_size=50))
def test_nobody_gets_in_by_chance(header: str, body: bytes) -> None:
    """The function always returns a result, whatever the headers contain."""
    headers = {"stripe-signature": header, **dict.fromkeys(STANDARD, header)}
    svix = dict.fromkeys(SVIX, header)
    assert reason(STRIPE, [STRIPE_SECRET], headers, body)
    assert reason(STANDARD_WEBHOOKS, [STANDARD_SECRET], headers, body)
    assert reason(STANDARD_WEBHOOKS, [STANDARD_SECRET], svix, body)


# ── The processors' own schemes ─────────────────────────────────────────────────────────────────────

ADYEN_ITEM = {
    "amount": {"currency": "EUR", "value": 1130},
    "eventCode": "AUTHORISATION",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "pspReference": "7914073381342284",
    "success": "true",
}
SECRETS = {signature.STANDARD_SECRET: STANDARD_SECRET, signature.ADYENS_SECRET: "0A" * 32}
OF_EACH = {name: format_.scheme for name, format_ in FORMATS.items() if not name.endswith(("-test", "-manual"))}


def request_of(name: str, **item: Any) -> tuple[list[str], Received]:
    """Return the secrets of a processor of this format, and a request that it signed."""
    secret = SECRETS.get(OF_EACH[name].secret, "whsec_of_the_tests_0123456789")
    processor = {"Format": name, "Secrets": [secret]}
    notification = {"live": "true", "notificationItems": [{"NotificationRequestItem": {**ADYEN_ITEM, **item}}]}
    body = signed_body(processor, json.dumps(notification).encode())
    return [secret], Received.of(signed(processor, body, NOW_S, URL), URL, body)


def judged(scheme: Scheme, secrets: list[str], received: Received, now_s: int = NOW_S) -> str | None:
    """Return why the signature is invalid; None if it is valid."""
    try:
        verify(scheme, secrets, received, now_s)
    except InvalidSignatureError as refused:
        return str(refused)
    return None


def test_the_vendors_own_vectors_are_judged_as_they_say(corpora: Path) -> None:
    """Adyen's, Paddle's, Razorpay's and Square's, valid and invalid."""
    vectors = json.loads((corpora / "webhook-signatures.json").read_text())
    assert len(vectors) >= 15
    for vector in vectors:
        body, scheme = vector["body"], getattr(signature, vector["scheme"].upper())
        if scheme is signature.ADYEN:
            body = json.dumps({"notificationItems": [{"NotificationRequestItem": json.loads(body)}]})
        received = Received.of(vector["headers"], vector.get("url") or "", body.encode())
        signed_at = re.match(r"ts=(\d+);", vector["headers"].get("paddle-signature", ""))
        reason = judged(scheme, [vector["secret"]], received, int(signed_at[1]) if signed_at else NOW_S)
        assert (reason is None) == vector["valid"], vector["name"]


@pytest.mark.parametrize("name", OF_EACH)
def test_a_request_is_its_own_schemes(name: str) -> None:
    """Its form shows the scheme, and another secret, body or address does not verify."""
    secrets, received = request_of(name)
    scheme = OF_EACH[name]
    assert judged(scheme, secrets, received) is None
    assert scheme in plausible_schemes(received, NOW_S)
    assert judged(scheme, ["0B" * 32 if scheme is signature.ADYEN else "whsec_QUFB" + "QUFB" * 8], received)
    assert judged(scheme, secrets, received._replace(body=received.body.replace(b"1130", b"1131"))) == "wrong_signature"
    elsewhere = judged(scheme, secrets, received._replace(url=f"{URL}/"))
    assert elsewhere == ("wrong_signature" if scheme is signature.SQUARE else None)
    for other in set(signature.SCHEMES) - {scheme, STANDARD_WEBHOOKS, POLAR}:
        assert judged(other, [SECRETS.get(other.secret, "whsec_of_the_tests_0123456789")], received), other.signs


@pytest.mark.parametrize("name", OF_EACH)
def test_only_some_schemes_sign_a_time(name: str) -> None:
    """`ledger formats` says so, and a person decides by it."""
    secrets, received = request_of(name)
    reason = judged(OF_EACH[name], secrets, received, NOW_S + 3600)
    assert reason == ("not_now" if "the time" in OF_EACH[name].signs else None)


@pytest.mark.parametrize("name", OF_EACH)
def test_a_request_without_its_signature_claims_nothing(name: str) -> None:
    """Nobody is asked for such a request's processor."""
    _, received = request_of(name)
    if OF_EACH[name] is signature.ADYEN:
        received = received._replace(body=received.body.replace(b"hmacSignature", b"signature"))
    kept = {key: value for key, value in received.headers.items() if not key.endswith("signature")}
    with pytest.raises(InvalidSignatureError, match="no_signature"):
        plausible_schemes(received._replace(headers=kept), NOW_S)


def test_a_body_is_read_only_if_it_may_be_adyens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may post millions of brackets. Nobody's body is parsed before its processor is known to sign so."""
    read: list[bytes] = []
    monkeypatch.setattr(signature, "loads", lambda body: read.append(body) or {})
    largest = b'{"hmacSignature"' + b" " * (signature.MAX_ADYEN_BYTES - 16)
    for body in (b"[" * 1000, b"", largest + b" "):
        with pytest.raises(InvalidSignatureError, match="no_signature"):
            plausible_schemes(Received({}, URL, body), NOW_S)
        assert judged(signature.ADYEN, ["0A" * 32], Received({}, URL, body)) == "no_signature"
    assert plausible_schemes(Received({}, URL, largest), NOW_S) == [signature.ADYEN]
    assert read == []


UNSIGNED_ITEM = b'{"notificationItems": [{"NotificationRequestItem": {"additionalData": {"hmacSignature": 1}}}]}'


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{", b"null", b"\xff", b'{"a": 1, "a": 1}', b'{"notificationItems": []}', UNSIGNED_ITEM),
        *(b'{"notificationItems": [%s]}' % item for item in (b"1", b'{"NotificationRequestItem": null}')),
        b'{"notificationItems": {}}',
    ],
)
def test_a_body_of_any_form_claims_nothing_as_adyens(body: bytes) -> None:
    """Anybody may post anything, and this is read before anything is known of the sender."""
    assert judged(signature.ADYEN, ["0A" * 32], Received({}, URL, body)) == "no_signature"


@pytest.mark.parametrize("value", [True, 1.5, ["x"], {"a": 1}])
@pytest.mark.parametrize("name", ["pspReference", "merchantReference", "success", "eventCode"])
def test_adyen_signs_text_and_whole_numbers_only(name: str, value: Any) -> None:
    """Another type could be written in two ways."""
    _, received = request_of("adyen")
    notification = json.loads(received.body)
    notification["notificationItems"][0]["NotificationRequestItem"][name] = value
    assert (
        judged(signature.ADYEN, ["0A" * 32], received._replace(body=json.dumps(notification).encode())) == "malformed"
    )


def test_adyens_values_that_are_missing_count_as_empty() -> None:
    """Adyen leaves `originalReference` out, or writes null or an empty text."""
    secrets, received = request_of("adyen")
    for original in (None, ""):
        notification = json.loads(received.body)
        notification["notificationItems"][0]["NotificationRequestItem"]["originalReference"] = original
        assert judged(signature.ADYEN, secrets, received._replace(body=json.dumps(notification).encode())) is None


def test_a_header_with_two_signatures_needs_one_that_is_right() -> None:
    """A processor that changes its secret sends the header twice, and API Gateway joins the two."""
    secrets, received = request_of("mollie")
    right = received.headers["x-mollie-signature"]
    assert right.startswith("sha256=")
    for text in (f"{right}, sha256=00", f"sha256=00,{right}", f"md5=00, {right}"):
        assert judged(signature.MOLLIE, secrets, received._replace(headers={"x-mollie-signature": text})) is None
    for text in ("", ",", right.removeprefix("sha256="), f"md5={right[7:]}", f"sha256=00 {right}"):
        headers = {"x-mollie-signature": text}
        assert judged(signature.MOLLIE, secrets, received._replace(headers=headers)) == "wrong_signature"


# ── Secrets, and what people read ───────────────────────────────────────────────────────────────────


def standard(length: int) -> str:
    """Return a secret of Standard Webhooks with so many bytes."""
    return "whsec_" + base64.b64encode(bytes(range(length))).decode()


@pytest.mark.parametrize(
    ("form", "secret", "is_valid"),
    [
        *((signature.STANDARD_SECRET, standard(length), 24 <= length <= 64) for length in (0, 23, 24, 64, 65)),
        (signature.STANDARD_SECRET, standard(24).removeprefix("whsec_"), True),
        (signature.STANDARD_SECRET, "whsec_" + "!" * 32, False),
        (signature.STANDARD_SECRET, standard(24) + "\n", False),
        (signature.STANDARD_SECRET, standard(24)[:-1], False),
        (signature.STRIPES_SECRET, "whsec_" + "x" * 16, True),
        (signature.STRIPES_SECRET, "whsec_" + "x" * 15, False),
        (signature.STRIPES_SECRET, "x" * 30, False),
        (signature.ADYENS_SECRET, "0aF9" * 16, True),
        (signature.ADYENS_SECRET, "0aF9" * 16 + "0", False),
        (signature.ADYENS_SECRET, "0aG9" * 16, False),
        *((form, "x" * 16, True) for form in (signature.OWN_SECRET, signature.CHOSEN_SECRET, signature.POLARS_SECRET)),
        *((form, "x" * 15, False) for form in (signature.OWN_SECRET, signature.CHOSEN_SECRET, signature.POLARS_SECRET)),
    ],
)
def test_a_secret_has_the_form_of_its_scheme(form: SecretForm, secret: str, *, is_valid: bool) -> None:
    """A secret that somebody can guess, or that cannot sign, is not registered."""
    assert form.is_valid(secret) is is_valid


def test_each_scheme_says_what_it_signs_and_what_its_secret_is() -> None:
    """`ledger formats` prints it, and the errors of the commands for processors have it."""
    own, url, both = "16 characters or more", "the webhook's URL", "the time, the webhook's URL"
    assert {
        name: (scheme.signs, scheme.leaves_unsigned, scheme.secret.description) for name, scheme in OF_EACH.items()
    } == {
        "standard-webhooks": ("the message's ID, the time, the body", url, "whsec_ and base64 of 24 to 64 bytes"),
        "adyen": ("eight values", "the time, the mode, the token", "64 hexadecimal digits"),
        "checkout": ("the body", both, own),
        "lemon-squeezy": ("the body", both, f"{own}, chosen by you"),
        "mollie": ("the body", both, own),
        "paddle": ("the time, the body", url, own),
        "polar": ("the message's ID, the time, the body", url, own),
        "razorpay": ("the body", both, f"{own}, chosen by you"),
        "square": ("the webhook's URL, the body", "the time", own),
        "stripe": ("the time, the body", url, "whsec_ and 16 characters or more"),
    }


def test_each_value_of_adyens_counts_in_its_place() -> None:
    """Two that change places are signed otherwise."""
    secrets, received = request_of("adyen", originalReference="ORIGINAL")
    notification = json.loads(received.body)
    (item,) = [one["NotificationRequestItem"] for one in notification["notificationItems"]]
    for name in (
        "pspReference",
        "originalReference",
        "merchantAccountCode",
        "merchantReference",
        "eventCode",
        "success",
    ):
        changed = {**item, name: "x"}
        body = json.dumps({"notificationItems": [{"NotificationRequestItem": changed}]}).encode()
        assert judged(signature.ADYEN, secrets, received._replace(body=body)) == "wrong_signature", name
    for amount in ({"value": 1, "currency": "EUR"}, {"value": 1130, "currency": "USD"}, {}, None, "1130:EUR"):
        body = json.dumps({"notificationItems": [{"NotificationRequestItem": {**item, "amount": amount}}]}).encode()
        assert judged(signature.ADYEN, secrets, received._replace(body=body)) == "wrong_signature", amount


def test_the_first_item_is_the_one_that_is_signed_for() -> None:
    """The mapping rejects a notification with several items; it must not become nobody's before that."""
    secrets, received = request_of("adyen")
    notification = json.loads(received.body)
    notification["notificationItems"].append({"NotificationRequestItem": {}})
    assert judged(signature.ADYEN, secrets, received._replace(body=json.dumps(notification).encode())) is None


@pytest.mark.parametrize(
    "body",
    [
        *(b'"hmacSignature"', b'{"hmacSignature"', b'["hmacSignature"]', b'{"notificationItems": "hmacSignature"}'),
        *(b'{"notificationItems": %s}' % items for items in (b'["hmacSignature"]', b'{"0": "hmacSignature"}')),
        b'{"notificationItems": [{"NotificationRequestItem": ["hmacSignature"]}]}',
        b'{"notificationItems": [{"NotificationRequestItem": {"additionalData": ["hmacSignature"]}}]}',
        b'{"hmacSignature": 1, "notificationItems": {"0": {}}}',
        b'{"hmacSignature": 1, "notificationItems": ["x"]}',
        b'{"hmacSignature": 1, "notificationItems": []}',
    ],
)
def test_what_only_looks_like_adyens_is_signed_by_nobody(body: bytes) -> None:
    """Its form passes the first look, and no error but this one leaves the second."""
    assert plausible_schemes(Received({}, URL, body), NOW_S) == [signature.ADYEN]
    assert judged(signature.ADYEN, ["0A" * 32], Received({}, URL, body)) == "no_signature"


def test_a_request_with_a_signed_header_is_not_read_as_adyens() -> None:
    """Its body is not parsed, whatever it holds."""
    received = Received.of(STRIPE_HEADERS, URL, b'{"hmacSignature": 1}')
    assert plausible_schemes(received, NOW_S) == [STRIPE]


def test_polar_usually_signs_with_the_secret_as_it_stands() -> None:
    """`ledger send` signs so."""
    expected = hmac.digest(STANDARD_SECRET.encode(), b"content", "sha256")
    assert POLAR.sign(STANDARD_SECRET, b"content") == base64.b64encode(expected).decode()


def test_the_reason_is_exact() -> None:
    """The log's reasons are stable."""
    with pytest.raises(InvalidSignatureError) as caught:
        plausible_schemes(Received({}, URL, b""), NOW_S)
    assert str(caught.value) == "no_signature"


def test_the_limit_of_a_body_is_that_of_an_execution() -> None:
    """Nothing larger can be recorded."""
    assert signature.MAX_ADYEN_BYTES == 262_144
