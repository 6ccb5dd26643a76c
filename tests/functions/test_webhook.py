"""The webhook over HTTP: who gets in, what each delivery is answered, and that nothing else starts anything."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from ledger.intake import seal
from ledger.processors import MAX_UNKNOWN, Processor, Processors
from ledger.signature import STRIPE, TOLERANCE_S, RefusedSignatureError
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.server import EngineServer
from ledger_cli.samples import PROCESSORS, let_in_processors
from ledger_cli.webhook import signed
from tests.conftest import Faults
from tests.functions.test_handlers import log_lines

ACME = (ROOT / "events/webhooks/acme-pay.json").read_bytes()
CHARGE = (ROOT / "events/webhooks/stripe-charge.succeeded.json").read_bytes()


@dataclass
class Webhook:
    """The webhook at its address, and a processor that posts to it."""

    engine: Engine
    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def post(
        self, body: bytes = ACME, processor: str = "acme-pay", *, at_s: float = 0, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The answer to *body*, signed *at_s* seconds from now, unless other headers are given."""
        if headers is None:
            headers = signed(PROCESSORS.get(processor, PROCESSORS["acme-pay"]), body, round(time.time() + at_s))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", f"/processors/{processor}/payments", body=body, headers=headers)
        answer = connection.getresponse()
        text, self.headers = answer.read(), dict(answer.getheaders())
        connection.close()
        return answer.status, json.loads(text)

    def outcome(self, answered: tuple[int, Any]) -> str | None:
        """What the execution that was answered comes to."""
        status, body = answered
        assert status in {202, 400, 413}
        prefix = self.engine.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
        return self.engine.ended(f"{prefix}:{body['Execution']}").outcome


@pytest.fixture
def webhook(engine: Engine) -> Iterator[Webhook]:
    """With the sample processors let in, and nothing remembered of others."""
    let_in_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
    engine.functions["ReceivePayment"].restart()
    with EngineServer(["127.0.0.1"]) as server:
        server.start(engine)
        yield Webhook(engine, server.port)


def started(engine: Engine) -> int:
    """How many executions there are."""
    listed = engine.client("stepfunctions").list_executions(stateMachineArn=engine.outputs["WorkflowArn"])
    return len(listed["executions"])


def changed(**fields: Any) -> bytes:
    """The sample payment with other fields."""
    return json.dumps({**json.loads(ACME), **fields}).encode()


# ── Deliveries ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "processor", "item"),
    [
        (ACME, "acme-pay", ("48", "EUR", "Success")),
        (CHARGE, "stripe", ("25.99", "USD", "Success")),
        ((ROOT / "events/webhooks/stripe-charge.failed.json").read_bytes(), "stripe", ("2599", "JPY", "Failure")),
        ((ROOT / "events/webhooks/acme-pay-event.json").read_bytes(), "acme-pay", ("48", "EUR", "Success")),
    ],
)
def test_what_a_processor_sends_is_recorded(
    webhook: Webhook, engine: Engine, body: bytes, processor: str, item: tuple[str, str, str]
) -> None:
    """From its own format to an item, its token sealed before the workflow starts."""
    answer = webhook.post(body, processor)
    assert webhook.outcome(answer) == "RECORDED"
    (recorded,) = engine.items()
    assert (recorded["Amount"]["N"], recorded["Currency"]["S"], recorded["Status"]["S"]) == item
    assert recorded["ProcessorID"]["S"] == processor
    described = engine.client("stepfunctions").describe_execution(executionArn=recorded["Execution"]["S"])
    assert "SealedToken" in json.loads(described["input"])
    assert "SecureToken" not in json.loads(described["input"])


def test_a_delivery_after_it_is_told_so(webhook: Webhook, engine: Engine) -> None:
    """Processors deliver again when an answer was lost; nothing runs twice."""
    first = webhook.post()
    assert webhook.outcome(first) == "RECORDED"
    assert webhook.post() == (200, {"Execution": first[1]["Execution"], "Outcome": "RECORDED"})
    assert started(engine) == len(engine.published()) == 1


