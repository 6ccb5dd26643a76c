"""The workflow's definition and the code use the same names, and nothing waits longer than it may."""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import botocore.session
import pytest
from botocore.retries.standard import ThrottledRetryableChecker

import ledger.item
import ledger.payment
import ledger.publication
import ledger.violations
from ledger import aws, outcome
from ledger.item import PaymentConflictError
from ledger.violations import InvalidPaymentError
from ledger_cli import ROOT
from ledger_cli.engine import Engine, template
from ledger_cli.engine.engine import EXECUTION_TIMEOUT_S
from ledger_cli.stack.deliveries import WAIT_S
from tools.sdk_data import calls_of

ASL = json.loads((ROOT / "statemachine/payment_ledger.asl.json").read_text())
STATES: dict[str, dict[str, Any]] = ASL["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
TEMPLATE = template.load(ROOT / "template.yaml")["Resources"]

BUSINESS_ERRORS = {InvalidPaymentError.__name__, PaymentConflictError.__name__}

CALLS = {
    name: calls_of(TEMPLATE, name)
    for name, resource in TEMPLATE.items()
    if resource["Type"] == "AWS::Serverless::Function"
}


def test_the_calls_of_every_function_are_found() -> None:
    """If a call were missing here, the tests below would expect too few retries."""
    assert CALLS == {
        "ValidatePayment": [],
        "EncryptToken": [("kms", "Encrypt"), ("kms", "ReEncrypt")],
        "PersistPaymentLedger": [("dynamodb", "PutItem")],
        "PublishOutcome": [("dynamodb", "UpdateItem"), ("events", "PutEvents")],
        "RepublishOutcomes": [("dynamodb", "Query"), ("dynamodb", "UpdateItem"), ("events", "PutEvents")],
        "QueryPaymentLedger": [("dynamodb", "GetItem"), ("dynamodb", "Query")],
        "RevealSecureToken": [("dynamodb", "GetItem"), ("kms", "Decrypt")],
        "WatchLedger": [],
        "ReceivePayment": [
            ("dynamodb", "GetItem"),
            ("kms", "Encrypt"),
            ("secretsmanager", "BatchGetSecretValue"),
            ("states", "DescribeExecution"),
            ("states", "StartExecution"),
        ],
    }


LAMBDA_ERRORS = {
    # Source: Step Functions Developer Guide, handling Lambda service exceptions.
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    # Source: Lambda API, Invoke, errors; those of a function in a VPC among them.
    "Lambda.TooManyRequestsException",
    "Lambda.ResourceNotReadyException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Lambda.ENINotReadyException",
    # Names that Lambda has been seen to use for a function's timeout or crash.
    "Lambda.Unknown",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "Runtime.OutOfMemory",
    "States.Timeout",
}


def function_of(task: dict[str, Any]) -> str:
    """Return the logical ID of the function that the task invokes."""
    return str(re.sub(r"[${}]", "", task["Parameters"]["FunctionName"]))


def retried(task: dict[str, Any]) -> set[str]:
    """Return every error name that the task retries."""
    return {name for retrier in task["Retry"] for name in retrier["ErrorEquals"]}


def connection_errors() -> set[str]:
    """Return the SDK's connection errors, which the SDK itself retries by these two base classes."""
    bases = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError)
    return {
        name
        for name, kind in inspect.getmembers(botocore.exceptions, inspect.isclass)
        if issubclass(kind, bases) and kind.__module__ == botocore.exceptions.__name__
    }


def transient_errors(service: str, operation: str) -> Iterator[str]:
    """Yield the class names of errors that may pass, according to the service's model and the SDK's retries."""
    session = botocore.session.get_session()
    model = session.get_component("data_loader").load_service_model(service, "service-2")
    keys: Any = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    client: Any = session.create_client(service, region_name="us-east-1", **keys)
    for error in model["operations"][operation]["errors"]:
        shape = model["shapes"][error["shape"]]
        if shape.get("fault"):  # an error of the service, not of the caller
            yield client.exceptions.from_code(shape.get("error", {}).get("code", error["shape"])).__name__
    for code in ThrottledRetryableChecker._THROTTLED_ERROR_CODES:  # type: ignore[attr-defined]  # not in the stubs
        yield client.exceptions.from_code(code).__name__


