"""Registering a processor, changing its secrets and its prefix, and posting as it would, on a served engine."""

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ledger.intake import execution_prefix
from ledger_cli.engine import Engine
from ledger_cli.samples import PROCESSORS, register_sample_processors
from tests.support.cli import ledger
from tests.support.faults import Faults

ACME = "events/webhooks/acme-pay.json"


@pytest.fixture
def endpoint(engine: Engine, endpoint: str) -> str:
    """Return the address of the engine, at which the sample processors are registered."""
    register_sample_processors(engine)
    return endpoint


def stored(engine: Engine, processor_id: str) -> Any:
    """Return what Secrets Manager has for a processor."""
    name = f"{engine.outputs['ProcessorSecrets']}{processor_id}"
    return json.loads(engine.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])


def test_a_new_processor_is_registered(endpoint: str, engine: Engine) -> None:
    """The command shows its secret once, and the processor can post with it at once."""
    done = ledger("register-processor", "new-pay", "--endpoint-url", endpoint)
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.fullmatch(
        r"Processor  new-pay \(standard-webhooks\)\n"
        rf"Webhook    {endpoint}/processors/new-pay/payments\n"
        r"Secret     (whsec_\S+)  \(shown only once\)\n"
        r"Active     1 within 6 minutes; any other one ends by then\n",
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
    assert re.fullmatch(r'202 \{"Execution": "t-1-[0-9a-f]{32}"\}\n', posted.stdout)


def asked(endpoint: str, command: str, processor_id: str, *arguments: str, stdin: str = "") -> Any:
    """Run a command for a processor, and return its JSON."""
    done = ledger(command, processor_id, *arguments, "--json", "--endpoint-url", endpoint, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def is_in_a_day(text: str) -> bool:
    """Return whether this is the end of a secret that was replaced now, in the form that Secrets Manager has."""
    ends = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    return time.time() + 86_400 - 60 <= ends <= time.time() + 86_400


def test_a_secret_is_rotated_without_a_gap(endpoint: str, engine: Engine) -> None:
    """The old secret stays valid beside the new one for a day, or until the next."""
    (first,) = PROCESSORS["acme-pay"]["Secrets"]
    second = asked(endpoint, "rotate-secret", "acme-pay")
    assert stored(engine, "acme-pay") == {
        "Format": "standard-webhooks",
        "Secrets": [second["secret"], first],
        "OlderUntil": second["older_until"],
    }
    assert (second["active"], second["within_minutes"], is_in_a_day(second["older_until"])) == (2, 5, True)
    third = asked(endpoint, "rotate-secret", "acme-pay")["secret"]
    assert stored(engine, "acme-pay")["Secrets"] == [third, second["secret"]]
    assert len({first, second["secret"], third}) == 3


def test_people_see_when_the_older_secret_ends(endpoint: str, engine: Engine) -> None:
    """A person must change the processor before."""
    done = ledger("rotate-secret", "acme-pay", "--endpoint-url", endpoint)
    until = stored(engine, "acme-pay")["OlderUntil"]
    assert done.stdout.endswith(f"\nActive     2 within 5 minutes; the older one ends at {until}\n")


def test_a_leaked_secret_is_revoked(endpoint: str, engine: Engine) -> None:
    """--only revokes the others, whether the command makes the secret or gets it. A repeat restores none of them."""
    one = asked(endpoint, "rotate-secret", "acme-pay", "--only")
    assert stored(engine, "acme-pay") == {"Format": "standard-webhooks", "Secrets": [one["secret"]]}
    assert (one["active"], one["older_until"], one["within_minutes"]) == (1, None, 5)
    for _ in range(2):
        given = asked(endpoint, "rotate-secret", "stripe", "--secret", "-", "--only", stdin="whsec_0123456789abcdef\n")
        assert (given["active"], given["secret"]) == (1, None)
        assert stored(engine, "stripe") == {"Format": "stripe-test", "Secrets": ["whsec_0123456789abcdef"]}
    leaked = PROCESSORS["stripe"]["Secrets"][0]
    assert ledger("send", ACME, "--processor", "acme-pay", "--endpoint-url", endpoint).returncode == 0
    asked(endpoint, "rotate-secret", "stripe", "--secret", "-", stdin="whsec_another_of_stripes")
    assert leaked not in stored(engine, "stripe")["Secrets"]


def test_an_older_secret_that_has_ended_is_dropped(endpoint: str, engine: Engine) -> None:
    """Another change must not give it another day, nor give a day to a secret without an end."""
    (first,) = PROCESSORS["acme-pay"]["Secrets"]
    name, newest = f"{engine.outputs['ProcessorSecrets']}acme-pay", f"whsec_{'A' * 32}"
    for ended in ({"OlderUntil": "2026-01-01T00:00:00Z"}, {}):
        text = json.dumps({"Format": "standard-webhooks", "Secrets": [newest, first], **ended})
        engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
        assert asked(endpoint, "set-prefix", "acme-pay", "acme-")["active"] == 1
        assert stored(engine, "acme-pay")["Secrets"] == [newest]


@pytest.mark.parametrize("how", [{}, {"ForceDeleteWithoutRecovery": True}], ids=["to be deleted", "gone"])
def test_a_processor_whose_secret_was_deleted_is_registered_again(
    endpoint: str, engine: Engine, how: dict[str, Any]
) -> None:
    """Its deleted secrets stay revoked: they are not restored, not even for the moment between two calls."""
    (revoked,) = PROCESSORS["acme-pay"]["Secrets"]
    secrets = engine.client("secretsmanager")
    name = f"{engine.outputs['ProcessorSecrets']}acme-pay"
    secrets.delete_secret(SecretId=name, **how)
    refused = ledger("send", ACME, "--processor", "acme-pay", "--endpoint-url", endpoint)
    assert refused.stderr.startswith("ledger: acme-pay is not registered: register it with ")
    new = asked(endpoint, "register-processor", "acme-pay")
    assert stored(engine, "acme-pay") == {"Format": "standard-webhooks", "Secrets": [new["secret"]]}
    assert revoked != new["secret"]
    assert ledger("send", ACME, "--processor", "acme-pay", "--endpoint-url", endpoint).returncode == 0


@pytest.mark.parametrize("lost", ["DeleteSecret", "CreateSecret"])
def test_registering_again_is_safe_to_repeat(endpoint: str, engine: Engine, faults: Faults, lost: str) -> None:
    """Wherever it stops, no revoked secret is active, and the same command goes on."""
    secrets = engine.client("secretsmanager")
    name = f"{engine.outputs['ProcessorSecrets']}acme-pay"
    secrets.delete_secret(SecretId=name)
    if lost == "CreateSecret":
        faults.refuse("CreateSecret", "InvalidRequestException")  # a secret with this name is to be deleted
    faults.refuse(lost, "AccessDeniedException")
    failed = ledger("register-processor", "acme-pay", "--endpoint-url", endpoint)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)
    assert "acme-pay" not in {one["Name"].rpartition("/")[2] for one in secrets.list_secrets()["SecretList"]}
    new = asked(endpoint, "register-processor", "acme-pay")["secret"]
    assert stored(engine, "acme-pay")["Secrets"] == [new]


def test_a_prefix_is_set_and_removed(endpoint: str, engine: Engine) -> None:
    """A prefix changes no secret, and a new secret changes no prefix."""
    own = PROCESSORS["acme-pay"]
    done = ledger("set-prefix", "acme-pay", "acme-", "--endpoint-url", endpoint)
    assert done.stdout == (
        "Processor  acme-pay (standard-webhooks)\n"
        f"Webhook    {endpoint}/processors/acme-pay/payments\n"
        "Prefix     acme-  (its TransactionIDs must begin with this)\n"
        "Active     1 within 5 minutes; any other one ends by then\n"
    )
    assert stored(engine, "acme-pay") == {**own, "Prefix": "acme-"}
    new = asked(endpoint, "rotate-secret", "acme-pay", "--only")
    assert (new["prefix"], stored(engine, "acme-pay")["Prefix"]) == ("acme-", "acme-")
    posted = ledger("send", ACME, "--processor", "acme-pay", "--endpoint-url", endpoint)
    assert (posted.returncode, '"Rule": "id_prefix"' in posted.stdout) == (1, True)
    removed = asked(endpoint, "set-prefix", "acme-pay", "")
    assert (removed["prefix"], removed["secret"]) == (None, None)
    assert stored(engine, "acme-pay") == {**own, "Secrets": [new["secret"]]}
    both = asked(endpoint, "register-processor", "new-pay", "--prefix", "new-")
    assert stored(engine, "new-pay")["Secrets"] == [both["secret"]]


def test_a_prefix_gives_an_older_secret_no_other_day(endpoint: str, engine: Engine) -> None:
    """It ends at the time that it had before."""
    before = asked(endpoint, "rotate-secret", "acme-pay")
    engine_text = {**stored(engine, "acme-pay"), "OlderUntil": "2126-01-01T00:00:00Z"}
    name = f"{engine.outputs['ProcessorSecrets']}acme-pay"
    engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString=json.dumps(engine_text))
    after = asked(endpoint, "set-prefix", "acme-pay", "acme-")
    assert (before["active"], after["active"], after["older_until"]) == (2, 2, "2126-01-01T00:00:00Z")


