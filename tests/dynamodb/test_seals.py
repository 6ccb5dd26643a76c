"""The table of seals and the sealer's calls: a number is taken once, the largest seal fits, a record is marked once."""

import hashlib
import itertools
import json
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ledger.item import EncryptedPayment
from ledger.merkle import HASH_BYTES, Tree
from ledger.seal import MAX_RECORDS, Key, Seal, SealedRecord, following
from ledger.totals import MAX_ENTRIES
from ledger_cli.engine import Engine
from tests.support.functions import invoke, sample
from tests.support.payments import ENCRYPTED, PAYMENT

RUN = sample("seal_ledger")
NOW = "2026-11-23T09:00:00.000000Z"
SEALERS = 30
JOIN_TIMEOUT_S = 120
MAX_ANSWER_BYTES = 6 * 1024 * 1024
"""Source: Lambda Developer Guide, Lambda quotas, invocation payload, synchronous."""

LONGEST_KEYS = [(f"{number:064}", MAX_ENTRIES) for number in range(MAX_RECORDS)]

MakeRun = Callable[[], Any]


@pytest.fixture
def new_run(engine: Engine, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Return a function that makes a run of the sealer. The runs' calls of DynamoDB can be made at the same time."""
    module = engine.functions["SealLedger"].module
    monkeypatch.setattr(module, "dynamodb", dynamodb)
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 280_000)
    return lambda: module.SealingRun(NOW, context)


def seals_of(engine: Engine, groups: Iterable[Sequence[Key]]) -> list[Seal]:
    """Return the seals of these records, one after another. None of them is finished."""
    made: list[Seal] = []
    for keys in groups:
        records = [
            SealedRecord(key, *(hashlib.sha256(f"{key}{n}".encode()).digest() for n in range(2))) for key in keys
        ]
        origin = engine.functions["SealLedger"].module.ORIGIN
        made.append(following(made[-1] if made else None, origin, NOW, records))
    return made


def put(engine: Engine, dynamodb: Any, seals: Iterable[Seal]) -> None:
    """Put seals into the table as if they were finished."""
    for seal in seals:
        item = {**seal.as_item(), "Note": {"S": "x" * 700}, "VerifierKey": {"S": "x" * 300}}
        dynamodb.put_item(TableName=engine.outputs["SealsTableName"], Item=item)


def record(engine: Engine, dynamodb: Any, ids: Sequence[str]) -> None:
    """Put payments into the table, as the ledger does."""
    for at in range(0, len(ids), 25):
        requests = [{"PutRequest": {"Item": payment(one).as_item()}} for one in ids[at : at + 25]]
        assert not dynamodb.batch_write_item(RequestItems={engine.outputs["TableName"]: requests})["UnprocessedItems"]


def payment(transaction_id: str) -> EncryptedPayment:
    """Return a recorded payment."""
    return ENCRYPTED._replace(payment=PAYMENT._replace(transaction_id=transaction_id))


def all_at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make all calls at the same time, each in its own thread, and return their results."""
    barrier, results = threading.Barrier(len(calls)), list[Any]()

    def make(call: Callable[[], Any]) -> None:
        barrier.wait(JOIN_TIMEOUT_S)
        results.append(call())

    threads = [threading.Thread(target=make, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_TIMEOUT_S)
    assert len(results) == len(calls)
    return results


def keys_in(engine: Engine) -> list[str]:
    """Return the keys of all seals, in the log's order."""
    return [key for item in engine.seals() for key in item["Keys"]["S"].split("\n")]


# ── The commit ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("round_", range(3))
def test_of_many_sealers_at_once_one_commits(engine: Engine, new_run: MakeRun, round_: int) -> None:
    """Each has other records for the number. All others learn that it is taken."""
    seals = [seals_of(engine, [[(f"t-{number}", 0)]])[0] for number in range(SEALERS)]
    committed = all_at_once([lambda seal=seal: (new_run().commit(seal), seal) for seal in seals])
    (winner,) = [seal for is_committed, seal in committed if is_committed]
    assert engine.seals() == [winner.as_item()]
    assert not any(new_run().commit(seal) for seal in seals)
    (second,) = seals_of(engine, [[("t-0", 0)]])
    assert new_run().commit(second._replace(number=2))


