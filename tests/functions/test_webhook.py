"""The webhook over HTTP: which senders are accepted, how each delivery is answered, and that nothing else starts."""

import base64
import hmac
import http.client
import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from ledger.formats import FORMATS
from ledger.intake import seal
from ledger.processors import PAGE, Processor, Processors, ProcessorSecretError
from ledger.signature import STRIPE, TOLERANCE_S, Received
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.http_api import ENDPOINT
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack.webhook import signed
from tests.support.faults import Faults
from tests.support.functions import log_lines
from tests.support.webhook import ACME, Webhook, changed

CHARGE = (ROOT / "events/webhooks/stripe-charge.succeeded.json").read_bytes()


def started(engine: Engine) -> int:
    """Return how many executions there are."""
    listed = engine.client("stepfunctions").list_executions(stateMachineArn=engine.outputs["WorkflowArn"])
    return len(listed["executions"])


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
    """A message in a processor's own format becomes an item, and its token is sealed before the workflow starts."""
    answer = webhook.post(body, processor)
    assert webhook.outcome(answer) == "RECORDED"
    (recorded,) = engine.items()
    assert (recorded["Amount"]["N"], recorded["Currency"]["S"], recorded["Status"]["S"]) == item
    assert recorded["ProcessorID"]["S"] == processor
    described = engine.client("stepfunctions").describe_execution(executionArn=recorded["Execution"]["S"])
    assert "SealedToken" in json.loads(described["input"])
    assert "SecureToken" not in json.loads(described["input"])


def test_a_delivery_after_it_gets_the_outcome(webhook: Webhook, engine: Engine) -> None:
    """Processors deliver again when a response was lost. Nothing runs twice."""
    first = webhook.post()
    assert webhook.outcome(first) == "RECORDED"
    assert webhook.post() == (200, {"Execution": first[1]["Execution"], "Outcome": "RECORDED"})
    assert started(engine) == len(engine.published()) == 1


def test_deliveries_at_once_start_one_execution(webhook: Webhook, engine: Engine) -> None:
    """Each delivery is answered, and with the same execution."""
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
    """The outcome is not known yet."""
    released = threading.Event()
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda _: released.wait(60)))
    faults.refuse("ReEncrypt", "KeyUnavailableException")  # the workflow waits before it tries again
    first = webhook.post()
    assert webhook.post() == first
    released.set()
    assert webhook.outcome(first) == "RECORDED"
    assert started(engine) == 1


def test_a_delivery_after_a_rejection_runs_again(webhook: Webhook, engine: Engine) -> None:
    """Only KMS can detect that a token was sealed for another payment. A corrected payment is another delivery."""
    kms, key = engine.client("kms"), engine.outputs["IntakeKeyArn"]
    payment = json.loads(ACME)
    token = payment.pop("SecureToken")
    wrong = json.dumps({**payment, "SealedToken": seal(kms, key, "another", "acme-pay", token)}).encode()
    right = json.dumps({**payment, "SealedToken": seal(kms, key, payment["TransactionID"], "acme-pay", token)}).encode()
    assert webhook.outcome(webhook.post(wrong)) == "REJECTED"
    assert webhook.outcome(webhook.post(right)) == "RECORDED"
    assert webhook.post(wrong)[0] == 200  # the payment is recorded, whatever this token is


def test_a_delivery_after_a_conflict_is_a_conflict(webhook: Webhook, engine: Engine) -> None:
    """The first delivery runs, so that the conflict is published. The next ones are final, and publish it again."""
    assert webhook.outcome(webhook.post()) == "RECORDED"
    other = changed(Amount="49.00")
    first = webhook.post(other)
    assert webhook.outcome(first) == "CONFLICT"
    for _ in range(3):
        assert webhook.post(other) == (409, {"Execution": f"{first[1]['Execution']}-c", "Outcome": "CONFLICT"})
    assert webhook.post()[0] == 200
    assert started(engine) == 3
    for arn in engine.executions():
        engine.wait_for(arn)
    assert [event["detail-type"] for event in engine.published()] == ["PaymentRecorded", *["PaymentConflict"] * 2]


def test_a_payment_that_is_always_rejected_gets_a_final_answer(
    webhook: Webhook, engine: Engine, faults: Faults
) -> None:
    """The mistake is the sender's, so it raises no alarm of the ledger, and stops no release."""
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
        assert (calls["StartExecution"], calls["GetItem"], calls["DescribeExecution"]) == (2, 1, 2)
    violations = [{"Field": "SealedToken", "Rule": "too_many_attempts"}]
    execution = answers[0][1]["Execution"]
    assert answers == [(400, {"Execution": execution, "Violations": violations})] * 3
    assert webhook.outcome(answers[0]) == "REJECTED"
    assert started(engine) == 10
    assert "PaymentNotStarted" not in engine.logs()
    assert webhook.outcome(webhook.post()) == "RECORDED"  # the same payment, whose token the webhook seals


