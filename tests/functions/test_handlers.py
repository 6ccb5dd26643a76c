"""Each handler on its own, with its environment, table, key and bus as the template deploys them."""

import base64
import json
import logging
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ledger.aws import CALL_TOTAL_S
from ledger.intake import seal
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.samples import register_sample_processors
from tests.support.faults import Faults
from tests.support.functions import SAMPLES, decrypted, invoke, log_lines, sample

# ── Samples ─────────────────────────────────────────────────────────────────────────────────────────

FUNCTION_OF_STATE = {
    "Encrypt Token": "encrypt_token",
    "Persist Payment": "persist_payment_ledger",
    "Publish Outcome": "publish_outcome-recorded",
    "Publish Rejection": "publish_outcome-rejected",
    "Publish Conflict": "publish_outcome-conflict",
}


def payload_of(engine: Engine, arn: str, state: str) -> Any:
    """Return the event that the workflow handed to the state's function."""
    entered = ""
    for event in engine.history(arn):
        if event["type"] == "TaskStateEntered":
            entered = event["stateEnteredEventDetails"]["name"]
        elif event["type"] == "TaskScheduled" and entered == state:
            return json.loads(event["taskScheduledEventDetails"]["parameters"])["Payload"]
    raise AssertionError(f"{state} was not scheduled")


def shape(value: Any) -> Any:
    """Return the names and types of fields, without their values."""
    if isinstance(value, dict):
        return {name: {} if name == "Metadata" else shape(inner) for name, inner in value.items()}
    return type(value).__name__


@pytest.mark.parametrize(("state", "file"), FUNCTION_OF_STATE.items())
def test_a_functions_sample_is_what_the_workflow_sends(
    engine: Engine, payment: dict[str, Any], state: str, file: str
) -> None:
    """`sam local invoke` with a sample must show what happens in a real execution."""
    recorded = engine.run(json.dumps(payment))
    conflict = engine.run(json.dumps({**payment, "Amount": "1"}))
    rejected = engine.run(json.dumps({**payment, "Amount": "x"}))
    arn = {"Publish Rejection": rejected.arn, "Publish Conflict": conflict.arn}.get(state, recorded.arn)
    assert shape(sample(file)) == shape(payload_of(engine, arn, state))


ENTRIES = {
    "Append Entry": "append_entry",
    "Publish Outcome": "publish_outcome-entry-recorded",
    "Publish Refusal": "publish_outcome-entry-refused",
    "Publish Conflict": "publish_outcome-entry-conflict",
}


@pytest.mark.parametrize(("state", "file"), ENTRIES.items())
def test_a_functions_sample_is_what_the_workflow_of_entries_sends(
    engine: Engine, payment: dict[str, Any], refund: dict[str, Any], state: str, file: str
) -> None:
    """The same holds for entries."""
    engine.run(json.dumps(payment))
    recorded = engine.run(json.dumps(refund))
    refused = engine.run(json.dumps({**refund, "EntryID": "re-2", "Amount": "200.00"}))
    conflict = engine.run(json.dumps({**refund, "Amount": "1.00"}))
    arn = {"Publish Refusal": refused.arn, "Publish Conflict": conflict.arn}.get(state, recorded.arn)
    assert shape(sample(file)) == shape(payload_of(engine, arn, state))


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.json")), ids=lambda file: file.stem)
def test_every_function_takes_its_samples(engine: Engine, payment: dict[str, Any], file: Path) -> None:
    """An engineer's first call must not fail."""
    names = {f.handler.partition(".")[0]: name for name, f in engine.functions.items()}
    if file.stem == "reveal_secure_token":
        engine.run(json.dumps({**payment, "TransactionID": sample(file.stem)["TransactionID"]}))
    if file.stem in {"publish_outcome-recorded", "publish_outcome-entry-recorded", "append_entry", "accept_entry"}:
        recorded = invoke(engine, "EncryptToken", sample("encrypt_token"))
        invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger") | recorded)
    if file.stem == "publish_outcome-entry-recorded":
        invoke(engine, "AppendEntry", sample("append_entry"))
    register_sample_processors(engine)
    reply = invoke(engine, names[file.stem.partition("-")[0]], sample(file.stem))
    assert "errorType" not in reply
    assert reply.get("statusCode", 202) == 202


