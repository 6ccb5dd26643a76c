"""Executions, read from histories as Step Functions writes them. The engine's histories are not the same in all."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger_cli.stack.execution import Execution

START = datetime(2026, 11, 24, tzinfo=UTC)


def history(*events: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events, one every 10 ms."""
    return [
        {
            "id": number,
            "type": kind,
            "timestamp": START + timedelta(milliseconds=10 * (number - 1)),
            **({f"{kind[0].lower()}{kind[1:]}EventDetails": details} if details else {}),
        }
        for number, (kind, details) in enumerate(events, 1)
    ]


def entered(name: str, kind: str = "Task") -> tuple[str, dict[str, Any]]:
    """Return the event that enters a state. Its details have one name for all kinds of states."""
    return (f"{kind}StateEntered", {"name": name})


def execution(events: list[dict[str, Any]], status: str = "SUCCEEDED", **described: Any) -> Execution:
    """Return the execution that these events describe."""
    output = {"output": '{"Outcome": "RECORDED"}'} if status == "SUCCEEDED" else {}
    for event in events:
        if event["type"].endswith("StateEntered"):
            event["stateEnteredEventDetails"] = next(v for k, v in event.items() if k.endswith("EventDetails"))
    return Execution.from_history(
        {"name": "e", "executionArn": "arn:e", "status": status, "startDate": START, **output, **described}, events
    )


ATTEMPT = [("TaskScheduled", {}), ("TaskStarted", {})]
DONE = [("TaskSucceeded", {}), ("TaskStateExited", {})]


def states_of(read: Execution) -> list[tuple[str, str, int, list[str]]]:
    """Return the description of each state."""
    return [(run.name, run.result, run.attempts, run.errors) for run in read.states]


def test_retries_are_attempts_of_one_state() -> None:
    """The state has the error of each of its failed attempts."""
    failed, timed_out = ("TaskFailed", {"error": "ClientError"}), ("TaskTimedOut", {})
    attempts = [*ATTEMPT, failed, *ATTEMPT, timed_out, *ATTEMPT, *DONE]
    read = execution(history(("ExecutionStarted", {}), entered("A"), *attempts, ("ExecutionSucceeded", {})))
    assert states_of(read) == [("A", "succeeded", 3, ["ClientError", "TaskTimedOut"])]
    assert read.states[0].milliseconds == 100
    assert [event.error for event in read.events if event.error] == ["ClientError"]


def test_a_caught_rejection_leads_to_another_state() -> None:
    """The state in which the execution ends is the one that failed."""
    read = execution(
        history(("ExecutionStarted", {}), entered("A"), *ATTEMPT, ("TaskFailed", {"error": "InvalidPaymentError"}),
                ("TaskStateExited", {}), entered("B"), *ATTEMPT, *DONE, entered("C", "Fail"),
                ("ExecutionFailed", {"error": "InvalidPaymentError"})),
        "FAILED",
        error="InvalidPaymentError",
        cause="Amount: decimal",
    )  # fmt: skip
    assert states_of(read) == [
        ("A", "caught", 1, ["InvalidPaymentError"]),
        ("B", "succeeded", 1, []),
        ("C", "failed", 0, []),
    ]
    assert (read.outcome, read.had_technical_failure) == ("REJECTED", False)
    assert read.reason == "InvalidPaymentError: Amount: decimal"


@pytest.mark.parametrize("enters_anew", [True, False])
def test_a_redriven_state_is_one_state(*, enters_anew: bool) -> None:
    """The state is one state, whether the service enters it again or continues in it."""
    read = execution(
        history(("ExecutionStarted", {}), entered("A"), *ATTEMPT, ("TaskFailed", {"error": "ClientError"}),
                ("ExecutionFailed", {"error": "ClientError"}), ("ExecutionRedriven", {"redriveCount": 1}),
                *([entered("A")] if enters_anew else []), *ATTEMPT, *DONE, ("ExecutionSucceeded", {}))
    )  # fmt: skip
    assert states_of(read) == [("A", "succeeded", 2, ["ClientError"])]
    assert 60 <= read.states[0].milliseconds <= 90


@pytest.mark.parametrize("end", ["ExecutionTimedOut", "ExecutionAborted"])
def test_an_execution_that_is_ended_failed_where_it_was(end: str) -> None:
    """The execution can be redriven from that state."""
    status = {"ExecutionTimedOut": "TIMED_OUT", "ExecutionAborted": "ABORTED"}[end]
    read = execution(history(("ExecutionStarted", {}), entered("A"), *ATTEMPT, (end, {})), status)
    assert states_of(read) == [("A", "failed", 1, [])]
    assert (read.outcome, read.had_technical_failure, read.reason) == (None, True, None)


def test_a_running_execution_has_a_running_state() -> None:
    """The time that the state has taken is not known yet."""
    read = execution(history(("ExecutionStarted", {}), entered("A"), *ATTEMPT), "RUNNING")
    assert states_of(read) == [("A", "running", 1, [])]
    assert (read.outcome, read.had_technical_failure, read.ended_at) == (None, False, None)


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        ('{"errorMessage": "no room", "errorType": "X"}', "X: no room"),
        ("{'ticket'", "X: {'ticket'"),
        ('{"ticket": 7}', 'X: {"ticket": 7}'),
        ("[]", "X: []"),
        ("stopped by hand", "X: stopped by hand"),
        ("[" * 30_000, f"X: {'[' * 30_000}"),
        (None, "X"),
    ],
)
def test_a_cause_may_be_anything(cause: str | None, shown: str) -> None:
    """A function's error has its message in it, and a person who stops an execution may write any text."""
    events = history(("ExecutionStarted", {}), entered("A"), *ATTEMPT, ("ExecutionAborted", {}))
    assert execution(events, "ABORTED", error="X", cause=cause).reason == shown


def test_what_step_functions_would_not_redrive_says_why() -> None:
    """Only `DescribeExecution` knows whether and why an execution cannot be redriven."""
    events = history(("ExecutionStarted", {}), entered("A"), *ATTEMPT, ("ExecutionTimedOut", {}))
    redrive = {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": "too old"}
    assert execution(events, "TIMED_OUT", **redrive).not_redrivable == "too old"
    assert execution(events, "TIMED_OUT", redriveStatus="REDRIVABLE").not_redrivable is None


@pytest.mark.parametrize(
    ("output", "published"),
    [
        ('{"Payload": {"Outcome": "RECORDED", "OutcomeID": "x"}}', ("PaymentRecorded", "x")),
        ('{"Payload": {"Outcome": "RECORDED"}}', None),
        ('{"Payload": "text"}', None),
        ('{"Payload": {"Outcome"', None),
        ("", None),
    ],
)
def test_what_was_published_is_read_from_the_publishing_state(output: str, published: Any) -> None:
    """No other part of an output is known, and one that was cut or left out shows nothing."""
    done = ("TaskSucceeded", {"output": output}) if output else ("TaskSucceeded", {})
    read = execution(history(("ExecutionStarted", {}), entered("A"), *ATTEMPT, done, ("TaskStateExited", {})))
    assert read.published == published


def test_a_functions_error_is_shown_by_its_message() -> None:
    """The stack trace is only for the log."""
    cause = '{"errorMessage": "An error occurred", "errorType": "ClientError", "stackTrace": ["secret path"]}'
    read = execution(history(("ExecutionStarted", {})), "FAILED", error="ClientError", cause=cause)
    assert read.reason == "ClientError: An error occurred"