def test_a_delivery_after_a_technical_failure_is_attempted_again(
    webhook: Webhook, engine: Engine, faults: Faults
) -> None:
    """The processor keeps sending the payment until it is recorded."""
    faults.refuse("PutItem", "ResourceNotFoundException")
    assert webhook.outcome(webhook.post()) is None
    second = webhook.post()
    assert second[1]["Execution"].endswith("-2")
    assert webhook.outcome(second) == "RECORDED"
    assert webhook.post() == (200, {"Execution": second[1]["Execution"], "Outcome": "RECORDED"})


def test_what_came_by_another_way_is_recorded_once(webhook: Webhook, engine: Engine) -> None:
    """An event bus names executions itself, so only the table shows that it is the same payment."""
    assert engine.run(ACME.decode()).outcome == "RECORDED"
    assert webhook.outcome(webhook.post()) == "DUPLICATE"
    assert webhook.post()[0] == 200
    assert len(engine.items()) == 1


def test_a_message_about_no_outcome_is_taken_and_ignored(webhook: Webhook, engine: Engine) -> None:
    """If the message were rejected, the processor would send it for days, and finally disable the endpoint."""
    message = json.dumps({**json.loads(CHARGE), "type": "charge.refunded"}).encode()
    assert webhook.post(message, "stripe") == (200, {"Outcome": "IGNORED"})
    assert started(engine) == 0


@pytest.mark.parametrize(
    "body", [b'{"success": true}', b'{"type": "ping"}', b'{"type": "webhook.test", "data": {"id": 1}}']
)
def test_a_test_of_the_endpoint_is_taken(webhook: Webhook, engine: Engine, body: bytes) -> None:
    """People who register the endpoint test it first, and many senders do not use an endpoint that fails."""
    assert webhook.post(body) == (200, {"Outcome": "IGNORED"})
    assert started(engine) == 0


def test_svix_names_of_the_headers_are_taken(webhook: Webhook, engine: Engine) -> None:
    """Senders on Svix sign by the standard, under header names that are older than the standard."""
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
    """The payments pass the signature, the workflow and the table: none of these rejects a payment of a format."""
    event = json.loads(CHARGE)
    event["account"] = "acct_1SampleLedger"
    event["data"]["object"] |= carried
    assert webhook.outcome(webhook.post(json.dumps(event).encode(), "stripe")) == "RECORDED"
    (item,) = engine.items()
    assert item["TransactionID"]["S"].startswith(transaction_id)
    assert item["Amount"]["N"] == amount
    assert item["Metadata"]["M"].keys() >= {"stripe.account", *metadata}