@pytest.mark.parametrize(
    ("name", "file", "logged"),
    [
        ("EncryptToken", "encrypt_token", "token encrypted"),
        ("PersistPaymentLedger", "persist_payment_ledger", "payment persisted"),
    ],
)
def test_no_setting_makes_a_function_log_its_event(
    engine: Engine, name: str, file: str, logged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Powertools has a setting that logs the event, and the event contains a token."""
    function = engine.functions[name]
    monkeypatch.setitem(function.environment, "POWERTOOLS_LOGGER_LOG_EVENT", "true")
    function.restart()
    invoke(engine, name, sample(file))
    assert log_lines(engine, logged)
    assert "Token" not in engine.logs()
    function.restart()


# ── Validate Payment ────────────────────────────────────────────────────────────────────────────────


def test_an_error_has_the_class_name_that_the_workflow_catches(engine: Engine) -> None:
    """Step Functions matches a Python error by its class name alone."""
    reply = invoke(engine, "ValidatePayment", {"SecureToken": "tok_4f1d-secret"})
    assert reply["errorType"] == "InvalidPaymentError"
    assert "tok_4f1d" not in json.dumps(reply) + engine.logs()


def test_validate_keeps_a_payment_of_a_default_currency_apart(engine: Engine, payment: dict[str, Any]) -> None:
    """The default is the stack's parameter, through the function's environment."""
    del payment["Currency"]
    assert invoke(engine, "ValidatePayment", payment)["Payment"]["Currency"] == "USD"


# ── Encrypt Token ───────────────────────────────────────────────────────────────────────────────────


def test_a_plaintext_token_leaves_the_state_encrypted(engine: Engine) -> None:
    """Everything after this state sees the ciphertext only."""
    event = sample("encrypt_token")
    reply = invoke(engine, "EncryptToken", event)
    assert reply.keys() == {"Payment", "EncryptedToken", "TokenKey"}
    assert event["SecureToken"] not in json.dumps(reply) + engine.logs()
    ciphertext = base64.b64decode(reply["EncryptedToken"])
    assert decrypted(engine, ciphertext, "txn-2026-0001") == event["SecureToken"]


def test_a_ciphertext_belongs_to_its_transaction(engine: Engine) -> None:
    """A ciphertext that was moved to another item cannot be decrypted there."""
    ciphertext = base64.b64decode(invoke(engine, "EncryptToken", sample("encrypt_token"))["EncryptedToken"])
    with pytest.raises(engine.client("kms").exceptions.InvalidCiphertextException):
        decrypted(engine, ciphertext, "txn-other")


def test_a_sealed_token_moves_to_the_token_key(engine: Engine, faults: Faults) -> None:
    """The token's plaintext stays within KMS: the function makes one ReEncrypt call and nothing else."""
    event = sample("encrypt_token")
    token = event.pop("SecureToken")
    ids = "txn-2026-0001", "acme-pay"
    event["SealedToken"] = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, token)
    faults.calls.clear()
    reply = invoke(engine, "EncryptToken", event)
    assert faults.calls == ["ReEncrypt"]
    assert decrypted(engine, base64.b64decode(reply["EncryptedToken"]), "txn-2026-0001") == token
    assert reply["TokenKey"] == engine.functions["EncryptToken"].environment["TOKEN_KEY"]


