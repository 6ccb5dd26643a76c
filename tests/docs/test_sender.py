"""The code that docs/integrate/sending.md gives to senders does what the page says, as it stands there."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from ledger.intake import execution_name, execution_prefix
from ledger.payment import parse_payment
from ledger_cli import ROOT
from ledger_cli.engine import Engine

PAGE = (ROOT / "docs/integrate/sending.md").read_text()


class Sender:
    """A sender that copied the module, and sends to the engine's stack."""

    def __init__(self, engine: Engine, path: Path) -> None:
        (code,) = re.findall(r"^```python\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        path.write_text(code)
        self.module = runpy.run_path(str(path))
        self.engine, self.states = engine, engine.client("stepfunctions")

    def seal(self, payment: dict[str, Any], token: str) -> str:
        """Return the token, sealed for the payment."""
        sealed: str = self.module["seal"](self.engine.client("kms"), self.engine.outputs, payment, token)
        return sealed

    def deliver(self, payment: dict[str, Any], sealed: str) -> str:
        """Return what the module says of the delivery."""
        dynamodb = self.engine.client("dynamodb")
        said: str = self.module["deliver"](self.states, dynamodb, self.engine.outputs, payment, sealed)
        return said

    def outcome(self, name: str) -> str | None:
        """Return the outcome of the execution of that name, once it has ended."""
        return self.engine.wait_for(f"{execution_prefix(self.engine.outputs['WorkflowArn'])}:{name}").outcome


@pytest.fixture
def sender(engine: Engine, tmp_path: Path) -> Sender:
    """Return a sender to the stack as it was deployed."""
    return Sender(engine, tmp_path / "sender.py")


@pytest.fixture
def canonical(payment: dict[str, Any]) -> dict[str, Any]:
    """Return a payment without its token, in the form that the page asks for."""
    return parse_payment(payment, default_currency="USD")[0].as_state()


def name_of(payment: dict[str, Any], sealed: str) -> str:
    """Return the name that the ledger's own code gives to the first execution of a delivery."""
    parsed, _ = parse_payment({**payment, "SealedToken": sealed}, default_currency="USD")
    return execution_name(parsed, sealed)


def test_a_repeated_delivery_meets_its_own_execution(
    sender: Sender, canonical: dict[str, Any], payment: dict[str, Any]
) -> None:
    """A sender that lost the answer sends again; nothing runs twice, and no history has the token."""
    sealed = sender.seal(canonical, payment["SecureToken"])
    assert sender.deliver(canonical, sealed) == "RUNNING"
    assert sender.outcome(name_of(canonical, sealed)) == "RECORDED"
    assert [sender.deliver(canonical, sealed) for _ in range(2)] == ["RECORDED", "RECORDED"]
    assert len(sender.engine.published()) == 1
    history = sender.engine.history(
        f"{execution_prefix(sender.engine.outputs['WorkflowArn'])}:{name_of(canonical, sealed)}"
    )
    assert payment["SecureToken"] not in json.dumps(history, default=str)


def test_a_conflict_is_reported_and_published_again_once(sender: Sender, canonical: dict[str, Any]) -> None:
    """The first execution may have ended before it published the conflict."""
    sealed = sender.seal(canonical, "tok_1")
    sender.deliver(canonical, sealed)
    assert sender.outcome(name_of(canonical, sealed)) == "RECORDED"
    other = {**canonical, "Amount": "1.00"}
    assert sender.deliver(other, sealed) == "RUNNING"
    assert sender.outcome(name_of(other, sealed)) == "CONFLICT"
    assert [sender.deliver(other, sealed) for _ in range(3)] == ["CONFLICT"] * 3
    assert sender.outcome(f"{name_of(other, sealed)}-c") == "CONFLICT"
    assert len(sender.engine.published()) == 3


def test_a_delivery_that_was_not_recorded_is_attempted_nine_times(sender: Sender, canonical: dict[str, Any]) -> None:
    """A seal that was made for another payment stays wrong, so the module asks for a new one."""
    sealed = sender.seal({**canonical, "TransactionID": "another"}, "tok_1")
    name = name_of(canonical, sealed)
    for attempt in range(1, 10):
        assert sender.deliver(canonical, sealed) == "RUNNING"
        assert sender.outcome(name if attempt == 1 else f"{name}-{attempt}") == "REJECTED"
    with pytest.raises(RuntimeError, match="Seal the token again"):
        sender.deliver(canonical, sealed)
    right = sender.seal(canonical, "tok_1")
    assert sender.deliver(canonical, right) == "RUNNING"
    assert sender.outcome(name_of(canonical, right)) == "RECORDED"
