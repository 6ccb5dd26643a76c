"""The fast lane answers each delivery with its outcome. What it does not record, the Standard workflow takes up."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ledger.aws import CALL_ATTEMPTS
from ledger.fast_lane import is_fast, name_of_execution
from ledger.intake import Delivery, execution_name, seal
from ledger.payment import parse_payment
from ledger_cli import ROOT
from ledger_cli.engine import Engine, account
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack.execution import Execution
from tests.support.faults import Faults
from tests.support.functions import hang_once, invoke, log_lines
from tests.support.hunt import CANARY, Hunt
from tests.support.intake import intake_of
from tests.support.schema import schema_of
from tests.support.webhook import ACME, Webhook, changed

NAME = execution_name(parse_payment(json.loads(ACME), default_currency="USD")[0])
"""The payment's own name, under which the Standard workflow runs it too."""

REFUND = (ROOT / "events/webhooks/stripe-refund.created.json").read_bytes()
CHARGE = (ROOT / "events/webhooks/stripe-charge.succeeded.json").read_bytes()


def standard(engine: Engine) -> list[Execution]:
    """Wait until every execution of the Standard workflows has ended, and return them."""
    return [engine.wait_for(arn) for arn in engine.executions()]


def names(engine: Engine) -> list[str]:
    """Return the types of the published events."""
    return [event["detail-type"] for event in engine.published()]


def shares(engine: Engine) -> list[int]:
    """Return each value of the metric that counts who left the fast lane."""
    lines = [json.loads(line) for line in engine.logs().splitlines() if line.startswith("{")]
    return [int(line["FastLaneLeft"][0]) for line in lines if "FastLaneLeft" in line]


def left(engine: Engine) -> list[str]:
    """Return the errors for which payments left the fast lane."""
    return [line["error"] for line in log_lines(engine, "fast lane left")]


# ── What the fast lane decides ──────────────────────────────────────────────────────────────────────


def test_a_payment_is_recorded_before_it_is_answered(webhook: Webhook, engine: Engine) -> None:
    """No execution of the Standard workflow is paid for, and the outcome is published already."""
    assert webhook.post() == (200, {"Execution": NAME, "Outcome": "RECORDED"})
    (item,) = engine.items()
    assert is_fast(item["Execution"]["S"])
    assert name_of_execution(item["Execution"]["S"]) == NAME
    assert "Unpublished" not in item
    assert (engine.executions(), names(engine)) == ([], ["PaymentRecorded"])
    assert shares(engine) == [0]


def test_its_events_keep_their_schemas(webhook: Webhook, engine: Engine) -> None:
    """Consumers check them by the published schemas, and an Express execution has another ARN."""
    for body in (ACME, ACME, changed(Amount="1.00")):
        webhook.post(body)
    standard(engine)
    for event in engine.published():
        Draft202012Validator(schema_of(event["detail-type"])).validate(event["detail"])
    assert {*names(engine)} == {"PaymentRecorded", "PaymentDuplicate", "PaymentConflict"}


def test_the_same_payment_again_is_a_duplicate(webhook: Webhook, engine: Engine) -> None:
    """A name does not keep an Express execution from running again, so the table decides, each time."""
    webhook.post()
    (first,) = engine.items()
    for _ in range(2):
        assert webhook.post() == (200, {"Execution": NAME, "Outcome": "DUPLICATE"})
    assert engine.items() == [first]
    assert names(engine) == ["PaymentRecorded", "PaymentDuplicate", "PaymentDuplicate"]
    assert engine.executions() == []


def test_a_different_payment_is_refused_with_the_fields_that_differ(webhook: Webhook, engine: Engine) -> None:
    """The Standard workflow publishes the conflict, and its history keeps it for the operator.

    Delivered again, it is published a second time, under the name that is for this purpose alone, and then never again.
    """
    webhook.post()
    other = changed(Amount="1.00", Status="Failure")
    for _ in range(4):
        status, answer = webhook.post(other)
        assert (status, answer["Outcome"], answer["Differs"]) == (409, "CONFLICT", ["Amount", "Status"])
    ended = standard(engine)
    assert [one.outcome for one in ended] == ["CONFLICT", "CONFLICT"]
    assert ended[1].name == f"{ended[0].name}-c"
    assert names(engine) == ["PaymentRecorded", "PaymentConflict", "PaymentConflict"]
    assert shares(engine) == [0] * 5


