"""Signatures as the processors' own libraries judge them: what we sign, what they sign, and what was changed."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from ledger import formats, signature
from ledger.signature import InvalidSignatureError, Received, verify
from ledger_cli import ROOT
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack.webhook import signed, signed_body

URL = "https://api.example/processors/one/payments"
FORMATS = {
    "ADYEN": "adyen-test",
    "MOLLIE": "mollie-test",
    "PADDLE": "paddle",
    "POLAR": "polar",
    "RAZORPAY": "razorpay",
    "SQUARE": "square",
    "STANDARD_WEBHOOKS": "standard-webhooks",
    "STRIPE": "stripe",
}
SIGNING = ("ADYEN", "MOLLIE", "POLAR", "STANDARD_WEBHOOKS")
SECRETS = {
    "ADYEN": "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    "STANDARD_WEBHOOKS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "STRIPE": "whsec_of_the_test_0123456789",
}
"""Secrets of schemes that demand a form. The others have `A_SECRET`."""

A_SECRET = "pdl_ntfset_of_the_tests_0123456789"  # nobody has it

ITEM = {
    "additionalData": {"paymentMethodVariant": "visa"},
    "amount": {"currency": "EUR", "value": 1130},
    "eventCode": "AUTHORISATION",
    "eventDate": "2026-11-25T10:00:00+01:00",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "order:12\\7 – é",
    "pspReference": "7914073381342284",
    "success": "true",
}
BODIES = {
    "ADYEN": [json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": ITEM}]})],
}
OTHER_BODIES = ['{"type":"a.b","data":{}}', '{ "type": "a.b", "note": "\\u00e9 – é \\ud83d\\ude00", "n": 1.50 }']

Judge = Callable[[list[dict[str, Any]]], list[Any]]


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Return a function that has the libraries judge or sign cases."""

    def ask(cases: list[dict[str, Any]]) -> list[Any]:
        done = subprocess.run(
            [ROOT / ".venv/vendors/bin/python", "-W", "ignore", ROOT / "tests/vendors/judges.py"],
            input="".join(json.dumps(case) + "\n" for case in cases),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


def secret_of(scheme: str) -> str:
    """Return the secret of a scheme."""
    return SECRETS.get(scheme, A_SECRET)


def is_valid(scheme: str, headers: dict[str, str], body: str, secret: str, url: str = URL) -> bool:
    """Return the ledger's own judgement."""
    try:
        verify(getattr(signature, scheme), [secret], Received.of(headers, url, body.encode()), round(time.time()))
    except InvalidSignatureError:
        return False
    return True


def requests_of(scheme: str) -> list[dict[str, Any]]:
    """Return requests that the ledger signs as a processor of the scheme."""
    processor = {"Format": FORMATS[scheme], "Secrets": [secret_of(scheme)]}
    found = []
    for text in BODIES.get(scheme, OTHER_BODIES):
        body = signed_body(processor, text.encode())
        headers = signed(processor, body, round(time.time()), URL)
        found.append(
            {"scheme": scheme, "secret": secret_of(scheme), "url": URL, "headers": headers, "body": body.decode()}
        )
    return found


def changed(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return requests that differ from a signed one in something that is signed, or in the signature."""
    scheme, body, headers = request["scheme"], request["body"], request["headers"]
    if scheme == "ADYEN":
        pairs = (("1130", "1131"), ("EUR", "USD"), ("AUTHORISATION", "REFUND"), ('"true"', '"false"'), ("7914", "8914"))
        found = [{**request, "body": body.replace(old, new)} for old, new in pairs]
    else:
        found = [{**request, "body": text} for text in (body.replace("a.b", "a.c"), body + " ", body[:-1] + " }")]
        signatures = [name for name in headers if name.endswith("signature")]
        found += [{**request, "headers": {**headers, name: headers[name][:-3] + "AAA"}} for name in signatures]
    found.append({**request, "secret": secret_of(scheme)[:-4] + "AAAA"})
    if scheme == "SQUARE":
        found.append({**request, "url": f"{URL}/"})
    return found


@pytest.mark.parametrize("scheme", FORMATS)
def test_the_library_accepts_what_we_sign(scheme: str, judge: Judge) -> None:
    """`ledger send` signs as the processor does."""
    requests = requests_of(scheme)
    assert judge(requests) == [True] * len(requests)
    assert all(is_valid(scheme, one["headers"], one["body"], one["secret"]) for one in requests)


@pytest.mark.parametrize("scheme", FORMATS)
def test_both_refuse_what_was_changed(scheme: str, judge: Judge) -> None:
    """Neither is stricter than the other about what is signed."""
    cases = [case for request in requests_of(scheme) for case in changed(request)]
    assert judge(cases) == [False] * len(cases)
    assert not [case for case in cases if is_valid(scheme, case["headers"], case["body"], case["secret"], case["url"])]


@pytest.mark.parametrize("scheme", SIGNING)
def test_we_accept_what_the_library_signs(scheme: str, judge: Judge) -> None:
    """The processor signs with the same code."""
    bodies = BODIES.get(scheme, OTHER_BODIES)
    cases = [{"scheme": scheme, "secret": secret_of(scheme), "body": body, "sign": True} for body in bodies]
    for request in judge(cases):
        assert is_valid(scheme, request["headers"], request["body"], secret_of(scheme))


def test_the_samples_are_judged_too(judge: Judge) -> None:
    """Each sample of a processor with a library, signed with its sample secret."""
    cases = []
    for processor_id, processor in PROCESSORS.items():
        own = formats.FORMATS[processor["Format"]].scheme
        scheme = next((name for name in FORMATS if getattr(signature, name) is own), None)
        for file in sorted((ROOT / "events/webhooks").glob(f"{processor_id}*.json")) if scheme else []:
            body = signed_body(processor, file.read_bytes())
            headers = signed(processor, body, round(time.time()), URL)
            secret = processor["Secrets"][0]
            cases.append({"scheme": scheme, "secret": secret, "url": URL, "headers": headers, "body": body.decode()})
    assert len(cases) > 5
    assert judge(cases) == [True] * len(cases)
