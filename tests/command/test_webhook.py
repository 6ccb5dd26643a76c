"""`ledger processor` and `ledger send` against a served engine: letting a processor in, and posting as it would."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ledger_cli.engine import Engine
from ledger_cli.engine.server import EngineServer
from ledger_cli.samples import PROCESSORS, let_in_processors
from tests.conftest import ledger

ACME = "events/webhooks/acme-pay.json"


@pytest.fixture
def endpoint(engine: Engine) -> Iterator[str]:
    """The address of this process's engine, which knows the sample processors."""
    let_in_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
    engine.functions["ReceivePayment"].restart()
    with EngineServer(["127.0.0.1"]) as server:
        server.start(engine)
        yield f"http://127.0.0.1:{server.port}"


def stored(engine: Engine, processor_id: str) -> Any:
    """What Secrets Manager has for a processor."""
    name = f"{engine.outputs['ProcessorSecrets']}{processor_id}"
    return json.loads(engine.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])


def test_a_new_processor_is_let_in(endpoint: str, engine: Engine) -> None:
    """With a secret that is shown once, and with which it can post at once."""
    done = ledger("processor", "new-pay", "--endpoint-url", endpoint)
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.fullmatch(
        r"Processor  new-pay \(standard-webhooks\)\n"
        rf"Webhook    {endpoint}/processors/new-pay/payments\n"
        r"Secret     (whsec_\S+)  \(shown this once\)\n"
        r"Active     1, within five minutes\n",
        done.stdout,
    )
    assert shown
    assert stored(engine, "new-pay") == {"Format": "standard-webhooks", "Secrets": [shown[1]]}
    posted = ledger(
        "send", "-", "--processor", "new-pay", "--endpoint-url", endpoint,
        stdin=json.dumps({"TransactionID": "t-1", "SecureToken": "tok_1234", "Amount": "1", "Currency": "EUR",
                          "ProcessorID": "new-pay", "Status": "Success", "Timestamp": "2026-11-24T10:00:00Z"}),
    )  # fmt: skip
    assert (posted.returncode, posted.stderr) == (0, "")
    assert re.fullmatch(r'202 \{"Execution": "t-1-[0-9a-f]{12}"\}\n', posted.stdout)


def test_a_secret_is_rotated_without_a_gap(endpoint: str, engine: Engine) -> None:
    """The old one stays beside the new one until the next: one call before, and one after the processor's change."""
    (first,) = PROCESSORS["acme-pay"]["Secrets"]
    second, third = (
        json.loads(ledger("processor", "acme-pay", "--json", "--endpoint-url", endpoint).stdout)["secret"]
        for _ in range(2)
    )
    assert stored(engine, "acme-pay")["Secrets"] == [third, second]
    assert len({first, second, third}) == 3


def test_a_given_secret_is_kept_to_itself(endpoint: str, engine: Engine) -> None:
    """It is in nobody's terminal; given once more, nothing changes."""
    for _ in range(2):
        done = ledger(
            "processor",
            "stripe",
            "--secret",
            "-",
            "--json",
            "--endpoint-url",
            endpoint,
            stdin="whsec_0123456789abcdef\n",
        )
        assert json.loads(done.stdout) == {
            "processor": "stripe",
            "format": "stripe-test",
            "webhook": f"{endpoint}/processors/stripe/payments",
            "secret": None,
            "active": 2,
        }
        assert "whsec_0123456789abcdef" not in done.stdout + done.stderr
    assert stored(engine, "stripe")["Secrets"] == ["whsec_0123456789abcdef", *PROCESSORS["stripe"]["Secrets"]]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("no pay",), "", "a processor's id is 1 to 64 of A-Z a-z 0-9 _ -"),
        (("x" * 65,), "", "a processor's id is 1 to 64 of A-Z a-z 0-9 _ -"),
        (("4111111111111111",), "", "a processor's id is 1 to 64 of A-Z a-z 0-9 _ -, and holds no card number\n"),
        (("new", "--format", "stripe"), "", "Stripe makes its secrets itself: copy the endpoint's, and give it with"),
        (("new", "--format", "stripe", "--secret", "-"), "sk_live_1", "a Stripe endpoint's secret is whsec_ and 16"),
        (("new", "--secret", "-"), "whsec_short", "a secret is whsec_ and base64 of 24 to 64 bytes"),
        (("new", "--secret", "-"), "", "a secret is whsec_ and base64 of 24 to 64 bytes"),
        (("new", "--secret", "-"), "a\nb", "a secret is one line of ASCII"),
        (("acme-pay", "--format", "stripe"), "", "acme-pay has the format standard-webhooks: give another format"),
        (("new", "--stack", "none"), "", "stack none is not in this account and region"),
    ],
)
def test_what_cannot_be_let_in_is_one_line(
    endpoint: str, engine: Engine, arguments: tuple[str, ...], stdin: str, message: str
) -> None:
    """With what to do; nothing is changed."""
    before = engine.client("secretsmanager").list_secrets()["SecretList"]
    done = ledger("processor", *arguments, "--endpoint-url", endpoint, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"ledger: {message}")
    assert engine.client("secretsmanager").list_secrets()["SecretList"] == before


def test_a_refusal_is_shown_as_the_processor_sees_it(endpoint: str) -> None:
    """For machines too; the exit status says that it was not taken."""
    done = ledger("send", "-", "--processor", "acme-pay", "--json", "--endpoint-url", endpoint, stdin="{")
    told = json.loads(done.stdout)
    assert (told["status"], told["body"]["Violations"]) == (400, [{"Field": "Payment", "Rule": "not_json"}])
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ACME, "--processor", "nobody"), "nobody is not known: let it in with `ledger processor --endpoint-url "),
        (
            (ACME, "--processor", "4111111111111111"),
            "a processor's id is 1 to 64 of A-Z a-z 0-9 _ -, and holds no card",
        ),
        ((ACME, "--processor", "acme-pay", "--stack", "none"), "stack none is not in this account and region"),
    ],
)
def test_what_cannot_be_sent_is_one_line(endpoint: str, arguments: tuple[str, ...], message: str) -> None:
    """Nothing was posted."""
    done = ledger("send", *arguments, "--endpoint-url", endpoint)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"ledger: {message}")


def test_a_file_that_is_not_there_is_named() -> None:
    """Before anything else is looked at."""
    done = ledger("send", "nowhere.json", "--processor", "acme-pay")
    assert done.returncode == 2
    assert "nowhere.json" in done.stderr


def test_a_stack_without_a_webhook_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed unless somebody asked for it."""
    from ledger_cli.deployed import Stack  # noqa: PLC0415
    from ledger_cli.webhook import WebhookError, let_in  # noqa: PLC0415

    stack = Stack.__new__(Stack)
    monkeypatch.setattr(stack, "outputs", {}, raising=False)
    with pytest.raises(WebhookError, match="deploy it with the parameter Webhook=open"):
        let_in(stack, "acme-pay", format_name=None, secret=None)