def test_deliveries_at_once_start_one_execution(webhook: Webhook, engine: Engine) -> None:
    """Each is answered, and by one name."""
    answers: list[tuple[int, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(webhook.post())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert {status for status, _ in answers} <= {200, 202}
    assert len({body["Execution"] for _, body in answers}) == started(engine) == 1
    assert len(answers) == 6


def test_a_delivery_during_it_is_under_way(
    webhook: Webhook, engine: Engine, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not known yet what becomes of it."""
    released = threading.Event()
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: released.wait(60)))
    faults.refuse("ReEncrypt", "KeyUnavailableException")  # the workflow waits before it tries again
    first = webhook.post()
    assert webhook.post() == first
    released.set()
    assert webhook.outcome(first) == "RECORDED"
    assert started(engine) == 1


def test_a_delivery_after_a_refusal_runs_again(webhook: Webhook, engine: Engine) -> None:
    """Only KMS can tell that a token was sealed for another payment: corrected, it is another delivery."""
    kms, key = engine.client("kms"), engine.outputs["IntakeKeyArn"]
    payment = json.loads(ACME)
    token = payment.pop("SecureToken")
    wrong = json.dumps({**payment, "SealedToken": seal(kms, key, "another", "acme-pay", token)}).encode()
    right = json.dumps({**payment, "SealedToken": seal(kms, key, payment["TransactionID"], "acme-pay", token)}).encode()
    assert webhook.outcome(webhook.post(wrong)) == "REJECTED"
    assert webhook.outcome(webhook.post(right)) == "RECORDED"
    assert webhook.post(wrong)[0] == 200  # the payment is recorded, whatever this token is


def test_a_delivery_after_a_conflict_is_a_conflict(webhook: Webhook, engine: Engine) -> None:
    """The first delivery runs, so that the conflict is published. The next ones are final, and publish it once more."""
    assert webhook.outcome(webhook.post()) == "RECORDED"
    other = changed(Amount="49.00")
    first = webhook.post(other)
    assert webhook.outcome(first) == "CONFLICT"
    for _ in range(3):
        assert webhook.post(other) == (409, {"Execution": f"{first[1]['Execution']}-c", "Outcome": "CONFLICT"})
    assert webhook.post()[0] == 200
    assert started(engine) == 3
    for arn in engine.executions():
        engine.ended(arn)
    assert [event["detail-type"] for event in engine.published()] == ["PaymentRecorded", *["PaymentConflict"] * 2]


def test_a_payment_that_is_always_refused_is_told_so_for_good(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """It is the sender's fault: no alarm of ours rings, no release is held back, and no other processor pays for it."""
    payment = json.loads(ACME)
    del payment["SecureToken"]
    wrong = json.dumps({**payment, "SealedToken": "AAAA"}).encode()
    for _ in range(9):
        assert webhook.outcome(webhook.post(wrong)) == "REJECTED"
    answers = []
    for _ in range(3):
        faults.calls.clear()
        answers.append(webhook.post(wrong))
        calls = Counter(faults.calls)
        assert (calls["StartExecution"], calls["GetItem"], calls["DescribeExecution"]) == (3, 1, 4)
    violations = [{"Field": "SealedToken", "Rule": "too_many_attempts"}]
    execution = answers[0][1]["Execution"]
    assert answers == [(400, {"Execution": execution, "Violations": violations})] * 3
    assert webhook.outcome(answers[0]) == "REJECTED"
    assert started(engine) == 10
    assert "PaymentNotStarted" not in engine.logs()
    assert webhook.outcome(webhook.post()) == "RECORDED"  # the same payment, whose token the webhook seals


def test_a_delivery_after_a_technical_failure_is_attempted_anew(
    webhook: Webhook, engine: Engine, faults: Faults
) -> None:
    """The processor goes on sending until it is recorded."""
    faults.refuse("PutItem", "ResourceNotFoundException")
    assert webhook.outcome(webhook.post()) is None
    second = webhook.post()
    assert second[1]["Execution"].endswith("-2")
    assert webhook.outcome(second) == "RECORDED"
    assert webhook.post() == (200, {"Execution": second[1]["Execution"], "Outcome": "RECORDED"})


def test_what_came_by_another_way_is_recorded_once(webhook: Webhook, engine: Engine) -> None:
    """An event bus names executions itself: the table alone knows that it is the same payment."""
    assert engine.run(ACME.decode()).outcome == "RECORDED"
    assert webhook.outcome(webhook.post()) == "DUPLICATE"
    assert webhook.post()[0] == 200
    assert len(engine.items()) == 1


def test_a_message_about_no_outcome_is_taken_and_ignored(webhook: Webhook, engine: Engine) -> None:
    """Refused, the processor would send it for days, and at last close the endpoint."""
    message = json.dumps({**json.loads(CHARGE), "type": "charge.refunded"}).encode()
    assert webhook.post(message, "stripe") == (200, {"Outcome": "IGNORED"})
    assert started(engine) == 0


@pytest.mark.parametrize(
    "body", [b'{"success": true}', b'{"type": "ping"}', b'{"type": "webhook.test", "data": {"id": 1}}']
)
def test_a_test_of_the_endpoint_is_taken(webhook: Webhook, engine: Engine, body: bytes) -> None:
    """Whoever registers the endpoint tests it first, and many senders do not use one that fails."""
    assert webhook.post(body) == (200, {"Outcome": "IGNORED"})
    assert started(engine) == 0


def test_svix_names_of_the_headers_are_taken(webhook: Webhook, engine: Engine) -> None:
    """Senders on Svix sign as the standard has it, under names that are older than the standard."""
    headers = signed(PROCESSORS["acme-pay"], ACME, round(time.time()))
    headers = {name.replace("webhook-", "Svix-"): value for name, value in headers.items()}
    assert webhook.outcome(webhook.post(headers=headers)) == "RECORDED"
    assert webhook.post(changed(Amount="1.00"), headers=headers) == UNAUTHORIZED
    assert started(engine) == 1


@pytest.mark.parametrize(
    ("carried", "transaction_id", "amount", "metadata"),
    [
        ({"currency": "ugx", "amount_captured": 500000}, "ch_3SampleLedger0000000000001", "5000", {}),
        ({"id": "ch_" + "x" * 200}, "ch_xxxxxxxxxxxxxxxxxxxxx_sha256_", "25.99", {"original.TransactionID"}),
        (
            {"id": "py_1Sample", "payment_method": None, "source_transfer": "tr_1SampleLedger", "payment_intent": None},
            "py_1Sample",
            "25.99",
            {"stripe.token"},
        ),
        ({"payment_method": None, "source": {"id": "card_1SampleLedger"}}, "ch_3Sample", "25.99", {"stripe.token"}),
    ],
)
def test_what_stripe_documents_of_a_charge_is_recorded(
    webhook: Webhook, engine: Engine, carried: dict[str, Any], transaction_id: str, amount: str, metadata: set[str]
) -> None:
    """Through the signature, the workflow and the table, so that no rule of these refuses what a format hands on."""
    event = json.loads(CHARGE)
    event["account"] = "acct_1SampleLedger"
    event["data"]["object"] |= carried
    assert webhook.outcome(webhook.post(json.dumps(event).encode(), "stripe")) == "RECORDED"
    (item,) = engine.items()
    assert item["TransactionID"]["S"].startswith(transaction_id)
    assert item["Amount"]["N"] == amount
    assert item["Metadata"]["M"].keys() >= {"stripe.account", *metadata}


def test_a_body_in_chunks_is_taken(webhook: Webhook) -> None:
    """A processor's library may send it so, and API Gateway takes it: 413 would be final."""
    connection = http.client.HTTPConnection("127.0.0.1", webhook.port, timeout=60)
    headers = signed(PROCESSORS["acme-pay"], ACME, round(time.time()))
    parts = iter([ACME[:10], ACME[10:]])
    connection.request("POST", "/processors/acme-pay/payments", parts, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert webhook.outcome((answer.status, json.loads(answer.read()))) == "RECORDED"
    connection.close()


def test_an_amount_keeps_its_exact_text(webhook: Webhook, engine: Engine) -> None:
    """Through the HTTP API and the function, to the item; as a number it may have lost digits, as in the workflow."""
    body = ACME.replace(b'"48.00"', b'"1000000000000000.05"')
    assert webhook.outcome(webhook.post(body)) == "RECORDED"
    assert engine.items()[0]["Amount"]["N"] == "1000000000000000.05"
    status, answer = webhook.post(body.replace(b'"1000000000000000.05"', b"1000000000000000.05"))
    assert (status, answer["Violations"]) == (400, [{"Field": "Amount", "Rule": "float_digits"}])


def without_content_type(body: bytes, processor: str = "acme-pay") -> dict[str, str]:
    """The headers of a signed request whose body the HTTP API hands on as base64: it may be no text."""
    headers = signed(PROCESSORS[processor], body, round(time.time()))
    del headers["content-type"]
    return headers


def test_a_body_that_is_no_text_to_the_api_is_the_same(webhook: Webhook) -> None:
    """Not every processor says what it sends."""
    assert webhook.outcome(webhook.post(headers=without_content_type(ACME))) == "RECORDED"
    body = b"\xff\xfe" + ACME
    assert webhook.post(body, headers=without_content_type(body))[1]["Violations"][0]["Rule"] == "not_json"
    assert webhook.post(body) == UNAUTHORIZED  # as text, it is not what was signed any more


# ── Who is not let in ───────────────────────────────────────────────────────────────────────────────

UNAUTHORIZED = (401, {"message": "Unauthorized"})
GOOD = signed(PROCESSORS["acme-pay"], ACME, 1)


@pytest.mark.parametrize(
    ("processor", "at_s", "headers", "reason"),
    [
        ("acme-pay", -TOLERANCE_S - 5, None, "not_now"),
        ("acme-pay", TOLERANCE_S + 5, None, "not_now"),
        ("acme-pay", 0, {}, "no_signature"),
        ("acme-pay", 0, GOOD, "not_now"),
        ("acme-pay", 0, {**GOOD, "webhook-timestamp": "yesterday"}, "malformed"),
        ("stripe", 0, GOOD, "no_signature"),
        ("nobody", 0, None, "unknown_processor"),
        ("n%C3%B6body", 0, None, "unknown_processor"),
        ("acme-pay%2F..%2Fstripe", 0, None, "unknown_processor"),
        ("x" * 65, 0, None, "unknown_processor"),
        ("4111111111111111", 0, None, "unknown_processor"),
    ],
)
def test_who_is_not_let_in_learns_nothing(
    webhook: Webhook, engine: Engine, processor: str, at_s: float, headers: dict[str, str] | None, reason: str
) -> None:
    """The reason is in the log and the metric, and not in the answer."""
    assert webhook.post(processor=processor, at_s=at_s, headers=headers) == UNAUTHORIZED
    (line,) = log_lines(engine, "signature refused")
    assert line["reason"] == reason
    assert "4111111111111111" not in engine.logs()
    assert '"SignatureRefused":[1.0]' in engine.logs().replace(" ", "")
    assert (started(engine), engine.items()) == (0, [])


def test_another_processors_secret_is_no_key(webhook: Webhook, engine: Engine) -> None:
    """Each is let in by its own."""
    stranger = {"Format": "standard-webhooks", "Secrets": ["whsec_c3RyYW5nZXItc2VjcmV0LW9mLTI0LWJ5dGVz"]}
    headers = signed(stranger, ACME, round(time.time()))
    assert webhook.post(headers=headers) == UNAUTHORIZED
    assert started(engine) == 0


def test_a_recorded_request_played_again_changes_nothing(webhook: Webhook, engine: Engine) -> None:
    """Within its five minutes it is the processor's own delivery once more; after them it is refused."""
    headers = signed(PROCESSORS["acme-pay"], ACME, round(time.time()))
    assert webhook.outcome(webhook.post(headers=headers)) == "RECORDED"
    assert [webhook.post(headers=headers)[0] for _ in range(3)] == [200] * 3
    assert started(engine) == 1


def test_unknown_names_are_not_asked_for_each_time(webhook: Webhook, faults: Faults) -> None:
    """Whoever tries the same name costs one call a minute, and what is remembered is bounded."""
    for _ in range(5):
        assert webhook.post(processor="nobody") == UNAUTHORIZED
    assert faults.calls.count("GetSecretValue") == 1


def test_nobody_is_asked_for_a_card_number(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """The name of a secret stands in CloudTrail, whether there is such a secret or not."""
    name = f"{engine.outputs['ProcessorSecrets']}4111111111111111"
    engine.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(PROCESSORS["acme-pay"]))
    assert webhook.post(processor="4111111111111111") == UNAUTHORIZED
    assert "GetSecretValue" not in faults.calls


def known(engine: Engine) -> Processors:
    """What a new environment remembers of processors: nothing yet."""
    return Processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])


@pytest.mark.usefixtures("webhook")
def test_what_is_remembered_of_strangers_is_bounded_and_costs_the_known_nothing(engine: Engine, faults: Faults) -> None:
    """Names can be made up without end."""
    processors = known(engine)
    processors.of("acme-pay", 0)
    for number in range(MAX_UNKNOWN * 2):
        with pytest.raises(RefusedSignatureError, match="unknown_processor"):
            processors.of(f"made-up-{number}", 0)
        assert len(processors._unknown) <= MAX_UNKNOWN
    faults.calls.clear()
    assert processors.of("acme-pay", 0).secrets == PROCESSORS["acme-pay"]["Secrets"]
    assert faults.calls == []


@pytest.mark.usefixtures("webhook")
def test_a_rotated_secret_is_known_within_five_minutes(engine: Engine) -> None:
    """Until then the old one stands beside it; a processor that is let in is known within one."""
    processors, secrets = known(engine), engine.client("secretsmanager")
    prefix = engine.outputs["ProcessorSecrets"]
    assert processors.of("acme-pay", 1000).secrets == PROCESSORS["acme-pay"]["Secrets"]
    with pytest.raises(RefusedSignatureError):
        processors.of("new-pay", 1000)
    new = {"Format": "stripe", "Secrets": ["whsec_0123456789abcdef"]}
    secrets.put_secret_value(SecretId=f"{prefix}acme-pay", SecretString=json.dumps(new))
    secrets.create_secret(Name=f"{prefix}new-pay", SecretString=json.dumps(new))
    assert processors.of("acme-pay", 1299).secrets == PROCESSORS["acme-pay"]["Secrets"]
    assert processors.of("acme-pay", 1300).secrets == new["Secrets"]
    with pytest.raises(RefusedSignatureError):
        processors.of("new-pay", 1059)
    assert processors.of("new-pay", 1060).secrets == new["Secrets"]


def test_a_processor_that_is_shut_out_is_unknown(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """A secret that is to be deleted cannot be read any more, for a month; strangers must not ring an alarm with it."""
    faults.refuse("GetSecretValue", "InvalidRequestException")
    assert webhook.post() == UNAUTHORIZED
    assert log_lines(engine, "signature refused")[0]["reason"] == "unknown_processor"
    assert webhook.post() == UNAUTHORIZED
    assert faults.calls.count("GetSecretValue") == 1


# ── What is not taken ───────────────────────────────────────────────────────────────────────────────


ID = "txn-2026-0101"


@pytest.mark.parametrize(
    ("body", "field", "rule", "transaction_id"),
    [
        (b"", "Payment", "not_json", None),
        (b"TransactionID=1", "Payment", "not_json", None),
        (ACME[:-5], "Payment", "not_json", None),
        (ACME.replace(b'"48.00"', b"NaN"), "Payment", "not_json", None),
        (ACME.replace(b"{", b'{"Amount": "1.00",'), "Payment", "duplicate_name", None),
        (b"[" + ACME + b"]", "Payment", "not_an_object", None),
        (changed(ProcessorID="other-pay"), "ProcessorID", "another_processor", ID),
        (changed(ProcessorID="tok_canary", SecureToken="tok_canary"), "ProcessorID", "another_processor", ID),
        (changed(TransactionID="tok canary"), "TransactionID", "identifier", None),
        (changed(SecureToken="t" * 4097), "SecureToken", "token_length", ID),
        (changed(Amount="48.001"), "Amount", "decimals", ID),
        (changed(Note="x"), "Payment", "unknown_field", ID),
    ],
)
def test_what_breaks_the_contract_is_refused_with_its_rules(
    webhook: Webhook, engine: Engine, body: bytes, field: str, rule: str, transaction_id: str | None
) -> None:
    """The processor's people learn what to fix, and so do ours: once, however often the processor sends it again."""
    violations = [{"Field": field, "Rule": rule}]
    status, answer = webhook.post(body)
    assert (status, answer["Violations"]) == (400, violations)
    assert webhook.outcome((status, answer)) == "REJECTED"
    (event,) = engine.published()
    assert (event["detail-type"], event["detail"]["Violations"]) == ("PaymentRejected", violations)
    assert (event["detail"].get("TransactionID"), event["detail"]["ProcessorID"]) == (transaction_id, "acme-pay")
    lines = log_lines(engine, "payment refused") + log_lines(engine, "outcome published")
    assert [(line.get("transaction_id"), line["processor_id"]) for line in lines] == [(transaction_id, "acme-pay")] * 3
    assert "canary" not in engine.logs()
    assert engine.logs().replace(" ", "").count('"PaymentRejected":[1.0]') == 1
    assert engine.logs().replace(" ", "").count(f'"Rule":"{rule}","RuleBroken":[1.0]') == 1
    assert webhook.post(body, at_s=5) == (400, answer)
    assert (started(engine), len(engine.published()), engine.items()) == (1, 1, [])


def test_messages_without_an_id_are_refused_each(webhook: Webhook, engine: Engine) -> None:
    """An integration that lost its IDs breaks the same rule each time: counted as one, it would ring no alarm."""
    bodies = [changed(TransactionID=None, Amount=f"{number}.00") for number in range(3)]
    answers = [webhook.post(body) for body in [*bodies, *bodies]]
    assert {webhook.outcome(answer) for answer in answers} == {"REJECTED"}
    assert started(engine) == len(engine.published()) == len({body["Execution"] for _, body in answers}) == 3


def test_a_refusal_is_named_by_no_value_of_the_payment(webhook: Webhook) -> None:
    """Names of executions are read by people that may not know the token: a hash of it is a way to try tokens."""
    answers = [webhook.post(changed(Amount="x", SecureToken=token, Timestamp=None)) for token in ("tok_1", "tok_2")]
    assert answers[0] == answers[1]


def test_a_refusal_without_an_id_is_named_with_the_processors_secret(engine: Engine) -> None:
    """Whoever reads the names of executions cannot try messages against them."""
    module, body = engine.functions["ReceivePayment"].module, changed(TransactionID=None)
    secrets = ("whsec_0123456789abcdef", "whsec_fedcba9876543210")
    described = [json.dumps({"Format": "stripe", "Secrets": [secret]}) for secret in secrets]
    assert len({module.message_id(Processor.parse(text), body) for text in described}) == len(secrets)


@pytest.mark.parametrize("attribute", ["Fingerprint", "Execution"])
def test_an_item_that_cannot_be_read_is_named(webhook: Webhook, engine: Engine, attribute: str) -> None:
    """The processor is to send again, and somebody to mend it: an alarm counts it, and the log names it."""
    assert webhook.outcome(webhook.post()) == "RECORDED"
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": ID}},
        UpdateExpression=f"REMOVE {attribute}",
    )
    assert webhook.post()[0] == 503
    (line,) = log_lines(engine, "payment not started")
    assert (line["code"], line["transaction_id"], line["attribute"]) == ("UnreadableItemError", ID, attribute)
    assert '"PaymentNotStarted":[1.0]' in engine.logs().replace(" ", "")


def test_a_charge_that_its_format_refuses_is_refused_with_its_id(webhook: Webhook, engine: Engine) -> None:
    """Support searches for the charge. No rule of the contract was looked at yet."""
    message = json.loads(CHARGE)
    message["data"]["object"]["created"] = 10**15
    answer = webhook.post(json.dumps(message).encode(), "stripe")
    assert webhook.outcome(answer) == "REJECTED"
    (event,) = engine.published()
    assert event["detail"]["Violations"] == [{"Field": "Timestamp", "Rule": "timestamp_range"}]
    assert event["detail"]["TransactionID"] == message["data"]["object"]["id"]


@pytest.mark.parametrize(
    ("code", "times", "status"), [("ThrottlingException", 2, 429), ("AccessDeniedException", 1, 503)]
)
def test_a_refusal_that_cannot_be_handed_over_is_to_be_sent_again(
    webhook: Webhook, engine: Engine, faults: Faults, code: str, times: int, status: int
) -> None:
    """Answered 400, it would be lost in silence: the processor may not send it again."""
    faults.refuse("StartExecution", code, times=times)
    assert webhook.post(changed(Amount="x"))[0] == status
    assert log_lines(engine, "payment not started")[0]["code"] == code
    assert webhook.outcome(webhook.post(changed(Amount="x"))) == "REJECTED"


def test_a_corrected_payment_is_recorded_after_its_refusal(webhook: Webhook, engine: Engine) -> None:
    """Under the same TransactionID; the refusal that is delivered late changes nothing."""
    assert webhook.outcome(webhook.post(changed(Amount="x"))) == "REJECTED"
    assert webhook.outcome(webhook.post()) == "RECORDED"
    assert webhook.post(changed(Amount="x"))[0] == 400
    assert [event["detail-type"] for event in engine.published()] == ["PaymentRejected", "PaymentRecorded"]


def test_what_is_not_signed_causes_no_refusal(webhook: Webhook, engine: Engine) -> None:
    """Else anybody could ring the alarm, and start executions."""
    for body in (b"", changed(Amount="x"), b" " * 300_000):
        assert webhook.post(body, headers=GOOD) == UNAUTHORIZED
    assert (started(engine), engine.published()) == (0, [])


def test_every_broken_rule_is_told_at_once(webhook: Webhook) -> None:
    """As the workflow does."""
    status, body = webhook.post(changed(Amount="x", Status="ok", Currency="XXX"))
    assert status == 400
    assert [(v["Field"], v["Rule"]) for v in body["Violations"]] == [
        ("Amount", "decimal"),
        ("Currency", "no_minor_unit"),
        ("Status", "status"),
    ]


def test_a_body_too_large_is_refused_before_it_is_read(webhook: Webhook, engine: Engine) -> None:
    """No start input is as large; signed, it is a payment that was refused."""
    limit = engine.functions["ReceivePayment"].module.MAX_BODY_BYTES
    assert webhook.post(b" " * (limit - len(ACME)) + ACME)[0] == 202
    too_large = webhook.post(b" " * (limit - len(ACME) + 1) + ACME)
    assert (too_large[0], too_large[1]["Violations"]) == (413, [{"Field": "Payment", "Rule": "too_large"}])
    assert webhook.outcome(too_large) == "REJECTED"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps(text).encode()))
