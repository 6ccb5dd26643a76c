"""The sealer adds every record to the log once, signs the log's root, and publishes it."""

import base64
import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from ledger.chain import DeliveredEntry, next_entry
from ledger.entry import parse_entry
from ledger.item import SHARDS, EncryptedPayment, recorded_facts, shard_of
from ledger.leaf import leaf_of
from ledger.merkle import EMPTY_ROOT, HASH_BYTES, Tree, leaf_hash
from ledger.payment import Payment
from ledger.seal import MAX_RECORDS, Seal, SealedRecord, following, read_seal
from ledger.totals import MAX_ENTRIES
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.sealed_log.notes import Checkpoint, VerifierKey, verify
from tests.support.faults import Faults
from tests.support.functions import invoke, log_lines, sample
from tests.support.payments import ENCRYPTED
from tools.write_units import item_bytes

RUN = sample("seal_ledger")
NOW = datetime.fromisoformat(RUN["ScheduledTime"])


def record(engine: Engine, *ids: str, recorded_at: str = "2026-11-23T08:30:02.000000Z") -> list[EncryptedPayment]:
    """Put payments into the table, as the ledger does, and return them."""
    written = [
        ENCRYPTED._replace(
            payment=ENCRYPTED.payment._replace(transaction_id=one),
            ciphertext=hashlib.sha256(one.encode()).digest(),
            recorded_at=recorded_at,
        )
        for one in ids
    ]
    for encrypted in written:
        engine.client("dynamodb").put_item(TableName=engine.outputs["TableName"], Item=encrypted.as_item())
    return written


def refund(engine: Engine, encrypted: EncryptedPayment) -> None:
    """Put the first entry of a payment into the table."""
    start_input = json.loads((ROOT / "events/start/10-refund.json").read_text())
    named = {"TransactionID": encrypted.payment.transaction_id, "ProcessorID": encrypted.payment.processor_id}
    entry = parse_entry({**start_input, **named, "Amount": "1.00"})
    delivered = DeliveredEntry(entry, encrypted.execution, encrypted.recorded_at)
    item = next_entry(encrypted.payment, [], delivered).as_item()
    engine.client("dynamodb").put_item(TableName=engine.outputs["EntriesTableName"], Item=item)


def seal(engine: Engine, **named: Any) -> Any:
    """Return the answer of a run."""
    return invoke(engine, "SealLedger", {**RUN, **named})


def sealed_keys(engine: Engine) -> list[list[str]]:
    """Return the keys of each seal."""
    return [item["Keys"]["S"].split("\n") for item in engine.seals()]