def test_a_secret_that_is_not_usable_is_replaced(endpoint: str, engine: Engine) -> None:
    """A person put it there by hand. The command says what is wrong, and which command replaces it."""
    name = f"{engine.outputs['ProcessorSecrets']}acme-pay"
    engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString="whsec_canary")
    for arguments in (
        ("register-processor", "acme-pay"),
        ("rotate-secret", "acme-pay"),
        ("set-prefix", "acme-pay", "a-"),
        ("send", ACME, "--processor", "acme-pay"),
    ):
        done = ledger(*arguments, "--endpoint-url", endpoint)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith("ledger: the secret of acme-pay is not usable, it is not JSON: replace it with ")
        assert done.stderr.endswith("acme-pay --format FORMAT --only`\n")
        assert "canary" not in done.stderr
    new = asked(endpoint, "rotate-secret", "acme-pay", "--format", "standard-webhooks", "--only")
    assert stored(engine, "acme-pay") == {"Format": "standard-webhooks", "Secrets": [new["secret"]]}


def test_a_given_secret_is_kept_to_itself(endpoint: str, engine: Engine) -> None:
    """No terminal shows it. If it is given again, nothing changes."""
    ends = set()
    for _ in range(2):
        done = ledger(
            "rotate-secret",
            "stripe",
            "--secret",
            "-",
            "--json",
            "--endpoint-url",
            endpoint,
            stdin="whsec_0123456789abcdef\n",
        )
        report = json.loads(done.stdout)
        ends.add(report.pop("older_until"))
        assert report == {
            "processor_id": "stripe",
            "format": "stripe-test",
            "webhook": f"{endpoint}/processors/stripe/payments",
            "secret": None,
            "prefix": None,
            "active": 2,
            "within_minutes": 5,
        }
        assert "whsec_0123456789abcdef" not in done.stdout + done.stderr
    assert stored(engine, "stripe")["Secrets"] == ["whsec_0123456789abcdef", *PROCESSORS["stripe"]["Secrets"]]
    assert ends == {stored(engine, "stripe")["OlderUntil"]}


