"""The workflows' definitions and the code use the same names, and nothing waits longer than it may."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import botocore.exceptions
import botocore.session
import pytest
from botocore.retries.standard import ThrottledRetryableChecker

import ledger.chain
import ledger.entry
import ledger.item
import ledger.payment
import ledger.publication
import ledger.violations
from ledger import aws, outcome
from ledger.chain import EntryContentionError
from ledger.publication import OutcomeNotPublishedError
from ledger.violations import (
    EntryConflictError,
    EntryTooEarlyError,
    InvalidEntryError,
    InvalidPaymentError,
    PaymentConflictError,
)
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.engine import EXECUTION_TIMEOUT_S
from ledger_cli.stack.deliveries import WAIT_S
from tests.support.definitions import TEMPLATE, definition_of, standard_states
from tools.sdk_data import calls_of


class Workflow(NamedTuple):
    """A definition: its states, the states of its happy path, and the errors of its Fail states."""

    states: dict[str, dict[str, Any]]
    path: list[str]
    business_errors: set[str]


def read(machine: str, path: list[str], *business_errors: type[Exception]) -> Workflow:
    """Return the Standard workflow of a state machine, from its first state on."""
    assert definition_of(machine)["StartAt"] == path[0]
    return Workflow(standard_states(machine), path, {error.__name__ for error in business_errors})


WORKFLOWS = {
    "payment_ledger": read(
        "PaymentLedgerWorkflow",
        ["Validate Payment", "Encrypt Token", "Persist Payment", "Publish Outcome"],
        InvalidPaymentError,
        PaymentConflictError,
    ),
    "payment_entries": read(
        "PaymentEntriesWorkflow",
        ["Validate Entry", "Append Entry", "Publish Outcome"],
        InvalidEntryError,
        EntryConflictError,
    ),
}
TASKS = {
    f"{file}: {name}": state
    for file, workflow in WORKFLOWS.items()
    for name, state in workflow.states.items()
    if state["Type"] == "Task"
}
APPEND_ENTRY = TASKS["payment_entries: Append Entry"]

TOO_EARLY, CONTENTION = EntryTooEarlyError.__name__, EntryContentionError.__name__

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
        "ValidateEntry": [],
        "AppendEntry": [("dynamodb", "GetItem"), ("dynamodb", "PutItem"), ("dynamodb", "Query")],
        "PublishOutcome": [("dynamodb", "UpdateItem"), ("events", "PutEvents")],
        "RepublishOutcomes": [("dynamodb", "Query"), ("dynamodb", "UpdateItem"), ("events", "PutEvents")],
        "SealLedger": [
            ("dynamodb", "BatchGetItem"),
            ("dynamodb", "PutItem"),
            ("dynamodb", "Query"),
            ("dynamodb", "UpdateItem"),
            ("events", "PutEvents"),
            ("kms", "GetPublicKey"),
            ("kms", "Sign"),
            ("s3", "PutObject"),
        ],
        "QueryPaymentLedger": [("dynamodb", "GetItem"), ("dynamodb", "Query")],
        "RevealSecureToken": [("dynamodb", "GetItem"), ("kms", "Decrypt")],
        "AcceptEntry": [("dynamodb", "GetItem"), ("dynamodb", "PutItem"), ("dynamodb", "Query")],
        "WatchLedger": [],
        "ReceivePayment": [
            ("dynamodb", "GetItem"),
            ("dynamodb", "Query"),
            ("kms", "Encrypt"),
            ("secretsmanager", "BatchGetSecretValue"),
            ("states", "DescribeExecution"),
            ("states", "StartExecution"),
            ("states", "StartSyncExecution"),
        ],
        "ReceivePartnerEvent": [
            ("dynamodb", "GetItem"),
            ("dynamodb", "Query"),
            ("kms", "Encrypt"),
            ("states", "DescribeExecution"),
            ("states", "StartExecution"),
            ("states", "StartSyncExecution"),
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
    # Source: Lambda API, Invoke, errors; those of a function that starts from a snapshot.
    "Lambda.SnapStartException",
    "Lambda.SnapStartNotReadyException",
    "Lambda.SnapStartTimeoutException",
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


OWN_ERRORS: Mapping[str, set[type[Exception]]] = {
    "ValidatePayment": {InvalidPaymentError},
    "EncryptToken": {InvalidPaymentError},
    "PersistPaymentLedger": {PaymentConflictError},
    "ValidateEntry": {InvalidEntryError},
    "AppendEntry": {InvalidEntryError, EntryConflictError, EntryTooEarlyError, EntryContentionError},
    "PublishOutcome": {OutcomeNotPublishedError},
}
"""The project's own errors that each function of a workflow raises, and its state retries or catches."""