def test_a_body_in_chunks_is_taken(webhook: Webhook) -> None:
    """A processor's library may send the body so, and API Gateway accepts it: 413 would be final."""
    connection = http.client.HTTPConnection("127.0.0.1", webhook.port, timeout=60)
    headers = signed(PROCESSORS["acme-pay"], ACME, round(time.time()))
    parts = iter([ACME[:10], ACME[10:]])
    connection.request("POST", "/processors/acme-pay/payments", parts, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert webhook.outcome((answer.status, json.loads(answer.read()))) == "RECORDED"
    connection.close()


def test_an_amount_keeps_its_exact_text(webhook: Webhook, engine: Engine) -> None:
    """The amount passes the HTTP API and the function. A JSON number may have lost digits, as in the workflow."""
    body = ACME.replace(b'"48.00"', b'"1000000000000000.05"')
    assert webhook.outcome(webhook.post(body)) == "RECORDED"
    assert engine.items()[0]["Amount"]["N"] == "1000000000000000.05"
    status, answer = webhook.post(body.replace(b'"1000000000000000.05"', b"1000000000000000.05"))
    assert (status, answer["Violations"]) == (400, [{"Field": "Amount", "Rule": "float_digits"}])


def without_content_type(body: bytes, processor: str = "acme-pay") -> dict[str, str]:
    """Return the headers of a signed request whose body comes as base64, because it may not be text."""
    url = f"{ENDPOINT}/processors/{processor}/payments"
    headers = signed(PROCESSORS[processor], body, round(time.time()), url)
    del headers["content-type"]
    return headers


def test_a_body_that_is_not_text_to_the_api_is_the_same(webhook: Webhook) -> None:
    """Not every processor declares the type of its content."""
    assert webhook.outcome(webhook.post(headers=without_content_type(ACME))) == "RECORDED"
    body = b"\xff\xfe" + ACME
    assert webhook.post(body, headers=without_content_type(body))[1]["Violations"][0]["Rule"] == "not_json"
    assert webhook.post(body) == UNAUTHORIZED  # as text, it is not what was signed any more


# ── Who is not accepted ─────────────────────────────────────────────────────────────────────────────

UNAUTHORIZED = (401, {"message": "Unauthorized"})
GOOD = signed(PROCESSORS["acme-pay"], ACME, 1)


@pytest.mark.parametrize(
    ("processor", "at_s", "headers", "reason", "is_known"),
    [
        ("acme-pay", -TOLERANCE_S - 5, None, "not_now", True),
        ("acme-pay", TOLERANCE_S + 5, None, "not_now", True),
        ("acme-pay", 0, {}, "no_signature", True),
        ("acme-pay", 0, GOOD, "not_now", True),
        ("acme-pay", 0, {**GOOD, "webhook-timestamp": "yesterday"}, "malformed", True),
        ("stripe", 0, GOOD, "not_now", True),
        ("nobody", 0, None, "unknown_processor", False),
        ("nobody", 0, {}, "no_signature", False),
        ("nobody", 0, GOOD, "not_now", False),
        ("n%C3%B6body", 0, None, "unknown_processor", False),
        ("acme-pay%2F..%2Fstripe", 0, None, "unknown_processor", False),
        ("x" * 65, 0, None, "unknown_processor", False),
        ("4111111111111111", 0, None, "unknown_processor", False),
    ],
)
def test_an_unauthorised_sender_learns_nothing(
    webhook: Webhook,
    engine: Engine,
    processor: str,
    at_s: float,
    headers: dict[str, str] | None,
    reason: str,
    *,
    is_known: bool,
) -> None:
    """The log has the reason, and the response does not.

    A stranger raises another metric than a registered processor, because the alarm on that one must be reliable. A
    registered processor raises it also if it has sent no valid request in the life of an environment, because its clock
    is wrong.
    """
    assert webhook.post(processor=processor, at_s=at_s, headers=headers) == UNAUTHORIZED
    (line,) = log_lines(engine, "signature invalid")
    assert "4111111111111111" not in engine.logs()
    assert (line["reason"], line["known"]) == (reason, is_known)
    logs = engine.logs().replace(" ", "")
    assert ('"SignatureRefused":[1.0]' in logs, '"UnknownSenderRefused":[1.0]' in logs) == (is_known, not is_known)
    assert (started(engine), engine.items()) == (0, [])


def test_a_processor_signs_by_its_own_scheme(webhook: Webhook, engine: Engine) -> None:
    """A processor's request must not pass with fresh headers of the other scheme."""
    headers = signed(PROCESSORS["acme-pay"], CHARGE, round(time.time()))
    assert webhook.post(CHARGE, "stripe", headers=headers) == UNAUTHORIZED
    assert log_lines(engine, "signature invalid")[0]["reason"] == "no_signature"
    both = {**headers, **signed(PROCESSORS["stripe"], CHARGE, round(time.time()))}
    assert webhook.outcome(webhook.post(CHARGE, "stripe", headers=both)) == "RECORDED"


@pytest.mark.parametrize(
    ("processor", "body"), [("acme-pay", ACME), ("stripe", ACME), ("nobody", ACME)], ids=["known", "other", "unknown"]
)
def test_a_known_name_costs_no_more_work_than_another(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, processor: str, body: bytes
) -> None:
    """The response time could show which processors are registered: each request costs one HMAC of the whole body."""
    headers = signed(PROCESSORS["acme-pay"], b"another body", round(time.time()))
    sizes: list[int] = []

    def counted(key: bytes, content: bytes, digest: Any) -> bytes:
        sizes.append(len(content))
        return hmac.new(key, content, digest).digest()

    monkeypatch.setattr("ledger.signature.hmac.digest", counted)
    assert webhook.post(body, processor, headers=headers) == UNAUTHORIZED
    assert len([size for size in sizes if size >= len(body)]) == 1


def test_another_processors_secret_is_not_a_key(webhook: Webhook, engine: Engine) -> None:
    """Each processor is accepted by its own secret."""
    stranger = {"Format": "standard-webhooks", "Secrets": ["whsec_c3RyYW5nZXItc2VjcmV0LW9mLTI0LWJ5dGVz"]}
    headers = signed(stranger, ACME, round(time.time()))
    assert webhook.post(headers=headers) == UNAUTHORIZED
    assert started(engine) == 0


def test_a_recorded_request_played_again_changes_nothing(webhook: Webhook, engine: Engine) -> None:
    """Within five minutes, it counts as the processor's own repeated delivery. After them, its signature is invalid."""
    headers = signed(PROCESSORS["acme-pay"], ACME, round(time.time()))
    assert webhook.outcome(webhook.post(headers=headers)) == "RECORDED"
    assert [webhook.post(headers=headers)[0] for _ in range(3)] == [200] * 3
    assert started(engine) == 1


def readings(faults: Faults) -> int:
    """Return how often Secrets Manager was called."""
    assert "GetSecretValue" not in faults.calls
    return faults.calls.count("BatchGetSecretValue")


def test_made_up_names_cost_one_reading_a_minute(webhook: Webhook, faults: Faults) -> None:
    """An attacker can invent any number of names: a flood of them must not cost a call each."""
    began = time.monotonic()
    for number in range(600):
        assert webhook.post(processor=f"made-up-{number % 300}") == UNAUTHORIZED
    assert readings(faults) <= 1 + (time.monotonic() - began) / 60


def test_known_and_unknown_names_together_are_read_in_time(engine: Engine, faults: Faults) -> None:
    """With a new name each second, the processors are fetched once a minute, otherwise every five minutes."""
    register_sample_processors(engine)
    processors = known(engine)
    for now_s in range(600):
        assert processors.find("acme-pay", now_s)
        assert processors.find(f"made-up-{now_s}", now_s) is None
    assert readings(faults) == 10
    faults.calls.clear()
    for now_s in range(600, 1800):
        assert processors.find("acme-pay", now_s)
    assert readings(faults) == 4


def test_what_is_not_signed_at_all_asks_nobody(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """The same holds an hour later, when all that is remembered has expired."""
    receive = engine.functions["ReceivePayment"].module.receive
    now_s = round(time.time())
    assert webhook.post(processor="nobody") == UNAUTHORIZED
    assert readings(faults) == 1
    old = signed(PROCESSORS["acme-pay"], ACME, now_s)
    for headers in ({}, old, {**old, "webhook-timestamp": "soon"}, {"stripe-signature": "t=1,t=2"}):
        for processor in ("nobody", "acme-pay", "n o"):
            assert receive(processor, Received.of(headers, "", ACME), now_s + 3600).status == 401
    assert readings(faults) == 1


def test_nobody_is_asked_for_a_card_number(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """The name of a secret appears in CloudTrail, whether the secret exists or not."""
    name = f"{engine.outputs['ProcessorSecrets']}4111111111111111"
    engine.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(PROCESSORS["acme-pay"]))
    assert webhook.post(processor="4111111111111111") == UNAUTHORIZED
    assert readings(faults) <= 1  # of all processors, by no name


def known(engine: Engine) -> Processors:
    """Return the processors of a new environment, which remembers nothing yet."""
    return Processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])