def test_a_conflict_with_anothers_payment_says_nothing_of_it(webhook: Webhook, engine: Engine) -> None:
    """Otherwise, a processor could guess another's amount, field by field."""
    webhook.post()
    other = changed(ProcessorID="razorpay-eu", Amount="1.00")
    register(engine, "razorpay-eu")
    status, answer = webhook.post(other, "razorpay-eu")
    assert (status, answer.keys()) == (409, {"Execution", "Outcome"})
    standard(engine)
    assert engine.published()[-1]["detail"]["Differs"] == ["Amount", "ProcessorID"]


def register(engine: Engine, processor_id: str) -> None:
    """Register another processor with the sample's secret, and let the webhook know it."""
    engine.client("secretsmanager").create_secret(
        Name=f"{engine.outputs['ProcessorSecrets']}{processor_id}", SecretString=json.dumps(PROCESSORS["acme-pay"])
    )
    engine.functions["ReceivePayment"].restart()


def wrongly_sealed(engine: Engine) -> bytes:
    """Return the sample payment with the seal of another one."""
    payment = json.loads(ACME)
    token = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], "another", "acme-pay", payment["SecureToken"])
    del payment["SecureToken"]
    return json.dumps({**payment, "SealedToken": token}).encode()


def test_a_wrong_seal_is_answered_with_its_rule(webhook: Webhook, engine: Engine) -> None:
    """In the Standard workflow, only the history and the event say so. Here, the sender learns of it."""
    violations = [{"Field": "SealedToken", "Rule": "not_sealed_for_this_payment"}]
    status, answer = webhook.post(wrongly_sealed(engine))
    assert (status, answer["Violations"]) == (400, violations)
    (rejected,) = standard(engine)
    assert (rejected.outcome, rejected.name) == ("REJECTED", answer["Execution"])
    (event,) = engine.published()
    assert (event["detail-type"], event["detail"]["Violations"]) == ("PaymentRejected", violations)


def test_a_wrong_seal_is_published_once(webhook: Webhook, engine: Engine) -> None:
    """However often it comes, nothing could change the answer, and the alarm counts rejections."""
    wrong = wrongly_sealed(engine)
    answers = [webhook.post(wrong) for _ in range(11)]
    assert answers == [answers[0]] * 11
    assert len(standard(engine)) == len(engine.published()) == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_what_the_ledger_has_is_never_answered_as_rejected(webhook: Webhook, engine: Engine, *, is_first: bool) -> None:
    """A sender that repeats a payment with a wrong seal must learn that the payment is recorded."""
    wrong = wrongly_sealed(engine)
    if is_first:
        assert webhook.post(wrong)[0] == 400
        standard(engine)
    webhook.post()
    status, answer = webhook.post(wrong)
    assert (status, answer) == (200, {"Execution": NAME, "Outcome": "RECORDED"})
    assert names(engine).count("PaymentRejected") == is_first


def test_a_message_that_breaks_the_contract_enters_no_lane(webhook: Webhook, engine: Engine) -> None:
    """It is published and answered as in a stack without a fast lane."""
    status, answer = webhook.post(changed(Amount="1.001"))
    assert (status, answer["Violations"]) == (400, [{"Field": "Amount", "Rule": "decimals"}])
    assert [one.outcome for one in standard(engine)] == ["REJECTED"]
    assert shares(engine) == []


def test_an_entry_takes_the_standard_workflow(webhook: Webhook, engine: Engine) -> None:
    """It may wait for an hour, which no Express workflow does."""
    assert webhook.post(CHARGE, "stripe")[0] == 200
    status, answer = webhook.post(REFUND, "stripe")
    assert status == 202
    (ended,) = standard(engine)
    assert (ended.outcome, ended.name) == ("RECORDED", answer["Execution"])
    assert shares(engine) == [0]


def test_a_processor_that_corrects_nothing_gets_200(webhook: Webhook, engine: Engine) -> None:
    """It would send a refused message again and again."""
    captured = (ROOT / "events/webhooks/razorpay-payment.captured.json").read_bytes()
    assert webhook.post(captured, "razorpay")[0] == 200
    other = json.loads(captured)
    other["payload"]["payment"]["entity"]["amount"] += 1
    status, answer = webhook.post(json.dumps(other).encode(), "razorpay")
    assert (status, answer["Outcome"]) == (200, "CONFLICT")
    assert [one.outcome for one in standard(engine)] == ["CONFLICT"]


def test_the_function_calls_the_endpoint_of_its_own(webhook: Webhook, engine: Engine) -> None:
    """The endpoint of the other operations does not answer this one, and the public name leads out of the VPC."""
    webhook.post()
    (call,) = [call for call in engine.calls if call.operation == "StartSyncExecution"]
    assert call.host.startswith("vpce-")
    assert ".sync-states.us-east-1.vpce." in call.host
    assert call.resource == "stateMachine:PaymentLedgerFast"