def root_of(leaves: list[bytes]) -> bytes:
    """Return the root by the definition of RFC 6962, section 2.1."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_of(leaves[:left]) + root_of(leaves[left:])).digest()


def checkpoint_of(text: str, key: str) -> Checkpoint:
    """Return a checkpoint whose signature is by this key."""
    parsed = Checkpoint.parse(text)
    assert verify(parsed, [VerifierKey.parse(key)])
    return parsed


def test_what_was_recorded_is_sealed_marked_signed_and_published(engine: Engine) -> None:
    """All that a third party needs is in the seal and in the event."""
    second, first = record(engine, "txn-2", "txn-1")
    refund(engine, first)
    answer = seal(engine)
    assert {name: answer[name] for name in ("Sealed", "Seal", "Size", "Left", "Done")} == {
        "Sealed": 3, "Seal": 1, "Size": 3, "Left": 0, "Done": True
    }  # fmt: skip
    (item,) = engine.seals()
    assert sealed_keys(engine) == [["txn-1", "txn-1#1", "txn-2"]]
    leaves = [item["LeafHashes"]["B"][at : at + 32] for at in (0, 32, 64)]
    assert leaves[2] == leaf_hash(leaf_of(recorded_facts(second.as_item()), hashlib.sha256(second.ciphertext).digest()))
    own_hashes = hashlib.sha256(first.ciphertext).digest() + hashlib.sha256(first.ciphertext + b"#1").digest()
    assert item["CiphertextHashes"]["B"][:64] == own_hashes
    checkpoint = checkpoint_of(answer["Checkpoint"], answer["VerifierKey"])
    assert (checkpoint.size, checkpoint.root) == (3, root_of(leaves))
    assert (item["Root"]["B"], item["PreviousRoot"]["B"]) == (checkpoint.root, EMPTY_ROOT)
    assert (item["Note"]["S"], item["VerifierKey"]["S"]) == (answer["Checkpoint"], answer["VerifierKey"])
    for marked in (*engine.items(), *engine.entries()):
        assert marked["Seal"] == {"N": "1"}
        assert "Unsealed" not in marked
    (event,) = engine.published()
    assert event["detail-type"] == "LedgerSealed"
    assert event["resources"] == [engine.functions["SealLedger"].module.SEAL_KEY_ARN]
    assert event["detail"] == {
        "Version": "1", "OutcomeID": event["detail"]["OutcomeID"], "Outcome": "SEALED", "Seal": 1,
        "SealedAt": "2026-11-23T09:00:00.000000Z", "Records": 3, "Size": 3,
        "Checkpoint": answer["Checkpoint"], "VerifierKey": answer["VerifierKey"],
    }  # fmt: skip


def test_a_later_seal_continues_the_log(engine: Engine) -> None:
    """Each root is that of all leaves so far, and nothing is sealed twice."""
    roots = []
    for number, ids in enumerate((["b", "d", "a"], ["c"], ["f", "e"]), 1):
        record(engine, *ids)
        answer = seal(engine)
        assert (answer["Sealed"], answer["Seal"]) == (len(ids), number)
        roots.append(checkpoint_of(answer["Checkpoint"], answer["VerifierKey"]).root)
    assert sealed_keys(engine) == [["a", "b", "d"], ["c"], ["e", "f"]]
    packed = b"".join(item["LeafHashes"]["B"] for item in engine.seals())
    leaves = [packed[at : at + 32] for at in range(0, len(packed), 32)]
    assert roots == [root_of(leaves[:size]) for size in (3, 4, 6)]
    assert [item["PreviousRoot"]["B"] for item in engine.seals()] == [EMPTY_ROOT, *roots[:2]]


def test_nothing_to_seal_makes_no_seal(engine: Engine, faults: Faults) -> None:
    """A quiet ledger costs the reads of its indexes and no more."""
    assert seal(engine) == {
        "Sealed": 0, "Seal": 0, "Size": 0, "Checkpoint": None, "VerifierKey": None, "Left": 0, "Done": True
    }  # fmt: skip
    record(engine, "txn-1")
    first = seal(engine)
    faults.calls.clear()
    assert seal(engine) == {**first, "Sealed": 0}
    assert set(faults.calls) == {"Query"}
    assert len(faults.calls) == 1 + 2 * SHARDS


def test_a_backlog_is_paged_through(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Months without a run leave many pages in each shard. All of them are sealed, in seals of a bounded size."""
    module = engine.functions["SealLedger"].module
    monkeypatch.setattr(module, "PAGE_SIZE", 3)
    monkeypatch.setattr(module, "BATCH_SIZE", 4)
    monkeypatch.setattr(module, "MAX_RECORDS", 25)
    ids = [f"txn-{n}" for n in range(90)]
    assert {shard_of(one) for one in ids} == set(range(SHARDS))
    record(engine, *ids)
    assert seal(engine)["Sealed"] == len(ids)
    assert [len(keys) for keys in sealed_keys(engine)] == [25, 25, 25, 15]
    assert sorted(key for keys in sealed_keys(engine) for key in keys) == sorted(ids)


@pytest.mark.parametrize("operation", ["GetPublicKey", "Sign", "UpdateItem", "PutEvents"])
def test_a_seal_that_was_cut_off_is_finished_first(engine: Engine, faults: Faults, operation: str) -> None:
    """What was committed is signed, marked and published before anything else is sealed."""
    record(engine, "txn-1", "txn-2")
    faults.refuse(operation, "AccessDeniedException")
    assert "errorType" in seal(engine)
    assert "Note" not in engine.seals()[0]
    record(engine, "txn-0")
    answer = seal(engine)
    assert (answer["Sealed"], answer["Seal"], answer["Done"]) == (3, 2, True)
    assert sealed_keys(engine) == [["txn-1", "txn-2"], ["txn-0"]]
    assert [event["detail"]["Seal"] for event in engine.published()] == [1, 2]