@pytest.mark.parametrize(
    ("sealed_for", "calls"), [("another transaction", 2), ("another processor", 2), ("another key", 1), ("nobody", 2)]
)
def test_a_token_that_was_not_sealed_for_this_payment_is_rejected(
    engine: Engine, faults: Faults, sealed_for: str, calls: int
) -> None:
    """No retry can fix the seal, so the sender has to. The payment is rejected by a rule, and does not fail."""
    kms, intake_key = engine.client("kms"), engine.outputs["IntakeKeyArn"]
    event = sample("encrypt_token")
    token = event.pop("SecureToken")
    event["SealedToken"] = {
        "another transaction": lambda: seal(kms, intake_key, "txn-other", "acme-pay", token),
        "another processor": lambda: seal(kms, intake_key, "txn-2026-0001", "other", token),
        "another key": lambda: seal(kms, kms.create_key()["KeyMetadata"]["KeyId"], "txn-2026-0001", "acme-pay", token),
        "nobody": lambda: base64.b64encode(b"x" * 200).decode(),
    }[sealed_for]()
    faults.calls.clear()
    reply = invoke(engine, "EncryptToken", event)
    assert faults.calls == ["ReEncrypt"] * calls
    assert reply["errorType"] == "InvalidPaymentError"
    assert json.loads(reply["errorMessage"]) == {
        "TransactionID": "txn-2026-0001",
        "ProcessorID": "acme-pay",
        "Violations": [{"Field": "SealedToken", "Rule": "not_sealed_for_this_payment"}],
    }


@pytest.mark.parametrize(
    ("now", "error"), [("2027-06-30T23:59:59Z", None), ("2027-07-01T00:00:00Z", "InvalidPaymentError")]
)
def test_a_seal_of_the_first_form_is_accepted_until_a_stated_date(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, now: str, error: str | None
) -> None:
    """Senders seal in code of their own: they need time, and docs/integrate/sending.md gives them the date."""
    event = sample("encrypt_token")
    token, kms = event.pop("SecureToken"), engine.client("kms")
    sealed = kms.encrypt(
        KeyId=engine.outputs["IntakeKeyArn"],
        Plaintext=token.encode(),
        EncryptionContext={"TransactionID": "txn-2026-0001"},
    )
    event["SealedToken"] = base64.b64encode(sealed["CiphertextBlob"]).decode()
    clock = SimpleNamespace(now=lambda _: datetime.fromisoformat(now))
    monkeypatch.setattr(engine.functions["EncryptToken"].module, "datetime", clock)
    reply = invoke(engine, "EncryptToken", event)
    assert reply.get("errorType") == error
    if not error:
        assert decrypted(engine, base64.b64decode(reply["EncryptedToken"]), "txn-2026-0001") == token
    assert "2027-06-30" in (ROOT / "docs/integrate/sending.md").read_text()


# ── Every client ──────────────────────────────────────────────────────────────────────────────────────


def test_a_call_ends_before_its_function_does(engine: Engine) -> None:
    """With botocore's 60 s, a lost reply would end the function in the middle, and no log would say why."""
    config = engine.functions["PersistPaymentLedger"].module.dynamodb.meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    waits_s = 1 + 2  # at most, before the second attempt and before the third
    assert 3 * (config.connect_timeout + config.read_timeout) + waits_s == CALL_TOTAL_S


# ── Persist Payment ─────────────────────────────────────────────────────────────────────────────────


def test_persist_makes_one_call(engine: Engine, faults: Faults) -> None:
    """With a read before the write, another writer could act in between, and every payment would cost a second call."""
    faults.calls.clear()
    assert invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger"))["Outcome"] == "RECORDED"
    assert faults.calls == ["PutItem"]


def test_a_lost_reply_does_not_become_a_duplicate(engine: Engine, faults: Faults) -> None:
    """Botocore resends a PutItem whose reply was lost; the resend meets the payment's own first write."""
    faults.lose_reply("PutItem")
    assert invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger"))["Outcome"] == "RECORDED"
    assert faults.calls.count("PutItem") == 2
    assert len(engine.items()) == 1