def test_a_registration_with_a_given_secret_is_safe_to_repeat(endpoint: str, engine: Engine) -> None:
    """A job that lost the reply calls the command again, and must not fail."""
    given = f"whsec_{'A' * 32}"
    first, second = (
        asked(endpoint, "register-processor", "new-pay", "--secret", "-", "--prefix", "n-", stdin=given)
        for _ in range(2)
    )
    assert first == second
    assert stored(engine, "new-pay") == {"Format": "standard-webhooks", "Secrets": [given], "Prefix": "n-"}


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (
            ("register-processor", "no pay"),
            "",
            "a processor's id is 1 to 64 of A-Z a-z 0-9 _ -",
        ),
        (
            ("register-processor", "x" * 65),
            "",
            "a processor's id is 1 to 64 of A-Z a-z 0-9 _ -",
        ),
        (
            ("register-processor", "4111111111111111"),
            "",
            "a processor's id is 1 to 64 of A-Z a-z 0-9 _ -, and holds no card number\n",
        ),
        (
            ("register-processor", "new", "--format", "stripe"),
            "",
            "with the format stripe, the processor makes the secret: copy it, and give it with --secret -\n",
        ),
        (
            ("register-processor", "new", "--format", "stripe", "--secret", "-"),
            "sk_live_1",
            "a secret of the format stripe is whsec_ and 16 characters or more",
        ),
        (
            ("register-processor", "new", "--secret", "-"),
            "whsec_short",
            "a secret of the format standard-webhooks is whsec_ and base64 of 24 to 64 bytes",
        ),
        (
            ("register-processor", "new", "--secret", "-"),
            "",
            "a secret of the format standard-webhooks is whsec_ and base64 of 24 to 64 bytes",
        ),
        (("register-processor", "new", "--secret", "-"), "a\nb", "a secret is one line of ASCII"),
        (("set-prefix", "acme-pay", "acme."), "", "a prefix is 1 to 24 of A-Z a-z 0-9 _ -"),
        (("set-prefix", "acme-pay", "a" * 25), "", "a prefix is 1 to 24 of A-Z a-z 0-9 _ -"),
        (
            ("rotate-secret", "stripe", "--only"),
            "",
            "with the format stripe-test, the processor makes the secret: copy it, and give it with --secret -\n",
        ),
        (
            ("rotate-secret", "acme-pay", "--format", "stripe"),
            "",
            "acme-pay has the format standard-webhooks: register another ProcessorID",
        ),
        (
            ("register-processor", "acme-pay"),
            "",
            "acme-pay is registered already: give it a new secret with `ledger rotate-",
        ),
        (
            ("register-processor", "acme-pay", "--secret", "-"),
            f"whsec_{'A' * 32}",
            "acme-pay is registered already: give",
        ),
        (("rotate-secret", "nobody"), "", "nobody is not registered: register it with `ledger register-processor "),
        (("set-prefix", "nobody", "a-"), "", "nobody is not registered: register it with `ledger register-processor "),
        (("register-processor", "new", "--stack", "none"), "", "stack none is not in this account and region"),
    ],
)
def test_what_cannot_be_registered_is_one_line(
    endpoint: str, engine: Engine, arguments: tuple[str, ...], stdin: str, message: str
) -> None:
    """The line says what to do, and nothing is changed."""
    before = engine.client("secretsmanager").list_secrets()["SecretList"]
    done = ledger(*arguments, "--endpoint-url", endpoint, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"ledger: {message}")
    assert engine.client("secretsmanager").list_secrets()["SecretList"] == before