def test_runs_at_once_seal_each_record_once(engine: Engine, dynamodb: Any, new_run: MakeRun) -> None:
    """A schedule, an operator and a repeated invocation may run at the same time, while payments are recorded."""
    ids = [f"t-{number:03}" for number in range(120)]
    record(engine, dynamodb, ids[:100])

    def seal() -> None:
        run = new_run()
        run.seal_all(run.unsealed())

    all_at_once([seal, seal, seal, seal, lambda: record(engine, dynamodb, ids[100:])])
    assert invoke(engine, "SealLedger", RUN)["Done"]
    assert sorted(keys_in(engine)) == ids
    number_of = {key: item["Seal"] for item in engine.seals() for key in item["Keys"]["S"].split("\n")}
    for item in engine.items():
        assert item["Seal"] == number_of[item["TransactionID"]["S"]]
        assert "Unsealed" not in item
    assert all("Note" in item for item in engine.seals())


def test_the_largest_seal_is_one_put_and_is_read_back(engine: Engine, dynamodb: Any, new_run: MakeRun) -> None:
    """Its number, its log and its peaks are as long as they can be as well, and its checkpoint is added later."""
    (seal,) = seals_of(engine, [LONGEST_KEYS])
    largest = seal._replace(number=10**12, tree=Tree(2**40 - 1, [bytes(HASH_BYTES)] * 40))
    assert new_run().commit(largest)
    key = {name: largest.as_item()[name] for name in ("Log", "Seal")}
    dynamodb.update_item(
        TableName=engine.outputs["SealsTableName"],
        Key=key,
        UpdateExpression="SET Note = :note, VerifierKey = :key",
        ConditionExpression="attribute_exists(Seal)",
        ExpressionAttributeValues={":note": {"S": "x" * 700}, ":key": {"S": "x" * 300}},
    )
    read = new_run().finished_last()
    assert read == largest._replace(note="x" * 700, key="x" * 300, tree=read.tree)
    assert (read.tree.size, read.tree.root) == (largest.tree.size, largest.tree.root)


def test_a_seal_of_the_most_records_is_made_in_one_run(engine: Engine, dynamodb: Any) -> None:
    """All of its records leave the index, and the next run finds nothing."""
    ids = [f"{number:064}" for number in range(MAX_RECORDS + 1)]
    record(engine, dynamodb, ids)
    answer = invoke(engine, "SealLedger", RUN)
    assert (answer["Sealed"], answer["Seal"], answer["Left"], answer["Done"]) == (MAX_RECORDS + 1, 2, 0, True)
    assert [len(item["Keys"]["S"].split("\n")) for item in engine.seals()] == [MAX_RECORDS, 1]
    assert sorted(keys_in(engine)) == ids
    assert {item["Seal"]["N"] for item in engine.items()} == {"1", "2"}
    assert invoke(engine, "SealLedger", RUN) == {**answer, "Sealed": 0}


# ── Reading seals ───────────────────────────────────────────────────────────────────────────────────


def test_the_last_seal_is_the_one_with_the_largest_number(engine: Engine, dynamodb: Any, new_run: MakeRun) -> None:
    """Ten comes after nine, and a seal of another log is not of this one."""
    assert new_run().finished_last() is None
    seals = seals_of(engine, [[(f"t-{number:02}", 0)] for number in range(12)])
    another = [seals[-1]._replace(origin="payment-ledger/another", number=99)]
    mixed = [*seals, *another]
    random.Random(7).shuffle(mixed)  # noqa: S311  # every run has the same order
    put(engine, dynamodb, mixed)
    assert new_run().finished_last().number == 12
    assert invoke(engine, "QueryPaymentLedger", {"Seals": True, "Last": True})["Seals"][0]["Seal"] == 12


def test_pages_of_large_seals_have_each_seal_once(engine: Engine, dynamodb: Any) -> None:
    """DynamoDB ends a page at 1 MB, which is two or three of the largest seals. Lambda's answer has room for them."""
    put(engine, dynamodb, seals_of(engine, [LONGEST_KEYS] * 7))
    pages, first = [], 1
    while first is not None:
        page = invoke(engine, "QueryPaymentLedger", {"Seals": True, "First": first})
        assert len(json.dumps(page)) < MAX_ANSWER_BYTES
        pages.append([seal["Seal"] for seal in page["Seals"]])
        assert all(len(seal["Keys"]) == MAX_RECORDS for seal in page["Seals"])
        first = page["Next"]
    assert list(itertools.chain(*pages)) == list(range(1, 8))
    assert 3 <= len(pages) <= 4
    assert {len(page) for page in pages[:-1]} <= {2, 3}