def test_a_retried_invocation_does_not_become_a_duplicate(engine: Engine) -> None:
    """A function that wrote and then timed out is invoked again by the workflow."""
    event = sample("persist_payment_ledger")
    first = invoke(engine, "PersistPaymentLedger", event)
    assert invoke(engine, "PersistPaymentLedger", event) == first


def test_the_first_write_stays(engine: Engine) -> None:
    """Neither a duplicate nor a conflict may change a byte of the recorded item."""
    event = sample("persist_payment_ledger")
    invoke(engine, "PersistPaymentLedger", event)
    before = engine.items()
    again = {**event, "Execution": event["Execution"] + "-2", "EncryptedToken": base64.b64encode(b"new").decode()}
    assert invoke(engine, "PersistPaymentLedger", again)["Outcome"] == "DUPLICATE"
    other = {**again, "Payment": {**event["Payment"], "Amount": "1299.00"}}
    assert invoke(engine, "PersistPaymentLedger", other)["errorType"] == "PaymentConflictError"
    assert engine.items() == before


def test_a_conflict_names_fields_and_no_values(engine: Engine) -> None:
    """The error's message appears in the history, the console and an event."""
    event = sample("persist_payment_ledger")
    invoke(engine, "PersistPaymentLedger", event)
    other = {**event["Payment"], "Amount": "1299.00", "Status": "Failure"}
    reply = invoke(engine, "PersistPaymentLedger", {**event, "Payment": other})
    refusal = json.loads(reply["errorMessage"])
    assert refusal["Differs"] == ["Amount", "Status"]
    assert "Failure" not in reply["errorMessage"]
    assert "129" not in reply["errorMessage"].replace(refusal["Fingerprint"], "")


def test_a_duplicate_tells_of_the_recorded_item(engine: Engine) -> None:
    """The metadata may differ. The event must contain the metadata that the ledger has."""
    event = sample("persist_payment_ledger")
    first = invoke(engine, "PersistPaymentLedger", event)["Payment"]
    again = {**event, "Execution": event["Execution"] + "-2", "StartTime": "2027-01-01T00:00:00Z"}
    again["Payment"] = {**event["Payment"], "Metadata": {"order": "other"}}
    assert invoke(engine, "PersistPaymentLedger", again) == {
        "Outcome": "DUPLICATE",
        "Payment": first,
        "Published": False,
    }


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ProvisionedThroughputExceededException", "ProvisionedThroughputExceededException"),
        ("AccessDeniedException", "ClientError"),
        ("ResourceNotFoundException", "ResourceNotFoundException"),
    ],
)
def test_other_errors_pass_unchanged(engine: Engine, faults: Faults, code: str, name: str) -> None:
    """The workflow decides by the class name which errors may pass."""
    faults.refuse("PutItem", code, times=3 if code.startswith("Provisioned") else 1)
    assert invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger"))["errorType"] == name


def test_an_operator_finds_what_became_of_a_payment_by_its_id(engine: Engine) -> None:
    """The message is constant and has keys, so a query of the log finds every delivery and its invocation."""
    event = sample("persist_payment_ledger")
    invoke(engine, "PersistPaymentLedger", event)
    invoke(engine, "PersistPaymentLedger", {**event, "Execution": event["Execution"] + "-2"})
    other = {**event["Payment"], "Amount": "1299.00"}
    invoke(engine, "PersistPaymentLedger", {**event, "Payment": other})
    written, repeated = log_lines(engine, "payment persisted")
    (conflicting,) = log_lines(engine, "payment conflicts")
    assert [line["level"] for line in (written, repeated, conflicting)] == ["INFO", "INFO", "WARNING"]
    assert {line["transaction_id"] for line in (written, repeated, conflicting)} == {"txn-2026-0001"}
    assert [written["outcome"], repeated["outcome"], conflicting["differs"]] == ["RECORDED", "DUPLICATE", ["Amount"]]
    assert len({line["function_request_id"] for line in (written, repeated, conflicting)}) == 3


# ── Publish Outcome ─────────────────────────────────────────────────────────────────────────────────