@pytest.mark.usefixtures("webhook")
def test_a_rotated_secret_is_known_within_five_minutes(engine: Engine) -> None:
    """Until then the old one stays valid beside it. A newly registered processor is known within one minute."""
    processors, secrets = known(engine), engine.client("secretsmanager")
    prefix = engine.outputs["ProcessorSecrets"]

    def secret_of(processor_id: str, now_s: int) -> Any:
        found = processors.find(processor_id, now_s)
        return found and found.secrets

    assert secret_of("acme-pay", 1000) == PROCESSORS["acme-pay"]["Secrets"]
    assert secret_of("new-pay", 1000) is None
    new = {"Format": "stripe", "Secrets": ["whsec_0123456789abcdef"]}
    secrets.put_secret_value(SecretId=f"{prefix}acme-pay", SecretString=json.dumps(new))
    assert secret_of("acme-pay", 1299) == PROCESSORS["acme-pay"]["Secrets"]
    assert secret_of("acme-pay", 1300) == new["Secrets"]
    secrets.create_secret(Name=f"{prefix}new-pay", SecretString=json.dumps(new))
    assert secret_of("new-pay", 1359) is None
    assert secret_of("new-pay", 1360) == new["Secrets"]


@pytest.mark.usefixtures("webhook")
def test_every_page_is_read(engine: Engine, faults: Faults) -> None:
    """Secrets Manager returns at most twenty secrets. Secrets whose names begin otherwise are not requested."""
    secrets = engine.client("secretsmanager")
    secrets.create_secret(Name="another/secret", SecretString="x")
    for number in range(2 * PAGE):
        text = json.dumps(PROCESSORS["acme-pay"])
        secrets.create_secret(Name=f"{engine.outputs['ProcessorSecrets']}pay-{number}", SecretString=text)
    processors = known(engine)
    assert all(processors.find(f"pay-{number}", 0) for number in range(2 * PAGE))
    assert processors.find("acme-pay", 0)
    assert (readings(faults), len(processors._found)) == (3, 2 * PAGE + len(PROCESSORS))


def test_a_processor_whose_secret_is_deleted_is_unknown(webhook: Webhook, engine: Engine) -> None:
    """The processor is gone after the next fetch, whether its secret is deleted or only scheduled for it.

    Others stay.
    """
    processors, secrets = known(engine), engine.client("secretsmanager")
    assert processors.find("acme-pay", 0)
    secrets.delete_secret(SecretId=f"{engine.outputs['ProcessorSecrets']}acme-pay")
    assert processors.find("acme-pay", 299)
    assert processors.find("acme-pay", 300) is None
    assert webhook.post() == UNAUTHORIZED
    assert log_lines(engine, "signature invalid")[0]["reason"] == "unknown_processor"
    assert webhook.outcome(webhook.post(CHARGE, "stripe")) == "RECORDED"


@pytest.mark.parametrize("by", ["name", "arn"])
@pytest.mark.usefixtures("webhook")
def test_one_secret_that_is_not_given_stops_no_other(engine: Engine, faults: Faults, by: str) -> None:
    """If the secret was deleted since it was listed, the processor is unknown.

    For any other reason, the processor has to come again in a minute.
    """
    prefix = engine.outputs["ProcessorSecrets"]
    start = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{prefix}" if by == "arn" else prefix
    end = "-AbC1d2" if by == "arn" else ""
    faults.answer(
        "BatchGetSecretValue",
        {
            "SecretValues": [{"Name": f"{prefix}acme-pay", "SecretString": json.dumps(PROCESSORS["acme-pay"])}],
            "Errors": [
                {"SecretId": f"{start}gone{end}", "ErrorCode": "InvalidRequestException", "Message": "x"},
                {"SecretId": f"{start}stripe{end}", "ErrorCode": "DecryptionFailure", "Message": "x"},
            ],
        },
    )
    processors = known(engine)
    assert processors.find("acme-pay", 0)
    assert processors.find("gone", 0) is None
    with pytest.raises(ProcessorSecretError, match="DecryptionFailure"):
        processors.find("stripe", 59)
    assert processors.find("stripe", 60)