def test_a_page_begins_with_the_number_that_is_asked_for(engine: Engine, dynamodb: Any) -> None:
    """The number is compared as a number."""
    put(engine, dynamodb, seals_of(engine, [[(f"t-{number:02}", 0)] for number in range(12)]))
    for first, numbers in ((9, [9, 10, 11, 12]), (12, [12]), (13, [])):
        page = invoke(engine, "QueryPaymentLedger", {"Seals": True, "First": first})
        assert ([seal["Seal"] for seal in page["Seals"]], page["Next"]) == (numbers, None)


# ── Records ─────────────────────────────────────────────────────────────────────────────────────────


def test_records_are_read_a_hundred_at_once(engine: Engine, dynamodb: Any, new_run: MakeRun) -> None:
    """DynamoDB rejects a call for more. It leaves out what it does not have, and answers in any order."""
    ids = [f"t-{number:03}" for number in range(250)]
    record(engine, dynamodb, ids[:230])
    table = engine.outputs["TableName"]
    found = new_run().items(table, {(one, 0) for one in ids})
    assert {key: item["TransactionID"]["S"] for key, item in found.items()} == {(one, 0): one for one in ids[:230]}
    keys = [{"TransactionID": {"S": one}} for one in ids[:101]]
    with pytest.raises(dynamodb.exceptions.ClientError, match="ValidationException"):
        dynamodb.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})


def test_a_hundred_of_the_largest_payments_are_read_at_once(engine: Engine, dynamodb: Any, new_run: MakeRun) -> None:
    """They are less than the 16 MB of one answer."""
    metadata = {f"{number}".zfill(64): "𝄞" * 256 for number in range(16)}
    largest = ENCRYPTED._replace(ciphertext=b"\xff" * 6144)
    for number in range(100):
        changed = PAYMENT._replace(transaction_id=f"t-{number}", metadata=metadata)
        item = largest._replace(payment=changed).as_item()
        dynamodb.put_item(TableName=engine.outputs["TableName"], Item=item)
    found = new_run().items(engine.outputs["TableName"], {(f"t-{number}", 0) for number in range(100)})
    assert len(found) == 100


def test_a_marked_record_leaves_the_index_and_keeps_the_rest(engine: Engine, dynamodb: Any, new_run: MakeRun) -> None:
    """The update may change nothing but the two markers. It can be repeated, by any number of runs at once."""
    record(engine, dynamodb, ["t-1", "t-2"])
    before, other = engine.items()
    assert {key for key, _ in new_run().unsealed()} == {("t-1", 0), ("t-2", 0)}
    all_at_once([lambda: new_run().mark(("t-1", 0), 7)] * 5)
    assert [key for key, _ in new_run().unsealed()] == [("t-2", 0)]
    del before["Unsealed"]
    assert engine.items() == [{**before, "Seal": {"N": "7"}}, other]


def test_an_entry_is_marked_by_its_number(engine: Engine, dynamodb: Any, new_run: MakeRun) -> None:
    """The other entries of the payment, and the payment itself, keep their markers."""
    table = engine.outputs["EntriesTableName"]
    item = {"TransactionID": {"S": "t-1"}, "RecordedAt": {"S": NOW}, "Unsealed": {"S": "3"}, "Unpublished": {"S": "3"}}
    for number in ("9", "10"):
        dynamodb.put_item(TableName=table, Item={**item, "Entry": {"N": number}})
    new_run().mark(("t-1", 10), 7)
    assert [key for key, _ in new_run().unsealed()] == [("t-1", 9)]
    assert [(one["Entry"]["N"], one.get("Seal")) for one in engine.entries()] == [("9", None), ("10", {"N": "7"})]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_mark_is_neither_replaced_nor_made_up(engine: Engine, dynamodb: Any, new_run: MakeRun, is_there: Any) -> None:
    """A record with another seal's number was changed by somebody, and one that is gone must not return empty."""
    if is_there:
        record(engine, dynamodb, ["t-1"])
        new_run().mark(("t-1", 0), 1)
    before = engine.items()
    run = new_run()
    run.mark(("t-1", 0), 2)
    assert engine.items() == before
    assert run.held_back == {("t-1", 0)}


def test_every_shards_index_is_paged_through(engine: Engine, new_run: MakeRun, dynamodb: Any) -> None:
    """The oldest of each shard come first, and a page has at most as many as one call asks for."""
    ids = [f"t-{number:04}" for number in range(1000)]
    record(engine, dynamodb, ids)
    module = engine.functions["SealLedger"].module
    run = new_run()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "PAGE_SIZE", 7)
        found = [key for key, _ in run.unsealed()]
    assert len(found) == len(ids)
    assert {key for key, _ in found} == {*ids}
