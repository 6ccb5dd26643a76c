"""Intake: it seals the token first, starts the execution under the payment's own name, and can be repeated."""

import base64
import hashlib
import json
import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from ledger import intake
from ledger.intake import Delivery, TooManyAttemptsError, execution_name, rejection_name, seal
from ledger.payment import Payment, parse_payment, seal_context
from ledger.violations import InvalidPaymentError, Violation
from ledger_cli.engine import Engine
from tests.support.faults import Faults
from tests.support.intake import intake_of


def send(engine: Engine, payment: dict[str, Any]) -> Delivery:
    """Deliver as a sender does."""
    return intake_of(engine).deliver(payment)


def sealed_for(engine: Engine, payment: dict[str, Any], token: str) -> str:
    """Seal a token as a sender does, for the payment that has these IDs."""
    ids = payment["TransactionID"], payment["ProcessorID"]
    return seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, token)


@settings(max_examples=60)
@given(
    token=st.text(min_size=1, max_size=1000).filter(lambda text: text.isprintable()), other=st.text("abc", max_size=9)
)
def test_what_was_sealed_is_what_its_holder_gets(deployed: Any, token: str, other: str) -> None:
    """The seal is never valid under another TransactionID, or for another processor."""
    kms, key = deployed[0].client("kms"), deployed[0].outputs["IntakeKeyArn"]
    sealed = base64.b64decode(seal(kms, key, "txn-1", "acme-pay", token))
    opened = kms.decrypt(CiphertextBlob=sealed, EncryptionContext=seal_context("txn-1", "acme-pay"))["Plaintext"]
    assert opened.decode() == token
    for ids in ((f"txn-2{other}", "acme-pay"), ("txn-1", f"b{other}")):
        with pytest.raises(ClientError, match="InvalidCiphertext"):
            kms.decrypt(CiphertextBlob=sealed, EncryptionContext=seal_context(*ids))


def test_the_token_is_in_no_history(engine: Engine, payment: dict[str, Any]) -> None:
    """Operators read histories, which must contain no plaintext token."""
    delivery = send(engine, payment)
    assert engine.wait_for(delivery.execution).outcome == "RECORDED"
    described = engine.client("stepfunctions").describe_execution(executionArn=delivery.execution)
    assert "SealedToken" in described["input"]
    for text in (described, engine.history(delivery.execution), engine.logs()):
        assert payment["SecureToken"] not in json.dumps(text, default=str)


def test_delivered_again_it_meets_its_execution(engine: Engine, payment: dict[str, Any]) -> None:
    """Processors deliver twice; nothing runs twice."""
    first = send(engine, payment)
    engine.wait_for(first.execution)
    again = send(engine, {**payment, "SecureToken": "tok_reissued"})
    assert (first.started, again.started) == (True, False)
    assert (again.execution, again.outcome) == (first.execution, "RECORDED")
    assert len(engine.published()) == 1