@pytest.mark.usefixtures("webhook")
def test_a_secret_that_was_read_is_good_for_its_time(engine: Engine, faults: Faults) -> None:
    """A stranger's name causes a fetch. If Secrets Manager fails for one secret then, that processor stays valid."""
    name = f"{engine.outputs['ProcessorSecrets']}acme-pay"
    failed = {"SecretId": name, "ErrorCode": "InternalServiceError", "Message": "x"}
    processors = known(engine)
    assert processors.find("acme-pay", 0)
    faults.answer("BatchGetSecretValue", {"SecretValues": [], "Errors": [failed]}, times=2)
    assert processors.find("nobody", 60) is None
    assert processors.find("acme-pay", 61)
    assert processors.find("acme-pay", 299)
    with pytest.raises(ProcessorSecretError, match="InternalServiceError"):
        processors.find("acme-pay", 300)
    assert processors.find("acme-pay", 360)


def test_a_stranger_learns_nothing_of_secrets_manager(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """A request without headers gets 401 even if Secrets Manager is throttled, and does not keep it throttled."""
    faults.refuse("BatchGetSecretValue", "ThrottlingException", times=2)
    now_s = round(time.time())
    receive = engine.functions["ReceivePayment"].module.receive
    for second in range(3):
        assert receive("nobody", Received.of({}, "", ACME), now_s + second).status == 401
    assert faults.calls.count("BatchGetSecretValue") == 2  # one reading, which the SDK repeats
    assert "PaymentNotStarted" not in engine.logs()
    assert webhook.outcome(webhook.post(at_s=1)) == "RECORDED"


def test_an_older_secret_ends(webhook: Webhook, engine: Engine) -> None:
    """Otherwise a replaced secret would be valid permanently, even in the hands of a thief."""
    (old,) = PROCESSORS["acme-pay"]["Secrets"]
    new = "whsec_" + base64.b64encode(b"n" * 24).decode()
    now_s = round(time.time())
    until = datetime.fromtimestamp(now_s + 100, UTC).isoformat()
    stored = {"Format": "standard-webhooks", "Secrets": [new, old], "OlderUntil": until}
    name = f"{engine.outputs['ProcessorSecrets']}acme-pay"
    engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString=json.dumps(stored))
    receive = engine.functions["ReceivePayment"].module.receive

    def status(secret: str, at_s: int) -> Any:
        headers = signed({"Format": "standard-webhooks", "Secrets": [secret]}, ACME, now_s + at_s)
        return receive("acme-pay", Received.of(headers, "", ACME), now_s + at_s).status

    first = webhook.post(headers=signed(PROCESSORS["acme-pay"], ACME, now_s))
    assert webhook.outcome(first) == "RECORDED"
    assert [status(secret, at_s) for secret in (old, new) for at_s in (99, 100)] == [200, 401, 200, 200]


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
def test_what_breaks_the_contract_is_rejected_with_its_rules(
    webhook: Webhook, engine: Engine, body: bytes, field: str, rule: str, transaction_id: str | None
) -> None:
    """The processor and the operators learn what to fix: once, however often the processor sends it again."""
    violations = [{"Field": field, "Rule": rule}]
    status, answer = webhook.post(body)
    assert (status, answer["Violations"]) == (400, violations)
    assert webhook.outcome((status, answer)) == "REJECTED"
    (event,) = engine.published()
    assert (event["detail-type"], event["detail"]["Violations"]) == ("PaymentRejected", violations)
    assert (event["detail"].get("TransactionID"), event["detail"]["ProcessorID"]) == (transaction_id, "acme-pay")
    lines = log_lines(engine, "payment rejected") + log_lines(engine, "outcome published")
    assert [(line.get("transaction_id"), line["processor_id"]) for line in lines] == [(transaction_id, "acme-pay")] * 3
    assert "canary" not in engine.logs()
    assert engine.logs().replace(" ", "").count('"PaymentRejected":[1.0]') == 1
    assert engine.logs().replace(" ", "").count(f'"Rule":"{rule}","RuleBroken":[1.0]') == 1
    assert webhook.post(body, at_s=5) == (400, answer)
    assert (started(engine), len(engine.published()), engine.items()) == (1, 1, [])


@pytest.mark.parametrize("form", ["quiet", "published", "loud", None, ["quiet"]])
@pytest.mark.parametrize("is_event", [False, True])
@pytest.mark.parametrize("name", ["acme-pay", "acme-pay-refund"])
def test_a_processor_imports_nothing(webhook: Webhook, engine: Engine, name: str, form: Any, *, is_event: bool) -> None:
    """It could keep consumers from learning of a payment or a refund. Its operator sees that it tried."""
    sample = json.loads((ROOT / f"events/webhooks/{name}.json").read_text())
    message = {**sample.get("data", sample), "Import": form}
    message = {"type": "payment.succeeded", "data": message} if is_event else message
    status, answer = webhook.post(json.dumps(message).encode())
    violations = [{"Field": "Import", "Rule": "not_for_processors"}]
    assert (status, answer["Violations"]) == (400, violations)
    is_entry = name == "acme-pay-refund"
    workflow = engine.outputs["EntriesWorkflowArn" if is_entry else "WorkflowArn"]
    arn = f"{workflow.removesuffix(':live').replace(':stateMachine:', ':execution:')}:{answer['Execution']}"
    assert engine.wait_for(arn).outcome == ("REFUSED" if is_entry else "REJECTED")
    (event,) = engine.published()
    assert event["detail-type"] == ("EntryRefused" if is_entry else "PaymentRejected")
    assert (event["detail"]["Violations"], event["detail"]["ProcessorID"]) == (violations, "acme-pay")
    assert (engine.items(), engine.entries()) == ([], [])