def test_an_event_that_is_not_accepted_is_published_by_the_next_run(engine: Engine, faults: Faults) -> None:
    """Each checkpoint reaches the witnesses at least once, under one identity."""
    record(engine, "txn-1")
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException", "ErrorMessage": "x"}]}
    faults.answer("PutEvents", refused)
    assert seal(engine)["errorType"] == "OutcomeNotPublishedError"
    faults.refuse("UpdateItem", "InternalServerError", status=500)  # retried by the SDK
    assert seal(engine)["Done"]
    assert [event["detail"]["Seal"] for event in engine.published()] == [1]
    record(engine, "txn-2")
    faults.refuse("PutItem", "AccessDeniedException")
    assert "errorType" in seal(engine)
    assert seal(engine)["Seal"] == 2


def test_a_lost_reply_seals_nothing_twice(engine: Engine, faults: Faults) -> None:
    """The SDK sends the PutItem again, and its number is taken: by this very run."""
    record(engine, "txn-1", "txn-2")
    faults.lose_reply("PutItem")
    answer = seal(engine)
    assert (answer["Sealed"], answer["Seal"], answer["Done"]) == (2, 1, True)
    assert sealed_keys(engine) == [["txn-1", "txn-2"]]


def test_two_runs_at_once_seal_each_record_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that comes second finds its number taken, and begins again with what is left."""
    record(engine, "txn-1", "txn-2")
    module = engine.functions["SealLedger"].module
    commit = module.SealingRun.commit
    others = iter([True])

    def beaten(run: Any, made: Any) -> Any:
        if next(others, None):
            record(engine, "txn-3")
            other = module.SealingRun(run.now, run.context)
            other.seal_all(other.unsealed())
            assert other.done
        return commit(run, made)

    monkeypatch.setattr(module.SealingRun, "commit", beaten)
    record(engine, "txn-0")
    answer = seal(engine)
    assert answer["Done"]
    assert sealed_keys(engine) == [["txn-0", "txn-1", "txn-2", "txn-3"]]


def test_a_run_that_others_always_beat_ends(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run does the rest: each run ends."""
    record(engine, "txn-1")
    module = engine.functions["SealLedger"].module
    monkeypatch.setattr(module.SealingRun, "commit", lambda *_: False)
    answer = seal(engine)
    assert (answer["Sealed"], answer["Left"]) == (0, 1)


def test_a_sealed_record_that_the_index_still_has_is_passed_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index follows its table a moment later: the table itself decides."""
    record(engine, "txn-1")
    seal(engine)
    module = engine.functions["SealLedger"].module
    monkeypatch.setattr(
        module.SealingRun, "unsealed", lambda _: iter([(("txn-1", 0), module.utc_timestamp("2026-11-23T08:30:02Z"))])
    )
    answer = seal(engine)
    assert (answer["Sealed"], answer["Seal"], answer["Left"]) == (0, 1, 0)


def change(engine: Engine, expression: str, **values: Any) -> None:
    """Change the item of `txn-1` behind the ledger's back."""
    given = {f":{name}": value for name, value in values.items()}
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": "txn-1"}},
        UpdateExpression=expression,
        **({"ExpressionAttributeValues": given} if given else {}),
    )


FORGED_MARKS = {
    "of text": ("SET Seal = :s", {"s": {"S": "1"}}),
    "of a seal, and still unsealed": ("SET Seal = :s", {"s": {"N": "1"}}),
    "of no whole number": ("SET Seal = :s", {"s": {"N": "1.5"}}),
}


@pytest.mark.parametrize("forged", FORGED_MARKS)
def test_a_mark_that_the_sealer_does_not_write_is_no_seal(engine: Engine, forged: str) -> None:
    """The record is counted as left, so that the alarm goes off: somebody keeps it out of the log."""
    record(engine, "txn-1", "txn-2")
    expression, values = FORGED_MARKS[forged]
    change(engine, expression, **values)
    answer = seal(engine)
    assert (answer["Sealed"], answer["Left"], answer["Done"]) == (1, 1, True)
    assert sealed_keys(engine) == [["txn-2"]]


@pytest.mark.parametrize("value", [{"S": "x"}, {"N": "5"}, {"M": {}}], ids=str)
def test_a_payment_with_an_entrys_number_is_a_payment(engine: Engine, value: dict[str, Any]) -> None:
    """The table decides what a record is: an odd attribute holds up nothing."""
    record(engine, "txn-1", "txn-2")
    change(engine, "SET Entry = :e", e=value)
    assert seal(engine)["Sealed"] == 2
    assert sealed_keys(engine) == [["txn-1", "txn-2"]]


