"""Whole executions through the real ASL: the four outcomes, and what each leaves behind."""

import json
import threading
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ledger.intake import seal
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.support.faults import Faults

HAPPY_PATH = ["Validate Payment", "Encrypt Token", "Persist Payment", "Publish Outcome"]


def states(execution: Any) -> list[str]:
    """Return the names of the states that the execution went through."""
    return [state.name for state in execution.states]


def outcome_events(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    """Return the type and detail of each published event, after a check against its published schema."""
    events = [(event["detail-type"], event["detail"]) for event in engine.published()]
    for detail_type, detail in events:
        schema = json.loads((ROOT / f"events/schemas/{detail_type}.schema.json").read_text())
        Draft202012Validator(schema).validate(detail)
    return events


def test_a_payment_is_recorded(engine: Engine, payment: dict[str, Any]) -> None:
    """SUCCEEDED means that the item is stored and that its outcome was published."""
    execution = engine.run(json.dumps(payment))
    assert execution.status == "SUCCEEDED"
    assert execution.outcome == "RECORDED"
    assert states(execution) == HAPPY_PATH
    (item,) = engine.items()
    assert item["Amount"] == {"N": "129.9"}
    assert item["Execution"] == {"S": execution.arn}
    started = engine.client("stepfunctions").describe_execution(executionArn=execution.arn)["startDate"]
    assert abs(datetime.fromisoformat(item["RecordedAt"]["S"]) - started) < timedelta(milliseconds=1)
    assert "PublishedAt" in item
    assert "Unpublished" not in item
    ((detail_type, detail),) = outcome_events(engine)
    assert detail_type == "PaymentRecorded"
    assert detail["Amount"] == "129.90"


def test_a_payment_costs_four_calls(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """Each call costs money and time, for every payment."""
    engine.run(json.dumps(payment))
    calls = [
        call for call in faults.calls if call in {"Encrypt", "PutItem", "PutEvents", "UpdateItem", "GetItem", "Query"}
    ]
    assert calls == ["Encrypt", "PutItem", "PutEvents", "UpdateItem"]


def test_the_same_payment_again_is_a_duplicate(engine: Engine, payment: dict[str, Any]) -> None:
    """The repeat is published as a duplicate, and the first item stays unchanged."""
    engine.run(json.dumps(payment))
    before = engine.items()
    again = engine.run(json.dumps({**payment, "SecureToken": "tok_reissued", "Timestamp": "2026-11-23T08:30:00.000Z"}))
    assert again.status == "SUCCEEDED"
    assert again.outcome == "DUPLICATE"
    assert states(again) == HAPPY_PATH
    assert engine.items() == before
    (recorded, duplicate) = outcome_events(engine)
    assert duplicate[0] == "PaymentDuplicate"
    assert duplicate[1]["DuplicateExecution"] == again.arn
    assert duplicate[1]["Execution"] == recorded[1]["Execution"]


def test_another_payment_under_the_id_is_a_conflict(engine: Engine, payment: dict[str, Any]) -> None:
    """A conflict names the fields that differ, and ends in a state of its own."""
    engine.run(json.dumps(payment))
    before = engine.items()
    other = engine.run(json.dumps({**payment, "Amount": "1299.00"}))
    assert other.status == "FAILED"
    assert other.outcome == "CONFLICT"
    assert other.error == "PaymentConflictError"
    assert other.cause == "differs from the recorded payment in: Amount"
    assert states(other) == [*HAPPY_PATH[:3], "Publish Conflict", "Conflicted"]
    assert engine.items() == before
    detail_type, detail = outcome_events(engine)[1]
    assert detail_type == "PaymentConflict"
    assert detail["Differs"] == ["Amount"]
    assert detail["Execution"] == other.arn


def test_an_invalid_payment_is_rejected_with_every_violation(engine: Engine, payment: dict[str, Any]) -> None:
    """The sender learns every violation from one event, and nothing is recorded."""
    execution = engine.run(json.dumps({**payment, "Amount": "1.999", "Status": "ok"}))
    assert execution.status == "FAILED"
    assert execution.outcome == "REJECTED"
    assert execution.error == "InvalidPaymentError"
    assert execution.cause == "Amount: decimals; Status: status"
    assert states(execution) == ["Validate Payment", "Publish Rejection", "Rejected"]
    assert engine.items() == []
    ((detail_type, detail),) = outcome_events(engine)
    assert detail_type == "PaymentRejected"
    assert detail["TransactionID"] == payment["TransactionID"]
    assert [violation["Field"] for violation in detail["Violations"]] == ["Amount", "Status"]


@pytest.mark.parametrize("start_input", ["null", "[]", '"text"', "1e400", "{}", '{"a": {"b": [[[]]]}}'])
def test_any_json_ends_in_an_outcome(engine: Engine, start_input: str) -> None:
    """A caller that may start an execution can send any JSON."""
    assert engine.run(start_input).outcome == "REJECTED"
    outcome_events(engine)


def test_a_sealed_payment_leaves_no_plaintext_in_the_history(engine: Engine, payment: dict[str, Any]) -> None:
    """The execution history keeps every input. Only a seal keeps the token out of it."""
    ids, token = (payment["TransactionID"], payment["ProcessorID"]), payment.pop("SecureToken")
    payment["SealedToken"] = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, token)
    execution = engine.run(json.dumps(payment))
    assert execution.outcome == "RECORDED"
    assert token not in json.dumps(engine.history(execution.arn), default=str)
    (item,) = engine.items()
    reply = engine.client("kms").decrypt(
        CiphertextBlob=item["SecureToken"]["B"], EncryptionContext={"TransactionID": payment["TransactionID"]}
    )
    assert reply["Plaintext"].decode() == token


def test_a_token_sealed_for_another_payment_is_rejected(engine: Engine, payment: dict[str, Any]) -> None:
    """Only KMS can detect this, so the rejection comes from the second state."""
    ids, token = ("txn-other", payment["ProcessorID"]), payment.pop("SecureToken")
    payment["SealedToken"] = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, token)
    execution = engine.run(json.dumps(payment))
    assert execution.outcome == "REJECTED"
    assert execution.cause == "SealedToken: not_sealed_for_this_payment"
    assert states(execution) == ["Validate Payment", "Encrypt Token", "Publish Rejection", "Rejected"]


