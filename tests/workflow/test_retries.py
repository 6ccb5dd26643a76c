"""Technical errors: the workflow retries them with a cap and full jitter, then fails in the state that met them."""

import json
from typing import Any

import pytest

from ledger.aws import CALL_ATTEMPTS
from ledger_cli.engine import Engine
from tests.support.definitions import standard_states
from tests.support.faults import Faults
from tests.support.functions import hang_once

STATES = standard_states("PaymentLedgerWorkflow")

TRANSIENT = [
    ("Encrypt Token", "Encrypt", "KMSInternalException", 500),
    ("Encrypt Token", "Encrypt", "DependencyTimeoutException", 500),
    ("Encrypt Token", "Encrypt", "KeyUnavailableException", 500),
    ("Encrypt Token", "Encrypt", "ThrottlingException", 400),
    ("Persist Payment", "PutItem", "InternalServerError", 500),
    ("Persist Payment", "PutItem", "ProvisionedThroughputExceededException", 400),
    ("Persist Payment", "PutItem", "RequestLimitExceeded", 400),
    ("Persist Payment", "PutItem", "ThrottlingException", 400),
    ("Persist Payment", "PutItem", "AccessDeniedException", 400),
    ("Publish Outcome", "PutEvents", "InternalException", 500),
    ("Publish Outcome", "PutEvents", "ThrottlingException", 400),
    ("Publish Outcome", "UpdateItem", "ThrottlingException", 400),
    ("Publish Outcome", "UpdateItem", "InternalServerError", 500),
]

PERMANENT = [
    ("Encrypt Token", "Encrypt", "DisabledException"),
    ("Encrypt Token", "Encrypt", "KMSInvalidStateException"),
    ("Encrypt Token", "Encrypt", "NotFoundException"),
    ("Persist Payment", "PutItem", "ResourceNotFoundException"),
    ("Publish Outcome", "PutEvents", "ResourceNotFoundException"),
]


def attempts(execution: Any, state: str) -> int:
    """Return how often the workflow invoked the state's function."""
    return int(next(run.attempts for run in execution.states if run.name == state))


@pytest.mark.parametrize(("state", "operation", "code", "status"), TRANSIENT)
def test_the_workflow_retries_a_transient_error(
    engine: Engine, payment: dict[str, Any], faults: Faults, state: str, operation: str, code: str, status: int
) -> None:
    """A payment must not fail because of a moment's trouble at AWS."""
    # The SDK may retry the error itself. Then the function fails only if each of its attempts meets the error.
    faults.refuse(operation, code, status=status, times=1)
    first = engine.run(json.dumps({**payment, "TransactionID": "probe"}))
    by_sdk = attempts(first, state) == 1
    faults.refuse(operation, code, status=status, times=CALL_ATTEMPTS if by_sdk else 1)
    execution = engine.run(json.dumps(payment))
    assert execution.outcome == "RECORDED"
    assert attempts(execution, state) == 2


@pytest.mark.parametrize(("state", "operation"), [
    ("Encrypt Token", "Encrypt"), ("Persist Payment", "PutItem"), ("Publish Outcome", "PutEvents"),
    ("Publish Outcome", "UpdateItem"),
])  # fmt: skip
@pytest.mark.parametrize("lost", ["request", "reply"])
def test_a_lost_message_does_not_lose_or_repeat_a_payment(
    engine: Engine, payment: dict[str, Any], faults: Faults, state: str, operation: str, lost: str
) -> None:
    """Nobody can know whether a lost call took effect, so each step must be safe to repeat."""
    lose = faults.lose_request if lost == "request" else faults.lose_reply
    lose(operation, times=CALL_ATTEMPTS)
    execution = engine.run(json.dumps(payment))
    assert execution.outcome == "RECORDED"
    assert attempts(execution, state) == 2
    assert len(engine.items()) == 1
    assert len({event["detail"]["OutcomeID"] for event in engine.published()}) == 1