def own_errors(engine: Engine) -> set[str]:
    """Return the project's own error classes that a function of the workflow can raise."""
    handlers = [engine.functions[name].module for name in {function_of(task) for task in TASKS.values()}]
    modules = [*handlers, ledger.item, ledger.payment, ledger.publication, ledger.violations]
    return {
        name
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", TASKS)
def test_every_transient_error_is_retried_and_no_unknown_one(name: str) -> None:
    """A `Retry` on a name that nothing raises never fires, although a reader thinks that it does."""
    calls = CALLS[function_of(TASKS[name])]
    expected = set(LAMBDA_ERRORS)
    if calls:
        expected |= connection_errors()
    for service, operation in calls:
        expected |= set(transient_errors(service, operation))
    if function_of(TASKS[name]) == "PublishOutcome":
        expected.add("OutcomeNotPublishedError")
    assert retried(TASKS[name]) == expected


def test_own_errors_and_the_workflow_know_each_other(engine: Engine) -> None:
    """The workflow catches or retries every error of ours by its name, and names no error that nothing raises."""
    named = {name for task in TASKS.values() for name in retried(task) | caught(task)}
    aws_errors = LAMBDA_ERRORS | connection_errors()
    in_workflow = {function_of(task) for task in TASKS.values()}
    aws_errors |= {name for function in in_workflow for call in CALLS[function] for name in transient_errors(*call)}
    not_for_the_workflow = {
        "BrokenRuleError",  # becomes a violation of an InvalidPaymentError
        "InvalidInputError",  # is raised only as one of its two kinds
        "InvalidEntryError",  # is raised by no function yet
        "OutcomeRefusedError",  # stops the execution in its state, for an operator
        "UnreadableItemError",  # does the same
    }
    assert named - aws_errors == own_errors(engine) - not_for_the_workflow


def caught(task: dict[str, Any]) -> set[str]:
    """Return every error name that the task catches."""
    return {name for catcher in task.get("Catch", []) for name in catcher["ErrorEquals"]}


def test_only_rejections_and_conflicts_are_caught_and_none_is_retried() -> None:
    """Nobody could redrive a technical error that was caught, and a retry of a rejection only wastes time."""
    for task in TASKS.values():
        assert caught(task) <= BUSINESS_ERRORS
        assert retried(task).isdisjoint(BUSINESS_ERRORS | {"States.ALL", "States.TaskFailed"})


def test_each_business_error_ends_in_a_state_with_its_name() -> None:
    """The console, the alarms and `ledger run` distinguish the outcomes by these names."""
    assert {state["Error"] for state in STATES.values() if state["Type"] == "Fail"} == BUSINESS_ERRORS
    assert outcome.OUTCOME_BY_ERROR.keys() == BUSINESS_ERRORS
    for task in TASKS.values():
        for catcher in task.get("Catch", []):
            (error,) = catcher["ErrorEquals"]
            publish = STATES[catcher["Next"]]
            assert publish["Parameters"]["Payload"]["Outcome"] == outcome.OUTCOME_BY_ERROR[error]
            assert STATES[publish["Next"]]["Error"] == error


def test_the_happy_path_is_four_tasks() -> None:
    """A Standard workflow costs money for each transition of each payment."""
    path, name = [], ASL["StartAt"]
    while name:
        path.append(name)
        assert STATES[name]["Type"] == "Task"
        name = STATES[name].get("Next")
    assert path == ["Validate Payment", "Encrypt Token", "Persist Payment", "Publish Outcome"]


@pytest.mark.parametrize("name", TASKS)
def test_timeouts_nest(name: str) -> None:
    """A client must time out before its function, and the function before its state: otherwise the cause is lost."""
    function = function_of(TASKS[name])
    function_s = TEMPLATE[function]["Properties"]["Timeout"]
    two_calls = {
        "EncryptToken",
        "PublishOutcome",
    }  # a token that was sealed without its ProcessorID takes a second ReEncrypt
    calls_s = aws.CALL_TOTAL_S * (2 if function in two_calls else 1 if CALLS[function] else 0)
    assert calls_s < function_s < TASKS[name]["TimeoutSeconds"]


def test_a_call_lasts_its_attempts_and_the_waits_between_them() -> None:
    """An attempt lasts at most 3 s, and the waits between the attempts at most 1, 2 and 4 s."""
    assert [aws.call_total_s(attempts) for attempts in (1, 2, 3, 4)] == [3, 6 + 1, 9 + 1 + 2, 12 + 1 + 2 + 4]


def test_the_webhook_answers_in_time() -> None:
    """An HTTP API answers for the webhook after 30 s, and all four calls of a second delivery may be slow."""
    second_delivery_s = 4 * aws.call_total_s(2)
    assert second_delivery_s < TEMPLATE["ReceivePayment"]["Properties"]["Timeout"] < 30


@pytest.mark.parametrize("name", TASKS)
def test_retries_have_a_cap_and_full_jitter(name: str) -> None:
    """Without jitter, throttled calls are repeated together. Without a cap, an execution waits for hours."""
    (retrier,) = TASKS[name]["Retry"]
    assert retrier["JitterStrategy"] == "FULL"
    assert 1 <= retrier["MaxAttempts"] <= 10
    assert retrier["IntervalSeconds"] < retrier["MaxDelaySeconds"] <= 60, "nobody waits longer than a minute for a try"
    assert retrier["BackoffRate"] > 1


def longest_waits_s(task: dict[str, Any]) -> list[int]:
    """Return how long a state waits at most before each retry of its function."""
    (retrier,) = task["Retry"]
    return [
        int(min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number, retrier["MaxDelaySeconds"]))
        for number in range(retrier["MaxAttempts"])
    ]