def test_whatever_is_signed_has_a_right_answer(webhook: Webhook, body: bytes) -> None:
    """A processor's mistakes are told to it: an error of ours would ring an alarm, and be sent again."""
    for processor in PROCESSORS:
        status, answer = webhook.post(body, processor, headers=without_content_type(body, processor))
        assert status == 400 or answer == {"Outcome": "IGNORED"}  # an object, such as {}, may be a test of the endpoint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        ["id", "amount_captured", "captured", "currency", "created", "payment_method", "payment_intent", "object"]
    ),
    value=JSON,
    kind=st.sampled_from(["charge.succeeded", "charge.failed"]),
)
def test_whatever_stands_in_a_charge_has_a_right_answer(webhook: Webhook, name: str, value: Any, kind: str) -> None:
    """Every field of it, of every type."""
    message = json.loads(CHARGE)
    message["type"], message["data"]["object"][name] = kind, value
    assert webhook.post(json.dumps(message).encode(), "stripe")[0] in {200, 202, 400, 409}


# ── When AWS fails ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("operation", "code", "times", "status"),
    [
        ("GetSecretValue", "ThrottlingException", 2, 429),
        ("GetSecretValue", "DecryptionFailure", 1, 503),
        ("Encrypt", "ThrottlingException", 2, 429),
        ("Encrypt", "DisabledException", 1, 503),
        ("Encrypt", "AccessDeniedException", 1, 503),
        ("StartExecution", "ThrottlingException", 2, 429),
        ("StartExecution", "ExecutionLimitExceeded", 1, 429),
        ("StartExecution", "StateMachineDoesNotExist", 1, 503),
    ],
)
def test_what_fails_is_to_be_sent_again(
    webhook: Webhook, engine: Engine, faults: Faults, operation: str, code: str, times: int, status: int
) -> None:
    """Nothing is lost: the processor has its payment still, and the same request passes later."""
    faults.refuse(operation, code, times=times)
    answer = webhook.post()
    assert (answer[0], webhook.headers["retry-after"]) == (status, "30")
    assert log_lines(engine, "payment not started")[0]["code"] == code
    assert started(engine) == 0
    assert webhook.outcome(webhook.post()) == "RECORDED"