# ── What the Standard workflow takes up ─────────────────────────────────────────────────────────────

FAILURES = {
    "ReEncrypt": "DisabledException",
    "PutItem": "ResourceNotFoundException",
    "PutEvents": "ResourceNotFoundException",
    "UpdateItem": "ResourceNotFoundException",
}
"""An error of each call of the workflow that neither the SDK nor a state retries."""


@pytest.mark.parametrize("operation", FAILURES)
def test_a_failure_is_taken_up_under_the_payments_own_name(
    webhook: Webhook, engine: Engine, faults: Faults, operation: str
) -> None:
    """Nothing is lost, whichever state failed: an event that could not be published is no outcome either."""
    faults.refuse(operation, FAILURES[operation])
    assert webhook.post() == (202, {"Execution": NAME})
    (ended,) = standard(engine)
    recorded_before = operation in {"PutEvents", "UpdateItem"}
    assert (ended.name, ended.outcome) == (NAME, "DUPLICATE" if recorded_before else "RECORDED")
    (item,) = engine.items()
    assert is_fast(item["Execution"]["S"]) == recorded_before
    assert "Unpublished" not in item
    assert set(names(engine)) == {"PaymentRecorded", *(["PaymentDuplicate"] if recorded_before else [])}
    assert shares(engine) == [1]
    assert left(engine) == [FAILURES[operation]]


@pytest.mark.parametrize("operation", FAILURES)
def test_a_lasting_failure_waits_for_a_redrive(
    webhook: Webhook, engine: Engine, faults: Faults, operation: str
) -> None:
    """The Standard execution fails in the same state, where an operator finds it, and a redrive continues it."""
    faults.refuse(operation, FAILURES[operation], times=2)
    assert webhook.post()[0] == 202
    (failed,) = standard(engine)
    assert failed.had_technical_failure
    engine.client("stepfunctions").redrive_execution(executionArn=failed.arn)
    (redriven,) = standard(engine)
    assert redriven.outcome in {"RECORDED", "DUPLICATE"}
    assert "PaymentRecorded" in names(engine)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (lambda faults: faults.lose_request("StartSyncExecution"), "ReadTimeoutError"),
        (lambda faults: faults.lose_reply("StartSyncExecution"), "ReadTimeoutError"),
        (lambda faults: faults.refuse("StartSyncExecution", "ThrottlingException"), "ThrottlingException"),
        (lambda faults: faults.refuse("StartSyncExecution", "AccessDeniedException"), "AccessDeniedException"),
        (lambda faults: faults.refuse("StartSyncExecution", "InternalFailure", status=500), "InternalFailure"),
    ],
    ids=["request lost", "reply lost", "throttled", "denied", "error 500"],
)
def test_without_an_answer_the_standard_workflow_runs(
    webhook: Webhook, engine: Engine, faults: Faults, fault: Any, code: str
) -> None:
    """Nobody knows then whether the payment is recorded. The call is made once: a second one would run it again."""
    fault(faults)
    assert webhook.post() == (202, {"Execution": NAME})
    assert faults.calls.count("StartSyncExecution") == 1
    (ended,) = standard(engine)
    assert ended.outcome in {"RECORDED", "DUPLICATE"}
    assert len(engine.items()) == 1
    assert "PaymentRecorded" in names(engine)
    assert left(engine) == [code]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"executionArn": "arn:…:express:a:b:c", "status": "SUCCEEDED"},
        {"executionArn": "arn", "status": "SUCCEEDED", "output": "no JSON"},
        {"executionArn": "arn", "status": "SUCCEEDED", "output": "{}"},
        {"executionArn": "arn", "status": "FAILED", "error": "InvalidPaymentError"},
        {"executionArn": "arn", "status": "FAILED", "error": "InvalidPaymentError", "cause": "no JSON"},
    ],
)
def test_an_answer_that_nobody_can_read_is_no_answer(
    webhook: Webhook, engine: Engine, faults: Faults, answer: dict[str, Any]
) -> None:
    """Step Functions leaves out what is too large, and a proxy may answer in its place."""
    faults.answer("StartSyncExecution", answer)
    assert webhook.post() == (202, {"Execution": NAME})
    assert [one.outcome for one in standard(engine)] == ["RECORDED"]
    assert left(engine) == ["UnreadableAnswer"]