NEVER_CAUGHT = {OutcomeNotPublishedError.__name__, CONTENTION}
"""Errors of ours that are technical. They are retried, and then fail the execution in its state."""


def own_errors_of(task: dict[str, Any]) -> set[str]:
    """Return the names of the project's own errors that the task's function raises."""
    return {error.__name__ for error in OWN_ERRORS[function_of(task)]}


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
    """Return the project's own error classes that a function of a workflow can raise."""
    handlers = [engine.functions[name].module for name in {function_of(task) for task in TASKS.values()}]
    domain = [ledger.chain, ledger.entry, ledger.item, ledger.payment, ledger.publication, ledger.violations]
    return {
        name
        for module in [*handlers, *domain]
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == module.__name__
    }


def test_every_definition_is_judged() -> None:
    """A definition beside these two would be retried, caught and timed as nobody has judged."""
    assert {file.name.partition(".")[0] for file in (ROOT / "statemachine").iterdir()} == WORKFLOWS.keys()


@pytest.mark.parametrize("name", TASKS)
def test_every_transient_error_is_retried_and_no_unknown_one(name: str) -> None:
    """A `Retry` on a name that nothing raises never fires, although a reader thinks that it does."""
    calls = CALLS[function_of(TASKS[name])]
    expected = set(LAMBDA_ERRORS)
    if calls:
        expected |= connection_errors()
    for service, operation in calls:
        expected |= set(transient_errors(service, operation))
    expected |= own_errors_of(TASKS[name]) & {*NEVER_CAUGHT, TOO_EARLY}
    assert retried(TASKS[name]) == expected


@pytest.mark.parametrize("name", TASKS)
def test_every_business_error_is_caught_in_its_state(name: str) -> None:
    """A business error that its state did not catch would look like a technical failure, and be redriven in vain."""
    catchers = [catcher["ErrorEquals"] for catcher in TASKS[name].get("Catch", [])]
    assert all(len(names) == 1 for names in catchers)
    assert len(catchers) == len(caught(TASKS[name]))
    assert caught(TASKS[name]) == own_errors_of(TASKS[name]) - NEVER_CAUGHT


def test_own_errors_and_the_workflows_know_each_other(engine: Engine) -> None:
    """The workflows catch or retry every error of ours by its name, and name no error that nothing raises."""
    named = {name for task in TASKS.values() for name in retried(task) | caught(task)}
    aws_errors = LAMBDA_ERRORS | connection_errors()
    in_workflow = {function_of(task) for task in TASKS.values()}
    aws_errors |= {name for function in in_workflow for call in CALLS[function] for name in transient_errors(*call)}
    not_for_the_workflow = {
        "BrokenRuleError",  # becomes a violation of an InvalidInputError
        "ConflictError",  # is raised only as one of its two kinds
        "InvalidInputError",  # is raised only as one of its kinds
        "OutcomeRefusedError",  # stops the execution in its state, for an operator
        "UnreadableItemError",  # does the same
    }
    assert named - aws_errors == own_errors(engine) - not_for_the_workflow


def caught(task: dict[str, Any]) -> set[str]:
    """Return every error name that the task catches."""
    return {name for catcher in task.get("Catch", []) for name in catcher["ErrorEquals"]}


def test_only_refusals_and_conflicts_are_caught_and_none_is_retried() -> None:
    """Nobody could redrive a technical error that was caught, and a retry of a refusal only wastes time.

    What an entry needs may still be on its way. So that refusal alone is retried, and then caught like the others.
    """
    business_errors = set().union(*(workflow.business_errors for workflow in WORKFLOWS.values()))
    for task in TASKS.values():
        too_early = {TOO_EARLY} if task is APPEND_ENTRY else set()
        assert caught(task) <= business_errors | too_early
        assert retried(task) & caught(task) == too_early
        assert retried(task).isdisjoint({*business_errors, "States.ALL", "States.TaskFailed"})


