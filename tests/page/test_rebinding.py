"""A web page in a real browser, whose name leads to this machine, reads nothing of a served engine.

That is DNS rebinding: the page's name leads to its author's server first, and to loopback once the page is open. The
browser then takes the engine for the page's own server, and lets the page read each answer.
"""

import json
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser

from ledger_cli.engine import Engine
from tests.page.conftest import REBOUND

FETCH = """async ([method, path, headers, body]) => {
    const answer = await fetch(path, {method, headers, body: body || undefined});
    return [answer.status, await answer.text()];
}"""
REVEAL = {"TransactionID": "txn-2026-0001", "Reason": "curiosity", "Requester": "a page"}
ASKED: dict[str, tuple[str, str, str, str | None, str]] = {
    "the ledger": ("POST", "/", "dynamodb", "DynamoDB_20120810.Scan", '{"TableName": "PaymentLedger"}'),
    "a secret": (
        "POST", "/", "secretsmanager", "secretsmanager.GetSecretValue",
        '{"SecretId": "payment-ledger/processors/acme-pay"}',
    ),
    "a token": (
        "POST", "/2015-03-31/functions/reveal_secure_token/invocations", "lambda", None, json.dumps(REVEAL),
    ),
    "the functions": ("GET", "/2015-03-31/functions", "lambda", None, ""),
}  # fmt: skip
"""What a page asks for: method, path, service, target and body."""

HOLDS = {"the ledger": "txn-2026-0001", "a secret": "of acme-pay", "the functions": "reveal_secure_token"}
"""What the answer to a program on this machine has in it."""


def headers(service: str, target: str | None) -> dict[str, str]:
    """Return the headers of a request with a signature that proves nothing."""
    signed = f"AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/{service}/aws4_request, SignedHeaders=h, Signature=0"
    content_type = "application/x-amz-json-1.1" if target else "application/json"
    return {"Authorization": signed, "Content-Type": content_type, **({"X-Amz-Target": target} if target else {})}


@pytest.fixture
def port(engine: Engine, endpoint: str, payment: dict[str, Any]) -> int:
    """Return the port of the served engine, which has a payment and a secret."""
    engine.run(json.dumps(payment))
    secret = {"Name": "payment-ledger/processors/acme-pay", "SecretString": "of acme-pay"}
    engine.client("secretsmanager").create_secret(**secret)
    return int(endpoint.rpartition(":")[2])


@pytest.mark.parametrize("name", [REBOUND, "127.0.0.1"])
@pytest.mark.parametrize("what", ASKED)
def test_a_page_reads_nothing(browser: Browser, port: int, payment: dict[str, Any], what: str, name: str) -> None:
    """Under the server's own name it reads nothing either: a page that the server sent would have it."""
    method, path, service, target, body = ASKED[what]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body.encode() or None, headers(service, target), method=method
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        secret = answer.read().decode()
    assert (payment["SecureToken"] if what == "a token" else HOLDS[what]) in secret

    page = browser.new_context().new_page()
    page.goto(f"http://{name}:{port}/")  # the refusal is a document of that origin, in which any script could run
    status, text = page.evaluate(FETCH, [method, path, headers(service, target), body])
    assert (status, "no web page" in text) == (403, True)
    page.context.close()
