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
    """The states that the execution went through."""
    return [state.name for state in execution.states]


def outcome_events(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    """Type and detail of each published event; each is checked against its published schema."""
    events = [(event["detail-type"], event["detail"]) for event in engine.published()]
    for detail_type, detail in events:
        schema = json.loads((ROOT / f"events/schemas/{detail_type}.schema.json").read_text())
        Draft202012Validator(schema).validate(detail)
    return events


def test_a_payment_is_recorded(engine: Engine, payment: dict[str, Any]) -> None:
    """SUCCEEDED means: the item is there, and its outcome was published."""
    execution = engine.run(json.dumps(payment))
    assert (execution.status, execution.outcome, states(execution)) == ("SUCCEEDED", "RECORDED", HAPPY_PATH)
    (item,) = engine.items()
    assert item["Amount"] == {"N": "129.9"}
    assert item["Execution"] == {"S": execution.arn}
    started = engine.client("stepfunctions").describe_execution(executionArn=execution.arn)["startDate"]
    assert abs(datetime.fromisoformat(item["RecordedAt"]["S"]) - started) < timedelta(milliseconds=1)
    assert "PublishedAt" in item
    assert "Unpublished" not in item
    ((detail_type, detail),) = outcome_events(engine)
    assert (detail_type, detail["Amount"]) == ("PaymentRecorded", "129.90")


def test_a_payment_costs_four_calls(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """Every payment pays for each of them."""
    engine.run(json.dumps(payment))
    calls = [
        call for call in faults.calls if call in {"Encrypt", "PutItem", "PutEvents", "UpdateItem", "GetItem", "Query"}
    ]
    assert calls == ["Encrypt", "PutItem", "PutEvents", "UpdateItem"]


def test_the_same_payment_again_is_a_duplicate(engine: Engine, payment: dict[str, Any]) -> None:
    """It is told, and the first item stays as it is."""
    engine.run(json.dumps(payment))
    before = engine.items()
    again = engine.run(json.dumps({**payment, "SecureToken": "tok_reissued", "Timestamp": "2026-11-23T08:30:00.000Z"}))
    assert (again.status, again.outcome, states(again)) == ("SUCCEEDED", "DUPLICATE", HAPPY_PATH)
    assert engine.items() == before
    (recorded, duplicate) = outcome_events(engine)
    assert duplicate[0] == "PaymentDuplicate"
    assert duplicate[1]["DuplicateExecution"] == again.arn
    assert duplicate[1]["Execution"] == recorded[1]["Execution"]


def test_another_payment_under_the_id_is_a_conflict(engine: Engine, payment: dict[str, Any]) -> None:
    """It names the fields that differ, and ends in a state of its own."""
    engine.run(json.dumps(payment))
    before = engine.items()
    other = engine.run(json.dumps({**payment, "Amount": "1299.00"}))
    assert (other.status, other.outcome, other.error) == ("FAILED", "CONFLICT", "PaymentConflictError")
    assert other.cause == "differs from the recorded payment in: Amount"
    assert states(other) == [*HAPPY_PATH[:3], "Publish Conflict", "Conflicted"]
    assert engine.items() == before
    detail_type, detail = outcome_events(engine)[1]
    assert (detail_type, detail["Differs"], detail["Execution"]) == ("PaymentConflict", ["Amount"], other.arn)


def test_an_invalid_payment_is_rejected_with_every_violation(engine: Engine, payment: dict[str, Any]) -> None:
    """The sender learns all of it from one event; nothing is recorded."""
    execution = engine.run(json.dumps({**payment, "Amount": "1.999", "Status": "ok"}))
    assert (execution.status, execution.outcome, execution.error) == ("FAILED", "REJECTED", "InvalidPaymentError")
    assert execution.cause == "Amount: decimals; Status: status"
    assert states(execution) == ["Validate Payment", "Publish Rejection", "Rejected"]
    assert engine.items() == []
    ((detail_type, detail),) = outcome_events(engine)
    assert (detail_type, detail["TransactionID"]) == ("PaymentRejected", payment["TransactionID"])
    assert [violation["Field"] for violation in detail["Violations"]] == ["Amount", "Status"]


@pytest.mark.parametrize("start_input", ["null", "[]", '"text"', "1e400", "{}", '{"a": {"b": [[[]]]}}'])
def test_any_json_ends_in_an_outcome(engine: Engine, start_input: str) -> None:
    """Anyone who may start an execution can send anything."""
    assert engine.run(start_input).outcome == "REJECTED"
    outcome_events(engine)


def test_a_sealed_payment_leaves_no_plaintext_in_the_history(engine: Engine, payment: dict[str, Any]) -> None:
    """Execution history keeps every input; only sealing keeps the token out of it."""
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
    """KMS finds it out, so this refusal comes from the second state."""
    ids, token = ("txn-other", payment["ProcessorID"]), payment.pop("SecureToken")
    payment["SealedToken"] = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, token)
    execution = engine.run(json.dumps(payment))
    assert (execution.outcome, execution.cause) == ("REJECTED", "SealedToken: not_sealed_for_this_payment")
    assert states(execution) == ["Validate Payment", "Encrypt Token", "Publish Rejection", "Rejected"]


def test_the_plaintext_ends_with_the_encryption(engine: Engine, payment: dict[str, Any]) -> None:
    """Persist and Publish, the table, the events and the logs never see it."""
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
    """From the sender's text to the item and the event, no digit may change."""
    text = json.dumps({**payment, "Currency": currency, "Amount": "AMOUNT"}).replace('"AMOUNT"', amount)
    assert engine.run(text).outcome == "RECORDED"
    assert Decimal(engine.items()[0]["Amount"]["N"]) == Decimal(stored)
    assert Decimal(outcome_events(engine)[0][1]["Amount"]) == Decimal(stored)


@pytest.mark.parametrize("amount", ["0.30000000000000004", "0.1234567890123456789", "1e-3", "1000000000000000.05"])
def test_amounts_that_cannot_be_kept_exactly_are_refused(engine: Engine, payment: dict[str, Any], amount: str) -> None:
    """Refused by name is the other half of: stored exactly as written."""
    text = json.dumps({**payment, "Amount": "AMOUNT"}).replace('"AMOUNT"', amount)
    assert engine.run(text).outcome == "REJECTED"
    assert engine.items() == []


def test_fifty_starts_of_one_payment_record_it_once(engine: Engine, payment: dict[str, Any]) -> None:
    """An event bus may deliver at once what a processor sent again and again."""
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
    assert (outcomes.count("RECORDED"), outcomes.count("DUPLICATE")) == (1, 49)
    assert len(engine.items()) == 1
    recorded = [detail["OutcomeID"] for kind, detail in outcome_events(engine) if kind == "PaymentRecorded"]
    assert len(set(recorded)) == 1


def test_a_duplicate_is_known_when_history_is_gone(engine: Engine, payment: dict[str, Any]) -> None:
    """After 90 days the execution's name is free again, and the very same ARN runs a second time."""
    first = engine.run(json.dumps(payment), name="txn-2026-0001-abcdef123456")
    engine.forget_history()
    second = engine.run(json.dumps(payment), name="txn-2026-0001-abcdef123456")
    assert first.arn == second.arn
    assert (first.outcome, second.outcome) == ("RECORDED", "DUPLICATE")
    assert len(engine.items()) == 1


def test_a_corrected_payment_is_recorded(engine: Engine, payment: dict[str, Any]) -> None:
    """A refusal writes nothing down, so the id is still free."""
    assert engine.run(json.dumps({**payment, "Amount": "1.999"})).outcome == "REJECTED"
    assert engine.run(json.dumps(payment)).outcome == "RECORDED"


def test_a_payment_recorded_but_not_told_is_told_by_its_duplicate(
    engine: Engine, payment: dict[str, Any], faults: Faults
) -> None:
    """What failed in Publish Outcome is recorded; the next delivery publishes it under the same identity."""
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]})
    failed = engine.run(json.dumps(payment))
    assert (failed.outcome, failed.error, states(failed)[-1]) == (None, "OutcomeRefusedError", "Publish Outcome")
    assert engine.run(json.dumps(payment)).outcome == "DUPLICATE"
    assert [kind for kind, _ in outcome_events(engine)] == ["PaymentRecorded", "PaymentDuplicate"]
    assert outcome_events(engine)[0][1]["Execution"] == failed.arn


def test_a_stack_for_sealed_tokens_takes_no_other(
    engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the template deploys unless somebody says otherwise."""
    validating = engine.functions["ValidatePayment"]
    default = engine.template["Parameters"]["PlaintextTokens"]["Default"]
    monkeypatch.setitem(validating.environment, "PLAINTEXT_TOKENS", default)
    validating.restart()
    refused = engine.run(json.dumps(payment))
    assert (refused.outcome, refused.cause) == ("REJECTED", "SecureToken: plaintext_token")
    ids, token = (payment["TransactionID"], payment["ProcessorID"]), payment.pop("SecureToken")
    sealed = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, token)
    assert engine.run(json.dumps({**payment, "SealedToken": sealed})).outcome == "RECORDED"
    monkeypatch.undo()
    validating.restart()