def test_a_run_that_was_cut_off_marks_only_what_is_left(
    engine: Engine, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So each run comes further, however little time it has."""
    ids = [f"txn-{n}" for n in range(8)]
    module = engine.functions["SealLedger"].module
    _run_for(engine, module, monkeypatch, 16 + 4 + 5, ids)
    monkeypatch.undo()
    left = [item for item in engine.items() if "Seal" not in item]
    assert len(engine.seals()) == 1
    assert 0 < len(left) < 8
    faults.calls.clear()
    assert seal(engine)["Done"]
    assert faults.calls.count("UpdateItem") == len(left) + 1, "one for each, and one for the checkpoint"
    assert all(item["Seal"] == {"N": "1"} for item in engine.items())


def test_a_record_that_is_too_large_to_be_marked_does_not_stop_the_seal(engine: Engine, faults: Faults) -> None:
    """DynamoDB answers that by an error about the item, which comes again each time."""
    record(engine, "txn-1")
    faults.refuse("UpdateItem", "ValidationException")
    answer = seal(engine)
    assert (answer["Seal"], answer["Left"], answer["Done"]) == (1, 1, True)
    assert "Note" in engine.seals()[0]


def test_records_from_before_the_log_are_sealed_by_name(engine: Engine) -> None:
    """They have no marker, so no index names them. What is sealed already is passed over."""
    (first, second) = record(engine, "txn-1", "txn-2")
    refund(engine, first)
    dynamodb = engine.client("dynamodb")
    for one in (first, second):
        item = {name: value for name, value in one.as_item().items() if name != "Unsealed"}
        dynamodb.put_item(TableName=engine.outputs["TableName"], Item=item)
    assert seal(engine)["Sealed"] == 1
    answer = seal(engine, Records=["txn-2", "txn-1", "txn-1#1"])
    assert (answer["Sealed"], answer["Left"], answer["Done"]) == (2, 0, True)
    assert sealed_keys(engine) == [["txn-1#1"], ["txn-1", "txn-2"]]
    missing = seal(engine, Records=["txn-3", "txn-1#2"])
    assert (missing["Sealed"], missing["Left"], missing["Done"]) == (0, 2, True)


def test_a_record_that_is_named_twice_is_sealed_once(engine: Engine) -> None:
    """Otherwise the log would have it twice, permanently."""
    record(engine, "txn-1")
    answer = seal(engine, Records=["txn-1", "txn-1"])
    assert (answer["Sealed"], answer["Size"], answer["Left"]) == (1, 1, 0)
    assert sealed_keys(engine) == [["txn-1"]]


@pytest.mark.parametrize(
    "named",
    ["txn-1", "", {"txn-1": 1}, {}, None, 7, [7], ["txn-1#0"], ["txn-1#01"], ["txn-1#x"], ["#1"], [""], [["txn-1"]]],
)
def test_a_wrong_list_of_records_seals_nothing(engine: Engine, named: object) -> None:
    """One line says what the field has to be. A text is no list of its characters."""
    record(engine, "txn-1")
    assert seal(engine, Records=named)["errorType"] == "InvalidRequestError"
    assert not engine.seals()


DAMAGES = {
    "amount": "SET Amount = :new",
    "no ciphertext": "REMOVE SecureToken",
    "fingerprint": "SET Fingerprint = :new",
    "execution": "REMOVE Execution",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_does_not_hold_up_the_others(engine: Engine, damage: str) -> None:
    """It is named in the log and counted in each run, and the alarm on its number goes off."""
    record(engine, "txn-1", "txn-2", "txn-3")
    values = {":new": {"N": "7"} if damage == "amount" else {"S": "x"}}
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": "txn-2"}},
        UpdateExpression=DAMAGES[damage],
        **({"ExpressionAttributeValues": values} if ":new" in DAMAGES[damage] else {}),
    )
    for sealed in (2, 0):
        answer = seal(engine)
        assert (answer["Sealed"], answer["Left"], answer["Done"]) == (sealed, 1, True)
    assert sealed_keys(engine) == [["txn-1", "txn-3"]]
    lines = log_lines(engine, "record not sealed")
    assert [(line["transaction_id"], line["reason"]) for line in lines] == [("txn-2", "unreadable")] * 2


FOREIGN = {
    "an ID that no contract allows": {"TransactionID": {"S": "txn 1\ntxn-9"}},
    "a wrong time": {"RecordedAt": {"S": "yesterday"}},
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_an_item_of_others_does_not_hold_up_the_others(engine: Engine, foreign: str) -> None:
    """Its text could make a seal unreadable, so it reaches neither a seal nor a log line."""
    (own,) = record(engine, "txn-1")
    item = {**own.as_item(), "TransactionID": {"S": "txn-0"}, **FOREIGN[foreign]}
    engine.client("dynamodb").put_item(TableName=engine.outputs["TableName"], Item=item)
    answer = seal(engine)
    assert (answer["Sealed"], answer["Left"], answer["Done"]) == (1, 1, True)
    assert sealed_keys(engine) == [["txn-1"]]
    (line,) = log_lines(engine, "record not sealed")
    assert "transaction_id" not in line


def test_an_entry_of_others_does_not_hold_up_the_others(engine: Engine) -> None:
    """No number of the ledger's is 1.5, and no payment has a billion entries."""
    (own,) = record(engine, "txn-1")
    refund(engine, own)
    (item,) = engine.entries()
    for number in ("1.5", "-1", f"{MAX_ENTRIES + 1}"):
        engine.client("dynamodb").put_item(
            TableName=engine.outputs["EntriesTableName"], Item={**item, "Entry": {"N": number}}
        )
    answer = seal(engine)
    assert (answer["Sealed"], answer["Left"]) == (2, 3)


def test_an_entry_without_its_payment_is_held_back(engine: Engine) -> None:
    """Its leaf has the hash of the payment's ciphertext: without that, others could guess what it hides."""
    (own,) = record(engine, "txn-1")
    refund(engine, own)
    engine.client("dynamodb").delete_item(TableName=engine.outputs["TableName"], Key={"TransactionID": {"S": "txn-1"}})
    answer = seal(engine)
    assert (answer["Sealed"], answer["Left"]) == (0, 1)
    (line,) = log_lines(engine, "record not sealed")
    assert (line["transaction_id"], line["entry"], line["reason"]) == ("txn-1", 1, "missing")


def test_a_record_that_is_gone_when_it_is_marked_is_reported(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was sealed, so a verification names it. The update creates no item in its place."""
    record(engine, "txn-1", "txn-2")
    module = engine.functions["SealLedger"].module
    sign = module.checkpoint_text

    def removed(*arguments: Any) -> Any:
        key = {"TransactionID": {"S": "txn-1"}}
        engine.client("dynamodb").delete_item(TableName=engine.outputs["TableName"], Key=key)
        return sign(*arguments)

    monkeypatch.setattr(module, "checkpoint_text", removed)
    answer = seal(engine)
    assert (answer["Seal"], answer["Left"], answer["Done"]) == (1, 1, True)
    assert [item["TransactionID"]["S"] for item in engine.items()] == ["txn-2"]
    (line,) = log_lines(engine, "record not sealed")
    assert (line["transaction_id"], line["reason"]) == ("txn-1", "changed_after_sealing")


def test_items_that_dynamodb_did_not_read_are_asked_for_again(engine: Engine, faults: Faults) -> None:
    """A reply may leave out items. If it leaves out all, the next run goes on."""
    (own,) = record(engine, "txn-1")
    table, keys = engine.outputs["TableName"], [{"TransactionID": {"S": "txn-1"}}]
    nothing = {"Responses": {table: []}, "UnprocessedKeys": {table: {"Keys": keys, "ConsistentRead": True}}}
    faults.answer("BatchGetItem", nothing)
    answer = seal(engine)
    assert (answer["Sealed"], answer["Left"], answer["Done"]) == (0, 1, False)
    record(engine, "txn-2")
    encoded = {**own.as_item(), "SecureToken": {"B": base64.b64encode(own.ciphertext).decode()}}
    other = {table: {"Keys": [{"TransactionID": {"S": "txn-2"}}], "ConsistentRead": True}}
    faults.answer("BatchGetItem", {"Responses": {table: [encoded]}, "UnprocessedKeys": other})
    assert seal(engine)["Sealed"] == 2
    assert sealed_keys(engine) == [["txn-1", "txn-2"]]


def test_it_stops_cleanly_before_its_time_is_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it stops, the next run goes on, and nothing is sealed twice."""
    ids = [f"txn-{n}" for n in range(5)]
    module = engine.functions["SealLedger"].module
    calls = 0
    while not (answer := _run_for(engine, module, monkeypatch, calls, ids))["Done"]:
        assert answer["Left"] == 5 or engine.seals() or calls < 18
        monkeypatch.undo()
        assert seal(engine)["Done"]
        assert sealed_keys(engine) == [ids]
        assert all(item["Seal"] == {"N": "1"} for item in engine.items())
        assert {event["detail"]["Seal"] for event in engine.published()} == {1}
        calls += 1
    assert calls > 25


def _run_for(engine: Engine, module: Any, monkeypatch: pytest.MonkeyPatch, calls: int, ids: list[str]) -> Any:
    """Return the answer of a run that has time for so many calls, over five payments."""
    engine.clear()
    record(engine, *ids)
    left = iter([True] * calls)

    def require_time(_: Any) -> None:
        if not next(left, False):
            raise module.UnfinishedRunError

    monkeypatch.setattr(module.SealingRun, "require_time", require_time)
    return seal(engine)


def test_no_time_means_no_call(engine: Engine, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is cut off may have taken effect, and no log would say so."""
    record(engine, "txn-1")
    faults.calls.clear()
    monkeypatch.setattr(engine.functions["SealLedger"], "timeout_s", 5)
    assert not seal(engine)["Done"]
    assert not faults.calls


def test_a_damaged_seal_stops_the_sealer(engine: Engine) -> None:
    """What follows a damaged seal would continue another log than the one that was signed."""
    record(engine, "txn-1")
    seal(engine)
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["SealsTableName"],
        Key={name: engine.seals()[0][name] for name in ("Log", "Seal")},
        UpdateExpression="SET Peaks = :other",
        ExpressionAttributeValues={":other": {"B": b"x" * 32}},
    )
    record(engine, "txn-2")
    assert seal(engine)["errorType"] == "UnreadableSealError"
    assert len(engine.seals()) == 1


def test_age_and_number_of_what_is_left_are_measured(engine: Engine) -> None:
    """Alarms read these metrics; if they are missing, the sealer does not run."""
    record(engine, "txn-1", recorded_at="2026-11-23T08:58:00.000000Z")
    record(engine, "txn-2", recorded_at="2026-11-23T08:59:00.000000Z")
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": "txn-1"}},
        UpdateExpression="REMOVE Fingerprint",
    )
    seal(engine)
    seal(engine)
    values: dict[str, list[float]] = {}
    for line in engine.logs().splitlines():
        if '"_aws"' in line:
            emf = json.loads(line)
            for directive in emf["_aws"]["CloudWatchMetrics"]:
                assert directive["Dimensions"] == [["service"]]
                for metric in directive["Metrics"]:
                    values.setdefault(metric["Name"], []).extend(emf[metric["Name"]])
    assert values == {"SealedRecords": [1.0, 0.0], "UnsealedRecords": [1.0, 1.0], "UnsealedAge": [120.0, 120.0]}


def test_the_largest_seal_fits_an_item() -> None:
    """The commit is one PutItem, whatever the records' keys."""
    some = bytes(HASH_BYTES)
    records = [SealedRecord((f"{n:064}", MAX_ENTRIES), some, some) for n in range(MAX_RECORDS)]
    largest = Seal("x" * 200, 10**9, "2026-11-23T09:00:00.000000Z", records, Tree(2**40 - 1, [some] * 40), some)
    item = {**largest.as_item(), "Note": {"S": "x" * 700}, "VerifierKey": {"S": "x" * 300}}
    assert item_bytes(item) < 400 * 1024
    assert read_seal(item).records == records


def test_the_log_follows_the_order_of_its_keys() -> None:
    """Entry 10 comes after entry 9, and each payment before its entries."""
    some = bytes(32)
    keys = [("b", 10), ("b", 9), ("a", 0), ("b", 0), ("a-1", 0)]
    made = following(None, "log", "2026-11-23T09:00:00.000000Z", [SealedRecord(key, some, some) for key in keys])
    assert [record_.key for record_ in made.records] == [("a", 0), ("a-1", 0), ("b", 0), ("b", 9), ("b", 10)]


def test_a_quiet_import_is_sealed_as_well(engine: Engine) -> None:
    """Nothing publishes it, and the log has it all the same."""
    payment: Payment = ENCRYPTED.payment._replace(imported="quiet")
    item = ENCRYPTED._replace(payment=payment).as_item()
    engine.client("dynamodb").put_item(TableName=engine.outputs["TableName"], Item=item)
    assert seal(engine)["Sealed"] == 1
    assert NOW - datetime.fromisoformat(ENCRYPTED.recorded_at) < timedelta(0)
