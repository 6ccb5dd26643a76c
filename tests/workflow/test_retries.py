"""Technical errors: retried with a cap and full jitter, then failed in the state that met them."""

import json
import threading
from typing import Any

import pytest
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.support.faults import Faults

STATES = json.loads((ROOT / "statemachine/payment_ledger.asl.json").read_text())["States"]

PASSING = [
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

LASTING = [
    ("Encrypt Token", "Encrypt", "DisabledException"),
    ("Encrypt Token", "Encrypt", "KMSInvalidStateException"),
    ("Encrypt Token", "Encrypt", "NotFoundException"),
    ("Persist Payment", "PutItem", "ResourceNotFoundException"),
    ("Publish Outcome", "PutEvents", "ResourceNotFoundException"),
]

SDK_ATTEMPTS = 3


def attempts(execution: Any, state: str) -> int:
    """How often the state's function was invoked."""
    return int(next(run.attempts for run in execution.states if run.name == state))


@pytest.mark.parametrize(("state", "operation", "code", "status"), PASSING)
def test_what_may_pass_is_retried_by_the_workflow(
    engine: Engine, payment: dict[str, Any], faults: Faults, state: str, operation: str, code: str, status: int
) -> None:
    """A payment must not fail for a moment's trouble at AWS."""
    # What the SDK itself retries must be met three times before the function fails.
    faults.refuse(operation, code, status=status, times=1)
    first = engine.run(json.dumps({**payment, "TransactionID": "probe"}))
    by_sdk = attempts(first, state) == 1
    faults.refuse(operation, code, status=status, times=SDK_ATTEMPTS if by_sdk else 1)
    execution = engine.run(json.dumps(payment))
    assert (execution.outcome, attempts(execution, state)) == ("RECORDED", 2)


@pytest.mark.parametrize(("state", "operation"), [
    ("Encrypt Token", "Encrypt"), ("Persist Payment", "PutItem"), ("Publish Outcome", "PutEvents"),
    ("Publish Outcome", "UpdateItem"),
])  # fmt: skip
@pytest.mark.parametrize("lost", ["request", "reply"])
def test_lost_messages_are_survived(
    engine: Engine, payment: dict[str, Any], faults: Faults, state: str, operation: str, lost: str
) -> None:
    """Whether a lost call took effect cannot be known; each step must be safe to repeat."""
    lose = faults.lose_request if lost == "request" else faults.lose_reply
    lose(operation, times=SDK_ATTEMPTS)
    execution = engine.run(json.dumps(payment))
    assert (execution.outcome, attempts(execution, state)) == ("RECORDED", 2)
    assert len(engine.items()) == 1
    assert len({event["detail"]["OutcomeID"] for event in engine.published()}) == 1


@pytest.mark.parametrize(("state", "operation", "code"), LASTING)
def test_what_lasts_fails_at_once_in_its_own_state(
    engine: Engine, payment: dict[str, Any], faults: Faults, state: str, operation: str, code: str
) -> None:
    """An operator mends it and redrives from there; retries would only delay the alarm."""
    faults.refuse(operation, code)
    execution = engine.run(json.dumps(payment))
    assert (execution.status, execution.outcome, execution.error) == ("FAILED", None, code)
    assert (execution.states[-1].name, execution.states[-1].attempts) == (state, 1)


def test_retries_end(engine: Engine, payment: dict[str, Any], faults: Faults, waits: list[float]) -> None:
    """Backoff doubles up to its cap, each wait a random part of it; then the execution fails where it stands."""
    (retrier,) = STATES["Persist Payment"]["Retry"]
    faults.refuse("PutItem", "AccessDeniedException", times=retrier["MaxAttempts"] + 1)
    execution = engine.run(json.dumps(payment))
    assert (execution.status, execution.error) == ("FAILED", "ClientError")
    assert execution.states[-1].name == "Persist Payment"
    assert len(waits) == retrier["MaxAttempts"]
    for attempt, waited in enumerate(waits):
        assert (
            0
            <= waited
            <= min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt, retrier["MaxDelaySeconds"])
        )
    assert len(set(waits)) > 1, "without jitter, all that were throttled together come back together"


@pytest.mark.parametrize(("amount", "state"), [("x", "Validate Payment"), ("1.00", "Persist Payment")])
def test_refusals_are_never_retried(engine: Engine, payment: dict[str, Any], amount: str, state: str) -> None:
    """They are answers, not faults."""
    engine.run(json.dumps(payment))
    execution = engine.run(json.dumps({**payment, "Amount": amount}))
    assert attempts(execution, state) == 1
    assert execution.outcome in {"REJECTED", "CONFLICT"}


@pytest.mark.parametrize(("amount", "state"), [("x", "Publish Rejection"), ("1.00", "Publish Conflict")])
def test_publishing_a_refusal_is_retried_too(
    engine: Engine, payment: dict[str, Any], faults: Faults, amount: str, state: str
) -> None:
    """A refusal that nobody hears of is a payment lost in silence."""
    engine.run(json.dumps(payment))
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]})
    execution = engine.run(json.dumps({**payment, "Amount": amount}))
    assert attempts(execution, state) == 2
    assert len(engine.published()) == 2


LAMBDA_ERRORS = [name for name in STATES["Validate Payment"]["Retry"][0]["ErrorEquals"] if name != "States.Timeout"]


def test_a_task_that_hangs_is_timed_out_and_retried(
    engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state's timeout is the last one to fire: nothing waits for ever."""
    function = engine.functions["ValidatePayment"]
    real, hangs = function.invoke, iter([threading.Event()])
    monkeypatch.setattr(TimeoutSeconds, "_eval_seconds", lambda self, env: self.timeout_seconds / 5)  # noqa: ARG005
    monkeypatch.setattr(function, "invoke", lambda payload: next(hangs, _already).wait(10) and real(payload))
    execution = engine.run(json.dumps(payment))
    assert (execution.outcome, attempts(execution, "Validate Payment")) == ("RECORDED", 2)


_already = threading.Event()
_already.set()


@pytest.mark.parametrize("error", LAMBDA_ERRORS)
def test_lambdas_own_errors_are_retried_in_every_state(
    engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """The service or the sandbox may fail where no code of ours has run."""
    for name, state in (("ValidatePayment", "Validate Payment"), ("PublishOutcome", "Publish Outcome")):
        function = engine.functions[name]
        real = function.invoke
        replies = iter([(json.dumps({"errorType": error, "errorMessage": "…"}).encode(), True)])
        monkeypatch.setattr(
            function, "invoke", lambda payload, real=real, replies=replies: next(replies, None) or real(payload)
        )
        execution = engine.run(json.dumps({**payment, "TransactionID": name}))
        assert (execution.outcome, attempts(execution, state)) == ("RECORDED", 2)
        monkeypatch.undo()
