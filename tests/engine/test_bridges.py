"""What the engine adds to moto. A bridge that moto no longer needs fails here, so that it can go."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.cloudformation.parsing import get_model_map

from ledger_cli import ROOT
from ledger_cli.engine import Engine

FACTS = [
    "created_where_nothing_runs",
    "definition_substitutions_ignored",
    "sub_halves_dollars",
    "archive_pattern_fails",
    "reencrypts_from_any_key",
    "functions_echo",
    "parses_for_each_execution",
    "retries_sleep",
]


@pytest.fixture(scope="module")
def moto_as_it_is() -> dict[str, bool]:
    """What moto does without the bridges, asked in a process without an engine."""
    script = Path(__file__).with_name("moto_as_it_is.py")
    asked = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True)  # noqa: S603
    facts: dict[str, bool] = json.loads(asked.stdout)
    return facts


@pytest.mark.parametrize("fact", FACTS)
def test_moto_still_needs_the_bridge(moto_as_it_is: dict[str, bool], fact: str) -> None:
    """Where this fails after an upgrade, moto has learned it: take the bridge out of `ledger_cli/engine`."""
    assert moto_as_it_is[fact]


def test_every_fact_is_asked_for(moto_as_it_is: dict[str, bool]) -> None:
    """A fact that no test looks at proves nothing."""
    assert sorted(moto_as_it_is) == sorted(FACTS)


def test_nothing_in_the_template_is_skipped_in_silence(engine: Engine) -> None:
    """Moto leaves out types that it does not know, and references to them become None."""
    assert engine.skipped == []
    assert {resource["Type"] for resource in engine.template["Resources"].values()} <= set(get_model_map())


def test_the_deployed_definition_is_the_file(engine: Engine) -> None:
    """What is proven here is what `sam deploy` uploads."""
    deployed = engine.client("stepfunctions").describe_state_machine(stateMachineArn=engine.outputs["WorkflowArn"])
    source = (ROOT / "statemachine/payment_ledger.asl.json").read_text().replace("${Partition}", "aws")
    for name, function in engine.functions.items():
        source = source.replace(f"${{{name}}}", function.arn)
    assert json.loads(deployed["definition"]) == json.loads(source)


def test_functions_have_their_own_environment_only(engine: Engine) -> None:
    """What another function or the shell has set is not there in Lambda either."""
    for name, function in engine.functions.items():
        declared = engine.template["Resources"][name]["Properties"]["Environment"]["Variables"]
        assert declared.keys() <= function.environment.keys()
        rest = function.environment.keys() - declared.keys()
        assert all(variable.startswith("AWS_") for variable in rest)
        assert all(isinstance(value, str) and "${" not in value for value in function.environment.values())


def test_a_function_that_lacks_a_variable_fails_at_init(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment's mistake must show at once, and not at the first payment that needs it."""
    function = engine.functions["PersistPaymentLedger"]
    monkeypatch.delitem(function.environment, "TABLE_NAME")
    function.restart()
    reply, raised = function.invoke(b"{}")
    assert raised
    assert json.loads(reply)["errorType"] == "KeyError"
    function.restart()


def test_a_wrong_default_currency_fails_at_init(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameter's pattern knows three letters; the function knows the codes."""
    function = engine.functions["ValidatePayment"]
    monkeypatch.setitem(function.environment, "DEFAULT_CURRENCY", "XXX")
    function.restart()
    reply, _ = function.invoke(b"{}")
    assert "DEFAULT_CURRENCY" in json.loads(reply)["errorMessage"]
    monkeypatch.undo()
    function.restart()


def test_what_a_handler_prints_is_its_log(engine: Engine, payment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`ledger run --json` writes lines for machines to the same standard output."""
    engine.run(json.dumps(payment))
    assert "payment persisted" in engine.logs()
    assert capsys.readouterr().out == ""


def test_only_one_engine_lives_at_a_time(engine: Engine) -> None:
    """Moto replaces AWS in the whole process: two stacks would be one."""
    assert engine
    with pytest.raises(RuntimeError, match="an engine is alive"):
        Engine()


def test_the_process_gets_its_own_back() -> None:
    """After the `with` block, AWS, the environment and logging are as they were."""
    script = """
import logging, os, sys
os.environ["AWS_PROFILE"] = "of-the-shell"
from ledger_cli.engine import Engine
for stage, table in (("prod", "PaymentLedger"), ("dev", "PaymentLedger-dev")):
    with Engine(parameters={"Stage": stage}) as engine:
        assert engine.outputs["TableName"] == table
        assert "AWS_PROFILE" not in os.environ
        assert engine.run('{}').outcome == "REJECTED"
        assert engine.published()[-1]["detail"]["Outcome"] == "REJECTED"
        assert len(engine.published()) == 1
assert os.environ["AWS_PROFILE"] == "of-the-shell"
assert logging.getLogger("moto").propagate
assert type(sys.stdout).__name__ == "TextIOWrapper"
print("as it was")
"""
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)  # noqa: S603, PLW1510
    assert (asked.stdout, asked.stderr) == ("as it was\n", "")


def test_aws_is_never_reached(engine: Engine) -> None:
    """The engine's account is not a real one, whatever the shell's credentials say."""
    assert not any(name.startswith("AWS_PROFILE") for name in os.environ)
    assert boto3.client("sts", region_name="us-east-1").get_caller_identity()["Account"] == "123456789012"
    assert logging.getLogger("moto").propagate is False
    assert engine