PATH = WORKFLOWS["payment_ledger"].path
CAUGHT = {InvalidPaymentError.__name__, PaymentConflictError.__name__}


def names_without_an_attempt(machine: str) -> dict[str, list[str]]:
    """Return the errors that each state of a state machine never retries, if the state says so first of all."""
    states = definition_of(machine)["States"]
    first = {name: state["Retry"][0] for name, state in states.items() if "Retry" in state}
    return {name: retrier["ErrorEquals"] for name, retrier in first.items() if retrier["MaxAttempts"] == 0}


def test_the_fast_lane_ends_at_the_first_error() -> None:
    """A retry would take longer than the webhook waits. The Standard workflow retries, and says what was refused.

    `States.TaskFailed` matches every error but a timeout, and a name that nothing raises catches nothing.
    """
    never = names_without_an_attempt("FastPaymentLedgerWorkflow")
    assert never == {state: ["States.TaskFailed", "States.Timeout"] for state in PATH}
    states = definition_of("FastPaymentLedgerWorkflow")["States"]
    named = {name for state in PATH for catcher in states[state].get("Catch", []) for name in catcher["ErrorEquals"]}
    assert named.isdisjoint(LAMBDA_ERRORS | CAUGHT | {"States.ALL", "States.TaskFailed"})
    assert named == {"NoRejection", "NoConflict"}


def test_the_standard_workflow_retries_and_catches_every_error() -> None:
    """The names in its placeholders must be errors for the catchers, and nobody's for the retriers."""
    never = names_without_an_attempt("PaymentLedgerWorkflow")
    assert never == {state: ["NoError", "NoTimeout"] for state in PATH}
    known = {name for task in TASKS.values() for name in retried(task) | caught(task)}
    assert known.isdisjoint({"NoError", "NoTimeout"})
    assert known >= CAUGHT


@pytest.mark.parametrize("file", WORKFLOWS)
def test_each_business_error_ends_in_a_state_with_its_name(file: str) -> None:
    """The console, the alarms and `ledger run` distinguish the outcomes by these names."""
    states, business_errors = WORKFLOWS[file].states, WORKFLOWS[file].business_errors
    assert {state["Error"] for state in states.values() if state["Type"] == "Fail"} == business_errors
    for task in states.values():
        for catcher in task.get("Catch", []):
            (error,) = catcher["ErrorEquals"]
            refusal = InvalidEntryError.__name__ if error == TOO_EARLY else error  # no time is left for it to come
            publish = states[catcher["Next"]]
            assert publish["Parameters"]["Payload"]["Outcome"] == outcome.OUTCOME_BY_ERROR[refusal]
            assert states[publish["Next"]]["Error"] == refusal


def test_an_outcome_is_known_by_the_error_of_its_execution() -> None:
    """An execution that ends in a Fail state has no output, so only the error's name says what the outcome was."""
    named = [error for workflow in WORKFLOWS.values() for error in workflow.business_errors]
    assert outcome.OUTCOME_BY_ERROR.keys() == set(named)
    assert len(named) == len(set(named)), "one name would stand for an outcome of a payment and of an entry"


@pytest.mark.parametrize("file", WORKFLOWS)
def test_the_happy_path_has_no_state_more(file: str) -> None:
    """A Standard workflow costs money for each transition of each payment and entry."""
    states, path = WORKFLOWS[file].states, []
    name = WORKFLOWS[file].path[0]
    while name:
        path.append(name)
        assert states[name]["Type"] == "Task"
        name = states[name].get("Next")
    assert path == WORKFLOWS[file].path


CALLS_AT_MOST = {
    "EncryptToken": 2,  # a token that was sealed without its ProcessorID takes a second ReEncrypt
    "PublishOutcome": 2,
    # GetItem, and then a Query before each PutItem and after the last one.
    "AppendEntry": 1 + (ledger.chain.MAX_RACES + 1) + ledger.chain.MAX_RACES,
}
"""The most calls that one invocation makes, for each function that makes more than one."""