def test_nothing_is_retried_in_the_fast_lane(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """The Standard workflow has the long retries. The sender waits for the fast lane."""
    faults.refuse("PutItem", "ThrottlingException", times=CALL_ATTEMPTS)
    before = engine.functions["PersistPaymentLedger"].invocations
    assert webhook.post()[0] == 202
    (ended,) = standard(engine)
    assert [state.attempts for state in ended.states] == [1, 1, 1, 1]
    assert engine.functions["PersistPaymentLedger"].invocations - before == 2


def test_a_state_that_times_out_is_not_retried(
    webhook: Webhook, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`States.TaskFailed` matches every error but this one."""
    hang_once(monkeypatch, engine.functions["ValidatePayment"], sooner=20, hangs_s=2)
    assert webhook.post()[0] == 202
    (ended,) = standard(engine)
    assert (ended.outcome, ended.states[0].attempts) == ("RECORDED", 1)
    assert left(engine) == ["States.Timeout"]


def test_a_name_that_is_taken_is_looked_up(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """After a failure, another delivery may meet another failure of the fast lane: the table then has the outcome."""
    faults.refuse("StartSyncExecution", "ThrottlingException", times=2)
    assert webhook.post()[0] == 202
    standard(engine)
    assert webhook.post() == (200, {"Execution": NAME, "Outcome": "RECORDED"})
    assert shares(engine) == [1, 1]


def test_a_stack_without_starts_answers_503(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """Only if neither lane can be had does the sender have to send the payment again."""
    faults.refuse("StartSyncExecution", "AccessDeniedException")
    faults.refuse("StartExecution", "AccessDeniedException")
    assert webhook.post()[0] == 503
    assert (engine.items(), engine.executions()) == ([], [])
    assert (shares(engine), left(engine)) == ([1], ["AccessDeniedException"])
    assert webhook.post()[0] == 200


def test_a_payment_may_be_recorded_although_the_answer_is_503(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """Nobody knows it then. The sender sends the payment again, and it is a duplicate."""
    faults.lose_reply("StartSyncExecution")
    faults.refuse("StartExecution", "AccessDeniedException")
    assert webhook.post()[0] == 503
    assert (len(engine.items()), names(engine)) == (1, ["PaymentRecorded"])
    assert webhook.post() == (200, {"Execution": NAME, "Outcome": "DUPLICATE"})


# ── Other senders ───────────────────────────────────────────────────────────────────────────────────


def test_the_intake_says_what_became_of_a_payment(engine: Engine, payment: dict[str, Any]) -> None:
    """A sender's own code gets the outcome, and what is wrong."""
    intake = intake_of(engine)
    first, again = intake.deliver(payment), intake.deliver(payment)
    assert [(one.outcome, one.started, is_fast(one.execution)) for one in (first, again)] == [
        ("RECORDED", True, True),
        ("DUPLICATE", True, True),
    ]
    assert first.execution != again.execution
    assert (
        first.execution_name
        == again.execution_name
        == execution_name(parse_payment(payment, default_currency="USD")[0])
    )
    conflict = intake.deliver({**payment, "Amount": "1.00"})
    assert (conflict.outcome, conflict.refusal and conflict.refusal["Differs"]) == ("CONFLICT", ["Amount"])
    assert not is_fast(conflict.execution)
    assert conflict.left_fast_lane is None
    standard(engine)


def test_again_means_an_execution_with_a_history(engine: Engine, payment: dict[str, Any]) -> None:
    """An operator who asks for another execution wants to look at it."""
    delivery = intake_of(engine).deliver(payment, again=True)
    assert (delivery.started, delivery.outcome, is_fast(delivery.execution)) == (True, None, False)
    assert engine.wait_for(delivery.execution).outcome == "RECORDED"
    assert isinstance(delivery, Delivery)


def test_a_partners_payment_takes_the_fast_lane(engine: Engine) -> None:
    """Nobody waits for its answer, but it costs as much as any other."""
    event = json.loads((ROOT / "events/functions/receive_partner_event-stripe.json").read_text())
    reply = invoke(engine, "ReceivePartnerEvent", event)
    assert reply["Outcome"] == "RECORDED"
    assert (engine.executions(), names(engine), shares(engine)) == ([], ["PaymentRecorded"], [0])


# ── Secrecy, and what is left of an execution ───────────────────────────────────────────────────────


def test_nothing_shows_the_token(webhook: Webhook, engine: Engine) -> None:
    """The log has every step and no data; no history is kept."""
    assert webhook.post(changed(SecureToken=CANARY))[0] == 200
    events = engine.client("logs").filter_log_events(logGroupName=engine.outputs["FastWorkflowLogs"])["events"]
    assert [json.loads(one["message"])["type"] for one in events][-1] == "ExecutionSucceeded"
    assert account.executions() == []
    left = {"workflow's log": events, "functions' logs": engine.logs(), "events": engine.published()}
    assert Hunt(CANARY).found({**left, "items": engine.items()}) == {}