@pytest.mark.parametrize(
    ("processor", "body", "prefix", "is_taken"),
    [
        ("acme-pay", ACME, "txn-2026-", True),
        ("acme-pay", ACME, ID, True),
        ("acme-pay", ACME, "acme-", False),
        ("acme-pay", ACME, "TXN-", False),
        ("acme-pay", ACME, "2026-", False),
        ("acme-pay", (ROOT / "events/webhooks/acme-pay-event.json").read_bytes(), "acme-", False),
        ("stripe", CHARGE, "ch_", True),
        ("stripe", CHARGE, "py_", False),
    ],
)
def test_a_processor_keeps_to_its_prefix(
    webhook: Webhook, engine: Engine, processor: str, body: bytes, prefix: str, *, is_taken: bool
) -> None:
    """All processors share the TransactionIDs.

    Without a prefix, a processor can take the next ID of another, or find out whether it is taken. The rejection is
    published under the name of the processor that signed it.
    """
    text = json.dumps({**PROCESSORS[processor], "Prefix": prefix})
    name = f"{engine.outputs['ProcessorSecrets']}{processor}"
    engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
    answer = webhook.post(body, processor)
    if is_taken:
        assert webhook.outcome(answer) == "RECORDED"
        return
    violations = [{"Field": "TransactionID", "Rule": "id_prefix"}]
    assert (answer[0], answer[1]["Violations"]) == (400, violations)
    assert webhook.outcome(answer) == "REJECTED"
    (event,) = engine.published()
    assert (event["detail"]["ProcessorID"], event["detail"]["Violations"]) == (processor, violations)
    assert engine.items() == []


def test_a_prefix_says_nothing_of_other_messages(webhook: Webhook, engine: Engine) -> None:
    """A ping has no ID to check, and an invalid ID breaks the contract's own rule."""
    text = json.dumps({**PROCESSORS["acme-pay"], "Prefix": "acme-"})
    name = f"{engine.outputs['ProcessorSecrets']}acme-pay"
    engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
    assert webhook.post(b'{"type": "ping"}') == (200, {"Outcome": "IGNORED"})
    for invalid, rule in ((None, "type"), ("no id", "identifier")):
        assert webhook.post(changed(TransactionID=invalid))[1]["Violations"] == [
            {"Field": "TransactionID", "Rule": rule}
        ]


def test_messages_without_an_id_are_rejected_each(webhook: Webhook, engine: Engine) -> None:
    """An integration that lost its IDs breaks the same rule each time.

    If that counted once, it would raise no alarm.
    """
    bodies = [changed(TransactionID=None, Amount=f"{number}.00") for number in range(3)]
    answers = [webhook.post(body) for body in [*bodies, *bodies]]
    assert {webhook.outcome(answer) for answer in answers} == {"REJECTED"}
    assert started(engine) == len(engine.published()) == len({body["Execution"] for _, body in answers}) == 3


def test_a_rejection_is_named_by_no_value_of_the_payment(webhook: Webhook) -> None:
    """People who may not know the token read the names of executions: with a hash of it, they could try tokens."""
    answers = [webhook.post(changed(Amount="x", SecureToken=token, Timestamp=None)) for token in ("tok_1", "tok_2")]
    assert answers[0] == answers[1]


def test_a_rejection_without_an_id_is_named_with_the_processors_secret(engine: Engine) -> None:
    """A reader of executions' names cannot try messages against them."""
    module, body = engine.functions["ReceivePayment"].module, changed(TransactionID=None)
    secrets = ("whsec_0123456789abcdef", "whsec_fedcba9876543210")
    described = [json.dumps({"Format": "stripe", "Secrets": [secret]}) for secret in secrets]
    assert len({module.message_id(Processor.parse(text), body) for text in described}) == len(secrets)


@pytest.mark.parametrize("attribute", ["Fingerprint", "Execution"])
def test_an_item_that_cannot_be_read_is_named(webhook: Webhook, engine: Engine, attribute: str) -> None:
    """The processor has to send again, and an operator has to fix the cause.

    An alarm counts it, and the log names it.
    """
    assert webhook.outcome(webhook.post()) == "RECORDED"
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": ID}},
        UpdateExpression=f"REMOVE {attribute}",
    )
    assert webhook.post()[0] == 503
    (line,) = log_lines(engine, "payment not started")
    assert (line["code"], line["transaction_id"], line["attribute"]) == ("UnreadableItemError", ID, attribute)