def test_no_state_after_the_encryption_sees_the_plaintext(engine: Engine, payment: dict[str, Any]) -> None:
    """Persist Payment and Publish Outcome, the table, the events and the logs never hold the token."""
    execution = engine.run(json.dumps(payment))
    after = False
    for event in engine.history(execution.arn):
        entered = event.get("stateEnteredEventDetails", {}).get("name")
        after = after or entered == "Persist Payment"
        if after:
            assert payment["SecureToken"] not in json.dumps(event, default=str)
    assert after
    rest = json.dumps([engine.items(), engine.published()], default=str) + engine.logs()
    assert payment["SecureToken"] not in rest


@pytest.mark.parametrize(
    ("currency", "amount", "stored"),
    [
        ("USD", '"0.30"', "0.30"),
        ("USD", "0.3", "0.30"),
        ("USD", "0.10", "0.10"),
        ("USD", '"99999999999999999999999999999999999.99"', "99999999999999999999999999999999999.99"),
        ("USD", "12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("KWD", "1.005", "1.005"),
        ("JPY", "100", "100"),
    ],
)
def test_amounts_are_stored_as_they_were_written(
    engine: Engine, payment: dict[str, Any], currency: str, amount: str, stored: str
) -> None:
    """No digit may change between the sender's text, the item and the event."""
    text = json.dumps({**payment, "Currency": currency, "Amount": "AMOUNT"}).replace('"AMOUNT"', amount)
    assert engine.run(text).outcome == "RECORDED"
    assert Decimal(engine.items()[0]["Amount"]["N"]) == Decimal(stored)
    assert Decimal(outcome_events(engine)[0][1]["Amount"]) == Decimal(stored)


@pytest.mark.parametrize("amount", ["0.30000000000000004", "0.1234567890123456789", "1e-3", "1000000000000000.05"])
def test_amounts_that_cannot_be_kept_exactly_are_rejected(engine: Engine, payment: dict[str, Any], amount: str) -> None:
    """The ledger stores an amount exactly as it was written, or rejects it by a named rule."""
    text = json.dumps({**payment, "Amount": "AMOUNT"}).replace('"AMOUNT"', amount)
    assert engine.run(text).outcome == "REJECTED"
    assert engine.items() == []


def test_fifty_starts_of_one_payment_record_it_once(engine: Engine, payment: dict[str, Any]) -> None:
    """An event bus may deliver many copies of one payment at the same time."""
    barrier = threading.Barrier(50)
    ended: list[Any] = []

    def deliver() -> None:
        barrier.wait()
        ended.append(engine.run(json.dumps(payment)))

    threads = [threading.Thread(target=deliver) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len({execution.arn for execution in ended}) == 50
    outcomes = [execution.outcome for execution in ended]
    assert outcomes.count("RECORDED") == 1
    assert outcomes.count("DUPLICATE") == 49
    assert len(engine.items()) == 1
    recorded = [detail["OutcomeID"] for kind, detail in outcome_events(engine) if kind == "PaymentRecorded"]
    assert len(set(recorded)) == 1


def test_a_duplicate_is_recognised_after_the_history_is_gone(engine: Engine, payment: dict[str, Any]) -> None:
    """After 90 days the execution's name is free again, and the very same ARN can run a second time."""
    first = engine.run(json.dumps(payment), name="txn-2026-0001-abcdef123456")
    engine.forget_history()
    second = engine.run(json.dumps(payment), name="txn-2026-0001-abcdef123456")
    assert first.arn == second.arn
    assert first.outcome == "RECORDED"
    assert second.outcome == "DUPLICATE"
    assert len(engine.items()) == 1


def test_a_corrected_payment_is_recorded(engine: Engine, payment: dict[str, Any]) -> None:
    """A rejection stores nothing, so the TransactionID is still free."""
    assert engine.run(json.dumps({**payment, "Amount": "1.999"})).outcome == "REJECTED"
    assert engine.run(json.dumps(payment)).outcome == "RECORDED"


def test_a_duplicate_publishes_a_recorded_payment_that_was_not_published(
    engine: Engine, payment: dict[str, Any], faults: Faults
) -> None:
    """A payment that failed in Publish Outcome is recorded. Its next delivery publishes it under the same OutcomeID."""
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]})
    failed = engine.run(json.dumps(payment))
    assert failed.outcome is None
    assert failed.error == "OutcomeRefusedError"
    assert states(failed)[-1] == "Publish Outcome"
    assert engine.run(json.dumps(payment)).outcome == "DUPLICATE"
    assert [kind for kind, _ in outcome_events(engine)] == ["PaymentRecorded", "PaymentDuplicate"]
    assert outcome_events(engine)[0][1]["Execution"] == failed.arn


def test_a_stack_for_sealed_tokens_rejects_a_plaintext_token(
    engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The template deploys such a stack unless a parameter says otherwise."""
    validating = engine.functions["ValidatePayment"]
    default = engine.template["Parameters"]["PlaintextTokens"]["Default"]
    monkeypatch.setitem(validating.environment, "PLAINTEXT_TOKENS", default)
    validating.restart()
    rejected = engine.run(json.dumps(payment))
    assert rejected.outcome == "REJECTED"
    assert rejected.cause == "SecureToken: plaintext_token"
    ids, token = (payment["TransactionID"], payment["ProcessorID"]), payment.pop("SecureToken")
    sealed = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, token)
    assert engine.run(json.dumps({**payment, "SealedToken": sealed})).outcome == "RECORDED"
    monkeypatch.undo()
    validating.restart()