def longest_s(task: dict[str, Any]) -> int:
    """Return how long a state lasts at most: each attempt until its function's timeout, and the waits between them."""
    waits = longest_waits_s(task)
    timeout: int = TEMPLATE[function_of(task)]["Properties"]["Timeout"]
    return (len(waits) + 1) * timeout + sum(waits)


@pytest.mark.parametrize("name", TASKS)
def test_a_command_waits_while_a_state_is_retried(name: str) -> None:
    """`ledger start` must not give up before the workflow does."""
    assert longest_s(TASKS[name]) < WAIT_S, "raise WAIT_S in ledger_cli/stack/deliveries.py"


def test_the_engine_waits_while_all_states_are_retried() -> None:
    """The slowest execution is one that succeeds at last: each of its states fails until its last attempt."""
    path = ["Validate Payment", "Encrypt Token", "Persist Payment", "Publish Outcome"]
    longest = sum(longest_s(TASKS[name]) for name in path)
    assert longest < EXECUTION_TIMEOUT_S, "raise EXECUTION_TIMEOUT_S in ledger_cli/engine/engine.py"


@pytest.mark.parametrize("page", ["docs/internals/decisions.md", "docs/operate/deploying.md"])
def test_the_pages_state_how_long_a_state_is_retried(page: str) -> None:
    """An operator waits that long before an error of permissions, or of too many starts, is a failure."""
    longest = max(sum(longest_waits_s(task)) for task in TASKS.values())
    assert f"waits of at most {longest} s" in (ROOT / page).read_text(), f"correct the waits in {page}"


def test_no_state_after_the_encryption_gets_the_plaintext() -> None:
    """A function cannot log what it does not get."""
    for name, task in TASKS.items():
        payload = task["Parameters"].get("Payload", {"whole": task["Parameters"].get("Payload.$")})
        if name not in {"Validate Payment", "Encrypt Token"}:
            assert "$" not in payload.values()
            assert not any("SecureToken" in str(path) or "Input" in str(path) for path in payload.values())


def test_no_handler_logs_its_event(engine: Engine) -> None:
    """Powertools logs the event with its token if somebody who looks for a fault sets a variable for that."""
    for name, function in engine.functions.items():
        assert "@logger.inject_lambda_context(clear_state=True, log_event=False)" in inspect.getsource(
            function.module
        ), name


def test_every_handler_imports(engine: Engine) -> None:
    """Each handler is imported with the template's environment, under the name that SAM resolves."""
    for name, function in engine.functions.items():
        module, _, attribute = function.handler.partition(".")
        assert (ROOT / f"functions/{module}.py").is_file(), name
        assert callable(getattr(function.module, attribute)), name


def test_the_environment_is_read_at_init_only(engine: Engine) -> None:
    """A missing variable must fail the first init of a deployment, not its first payment. The engine relies on this."""
    for function in engine.functions.values():
        source = inspect.getsource(function.module)
        assert not re.search(r"^[ \t]+.*os\.(environ|getenv)", source, re.MULTILINE)
        assert not re.search(
            r"^[ \t]+.*private_client\(", source, re.MULTILINE
        )  # this call reads the endpoint's variable
    for file in (ROOT / "functions/ledger").glob("*.py"):
        assert "os.environ" not in file.read_text() or file.name == "aws.py"