def test_deliveries_at_once_start_one_execution(engine: Engine, payment: dict[str, Any]) -> None:
    """One of the two deliveries takes the name, whichever it is."""
    deliveries: list[Delivery] = []
    threads = [threading.Thread(target=lambda: deliveries.append(send(engine, payment))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(delivery.started for delivery in deliveries) == [False] * 5 + [True]
    assert len({delivery.execution for delivery in deliveries}) == 1
    assert engine.wait_for(deliveries[0].execution).outcome == "RECORDED"


def test_a_different_payment_runs_and_conflicts_once(engine: Engine, payment: dict[str, Any]) -> None:
    """A different payment has a name of its own, so the table decides.

    When it is delivered again, its name does not show whether that execution published the conflict. So another
    execution does, once, however often the payment comes. A consumer treats both events as one.
    """
    engine.wait_for(send(engine, payment).execution)
    other = {**payment, "Amount": "1.00"}
    conflict = send(engine, other)
    assert engine.wait_for(conflict.execution).outcome == "CONFLICT"
    again = send(engine, other)
    assert again == Delivery(f"{conflict.execution}-c", started=True, outcome="CONFLICT")
    assert engine.wait_for(again.execution).outcome == "CONFLICT"
    assert send(engine, other) == Delivery(again.execution, started=False, outcome="CONFLICT")
    assert len(engine.executions()) == 3
    assert [event["detail-type"] for event in engine.published()] == ["PaymentRecorded", *["PaymentConflict"] * 2]
    _, first, second = (event["detail"]["OutcomeID"] for event in engine.published())
    assert first == second


def test_a_technical_failure_is_attempted_again(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """A failed execution has taken the name, and the payment must be recorded nevertheless."""
    faults.refuse("PutItem", "ResourceNotFoundException")
    first = send(engine, payment)
    assert engine.wait_for(first.execution).outcome is None
    second = send(engine, payment)
    assert (second.started, second.execution) == (True, f"{first.execution}-2")
    assert engine.wait_for(second.execution).outcome == "RECORDED"
    assert send(engine, payment) == Delivery(second.execution, started=False, outcome="RECORDED")


def test_a_corrected_token_gets_through_at_any_time(engine: Engine, payment: dict[str, Any]) -> None:
    """After nine rejections, this sealed token is rejected permanently. Another seal makes another delivery."""
    token = payment.pop("SecureToken")
    wrong = {**payment, "SealedToken": sealed_for(engine, {**payment, "TransactionID": "another"}, token)}
    right = {**payment, "SealedToken": sealed_for(engine, payment, token)}
    for _ in range(9):
        delivery = send(engine, wrong)
        assert delivery.started
        assert engine.wait_for(delivery.execution).outcome == "REJECTED"
    with pytest.raises(InvalidPaymentError) as caught:
        send(engine, wrong)
    assert caught.value.violations == [Violation("SealedToken", "too_many_attempts")]
    assert (caught.value.transaction_id, caught.value.processor_id) == ("txn-2026-0001", "acme-pay")
    published = intake_of(engine).reject(caught.value, "any")
    assert engine.wait_for(published).outcome == "REJECTED"
    assert intake_of(engine).reject(caught.value, "any") == published
    corrected = send(engine, right)
    assert corrected.started
    assert engine.wait_for(corrected.execution).outcome == "RECORDED"
    assert len(engine.executions()) == 11


def test_a_sealed_token_opens_for_its_own_processor_alone(engine: Engine, payment: dict[str, Any]) -> None:
    """Otherwise, a sender that sees a sealed token could record it under a payment of its own."""
    payment["SealedToken"] = sealed_for(engine, payment, payment.pop("SecureToken"))
    stolen = send(engine, {**payment, "ProcessorID": "other"})
    refused = engine.wait_for(stolen.execution)
    assert (refused.outcome, refused.cause) == ("REJECTED", "SealedToken: not_sealed_for_this_payment")
    assert engine.wait_for(send(engine, payment).execution).outcome == "RECORDED"


def test_what_is_recorded_is_not_attempted_again(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """Its execution failed after the write. The table has the payment, and the sweep publishes it."""
    faults.refuse("PutEvents", "ResourceNotFoundException")
    first = send(engine, payment)
    assert engine.wait_for(first.execution).outcome is None
    assert send(engine, payment) == Delivery(first.execution, started=False, outcome="RECORDED")


def test_a_failure_under_a_taken_id_is_a_conflict(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """Its own execution failed before the write, and meanwhile another payment took the ID."""
    faults.refuse("PutItem", "ResourceNotFoundException")
    first = send(engine, payment)
    assert engine.wait_for(first.execution).outcome is None
    assert engine.wait_for(send(engine, {**payment, "Amount": "1.00"}).execution).outcome == "RECORDED"
    delivery = send(engine, payment)
    assert delivery == Delivery(f"{first.execution}-c", started=True, outcome="CONFLICT")
    assert engine.wait_for(delivery.execution).outcome == "CONFLICT"


def test_nothing_of_an_execution_is_read(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """A sender has no right to the history's key. If it read more than metadata, AWS would deny the call."""
    asked: list[dict[str, Any]] = []
    states = engine.client("stepfunctions")
    states.meta.events.register(
        "before-parameter-build.sfn.DescribeExecution", lambda params, **_: asked.append(params), unique_id="asked"
    )
    faults.refuse("PutItem", "ResourceNotFoundException")
    engine.wait_for(send(engine, payment).execution)
    asked.clear()
    send(engine, payment)
    states.meta.events.unregister("before-parameter-build.sfn.DescribeExecution", unique_id="asked")
    assert [params["includedData"] for params in asked] == ["METADATA_ONLY"] * 2


def test_attempts_come_to_an_end(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """A sender that never stops must not start executions without end, nor use up the calls of others."""
    faults.refuse("PutItem", "ResourceNotFoundException", times=9)
    first = ""
    for number in range(1, 10):
        faults.calls.clear()
        delivery = send(engine, payment)
        first = first or delivery.execution
        assert delivery == Delivery(first if number == 1 else f"{first}-{number}", started=True, outcome=None)
        calls = Counter(faults.calls)
        assert (calls["Encrypt"], calls["GetItem"]) == (1, int(number > 1))
        assert calls["StartExecution"] <= 3
        assert calls["DescribeExecution"] <= 6
        assert engine.wait_for(delivery.execution).outcome is None
    for _ in range(2):
        faults.calls.clear()
        with pytest.raises(TooManyAttemptsError, match=r"txn-2026-0001: 9 executions recorded nothing"):
            send(engine, payment)
        expected = {"Encrypt": 1, "StartExecution": 1, "GetItem": 1, "DescribeExecution": 2}
        assert Counter(faults.calls) == expected


def test_an_operator_gets_a_payment_through_whatever_has_its_names(engine: Engine, payment: dict[str, Any]) -> None:
    """A sender can take the nine names of a payment that it foresees, and nobody can free them."""
    first = execution_name(parse_payment(payment, default_currency="USD")[0])
    for name in (first, *(f"{first}-{number}" for number in range(2, 10))):
        assert engine.run("{}", name).outcome == "REJECTED"
    with pytest.raises(TooManyAttemptsError):
        send(engine, payment)
    delivery = intake_of(engine).deliver(payment, again=True)
    assert engine.wait_for(delivery.execution).outcome == "RECORDED"
    assert send(engine, payment).outcome == "RECORDED"
    once_more = intake_of(engine).deliver(payment, again=True)
    assert engine.wait_for(once_more.execution).outcome == "DUPLICATE"
    assert delivery.execution != once_more.execution


def fourth_attempt(
    engine: Engine, payment: dict[str, Any], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> tuple[Delivery, threading.Event]:
    """Return a payment's fourth attempt, which runs until the event is set; three attempts have failed."""
    faults.refuse("PutItem", "ResourceNotFoundException", times=3)
    for _ in range(3):
        engine.wait_for(send(engine, payment).execution)
    released = threading.Event()
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: released.wait(60)))
    faults.refuse("ReEncrypt", "KeyUnavailableException")  # the workflow waits before it tries again
    running = send(engine, payment)
    return running, released


def test_the_newest_attempt_is_met_while_it_runs(
    engine: Engine, payment: dict[str, Any], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome is not known yet, and a second attempt beside it would publish the payment twice."""
    running, released = fourth_attempt(engine, payment, faults, monkeypatch)
    met = send(engine, payment)
    released.set()
    assert met == Delivery(running.execution, started=False, outcome=None)
    assert running.execution.endswith("-4")
    assert engine.wait_for(running.execution).outcome == "RECORDED"


def test_an_attempt_that_another_delivery_starts_meanwhile_is_met(
    engine: Engine, payment: dict[str, Any], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deliveries at once see the same attempt as the newest, and one of them starts the next."""
    running, released = fourth_attempt(engine, payment, faults, monkeypatch)
    faults.delay("DescribeExecution", 0, times=3)  # of the first, the ninth and the sixth
    faults.refuse("DescribeExecution", "ExecutionDoesNotExist")  # the fourth attempt exists a moment later
    met = send(engine, payment)
    released.set()
    assert met == Delivery(running.execution, started=False, outcome=None)
    assert engine.wait_for(running.execution).outcome == "RECORDED"
    assert len(engine.executions()) == 4


COLLIDING = (
    {"Amount": "1.00", "Timestamp": "2026-11-24T00:00:06.732630Z"},
    {"Amount": "1000000.00", "Timestamp": "2026-11-24T00:00:11.948477Z"},
)
"""Fingerprints of payments `t-birthday-1` that begin with the same 48 bits, found in three minutes."""


def test_two_payments_under_one_id_have_two_names(
    engine: Engine, payment: dict[str, Any], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If both had one name, the second would be mistaken for the first while that runs, and be lost."""
    a, b = ({**payment, "TransactionID": "t-birthday-1", **changes} for changes in COLLIDING)
    fingerprints = [parse_payment(one, default_currency="USD")[0].fingerprint for one in (a, b)]
    assert {fingerprint[:12] for fingerprint in fingerprints} == {"f98d948e506c"}
    released = threading.Event()
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: released.wait(60)))
    faults.refuse("ReEncrypt", "KeyUnavailableException")
    first, second = send(engine, a), send(engine, b)
    released.set()
    assert (first.started, second.started) == (True, True)
    assert sorted(str(engine.wait_for(one.execution).outcome) for one in (first, second)) == ["CONFLICT", "RECORDED"]


def test_a_conflict_that_meets_a_name_is_published(
    engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The execution that took the name says nothing about this payment. The owner must learn of the conflict."""
    monkeypatch.setattr(intake, "execution_name", lambda payment, *_: f"{payment.transaction_id}-{'0' * 32}")
    a, b = ({**payment, "TransactionID": "t-birthday-1", **changes} for changes in COLLIDING)
    assert engine.wait_for(send(engine, a).execution).outcome == "RECORDED"
    conflict = send(engine, b)
    assert (conflict.started, conflict.outcome) == (True, "CONFLICT")
    assert engine.wait_for(conflict.execution).outcome == "CONFLICT"
    assert not send(engine, b).started
    assert [event["detail-type"] for event in engine.published()] == ["PaymentRecorded", "PaymentConflict"]


def test_an_invalid_payment_starts_nothing(engine: Engine, faults: Faults) -> None:
    """The sender learns every broken rule at once, and decides what to do."""
    with pytest.raises(InvalidPaymentError, match="TransactionID"):
        send(engine, {"SecureToken": "tok"})
    assert "StartExecution" not in faults.calls


def test_a_rejection_is_published_as_the_workflows_own(engine: Engine, payment: dict[str, Any]) -> None:
    """Consumers and operators need not know where a payment was rejected. A repeat does not run again."""
    invalid = {**payment, "Amount": "x", "Currency": "xx"}
    with pytest.raises(InvalidPaymentError) as caught:
        send(engine, invalid)
    before = [intake_of(engine).reject(caught.value, message_id) for message_id in ("first", "second")]
    assert engine.wait_for(before[0]).outcome == "REJECTED"
    within = engine.run(json.dumps(invalid), "within")
    assert within.outcome == "REJECTED"
    own, other = (event["detail"] for event in engine.published())
    assert {**own, "Execution": within.arn, "OutcomeID": other["OutcomeID"]} == other
    assert before[0] == before[1]
    assert set(engine.executions()) == {before[0], within.arn}
    described = engine.client("stepfunctions").describe_execution(executionArn=before[0])
    assert json.loads(described["input"]) == {"Refused": json.loads(str(caught.value))}


def test_an_error_of_aws_passes_unchanged(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """The sender's own retries handle the error."""
    faults.refuse("Encrypt", "DisabledException")
    with pytest.raises(ClientError, match="DisabledException"):
        send(engine, payment)
    assert "StartExecution" not in faults.calls


def test_a_sealed_token_passes_as_it_came(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """A sender that seals its tokens does not show them to this code either."""
    token = payment.pop("SecureToken")
    payment["SealedToken"] = sealed_for(engine, payment, token)
    faults.calls.clear()
    delivery = send(engine, payment)
    assert engine.wait_for(delivery.execution).outcome == "RECORDED"
    assert "Encrypt" not in faults.calls


def test_the_longest_name_is_a_name() -> None:
    """Step Functions accepts at most 80 characters of this set."""
    payment = Payment("t" * 64, "1", "JPY", "p", "Success", "2026-01-01T00:00:00.000000Z", {})
    assert len(execution_name(payment, "AAAA")) == len(execution_name(payment)) == 80 - len("-9")
    refused = InvalidPaymentError([Violation("Amount", "decimal")], transaction_id="t" * 64, processor_id="p" * 64)
    assert len(rejection_name(refused, "any")) == 78


def test_a_name_is_made_of_what_is_delivered(payment: dict[str, Any]) -> None:
    """Senders that write their own code follow docs/integrate/sending.md. No name depends on a plaintext token."""
    canonical, _ = parse_payment(payment, default_currency="USD")
    assert execution_name(canonical) == f"txn-2026-0001-{canonical.fingerprint[:32]}"
    names = {execution_name(canonical, sealed) for sealed in (None, "AAAA", "AAAB")}
    assert len(names) == 3
    carried = json.dumps([canonical.fingerprint, "AAAA"]).encode()
    assert execution_name(canonical, "AAAA") == f"txn-2026-0001-{hashlib.sha256(carried).hexdigest()[:32]}"


def test_rejections_of_one_payment_by_the_same_rules_are_one() -> None:
    """A processor repeats a message for days, perhaps each time in another form. It causes one event and one count."""

    def name(rule: str, message_id: str, **ids: str) -> str:
        return rejection_name(InvalidPaymentError([Violation("Amount", rule)], **ids), message_id)

    assert name("decimal", "1", transaction_id="t") == name("decimal", "2", transaction_id="t")
    assert name("decimal", "1", transaction_id="t") != name("digits", "1", transaction_id="t")
    assert name("decimal", "1", processor_id="p") == name("decimal", "1", processor_id="p")
    assert name("decimal", "1", processor_id="p") != name("decimal", "2", processor_id="p")
    assert name("decimal", "1", transaction_id="t", processor_id="p").startswith("t-")
    assert name("decimal", "1", processor_id="p").startswith("p-")
    assert name("decimal", "1").startswith("refused-")