def test_publish_marks_the_item_and_nothing_else(engine: Engine) -> None:
    """The ledger writes everything but the marker once."""
    invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger"))
    before = engine.items()[0]
    invoke(engine, "PublishOutcome", sample("publish_outcome-recorded"))
    after = engine.items()[0]
    assert before.pop("Unpublished")
    assert after.pop("PublishedAt") == {"S": "2026-11-23T08:30:03.000000Z"}
    assert after == before


def test_the_first_publication_time_stays(engine: Engine) -> None:
    """A retry publishes again under the same identity. The time of the first publication does not change."""
    invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger"))
    invoke(engine, "PublishOutcome", sample("publish_outcome-recorded"))
    invoke(engine, "PublishOutcome", {**sample("publish_outcome-recorded"), "PublishedAt": "2027-01-01T00:00:00Z"})
    assert engine.items()[0]["PublishedAt"] == {"S": "2026-11-23T08:30:03.000000Z"}
    first, second = engine.published()
    assert first["detail"] == second["detail"]


def test_publish_never_makes_an_item(engine: Engine) -> None:
    """An UpdateItem on an absent key would create an item that is not a payment."""
    reply = invoke(engine, "PublishOutcome", sample("publish_outcome-recorded"))
    assert reply["errorType"] == "ConditionalCheckFailedException"
    assert engine.items() == []


def test_the_mark_comes_after_the_event(engine: Engine, faults: Faults) -> None:
    """If the payment were marked first and the publication failed, its outcome would never be published."""
    invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger"))
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]})
    reply = invoke(engine, "PublishOutcome", sample("publish_outcome-recorded"))
    assert reply["errorType"] == "OutcomeNotPublishedError"
    assert "PublishedAt" not in engine.items()[0]
    assert "UpdateItem" not in faults.calls


@pytest.mark.parametrize(
    ("codes", "name"),
    [
        (["InternalFailure"], "OutcomeNotPublishedError"),
        (["ThrottlingException"], "OutcomeNotPublishedError"),
        (["NotAuthorizedForDetailTypeException"], "OutcomeRefusedError"),
        (["ThrottlingException", "MalformedDetail"], "OutcomeRefusedError"),
    ],
)
def test_failed_entries_are_errors(engine: Engine, faults: Faults, codes: list[str], name: str) -> None:
    """PutEvents answers 200 even for entries that it did not accept."""
    entries = [{"ErrorCode": code, "ErrorMessage": "…"} for code in codes]
    faults.answer("PutEvents", {"FailedEntryCount": len(entries), "Entries": entries})
    reply = invoke(engine, "PublishOutcome", sample("publish_outcome-conflict"))
    assert (reply["errorType"], min(codes) in reply["errorMessage"]) == (name, True)


def test_a_duplicate_publishes_an_unpublished_payment_first(engine: Engine) -> None:
    """An execution may be stopped between the write and its publication. The next delivery publishes both outcomes."""
    recorded = invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger"))["Payment"]
    event = {**sample("publish_outcome-duplicate"), "Payment": recorded, "Published": False}
    invoke(engine, "PublishOutcome", event)
    invoke(engine, "PublishOutcome", {**sample("publish_outcome-recorded"), "Payment": recorded})
    made_up, duplicate, own = engine.published()
    assert [made_up["detail-type"], duplicate["detail-type"]] == ["PaymentRecorded", "PaymentDuplicate"]
    assert (made_up["detail"], made_up["resources"]) == (own["detail"], own["resources"])
    assert "PublishedAt" in engine.items()[0]


