"""What the engine adds to moto. A test fails for each bridge that moto no longer needs, so that it can be removed."""

import itertools
import json
import logging
import os
import re
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from moto.cloudformation.parsing import get_model_map
from moto.stepfunctions.parser.asl.eval.states import States

from ledger_cli import ROOT
from ledger_cli.engine import Engine, moto_patches, template
from ledger_cli.engine.moto_patches.cloudformation import SKIPPED_TYPES
from ledger_cli.engine.parameters import ParameterError
from tests.support.faults import Faults

NO_ENGINE = moto_patches.EngineHooks(invoke=Mock(), wait=Mock(), lock=nullcontext(), record=Mock(), ended=Mock())
PATCHES = list(moto_patches.patches(NO_ENGINE))
FACTS = sorted({fact for patch in PATCHES for fact in patch.facts} | moto_patches.FACTS_WITHOUT_A_PATCH.keys())
"""The facts about moto that the engine's own bridges name."""


@pytest.fixture(scope="module")
def unpatched() -> dict[str, bool]:
    """Return what moto does without the bridges. A process without an engine finds out."""
    script = Path(__file__).with_name("moto_unpatched.py")
    of_the_engine = {"MOTO_EC2_LOAD_DEFAULT_AMIS", "VALIDATE_LAMBDA_S3"}
    environment = {name: value for name, value in os.environ.items() if name not in of_the_engine}
    asked = subprocess.run(  # noqa: S603
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    facts: dict[str, bool] = json.loads(asked.stdout)
    return facts


@pytest.mark.parametrize("fact", FACTS)
def test_moto_still_needs_the_bridge(unpatched: dict[str, bool], fact: str) -> None:
    """If this fails after an upgrade, moto no longer needs the bridge: remove it from `ledger_cli/engine`."""
    assert unpatched[fact]


def test_each_patch_has_a_fact_and_each_fact_a_check(unpatched: dict[str, bool]) -> None:
    """A patch without a check would stay after moto no longer needs it, and a check without a patch proves nothing."""
    assert all(patch.facts for patch in PATCHES)
    assert sorted(unpatched) == FACTS


def test_each_file_of_patches_is_in_the_list() -> None:
    """A file that is not in the list would be read by nobody, and its patches would not be applied."""
    files = {file.stem for file in (ROOT / "ledger_cli/engine/moto_patches").glob("*.py")} - {"__init__", "patch"}
    assert files == {service.__name__.rpartition(".")[2] for service in moto_patches.SERVICES}


KNOWN = {"AWS::CloudWatch::Dashboard", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"}
"""Types that moto knows, although it does not know what they refer to."""


def test_the_page_names_every_type_that_is_left_out(engine: Engine) -> None:
    """The engine leaves out the types that moto does not know. A reader of the page must find every one."""
    unknown = {resource["Type"] for resource in engine.template["Resources"].values()} - set(get_model_map())
    assert unknown <= set(engine.skipped.values()) <= SKIPPED_TYPES
    assert set(engine.skipped.values()) - unknown <= KNOWN
    page = (ROOT / "docs/internals/engine.md").read_text()
    assert set(re.findall(r"`(AWS::\w+::\w+)`", page)) == set(engine.skipped.values())


def test_the_deployed_definition_is_the_file(engine: Engine) -> None:
    """The tests prove the workflow that `sam deploy` uploads, so the engine must not run another one."""
    deployed = engine.client("stepfunctions").describe_state_machine(stateMachineArn=engine.outputs["WorkflowArn"])
    source = (ROOT / "statemachine/payment_ledger.asl.json").read_text().replace("${Partition}", "aws")
    for name, function in engine.functions.items():
        source = source.replace(f"${{{name}}}", f"{function.arn}:live")
    for name, value in {"NotRetried": "NoError", "NotRetriedTimeout": "NoTimeout"}.items():
        source = source.replace(f"${{{name}}}", value)
    source = re.sub(r"\$\{(\w+)\}", r"\1", source)  # the errors that are caught stand for themselves
    assert json.loads(deployed["definition"]) == json.loads(source)


def test_functions_have_their_own_environment_only(engine: Engine) -> None:
    """In Lambda, a function does not see variables that another function or a shell has set."""
    for name, function in engine.functions.items():
        declared = engine.template["Resources"][name]["Properties"]["Environment"]["Variables"]
        always = {variable for variable, value in declared.items() if "AWS::NoValue" not in json.dumps(value)}
        assert always <= function.environment.keys()
        rest = function.environment.keys() - always
        assert all(variable.startswith("AWS_") for variable in rest)
        assert all(isinstance(value, str) and "${" not in value for value in function.environment.values())


def test_a_function_that_lacks_a_variable_fails_at_init(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a deployment must show at once, and not at the first payment that needs the variable."""
    function = engine.functions["PersistPaymentLedger"]
    monkeypatch.delitem(function.environment, "TABLE_NAME")
    function.restart()
    reply, raised = function.invoke(b"{}")
    assert raised
    assert json.loads(reply)["errorType"] == "KeyError"
    function.restart()


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("EncryptToken", "AWS_ENDPOINT_URL_KMS"),
        ("PersistPaymentLedger", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("PublishOutcome", "AWS_ENDPOINT_URL_EVENTBRIDGE"),
        ("PublishOutcome", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("RepublishOutcomes", "AWS_ENDPOINT_URL_EVENTBRIDGE"),
        ("RepublishOutcomes", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("ReceivePayment", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("ReceivePayment", "AWS_ENDPOINT_URL_KMS"),
        ("ReceivePayment", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        ("ReceivePayment", "AWS_ENDPOINT_URL_SFN"),
    ],
)
def test_a_function_does_not_start_without_its_private_endpoint(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str, variable: str, *, lost: bool
) -> None:
    """Its calls would go to the public name, outside the VPC, and each payment would wait for a timeout."""
    function = engine.functions[name]
    if lost:
        monkeypatch.delitem(function.environment, variable)
    else:
        monkeypatch.setitem(function.environment, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    function.restart()
    reply, raised = function.invoke(b"{}")
    assert raised
    error = json.loads(reply)
    assert error["errorType"] == "PrivateEndpointError"
    ignored = r"AWS_ENDPOINT_URL_(KMS|DYNAMODB|EVENTBRIDGE|SECRETS_MANAGER) is ignored: unset AWS_IGNORE_\w+$"
    message = rf"{variable} is not set: .* for [a-z]+$" if lost else ignored
    assert re.match(message, error["errorMessage"])
    monkeypatch.undo()
    function.restart()


def test_calls_go_to_the_private_endpoint(engine: Engine, payment: Any) -> None:
    """The functions use the endpoints' own names, so no public name needs to lead to an endpoint."""
    engine.run(json.dumps(payment))
    hosts = {(call.operation, re.sub(r"vpce-\w+", "vpce-ID", call.host)) for call in engine.calls}
    assert hosts == {
        ("Encrypt", "vpce-ID-embedded.kms.us-east-1.vpce.amazonaws.com"),
        ("PutItem", "vpce-ID-embedded.dynamodb.us-east-1.vpce.amazonaws.com"),
        ("PutEvents", "vpce-ID-embedded.events.us-east-1.vpce.amazonaws.com"),
        ("UpdateItem", "vpce-ID-embedded.dynamodb.us-east-1.vpce.amazonaws.com"),
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Suffix": "-Dev"}, "Suffix: empty, or a hyphen, a letter and at most 11 more of a-z and 0-9"),
        ({"DefaultCurrency": "EURO"}, "DefaultCurrency: an ISO 4217 code of three capital letters"),
        ({"LogRetentionDays": "8"}, "LogRetentionDays: one of 7, 14, 30,"),
        ({"RepublishAfterMinutes": "0"}, "RepublishAfterMinutes: 1 to 1440"),
        ({"RepublishAfterMinutes": "5.0"}, "RepublishAfterMinutes: 1 to 1440"),
        ({"Architecture": "sparc"}, "Architecture: one of arm64, x86_64"),
        ({"Stgae": "dev"}, "Stgae: the template has no such parameter"),
        ({"OwnVpcId": "vpc-1"}, "OwnVpcId: the id of a VPC, or empty"),
        ({"OwnVpcId": "vpc-12345678"}, "OwnSubnetA is missing, give OwnVpcId, OwnSubnetA and OwnSubnetB"),
        ({"OwnSubnetB": "subnet-12345678"}, "OwnVpcId is missing, give OwnVpcId, OwnSubnetA and OwnSubnetB"),
        (
            {"OwnVpcId": "vpc-12345678", "OwnSubnetA": "subnet-12345678", "OwnSubnetB": "subnet-12345678"},
            "OwnSubnetA and OwnSubnetB are one subnet",
        ),
    ],
)
def test_a_parameter_out_of_range_is_named(given: dict[str, str], message: str) -> None:
    """CloudFormation checks parameters before it deploys anything, and names the one that is wrong."""
    with pytest.raises(ParameterError) as caught:
        template.expand(ROOT / "template.yaml", given)
    assert str(caught.value).startswith(message)


def test_a_wrong_default_currency_fails_at_init(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameter's pattern allows any three letters. Only the function knows the codes of currencies."""
    function = engine.functions["ValidatePayment"]
    monkeypatch.setitem(function.environment, "DEFAULT_CURRENCY", "XXX")
    function.restart()
    reply, _ = function.invoke(b"{}")
    assert "DEFAULT_CURRENCY" in json.loads(reply)["errorMessage"]
    monkeypatch.undo()
    function.restart()


def test_a_default_currency_that_is_retired_stops_no_other_payment(
    engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update of the stack after the currency's retirement must not stop payments that name another currency."""
    function = engine.functions["ValidatePayment"]
    monkeypatch.setitem(function.environment, "DEFAULT_CURRENCY", "BGN")
    function.restart()
    without = {name: value for name, value in payment.items() if name != "Currency"}
    replies = [json.loads(function.invoke(json.dumps(one).encode())[0]) for one in (payment, without)]
    function.restart()
    assert replies[0]["Payment"]["Currency"] == payment["Currency"]
    assert replies[1]["errorType"] == "InvalidPaymentError"
    assert "retired_currency" in replies[1]["errorMessage"]


def test_what_a_handler_prints_is_its_log(engine: Engine, payment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`ledger run --json` writes lines for machines to standard output, where a handler's logs would disturb them."""
    engine.run(json.dumps(payment))
    assert "payment persisted" in engine.logs()
    assert capsys.readouterr().out == ""


def test_only_one_engine_lives_at_a_time(engine: Engine) -> None:
    """Since moto replaces AWS in the whole process, two engines would share one account."""
    assert engine
    with pytest.raises(RuntimeError, match="an engine is alive"):
        Engine()


def test_the_process_is_restored_after_an_engine() -> None:
    """The process belongs to the caller: after the `with` block, AWS, the environment and logging are as before."""
    script = """
import logging, os, sys
os.environ["AWS_PROFILE"] = "of-the-shell"
from ledger_cli.engine import Engine
for suffix, table in (("", "PaymentLedger"), ("-dev", "PaymentLedger-dev")):
    with Engine(parameters={"Suffix": suffix}) as engine:
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
    """The shell may have credentials of a real account. The engine must never use them."""
    assert not any(name.startswith("AWS_PROFILE") for name in os.environ)
    assert boto3.client("sts", region_name="us-east-1").get_caller_identity()["Account"] == "123456789012"
    assert logging.getLogger("moto").propagate is False
    assert engine


def test_a_function_whose_time_is_up_is_ended_and_retried(
    engine: Engine, payment: Any, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda ends the handler under an error name of its own, and runs the retry in a new environment."""
    function = engine.functions["EncryptToken"]
    before = function.module
    monkeypatch.setattr(function, "timeout_s", 0.2)
    faults.delay("Encrypt", 0.3)
    execution = engine.run(json.dumps(payment))
    failures = [event for event in engine.history(execution.arn) if event["type"] == "TaskFailed"]
    (details,) = [failure["taskFailedEventDetails"] for failure in failures]
    assert (execution.outcome, details["error"]) == ("RECORDED", "Sandbox.Timedout")
    assert "Task timed out after 0.20 seconds" in details["cause"]
    assert function.module is not before


def test_a_handler_that_catches_everything_is_ended_too(
    engine: Engine, payment: Any, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK would catch a timeout and retry. Lambda ends the process, so no code in it can catch that."""
    monkeypatch.setattr(engine.functions["EncryptToken"], "timeout_s", 0.2)
    faults.delay("Encrypt", 0.3)
    faults.lose_reply("Encrypt", times=3)
    reply, raised = engine.functions["EncryptToken"].invoke(
        json.dumps({"Payment": payment, "SecureToken": "tok"}).encode()
    )
    faults.planned.clear()
    assert (raised, json.loads(reply)["errorType"]) == (True, "Sandbox.Timedout")


@pytest.mark.parametrize("ends", ["returns", "rejects", "fails"])
def test_a_handler_that_only_computes_is_timed_out_however_it_ends(
    engine: Engine, payment: Any, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """In Lambda, a rejection that comes too late does not count: the workflow sees a technical failure, and retries."""
    function = engine.functions["ValidatePayment"]
    module, handler, invoked = function.module, function.module.handler, itertools.count()

    def late(event: Any, context: Any) -> Any:
        if next(invoked) == 0:
            time.sleep(0.25)
            if ends == "rejects":
                return handler({}, context)
            if ends == "fails":
                raise ZeroDivisionError
        return handler(event, context)

    monkeypatch.setattr(module, "handler", late)
    monkeypatch.setattr(function, "timeout_s", 0.2)
    execution = engine.run(json.dumps(payment))
    failures = [event for event in engine.history(execution.arn) if event["type"] == "TaskFailed"]
    errors = [failure["taskFailedEventDetails"]["error"] for failure in failures]
    assert (execution.outcome, errors, next(invoked)) == ("RECORDED", ["Sandbox.Timedout"], 1)
    assert function.module is not module


def test_a_reply_that_is_not_json_fails_as_in_lambda(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workflow must see the runtime's name for this error, and not the class that Python raises."""
    function = engine.functions["ValidatePayment"]
    monkeypatch.setattr(function.module, "handler", lambda _event, _context: {"a", "set"})
    reply, raised = function.invoke(b"{}")
    assert (raised, json.loads(reply)["errorType"]) == (True, "Runtime.MarshalError")


def test_a_redriven_execution_continues_in_the_state_that_failed(engine: Engine, payment: Any, faults: Faults) -> None:
    """Name, start and the failed state's input stay, so that the execution recognises its own write."""
    faults.refuse("PutEvents", "ResourceNotFoundException")
    failed = engine.run(json.dumps(payment))
    states, (written,) = engine.client("stepfunctions"), engine.items()
    faults.calls.clear()
    states.redrive_execution(executionArn=failed.arn)
    redriven = engine.wait_for(failed.arn)
    assert (redriven.outcome, redriven.started_at, redriven.name) == ("RECORDED", failed.started_at, failed.name)
    assert [call for call in faults.calls if call in {"Encrypt", "PutItem", "PutEvents"}] == ["PutEvents"]
    (item,) = engine.items()
    assert item.keys() ^ written.keys() == {"PublishedAt", "Unpublished"}
    numbers = [event.number for event in redriven.events]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [event.type for event in redriven.events].count("ExecutionStarted") == 1
    described = states.describe_execution(executionArn=failed.arn)
    assert json.loads(described["input"]) == payment
    with pytest.raises(states.exceptions.ClientError, match="ExecutionNotRedrivable"):
        states.redrive_execution(executionArn=failed.arn)


def test_an_execution_is_redriven_more_than_once(engine: Engine, payment: Any, faults: Faults) -> None:
    """An operator may redrive before the cause is fixed. All attempts are in one history."""
    faults.refuse("PutItem", "ResourceNotFoundException", times=3)
    arn = engine.run(json.dumps(payment)).arn
    for attempts in (2, 3):
        engine.client("stepfunctions").redrive_execution(executionArn=arn)
        execution = engine.wait_for(arn)
        assert (execution.outcome, execution.states[-1].attempts) == (None, attempts)
    engine.client("stepfunctions").redrive_execution(executionArn=arn)
    assert engine.wait_for(arn).outcome == "RECORDED"
    assert [event.type for event in engine.wait_for(arn).events].count("ExecutionRedriven") == 3


def test_an_ended_execution_has_its_output(engine: Engine, payment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In moto, the status is SUCCEEDED a moment before the output is set. A caller must get both."""
    read = States.get_input

    def slowly(states: States) -> Any:
        time.sleep(0.02)
        return read(states)

    monkeypatch.setattr(States, "get_input", slowly)
    assert engine.run(json.dumps(payment)).outcome == "RECORDED"
