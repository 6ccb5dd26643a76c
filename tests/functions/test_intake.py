"""The way in: sealed before it starts, under the payment's own name, and harmless to repeat."""

import base64
import json
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import intake
from ledger.intake import Delivery, TooManyAttemptsError, execution_name, refusal_name, seal
from ledger.payment import InvalidPaymentError, Payment, Violation, encryption_context
from ledger_cli.engine import Engine
from tests.conftest import Faults, intake_of


def send(engine: Engine, payment: dict[str, Any]) -> Delivery:
    """Deliver as a sender does."""
    return intake_of(engine).deliver(payment)


@settings(max_examples=60)
@given(
    token=st.text(min_size=1, max_size=1000).filter(lambda text: text.isprintable()), other=st.text("abc", max_size=9)
)
def test_what_was_sealed_is_what_its_holder_gets(deployed: Any, token: str, other: str) -> None:
    """And never under another TransactionID."""
    kms, key = deployed[0].client("kms"), deployed[0].outputs["IntakeKeyArn"]
    sealed = base64.b64decode(seal(kms, key, "txn-1", token))
    opened = kms.decrypt(CiphertextBlob=sealed, EncryptionContext=encryption_context("txn-1"))["Plaintext"]
    assert opened.decode() == token
    with pytest.raises(ClientError, match="InvalidCiphertext"):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext=encryption_context(f"txn-2{other}"))


def test_the_token_is_in_no_history(engine: Engine, payment: dict[str, Any]) -> None:
    """Operators read histories."""
    delivery = send(engine, payment)
    assert engine.ended(delivery.execution).outcome == "RECORDED"
    described = engine.client("stepfunctions").describe_execution(executionArn=delivery.execution)
    assert "SealedToken" in described["input"]
    for told in (described, engine.history(delivery.execution), engine.logs()):
        assert payment["SecureToken"] not in json.dumps(told, default=str)


def test_delivered_again_it_meets_its_execution(engine: Engine, payment: dict[str, Any]) -> None:
    """Processors deliver twice; nothing runs twice."""
    first = send(engine, payment)
    engine.ended(first.execution)
    again = send(engine, {**payment, "SecureToken": "tok_reissued"})
    assert (first.started, again.started) == (True, False)
    assert (again.execution, again.outcome) == (first.execution, "RECORDED")
    assert len(engine.published()) == 1