@pytest.mark.parametrize("form", [None, "quiet", "published"])
@pytest.mark.parametrize("again", [None, "quiet", "published"])
def test_persist_says_what_is_left_to_publish(engine: Engine, form: str | None, again: str | None) -> None:
    """It alone knows whether an import found what the ledger had; Publish Outcome sees only the recorded payment."""
    event = sample("persist_payment_ledger")

    def persist(imported: str | None, execution: str) -> Any:
        payment = event["Payment"] | ({} if imported is None else {"Import": imported})
        return invoke(engine, "PersistPaymentLedger", event | {"Payment": payment, "Execution": execution})

    first = persist(form, "arn:1")
    assert (first["Outcome"], first["Published"]) == ("RECORDED", None if form == "quiet" else False)
    assert persist(form, "arn:1") == first  # its reply was lost
    second = persist(again, "arn:2")
    is_published = None if again else form == "quiet"
    assert (second["Outcome"], second["Published"], second["Payment"]) == ("DUPLICATE", is_published, first["Payment"])


@pytest.mark.parametrize("name", ["publish_outcome-imported", "publish_outcome-entry-imported"])
@pytest.mark.parametrize("outcome", ["RECORDED", "DUPLICATE"])
def test_publish_leaves_an_import_without_an_event(engine: Engine, faults: Faults, name: str, outcome: str) -> None:
    """The execution succeeds without a call, and its result names no event that nobody gets."""
    reply = invoke(engine, "PublishOutcome", sample(name) | {"Outcome": outcome})
    recorded = sample(name).get("Entry") or sample(name)["Payment"]
    ids = {key: recorded[key] for key in ("TransactionID", "EntryID", "Entry", "Import") if key in recorded}
    assert reply == {"Outcome": outcome, **ids}
    assert faults.calls == []
    (line,) = log_lines(engine, "import left unpublished")
    assert (line["outcome"], line["transaction_id"]) == (outcome, recorded["TransactionID"])
    metric = "EntryImported" if "entry" in name else "PaymentImported"
    assert engine.logs().count(f'"{metric}":') == (outcome == "RECORDED")
    assert "Duplicate" not in engine.logs()


def test_each_outcome_is_counted(engine: Engine) -> None:
    """The metric in the log line (EMF) is what dashboards and alarms count."""
    rejected = sample("publish_outcome-rejected")
    refusal = json.loads(json.loads(rejected["Cause"])["errorMessage"])
    refusal["Violations"].append({"Field": "Currency", "Rule": "currency"})
    rejected["Cause"] = json.dumps({"errorMessage": json.dumps(refusal)})
    invoke(engine, "PublishOutcome", rejected)
    invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger"))
    invoke(engine, "PublishOutcome", sample("publish_outcome-recorded"))
    counted = []
    for line in engine.logs().splitlines():
        if '"_aws"' in line:
            emf = json.loads(line)
            (directive,) = emf["_aws"]["CloudWatchMetrics"]
            for dimensions in directive["Dimensions"]:
                (metric,) = directive["Metrics"]
                counted.append((directive["Namespace"], metric["Name"], [emf[name] for name in dimensions]))
    assert sorted(counted) == [
        ("PaymentLedger", "PaymentRecorded", ["payment-ledger"]),
        ("PaymentLedger", "PaymentRecorded", ["payment-ledger", "EUR"]),
        ("PaymentLedger", "PaymentRecorded", ["payment-ledger", "acme-pay"]),
        ("PaymentLedger", "PaymentRejected", ["payment-ledger"]),
        ("PaymentLedger", "RuleBroken", ["payment-ledger", "currency"]),
        ("PaymentLedger", "RuleBroken", ["payment-ledger", "decimals"]),
    ]


def test_the_sdk_does_not_log_requests(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """A function's log level can be set to DEBUG in the console, and then the SDK would log the token for KMS.

    At INFO, the SDK would log at each start where it found its credentials and endpoints, in lines that no query reads.
    """
    engine.functions["EncryptToken"].restart()
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        invoke(engine, "EncryptToken", sample("encrypt_token"))
    finally:
        logging.getLogger().setLevel(logging.WARNING)
    token = sample("encrypt_token")["SecureToken"]
    for shape in (token, base64.b64encode(token.encode()).decode()):
        assert shape not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("botocore")]