def test_a_rejection_is_shown_as_the_processor_sees_it(endpoint: str) -> None:
    """A machine reads the answer. The exit status says that the webhook did not accept the payment."""
    done = ledger("send", "-", "--processor", "acme-pay", "--json", "--endpoint-url", endpoint, stdin="{")
    report = json.loads(done.stdout)
    assert (report["status"], report["body"]["Violations"]) == (400, [{"Field": "Payment", "Rule": "not_json"}])
    assert (done.returncode, done.stderr) == (1, "")


def test_a_200_for_what_was_not_recorded_is_no_success(endpoint: str, engine: Engine) -> None:
    """Adyen gets 200 for a refusal and for a known conflict too, since it corrects nothing."""
    text = Path("events/webhooks/adyen-authorisation.json").read_text(encoding="utf-8")
    statuses = []
    another = text.replace('"value": ', '"value": 1')
    for changed in (text, text.replace('"EUR"', '"XXX"'), another, another):
        arguments = ("send", "-", "--processor", "adyen", "--json", "--endpoint-url", endpoint)
        done = ledger(*arguments, stdin=changed)
        report = json.loads(done.stdout)
        statuses.append((done.returncode, report["status"], sorted(report["body"])))
        engine.wait_for(f"{execution_prefix(engine.outputs['WorkflowArn'])}:{report['body']['Execution']}")
    assert statuses == [
        (0, 200, ["Execution"]),
        (1, 200, ["Execution", "Violations"]),
        (0, 200, ["Execution"]),
        (1, 200, ["Execution", "Outcome"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (ACME, "--processor", "nobody"),
            "nobody is not registered: register it with `ledger register-processor --endpoint-url ",
        ),
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
    """The command opens the file before it looks at anything else."""
    done = ledger("send", "nowhere.json", "--processor", "acme-pay")
    assert done.returncode == 2
    assert "nowhere.json" in done.stderr


def test_a_stack_without_a_webhook_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The webhook is closed unless a parameter opens it."""
    from ledger_cli.stack.client import Stack  # noqa: PLC0415
    from ledger_cli.stack.processor_secrets import WebhookError  # noqa: PLC0415
    from ledger_cli.stack.processors import register_processor  # noqa: PLC0415

    stack = Stack.__new__(Stack)
    monkeypatch.setattr(stack, "outputs", {}, raising=False)
    with pytest.raises(WebhookError, match="deploy it with the parameter Webhook=open"):
        register_processor(stack, "acme-pay")


def test_a_secret_is_under_the_stacks_key(endpoint: str, engine: Engine) -> None:
    """A reader then needs a right on the key as well as one on the secret."""
    asked(endpoint, "register-processor", "new-pay")
    secrets = {secret["Name"]: secret for secret in engine.client("secretsmanager").list_secrets()["SecretList"]}
    key = engine.outputs["ProcessorSecretsKeyArn"]
    assert secrets[f"{engine.outputs['ProcessorSecrets']}new-pay"]["KmsKeyId"] == key
    assert key.endswith(engine.physical_ids["HistoryKey"])
