"""The publication marker and the sparse index, which holds a payment until it is marked as published."""

import threading
from typing import Any

import pytest

from ledger.item import SHARDS, shard_of
from ledger.publication import mark_published
from ledger_cli.engine import Engine
from tests.support.payments import ENCRYPTED, PAYMENT

EARLY, LATE = "2026-11-23T10:00:00.000000Z", "2026-11-23T11:00:00.000000Z"
TRANSACTION_ID = PAYMENT.transaction_id
KEY = {"TransactionID": TRANSACTION_ID}


def put(engine: Engine, dynamodb: Any, transaction_id: str = TRANSACTION_ID, recorded_at: str = EARLY) -> None:
    """Record a payment that is not published yet."""
    payment = PAYMENT._replace(transaction_id=transaction_id)
    item = ENCRYPTED._replace(payment=payment, recorded_at=recorded_at).as_item()
    dynamodb.put_item(TableName=engine.outputs["TableName"], Item=item)


def unpublished(engine: Engine, dynamodb: Any, before: str = LATE) -> list[str]:
    """Return the payments on the sweep's pages, shard by shard."""
    module = engine.functions["RepublishOutcomes"].module
    page_of, payments = module.page_of, module.SWEPT[0]
    found: list[str] = []
    for shard in range(SHARDS):
        start: Any = None
        while True:
            items, start = page_of(dynamodb, payments, shard, before, start)
            assert len(items) <= 10
            found += [item["TransactionID"]["S"] for item in items]
            if start is None:
                break
    return found


def test_a_marked_payment_leaves_the_index_and_keeps_the_rest(engine: Engine, dynamodb: Any) -> None:
    """Otherwise every sweep would publish it again. The update may change nothing but the markers."""
    put(engine, dynamodb)
    (before,) = engine.items()
    assert unpublished(engine, dynamodb) == [TRANSACTION_ID]
    mark_published(dynamodb, engine.outputs["TableName"], KEY, LATE)
    assert unpublished(engine, dynamodb) == []
    (after,) = engine.items()
    del before["Unpublished"]
    assert after == {**before, "PublishedAt": {"S": LATE}}


def test_the_first_publication_time_is_kept(engine: Engine, dynamodb: Any) -> None:
    """A repeated event has the same OutcomeID, and consumers may have seen the first one."""
    put(engine, dynamodb)
    for at in (EARLY, LATE):
        mark_published(dynamodb, engine.outputs["TableName"], KEY, at)
    assert engine.items()[0]["PublishedAt"] == {"S": EARLY}


def test_publishers_at_once_leave_one_time(engine: Engine, dynamodb: Any) -> None:
    """A sweep may run at the same time as an execution or another sweep."""
    put(engine, dynamodb)
    times = [f"2026-11-23T10:00:00.{number:06d}Z" for number in range(10)]
    table = engine.outputs["TableName"]
    threads = [threading.Thread(target=mark_published, args=(dynamodb, table, KEY, at), daemon=True) for at in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    first = engine.items()[0]["PublishedAt"]["S"]
    assert first in times
    mark_published(dynamodb, table, KEY, LATE)
    assert engine.items()[0]["PublishedAt"]["S"] == first
    assert unpublished(engine, dynamodb) == []


def test_marking_an_unknown_payment_creates_nothing(engine: Engine, dynamodb: Any) -> None:
    """Without its condition, UpdateItem would create an item that only has a key and a marker."""
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        mark_published(dynamodb, engine.outputs["TableName"], {"TransactionID": "nobody"}, LATE)
    assert engine.items() == []


def test_the_sweeps_pages_have_each_overdue_payment_once(engine: Engine, dynamodb: Any) -> None:
    """The pages of every shard have the oldest payments first, and none that is younger than the limit."""
    ids = [f"t-{number}" for number in range(250)]
    for number, transaction_id in enumerate(ids):
        put(engine, dynamodb, transaction_id, f"2026-11-23T10:{number % 50:02d}:00.000000Z")
    limit = "2026-11-23T10:40:00.000000Z"
    found = unpublished(engine, dynamodb, limit)
    overdue = [(shard_of(one), number % 50, one) for number, one in enumerate(ids) if number % 50 < 40]
    assert sorted(found) == sorted(one for _, _, one in overdue)
    minute = {one: (shard, minute) for shard, minute, one in overdue}
    assert [minute[one] for one in found] == sorted(minute[one] for one in found)
    assert all(sum(shard_of(one) == shard for one in found) > 10 for shard in range(SHARDS))
