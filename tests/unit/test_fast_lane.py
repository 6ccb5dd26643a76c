"""What a client learns of an execution in the fast lane, from the answer of Step Functions, or from none."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from ledger.fast_lane import FastLane, FastRun, is_fast, name_of_execution
from ledger.violations import InvalidPaymentError, Violation

EXPRESS = (
    "arn:aws:states:us-east-1:123456789012:express:PaymentLedgerFast:txn-1-abc:0f8e7d6c-1111-4222-8333-444455556666"
)
STANDARD = "arn:aws:states:us-east-1:123456789012:execution:PaymentLedger:txn-1-abc"
WORKFLOW = "arn:aws:states:us-east-1:123456789012:stateMachine:PaymentLedgerFast:live"


def run(answer: dict[str, Any] | Exception) -> FastRun:
    """Run an execution that Step Functions answers so."""
    asked = []

    def start_sync_execution(**request: str) -> dict[str, Any]:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return {"executionArn": EXPRESS, **answer}

    states: Any = SimpleNamespace(start_sync_execution=start_sync_execution)
    reported: list[tuple[str, str | None]] = []
    found = FastLane(states, WORKFLOW, lambda *report: reported.append(report)).run("txn-1-abc", "{}")
    assert reported == [("txn-1-abc", found.error)]
    assert asked == [{"stateMachineArn": WORKFLOW, "name": "txn-1-abc", "input": "{}"}]
    return found


@pytest.mark.parametrize("outcome", ["RECORDED", "DUPLICATE"])
def test_an_execution_that_succeeded_has_its_outcome(outcome: str) -> None:
    """The output is the result of the publishing state, so the outcome is published too."""
    ended = {"status": "SUCCEEDED", "output": json.dumps({"Outcome": outcome, "OutcomeID": "1"})}
    assert run(ended) == FastRun(EXPRESS, outcome)


def failed(error: str, cause: Any = None) -> dict[str, Any]:
    """Return the answer of an execution that failed."""
    return {"status": "FAILED", "error": error, "cause": json.dumps(cause)}


def test_a_refusal_has_its_details() -> None:
    """Nothing catches a business error, so the cause is the error as the Lambda runtime reports it."""
    invalid = InvalidPaymentError([Violation("SealedToken", "not_sealed_for_this_payment")], transaction_id="txn-1")
    found = run(failed("InvalidPaymentError", {"errorMessage": str(invalid), "errorType": "InvalidPaymentError"}))
    assert (found.execution, found.outcome, found.error) == (EXPRESS, "REJECTED", None)
    assert found.refusal
    assert found.refusal["Violations"] == [{"Field": "SealedToken", "Rule": "not_sealed_for_this_payment"}]
    message = json.dumps({"TransactionID": "txn-1", "Differs": ["Amount"]})
    conflict = run(failed("PaymentConflictError", {"errorMessage": message}))
    assert (conflict.outcome, conflict.refusal) == ("CONFLICT", {"TransactionID": "txn-1", "Differs": ["Amount"]})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (failed("ThrottlingException"), "ThrottlingException"),
        (failed("OutcomeNotPublishedError", {"errorMessage": "PutEvents failed"}), "OutcomeNotPublishedError"),
        ({"status": "TIMED_OUT"}, "TIMED_OUT"),
        ({"status": "FAILED", "error": "States.Timeout"}, "States.Timeout"),
    ],
)
def test_any_other_end_has_an_error_and_no_outcome(answer: dict[str, Any], error: str) -> None:
    """The execution may have written the payment before it failed, so nobody may call it recorded or not."""
    assert run(answer) == FastRun(EXPRESS, error=error)


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "StartSyncExecution"), "AccessDeniedException"),
        (ResponseParserError("not JSON"), "ResponseParserError"),
        (ReadTimeoutError(endpoint_url="https://vpce"), "ReadTimeoutError"),
        (ConnectTimeoutError(endpoint_url="https://vpce"), "ConnectTimeoutError"),
    ],
)
def test_without_an_answer_there_is_an_error_alone(raised: Exception, error: str) -> None:
    """Whether an execution runs is not known."""
    assert run(raised) == FastRun("", None, None, error)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "SUCCEEDED"},
        {"status": "SUCCEEDED", "output": "no JSON"},
        {"status": "SUCCEEDED", "output": "[]"},
        {"status": "SUCCEEDED", "output": "{}"},
        {"executionArn": EXPRESS},
        {"status": "FAILED", "error": "InvalidPaymentError"},
        failed("InvalidPaymentError", {}),
        failed("PaymentConflictError", {"errorMessage": "no JSON"}),
    ],
)
def test_an_unreadable_answer_says_nothing(answer: dict[str, Any]) -> None:
    """The payment may be recorded. The Standard workflow finds out."""
    assert run(answer) == FastRun(error="UnreadableAnswer")


def test_other_errors_are_ours() -> None:
    """A mistake of the code in making the call must not send every payment to the Standard workflow."""
    with pytest.raises(ZeroDivisionError):
        run(ZeroDivisionError())


def test_an_execution_of_either_lane_is_known_by_its_arn() -> None:
    """Both have the payment's own name. The table may also have an ARN that somebody damaged."""
    assert (is_fast(EXPRESS), is_fast(STANDARD)) == (True, False)
    assert name_of_execution(EXPRESS) == name_of_execution(STANDARD) == "txn-1-abc"
    assert not is_fast("express")
    assert not is_fast(STANDARD.replace("txn-1-abc", "express"))
    assert name_of_execution(f"{STANDARD}:more:of:it") == "it"