ATTEMPTS = {"AcceptEntry": 2, "AppendEntry": 2}
"""The attempts of each call, for each function whose clients do not have the default."""


@pytest.mark.parametrize("name", TASKS)
def test_timeouts_nest(name: str) -> None:
    """A client must time out before its function, and the function before its state: otherwise the cause is lost."""
    function = function_of(TASKS[name])
    function_s = TEMPLATE[function]["Properties"]["Timeout"]
    calls = CALLS_AT_MOST.get(function, 1) if CALLS[function] else 0
    calls_s = calls * aws.call_total_s(ATTEMPTS.get(function, aws.CALL_ATTEMPTS))
    assert calls_s < function_s < TASKS[name]["TimeoutSeconds"]


def test_an_acceptance_has_as_much_time_as_an_append() -> None:
    """Both append by the same calls, and a person waits for the one while the workflow waits for the other."""
    assert CALLS["AcceptEntry"] == CALLS["AppendEntry"]
    assert TEMPLATE["AcceptEntry"]["Properties"]["Timeout"] == TEMPLATE["AppendEntry"]["Properties"]["Timeout"]


@pytest.mark.parametrize("function", sorted({"AcceptEntry", *(function_of(task) for task in TASKS.values())}))
def test_clients_make_as_many_attempts_as_their_timeout_allows(engine: Engine, function: str) -> None:
    """The test above computes with these attempts."""
    for service in {service for service, _ in CALLS[function]}:
        config = getattr(engine.functions[function].module, service).meta.config
        assert config.retries["total_max_attempts"] == ATTEMPTS.get(function, aws.CALL_ATTEMPTS)


def test_a_call_lasts_its_attempts_and_the_waits_between_them() -> None:
    """An attempt lasts at most 3 s, and the waits between the attempts at most 1, 2 and 4 s."""
    assert [aws.call_total_s(attempts) for attempts in (1, 2, 3, 4)] == [3, 6 + 1, 9 + 1 + 2, 12 + 1 + 2 + 4]


def test_the_webhook_answers_in_time() -> None:
    """An HTTP API answers for the webhook after 30 s, and all four calls of a second delivery may be slow."""
    second_delivery_s = 4 * aws.call_total_s(2)
    assert second_delivery_s < TEMPLATE["ReceivePayment"]["Properties"]["Timeout"] < 30


def test_the_webhook_leaves_the_fast_lane_in_time() -> None:
    """The first request of an environment may wait in vain for the fast lane, and all its other calls may be slow.

    They are those of Secrets Manager and KMS, and, with one attempt each, `StartExecution`, `GetItem` and
    `DescribeExecution`. A processor that waits five seconds gets its answer if only the fast lane is slow.
    """
    fast_lane_s = aws.CONNECT_TIMEOUT_S + aws.FAST_ANSWER_S
    slow_s = 2 * aws.call_total_s(2) + fast_lane_s + 3 * aws.call_total_s(1)
    assert slow_s < TEMPLATE["ReceivePayment"]["Properties"]["Timeout"]
    assert fast_lane_s < 5