def test_an_item_that_cannot_be_read_holds_up_no_other_message(webhook: Webhook, engine: Engine) -> None:
    """Adyen sends nothing else until a message is taken. The alarm rings, and the first execution keeps the payment."""
    body = (ROOT / "events/webhooks/razorpay-payment.captured.json").read_bytes()
    prefix = engine.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
    assert engine.wait_for(f"{prefix}:{webhook.post(body, 'razorpay')[1]['Execution']}").outcome == "RECORDED"
    (item,) = engine.items()
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": item["TransactionID"]},
        UpdateExpression="REMOVE Fingerprint",
    )
    assert webhook.post(body, "razorpay") == (200, {"Outcome": "NOT_STARTED"})
    (line,) = log_lines(engine, "payment not started")
    assert (line["code"], line["attribute"]) == ("UnreadableItemError", "Fingerprint")

    assert '"PaymentNotStarted":[1.0]' in engine.logs().replace(" ", "")


def test_a_charge_that_its_format_rejects_is_rejected_with_its_id(webhook: Webhook, engine: Engine) -> None:
    """Support searches for the charge. No rule of the contract has been checked yet."""
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
def test_a_rejection_that_cannot_be_handed_over_is_to_be_sent_again(
    webhook: Webhook, engine: Engine, faults: Faults, code: str, times: int, status: int
) -> None:
    """If the answer were 400, the payment would be lost silently: the processor may not send it again."""
    faults.refuse("StartExecution", code, times=times)
    assert webhook.post(changed(Amount="x"))[0] == status
    assert log_lines(engine, "payment not started")[0]["code"] == code
    assert webhook.outcome(webhook.post(changed(Amount="x"))) == "REJECTED"


def test_a_corrected_payment_is_recorded_after_its_rejection(webhook: Webhook, engine: Engine) -> None:
    """The corrected payment has the same TransactionID. The rejection that is delivered late changes nothing."""
    assert webhook.outcome(webhook.post(changed(Amount="x"))) == "REJECTED"
    assert webhook.outcome(webhook.post()) == "RECORDED"
    assert webhook.post(changed(Amount="x"))[0] == 400
    assert [event["detail-type"] for event in engine.published()] == ["PaymentRejected", "PaymentRecorded"]


def test_what_is_not_signed_causes_no_rejection(webhook: Webhook, engine: Engine) -> None:
    """Otherwise anybody could raise the alarm, and start executions."""
    for body in (b"", changed(Amount="x"), b" " * 300_000):
        assert webhook.post(body, headers=GOOD) == UNAUTHORIZED
    assert (started(engine), engine.published()) == (0, [])


def test_every_broken_rule_is_reported_at_once(webhook: Webhook) -> None:
    """The webhook does the same as the workflow."""
    status, body = webhook.post(changed(Amount="x", Status="ok", Currency="XXX"))
    assert status == 400
    assert [(v["Field"], v["Rule"]) for v in body["Violations"]] == [
        ("Amount", "decimal"),
        ("Currency", "no_minor_unit"),
        ("Status", "status"),
    ]


def test_a_body_too_large_is_rejected_before_it_is_read(webhook: Webhook, engine: Engine) -> None:
    """No start input can be as large. If it is signed, it is a payment that was rejected."""
    limit = engine.functions["ReceivePayment"].module.MAX_BODY_BYTES
    assert webhook.post(b" " * (limit - len(ACME)) + ACME)[0] == 202
    too_large = webhook.post(b" " * (limit - len(ACME) + 1) + ACME)
    assert (too_large[0], too_large[1]["Violations"]) == (413, [{"Field": "Payment", "Rule": "too_large"}])
    assert webhook.outcome(too_large) == "REJECTED"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps(text).encode()))
def test_whatever_is_signed_has_a_right_answer(webhook: Webhook, body: bytes) -> None:
    """A processor learns of its mistakes.

    An error of the ledger would raise an alarm, and the message would come again.
    """
    for processor, described in PROCESSORS.items():
        if processor == "adyen":
            continue  # its signature is in the body, so a body of another form is signed by nobody
        status, answer = webhook.post(body, processor, headers=without_content_type(body, processor))
        refused = "Violations" in answer and status == (400 if FORMATS[described["Format"]].corrects else 200)
        assert refused or answer == {"Outcome": "IGNORED"}  # an object, such as {}, may be a test of the endpoint


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
    """Every field of the message may have a value of every type."""
    message = json.loads(CHARGE)
    message["type"], message["data"]["object"][name] = kind, value
    assert webhook.post(json.dumps(message).encode(), "stripe")[0] in {200, 202, 400, 409}


