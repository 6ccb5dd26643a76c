"""The smoke test against the embedded engine: it works, and notices what IAM would refuse and the engine does not."""

import pytest

from ledger_cli import REGION, smoke
from ledger_cli.deployed import Stack
from ledger_cli.engine import Engine
from ledger_cli.engine.server import EngineServer
from ledger_cli.engine.stack import STACK_NAME


def test_the_smoke_test_asks_all_it_can_ask_here(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """IAM is not enforced on the engine: the two questions about it must come out as failed."""
    with EngineServer(["127.0.0.1"]) as server:
        server.start(engine)
        failed = smoke.run(Stack(STACK_NAME, endpoint_url=f"http://127.0.0.1:{server.port}"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["ok"] * 5 + ["FAILED", "FAILED", "FAILED", "ok"]
    assert failed == 3
    assert "history is not encrypted" in lines[5]
    assert "deleting an item was allowed" in lines[6]
    assert "decrypting a sealed token was allowed" in lines[7]


def test_a_webhook_that_lets_everybody_in_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is signed or not; the secret that was made for the question is gone again."""
    with EngineServer(["127.0.0.1"]) as server:
        server.start(engine)
        stack = Stack(STACK_NAME, endpoint_url=f"http://127.0.0.1:{server.port}")
        monkeypatch.setattr(engine.functions["ReceivePayment"].module, "verify", lambda *_: None)
        with pytest.raises(smoke.SmokeError, match=r"unsigned it answered 202, signed 20[02]"):
            dict(smoke.checks(stack))["the webhook takes a signed payment, and no other"]()
    assert engine.client("secretsmanager").list_secrets()["SecretList"] == []


def test_a_stack_that_is_not_there_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with its name."""
    assert engine
    monkeypatch.setattr("sys.argv", ["smoke", "--stack", "none", "--region", REGION])
    with pytest.raises(SystemExit) as ended:
        smoke.main()
    assert str(ended.value.code).startswith("smoke: none: ")


def test_an_unexpected_outcome_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that takes invalid payments must not pass."""
    assert engine
    monkeypatch.setattr(smoke, "outcome", lambda *_: "RECORDED")
    questions = dict(smoke.checks(Stack(STACK_NAME, region=REGION)))
    questions["a sealed payment is recorded, through every endpoint"]()
    with pytest.raises(smoke.SmokeError, match="expected REJECTED, saw RECORDED"):
        questions["an invalid payment is rejected"]()