def retriers(task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the task's retriers: `transient`, and others by the one error that each retries."""
    transient, *others = task["Retry"]
    found = {"transient": transient}
    for other in others:
        (error,) = other["ErrorEquals"]
        found[error] = other
    assert len(found) == len(task["Retry"])
    return found


@pytest.mark.parametrize("name", TASKS)
def test_a_state_has_one_retrier_for_each_reason_to_wait(name: str) -> None:
    """Step Functions counts the attempts of each retrier by itself, so each more makes a state last longer."""
    others = {CONTENTION, TOO_EARLY} if TASKS[name] is APPEND_ENTRY else set()
    assert retriers(TASKS[name]).keys() == {"transient", *others}
    assert set(retriers(TASKS[name])["transient"]["ErrorEquals"]) == retried(TASKS[name]) - others


@pytest.mark.parametrize("name", TASKS)
def test_retries_have_a_cap_and_full_jitter(name: str) -> None:
    """Without jitter, throttled calls are repeated together. Without a cap, an execution waits for hours."""
    retrier = retriers(TASKS[name])["transient"]
    assert retrier["JitterStrategy"] == "FULL"
    assert 1 <= retrier["MaxAttempts"] <= 10
    assert retrier["IntervalSeconds"] < retrier["MaxDelaySeconds"] <= 60, "nobody waits longer than a minute for a try"
    assert retrier["BackoffRate"] > 1


def test_deliveries_that_race_for_a_number_do_not_race_again_together() -> None:
    """A hundred refunds at once have one next number after the other, and each try of each may be another's turn."""
    retrier = retriers(APPEND_ENTRY)[CONTENTION]
    assert retrier["JitterStrategy"] == "FULL"
    assert retrier["BackoffRate"] > 1
    assert retrier["MaxAttempts"] >= 30
    assert retrier["IntervalSeconds"] < retrier["MaxDelaySeconds"] <= 15, "a number is free again after a moment"


def test_an_entry_waits_an_hour_for_its_payment() -> None:
    """Full jitter could choose waits of nearly nothing, and the payment would have no time to come.

    Without a cap of a few minutes, an entry would wait for long after its payment has come.
    """
    retrier = retriers(APPEND_ENTRY)[TOO_EARLY]
    assert retrier["JitterStrategy"] == "NONE"
    assert retrier["IntervalSeconds"] <= 5, "most payments come a moment later"
    assert max(waits_s(retrier)) <= 300
    assert 3600 <= sum(waits_s(retrier)) < 3600 + 300


def waits_s(retrier: dict[str, Any]) -> list[float]:
    """Return how long a state waits at most before each retry that this retrier makes."""
    return [
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number, retrier["MaxDelaySeconds"])
        for number in range(retrier["MaxAttempts"])
    ]


def longest_s(task: dict[str, Any]) -> float:
    """Return how long a state lasts at most: each attempt until its function's timeout, and the waits between them."""
    waits = [wait for retrier in retriers(task).values() for wait in waits_s(retrier)]
    timeout: int = TEMPLATE[function_of(task)]["Properties"]["Timeout"]
    return (len(waits) + 1) * timeout + sum(waits)


@pytest.mark.parametrize("name", [name for name in TASKS if name.startswith("payment_ledger")])
def test_a_command_waits_while_a_state_is_retried(name: str) -> None:
    """`ledger start` must not give up on a payment before the workflow does."""
    assert longest_s(TASKS[name]) < WAIT_S, "raise WAIT_S in ledger_cli/stack/deliveries.py"


@pytest.mark.parametrize("file", WORKFLOWS)
def test_the_engine_waits_while_all_states_are_retried(file: str) -> None:
    """The slowest execution is one that succeeds at last: each of its states fails until its last attempt."""
    longest = sum(longest_s(TASKS[f"{file}: {name}"]) for name in WORKFLOWS[file].path)
    assert longest < EXECUTION_TIMEOUT_S, "raise EXECUTION_TIMEOUT_S in ledger_cli/engine/engine.py"


@pytest.mark.parametrize("page", ["docs/internals/decisions.md", "docs/operate/deploying.md"])
def test_the_pages_state_how_long_a_state_is_retried(page: str) -> None:
    """An operator waits that long before an error of permissions, or of too many starts, is a failure."""
    longest = max(sum(waits_s(retriers(task)["transient"])) for task in TASKS.values())
    assert f"waits of at most {longest:.0f} s" in (ROOT / page).read_text(), f"correct the waits in {page}"


def test_no_state_after_the_encryption_gets_the_plaintext() -> None:
    """A function cannot log what it does not get. A sender may put a token into an entry by mistake."""
    sees_the_input = {
        "payment_ledger: Validate Payment",
        "payment_ledger: Encrypt Token",
        "payment_entries: Validate Entry",
    }
    assert sees_the_input < TASKS.keys()
    for name, task in TASKS.items():
        payload = task["Parameters"].get("Payload", {"whole": task["Parameters"].get("Payload.$")})
        if name not in sees_the_input:
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
        assert "os.environ" not in file.read_text() or file.name in {"aws.py", "cold_start.py"}