def test_deliveries_at_once_start_one_execution(engine: Engine, payment: dict[str, Any]) -> None:
    """The name is taken by one of them, whichever it is."""
    deliveries: list[Delivery] = []
    threads = [threading.Thread(target=lambda: deliveries.append(send(engine, payment))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(delivery.started for delivery in deliveries) == [False] * 5 + [True]
    assert len({delivery.execution for delivery in deliveries}) == 1
    assert engine.ended(deliveries[0].execution).outcome == "RECORDED"


def test_a_different_payment_runs_and_conflicts_once(engine: Engine, payment: dict[str, Any]) -> None:
    """It has a name of its own, so the table decides; delivered again it meets its own refusal."""
    engine.ended(send(engine, payment).execution)
    other = {**payment, "Amount": "1.00"}
    conflict = send(engine, other)
    assert engine.ended(conflict.execution).outcome == "CONFLICT"
    assert send(engine, other) == Delivery(conflict.execution, started=False, outcome="CONFLICT")
    assert [event["detail-type"] for event in engine.published()] == ["PaymentRecorded", "PaymentConflict"]


def test_what_failed_technically_is_attempted_anew(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """The name is taken by a failure, and the payment must come in all the same."""
    faults.refuse("PutItem", "ResourceNotFoundException")
    first = send(engine, payment)
    assert engine.ended(first.execution).outcome is None
    second = send(engine, payment)
    assert (second.started, second.execution) == (True, f"{first.execution}-2")
    assert engine.ended(second.execution).outcome == "RECORDED"
    assert send(engine, payment) == Delivery(second.execution, started=False, outcome="RECORDED")


def test_a_corrected_token_is_attempted_anew(engine: Engine, payment: dict[str, Any]) -> None:
    """The token is not part of the payment's name, so a refusal of the token alone must not bar the corrected one."""
    token = payment.pop("SecureToken")
    kms, key = engine.client("kms"), engine.outputs["IntakeKeyArn"]
    refused = send(engine, {**payment, "SealedToken": seal(kms, key, "another", token)})
    assert engine.ended(refused.execution).outcome == "REJECTED"
    corrected = send(engine, {**payment, "SealedToken": seal(kms, key, payment["TransactionID"], token)})
    assert (corrected.started, corrected.execution) == (True, f"{refused.execution}-2")
    assert engine.ended(corrected.execution).outcome == "RECORDED"


def test_what_is_recorded_is_not_attempted_again(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """Its execution failed after the write: the table knows it, and the sweep tells of it."""
    faults.refuse("PutEvents", "ResourceNotFoundException")
    first = send(engine, payment)
    assert engine.ended(first.execution).outcome is None
    assert send(engine, payment) == Delivery(first.execution, started=False, outcome="RECORDED")


def test_a_failure_under_a_taken_id_is_a_conflict(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """Its own execution failed before the write, and meanwhile another payment took the id."""
    faults.refuse("PutItem", "ResourceNotFoundException")
    first = send(engine, payment)
    assert engine.ended(first.execution).outcome is None
    assert engine.ended(send(engine, {**payment, "Amount": "1.00"}).execution).outcome == "RECORDED"
    assert send(engine, payment) == Delivery(first.execution, started=False, outcome="CONFLICT")


def test_nothing_of_an_execution_is_read(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """A sender has no right to the history's key: asked for more than metadata, it would be refused."""
    asked: list[dict[str, Any]] = []
    states = engine.client("stepfunctions")
    states.meta.events.register(
        "before-parameter-build.sfn.DescribeExecution", lambda params, **_: asked.append(params), unique_id="asked"
    )
    faults.refuse("PutItem", "ResourceNotFoundException")
    engine.ended(send(engine, payment).execution)
    asked.clear()
    send(engine, payment)
    states.meta.events.unregister("before-parameter-build.sfn.DescribeExecution", unique_id="asked")
    assert [params["includedData"] for params in asked] == ["METADATA_ONLY"]


def test_attempts_come_to_an_end(
    engine: Engine, payment: dict[str, Any], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that repeats for ever must not start executions for ever."""
    monkeypatch.setattr(intake, "MAX_ATTEMPTS", 2)
    faults.refuse("PutItem", "ResourceNotFoundException", times=2)
    for _ in range(2):
        engine.ended(send(engine, payment).execution)
    with pytest.raises(TooManyAttemptsError, match=r"txn-2026-0001: 2 executions recorded nothing"):
        send(engine, payment)


def test_an_invalid_payment_starts_nothing(engine: Engine, faults: Faults) -> None:
    """Its sender learns every broken rule at once, and decides what becomes of it."""
    with pytest.raises(InvalidPaymentError, match="TransactionID"):
        send(engine, {"SecureToken": "tok"})
    assert "StartExecution" not in faults.calls


def test_a_refusal_is_published_as_the_workflows_own(engine: Engine, payment: dict[str, Any]) -> None:
    """Consumers and operators need not know where a payment was refused; delivered again it runs no second time."""
    invalid = {**payment, "Amount": "x", "Currency": "xx"}
    with pytest.raises(InvalidPaymentError) as caught:
        send(engine, invalid)
    before = [intake_of(engine).refuse(caught.value, message_id) for message_id in ("first", "second")]
    assert engine.ended(before[0]).outcome == "REJECTED"
    within = engine.run(json.dumps(invalid), "within")
    assert within.outcome == "REJECTED"
    own, other = (event["detail"] for event in engine.published())
    assert {**own, "Execution": within.arn, "OutcomeID": other["OutcomeID"]} == other
    assert before[0] == before[1]
    assert set(engine.executions()) == {before[0], within.arn}
    described = engine.client("stepfunctions").describe_execution(executionArn=before[0])
    assert json.loads(described["input"]) == {"Refused": json.loads(str(caught.value))}


def test_an_error_of_aws_passes_unchanged(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """The sender's own retries know what to do with it."""
    faults.refuse("Encrypt", "DisabledException")
    with pytest.raises(ClientError, match="DisabledException"):
        send(engine, payment)
    assert "StartExecution" not in faults.calls


def test_a_sealed_token_passes_as_it_came(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """Whoever seals at the source never shows the token to this code either."""
    token = payment.pop("SecureToken")
    payment["SealedToken"] = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], payment["TransactionID"], token)
    faults.calls.clear()
    delivery = send(engine, payment)
    assert engine.ended(delivery.execution).outcome == "RECORDED"
    assert "Encrypt" not in faults.calls


def test_the_longest_name_is_a_name() -> None:
    """Step Functions takes 80 characters of this set."""
    payment = Payment("t" * 64, "1", "JPY", "p", "Success", "2026-01-01T00:00:00.000000Z", {})
    names = [execution_name(payment, attempt) for attempt in range(1, intake.MAX_ATTEMPTS + 1)]
    assert max(map(len, names)) == 79
    assert len(set(names)) == len(names)
    refused = InvalidPaymentError([Violation("Amount", "decimal")], transaction_id="t" * 64, processor_id="p" * 64)
    assert len(refusal_name(refused, "any")) == 77


def test_refusals_of_one_payment_by_the_same_rules_are_one() -> None:
    """A processor sends it for days, perhaps in another form each time: one event and one count say it."""

    def name(rule: str, message_id: str, **ids: str) -> str:
        return refusal_name(InvalidPaymentError([Violation("Amount", rule)], **ids), message_id)

    assert name("decimal", "1", transaction_id="t") == name("decimal", "2", transaction_id="t")
    assert name("decimal", "1", transaction_id="t") != name("digits", "1", transaction_id="t")
    assert name("decimal", "1", processor_id="p") == name("decimal", "1", processor_id="p")
    assert name("decimal", "1", processor_id="p") != name("decimal", "2", processor_id="p")
    assert name("decimal", "1", transaction_id="t", processor_id="p").startswith("t-")
    assert name("decimal", "1", processor_id="p").startswith("p-")
    assert name("decimal", "1").startswith("refused-")
