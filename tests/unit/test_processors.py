"""Secrets of processors: a shape that is only slightly wrong could admit every sender."""

import base64
import json
from typing import Any

import pytest

from ledger.processors import Processor, ProcessorSecretError, check_secret
from ledger_cli.samples import PROCESSORS

STANDARD = f"whsec_{base64.b64encode(b'k' * 24).decode()}"
STRIPE = "whsec_0123456789abcdef"


@pytest.mark.parametrize("described", PROCESSORS.values(), ids=PROCESSORS)
def test_a_processor_is_what_was_described(described: dict[str, Any]) -> None:
    """The samples, and processors with two secrets, are read as they were described."""
    assert Processor.parse(json.dumps(described)).secrets == described["Secrets"]
    described = {**described, "Secrets": described["Secrets"] * 2}
    assert len(Processor.parse(json.dumps(described)).secrets) == 2


@pytest.mark.parametrize(
    "described",
    [
        None,
        [],
        "text",
        {},
        {"Format": "stripe"},
        {"Secrets": [STRIPE]},
        {"Format": "stripe", "Secrets": STRIPE},
        {"Format": "stripe", "Secrets": []},
        {"Format": "stripe", "Secrets": [""]},
        {"Format": "stripe", "Secrets": ["whsec_"]},
        {"Format": "stripe", "Secrets": ["whsec_short"]},
        {"Format": "stripe", "Secrets": ["sk_live_0123456789abcdef"]},
        {"Format": "stripe", "Secrets": [STRIPE, ""]},
        {"Format": "stripe", "Secrets": [STRIPE, None]},
        {"Format": "stripe", "Secrets": [STRIPE] * 3},
        {"Format": "stripe", "Secrets": {STRIPE: 1}},
        {"Format": "stripe", "Secrets": [f"{STRIPE}\n"]},
        {"Format": "stripe", "Secrets": [f"{STRIPE}é"]},
        {"Format": "Stripe", "Secrets": [STRIPE]},
        {"Format": "other", "Secrets": [STRIPE]},
        {"Format": ["stripe"], "Secrets": [STRIPE]},
        {"Format": "stripe", "Secrets": [STRIPE], "Note": "x"},
        {"Format": "stripe", "Secrets": [STRIPE], "Prefix": ""},
        {"Format": "stripe", "Secrets": [STRIPE], "Prefix": "acme."},
        {"Format": "stripe", "Secrets": [STRIPE], "Prefix": "a" * 25},
        {"Format": "stripe", "Secrets": [STRIPE], "Prefix": None},
        {"Format": "stripe", "Secrets": [STRIPE], "Prefix": "acme-\n"},
        {"Format": "stripe", "Secrets": [STRIPE] * 2, "OlderUntil": "tomorrow"},
        {"Format": "stripe", "Secrets": [STRIPE] * 2, "OlderUntil": "2026-11-26T00:00:00"},
        {"Format": "stripe", "Secrets": [STRIPE] * 2, "OlderUntil": 1795651200},
        {"Format": "stripe", "Secrets": [STRIPE] * 2, "OlderUntil": None},
        {"Format": "standard-webhooks", "Secrets": ["whsec_"]},
        {"Format": "standard-webhooks", "Secrets": ["whsec_!"]},
        {"Format": "standard-webhooks", "Secrets": [f"whsec_{base64.b64encode(b'k' * 23).decode()}"]},
        {"Format": "standard-webhooks", "Secrets": [f"whsec_{base64.b64encode(b'k' * 65).decode()}"]},
        {"Format": "standard-webhooks", "Secrets": STANDARD},
    ],
)
def test_anything_else_lets_nobody_in(described: Any) -> None:
    """The message says what is wrong, and repeats no part of a secret."""
    with pytest.raises(ProcessorSecretError) as caught:
        Processor.parse(json.dumps(described))
    assert "0123456789abcdef" not in str(caught.value)


@pytest.mark.parametrize(
    ("older_until", "now_s", "active"),
    [
        ("2026-11-26T00:00:00Z", 1795651199, 2),
        ("2026-11-26T00:00:00Z", 1795651200, 1),
        ("2026-11-26T01:00:00+01:00", 1795651200, 1),
        (None, 0, 1),
    ],
)
def test_of_two_secrets_the_older_has_an_end(older_until: str | None, now_s: int, active: int) -> None:
    """Without `OlderUntil`, only the newest secret counts: nobody knows how long ago the other was replaced."""
    described = {"Format": "stripe", "Secrets": [STRIPE, f"{STRIPE}-older"]}
    if older_until:
        described["OlderUntil"] = older_until
    processor = Processor.parse(json.dumps(described))
    assert processor.active(now_s) == described["Secrets"][:active]


def test_a_prefix_is_kept() -> None:
    """A prefix is at most as long as the part that a mapped ID keeps of its original; without one it is empty."""
    described = {"Format": "stripe", "Secrets": [STRIPE]}
    assert Processor.parse(json.dumps(described)).prefix == ""
    assert Processor.parse(json.dumps({**described, "Prefix": "a" * 24})).prefix == "a" * 24


def test_a_secret_that_is_not_json_is_not_repeated() -> None:
    """The message of a parser could contain the secret."""
    with pytest.raises(ProcessorSecretError) as caught:
        Processor.parse(STRIPE)
    assert (str(caught.value), caught.value.__cause__) == ("it is not JSON", None)


@pytest.mark.parametrize(
    ("name", "secret"), [("stripe", STRIPE), ("stripe-test", STRIPE), ("standard-webhooks", STANDARD)]
)
def test_a_secret_of_its_format_is_taken(name: str, secret: str) -> None:
    """A secret has the form that its processor, or the specification, defines."""
    check_secret(name, secret)