# ── When AWS fails ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("operation", "code", "times", "status"),
    [
        ("BatchGetSecretValue", "ThrottlingException", 2, 429),
        ("BatchGetSecretValue", "DecryptionFailure", 1, 503),
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
    """Nothing is lost: the processor still has its payment, and the same request succeeds later."""
    faults.refuse(operation, code, times=times)
    answer = webhook.post()
    assert (answer[0], webhook.headers["retry-after"]) == (status, "30")
    assert log_lines(engine, "payment not started")[0]["code"] == code
    assert started(engine) == 0
    assert webhook.outcome(webhook.post()) == "RECORDED"


@pytest.mark.parametrize("operation", ["BatchGetSecretValue", "Encrypt", "StartExecution"])
def test_a_lost_request_is_sent_again(webhook: Webhook, faults: Faults, operation: str) -> None:
    """Then the processor has to send again."""
    faults.lose_request(operation)
    assert webhook.outcome(webhook.post()) == "RECORDED"
    faults.lose_request("Encrypt", times=2)
    assert webhook.post(changed(TransactionID="another"))[0] == 503


def test_a_lost_reply_starts_nothing_twice(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """The SDK repeats the call, and finds the execution that its first call started."""
    faults.lose_reply("StartExecution")
    status, body = webhook.post()
    assert status in {200, 202}
    assert body["Execution"].startswith("txn-2026-0101-")
    assert started(engine) == 1


def test_attempts_come_to_an_end(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """A processor that never stops must not start executions without end."""
    faults.refuse("PutItem", "ResourceNotFoundException", times=9)
    for _ in range(9):
        assert webhook.outcome(webhook.post()) is None
    for _ in range(2):
        faults.calls.clear()
        assert webhook.post()[0] == 503
        calls = Counter(faults.calls)
        assert (calls["StartExecution"], calls["GetItem"], calls["DescribeExecution"]) == (1, 1, 2)
    assert webhook.headers["retry-after"] == "30"
    (line, _) = log_lines(engine, "payment not started")
    assert (line["code"], line["transaction_id"]) == ("TooManyAttemptsError", "txn-2026-0101")
    assert started(engine) == 9


def test_the_last_attempt_holds_up_no_other_message(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """Adyen sends nothing else until a message is taken. The alarm rings, and the nine executions keep the payment."""
    body = (ROOT / "events/webhooks/razorpay-payment.captured.json").read_bytes()
    faults.refuse("PutItem", "ResourceNotFoundException", times=9)
    for _ in range(9):
        answer = webhook.post(body, "razorpay")
        assert answer[0] == 200
        prefix = engine.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
        assert engine.wait_for(f"{prefix}:{answer[1]['Execution']}").outcome is None
    assert webhook.post(body, "razorpay") == (200, {"Outcome": "NOT_STARTED"})
    assert log_lines(engine, "payment not started")[0]["code"] == "TooManyAttemptsError"
    assert started(engine) == 9


@pytest.mark.parametrize("stored", ["whsec_canary", '{"Format": "stripe", "Secrets": "whsec_canary_canary_canary"}'])
def test_a_secret_that_is_none_lets_nobody_in(webhook: Webhook, engine: Engine, stored: str) -> None:
    """If the list of secrets is a string, its letters would be secrets.

    The alarm is raised, and neither the response nor the log reveals the secret.
    """
    name = f"{engine.outputs['ProcessorSecrets']}stripe"
    engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString=stored)
    now_s = round(time.time())
    forged = {"stripe-signature": f"t={now_s},v1={STRIPE.sign('w', f'{now_s}.'.encode() + CHARGE)}"}
    assert webhook.post(CHARGE, "stripe", headers=forged) == (503, {"message": "Service Unavailable"})
    assert log_lines(engine, "payment not started")[0]["code"] == "ProcessorSecretError"
    assert '"PaymentNotStarted":[1.0]' in engine.logs().replace(" ", "")
    assert "canary" not in engine.logs()
    assert started(engine) == 0
    assert webhook.outcome(webhook.post()) == "RECORDED"  # another processor's secret is its own


def test_a_name_that_another_payment_has_taken_is_not_believed(webhook: Webhook, engine: Engine) -> None:
    """Senders name executions themselves: one that succeeded under this name says nothing about this payment."""
    first = webhook.post()
    assert webhook.outcome(first) == "RECORDED"
    name = first[1]["Execution"]
    engine.clear()
    register_sample_processors(engine)
    assert engine.run(changed(TransactionID="another").decode(), name).outcome == "RECORDED"
    answer = webhook.post()
    assert answer == (202, {"Execution": f"{name}-2"})
    assert webhook.outcome(answer) == "RECORDED"


def test_a_payment_recorded_between_two_looks_is_recorded(webhook: Webhook, engine: Engine, faults: Faults) -> None:
    """The table had no item yet, and then the execution had succeeded when it was described."""
    assert webhook.outcome(webhook.post()) == "RECORDED"
    faults.answer("GetItem", {})
    assert webhook.post()[0] == 200
    assert started(engine) == 1


def test_an_execution_that_cannot_be_described_is_not_believed_to_run(
    webhook: Webhook, engine: Engine, faults: Faults
) -> None:
    """If the answer were that it runs, a processor would never send again."""
    faults.refuse("PutItem", "ResourceNotFoundException")
    assert webhook.outcome(webhook.post()) is None
    faults.refuse("DescribeExecution", "ExecutionDoesNotExist")
    assert webhook.post()[0] == 503
    assert webhook.outcome(webhook.post()) == "RECORDED"


def test_a_redelivery_costs_one_look_at_the_table(webhook: Webhook, faults: Faults) -> None:
    """Step Functions describes only few executions in a second, and processors deliver again in bursts."""
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