@pytest.mark.parametrize(("state", "operation", "code"), PERMANENT)
def test_a_permanent_error_fails_at_once_in_its_own_state(
    engine: Engine, payment: dict[str, Any], faults: Faults, state: str, operation: str, code: str
) -> None:
    """An operator fixes the cause and redrives the execution from there. Retries would only delay the alarm."""
    faults.refuse(operation, code)
    execution = engine.run(json.dumps(payment))
    assert execution.status == "FAILED"
    assert execution.outcome is None
    assert execution.error == code
    assert execution.states[-1].name == state
    assert execution.states[-1].attempts == 1


def test_retries_end(engine: Engine, payment: dict[str, Any], faults: Faults, waits: list[float]) -> None:
    """The backoff doubles up to its cap, and each wait is a random part of it. Then the execution fails there."""
    (retrier,) = STATES["Persist Payment"]["Retry"]
    faults.refuse("PutItem", "AccessDeniedException", times=retrier["MaxAttempts"] + 1)
    execution = engine.run(json.dumps(payment))
    assert execution.status == "FAILED"
    assert execution.error == "ClientError"
    assert execution.states[-1].name == "Persist Payment"
    assert len(waits) == retrier["MaxAttempts"]
    for attempt, waited in enumerate(waits):
        backoff = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt
        assert 0 <= waited <= min(backoff, retrier["MaxDelaySeconds"])
    assert len(set(waits)) > 1, "without jitter, calls that were throttled together are repeated together"


@pytest.mark.parametrize(("amount", "state"), [("x", "Validate Payment"), ("1.00", "Persist Payment")])
def test_rejections_and_conflicts_are_never_retried(
    engine: Engine, payment: dict[str, Any], amount: str, state: str
) -> None:
    """A rejection and a conflict are answers, not faults."""
    engine.run(json.dumps(payment))
    execution = engine.run(json.dumps({**payment, "Amount": amount}))
    assert attempts(execution, state) == 1
    assert execution.outcome in {"REJECTED", "CONFLICT"}


@pytest.mark.parametrize(("amount", "state"), [("x", "Publish Rejection"), ("1.00", "Publish Conflict")])
def test_publishing_a_rejection_or_conflict_is_retried_too(
    engine: Engine, payment: dict[str, Any], faults: Faults, amount: str, state: str
) -> None:
    """A payment whose rejection is never published is lost without a trace."""
    engine.run(json.dumps(payment))
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]})
    execution = engine.run(json.dumps({**payment, "Amount": amount}))
    assert attempts(execution, state) == 2
    assert len(engine.published()) == 2


LAMBDA_ERRORS = [name for name in STATES["Validate Payment"]["Retry"][0]["ErrorEquals"] if name != "States.Timeout"]


def test_a_task_that_hangs_is_timed_out_and_retried(
    engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state's timeout is the last one to fire, so that nothing waits without end."""
    hang_once(monkeypatch, engine.functions["ValidatePayment"], sooner=5, hangs_s=10)
    execution = engine.run(json.dumps(payment))
    assert execution.outcome == "RECORDED"
    assert attempts(execution, "Validate Payment") == 2


@pytest.mark.parametrize("error", LAMBDA_ERRORS)
def test_lambdas_own_errors_are_retried_in_every_state(
    engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """The Lambda service or the sandbox may fail before any code of ours runs."""
    for name, state in (("ValidatePayment", "Validate Payment"), ("PublishOutcome", "Publish Outcome")):
        function = engine.functions[name]
        real = function.invoke
        replies = iter([(json.dumps({"errorType": error, "errorMessage": "…"}).encode(), True)])
        monkeypatch.setattr(
            function, "invoke", lambda payload, real=real, replies=replies: next(replies, None) or real(payload)
        )
        execution = engine.run(json.dumps({**payment, "TransactionID": name}))
        assert execution.outcome == "RECORDED"
        assert attempts(execution, state) == 2
        monkeypatch.undo()