@pytest.mark.parametrize("operation", ["GetSecretValue", "Encrypt", "StartExecution"])
def test_a_lost_request_is_sent_once_more(webhook: Webhook, faults: Faults, operation: str) -> None:
    """Then the processor is asked to come again."""
    faults.lose_request(operation)
    assert webhook.outcome(webhook.post()) == "RECORDED"
    faults.lose_request("Encrypt", times=2)
    assert webhook.post(changed(TransactionID="another"))[0] == 503


def test_a_lost_reply_starts_nothing_twice(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """The SDK asks again, and meets the execution that its first request has started."""
    faults.lose_reply("StartExecution")
    status, body = webhook.post()
    assert status in {200, 202}
    assert body["Execution"].startswith("txn-2026-0101-")
    assert started(engine) == 1


def test_attempts_come_to_an_end(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """A processor that sends for ever must not start executions for ever."""
    faults.refuse("PutItem", "ResourceNotFoundException", times=9)
    for _ in range(9):
        assert webhook.outcome(webhook.post()) is None
    for _ in range(2):
        faults.calls.clear()
        assert webhook.post()[0] == 503
        calls = Counter(faults.calls)
        assert (calls["StartExecution"], calls["GetItem"], calls["DescribeExecution"]) == (2, 1, 4)
    assert webhook.headers["retry-after"] == "30"
    (line, _) = log_lines(engine, "payment not started")
    assert (line["code"], line["transaction_id"]) == ("TooManyAttemptsError", "txn-2026-0101")
    assert started(engine) == 9


@pytest.mark.parametrize("stored", ["whsec_canary", '{"Format": "stripe", "Secrets": "whsec_canary_canary_canary"}'])
def test_a_secret_that_is_none_lets_nobody_in(webhook: Webhook, engine: Engine, stored: str) -> None:
    """A list that is a string has letters for secrets. The alarm rings; neither the answer nor the log tells of it."""
    name = f"{engine.outputs['ProcessorSecrets']}stripe"
    engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString=stored)
    now_s = round(time.time())
    forged = {"stripe-signature": f"t={now_s},v1={STRIPE.sign('w', f'{now_s}.'.encode() + CHARGE)}"}
    assert webhook.post(CHARGE, "stripe", headers=forged) == (503, {"message": "Service Unavailable"})
    assert log_lines(engine, "payment not started")[0]["code"] == "ProcessorSecretError"
    assert '"PaymentNotStarted":[1.0]' in engine.logs().replace(" ", "")
    assert "canary" not in engine.logs()
    assert started(engine) == 0


def test_a_name_that_another_payment_has_taken_is_not_believed(webhook: Webhook, engine: Engine) -> None:
    """Senders name executions themselves: that one succeeded under this name says nothing of this payment."""
    first = webhook.post()
    assert webhook.outcome(first) == "RECORDED"
    name = first[1]["Execution"]
    engine.clear()
    let_in_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
    assert engine.run(changed(TransactionID="another").decode(), name).outcome == "RECORDED"
    answer = webhook.post()
    assert answer == (202, {"Execution": f"{name}-2"})
    assert webhook.outcome(answer) == "RECORDED"


def test_a_payment_recorded_between_two_looks_is_recorded(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """The table said nothing yet, and the execution had succeeded when it was asked."""
    assert webhook.outcome(webhook.post()) == "RECORDED"
    faults.answer("GetItem", {})
    assert webhook.post()[0] == 200
    assert started(engine) == 1


def test_an_execution_that_cannot_be_described_is_not_believed_to_run(
    webhook: Webhook, engine: Engine, faults: Faults
) -> None:
    """Told that it runs, a processor would never send again."""
    faults.refuse("PutItem", "ResourceNotFoundException")
    assert webhook.outcome(webhook.post()) is None
    faults.refuse("DescribeExecution", "ExecutionDoesNotExist")
    assert webhook.post()[0] == 503
    assert webhook.outcome(webhook.post()) == "RECORDED"


def test_a_redelivery_costs_one_look_at_the_table(webhook: Webhook, faults: Faults) -> None:
    """Few executions can be described in a second, and processors deliver again in bursts."""
    assert webhook.outcome(webhook.post()) == "RECORDED"
    faults.calls.clear()
    assert webhook.post()[0] == 200
    assert [call for call in faults.calls if call != "Invoke"] == ["Encrypt", "StartExecution", "GetItem"]


def test_other_paths_and_methods_are_not_the_webhooks(webhook: Webhook) -> None:
    """An HTTP API has no route for them."""
    for method, path, status in (
        ("GET", "/processors/acme-pay/payments", 404),
        ("POST", "/processors/a/b/payments", 403),
        ("POST", "/", 403),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", webhook.port, timeout=60)
        connection.request(method, path, body=ACME)
        assert connection.getresponse().status == status
        connection.close()
