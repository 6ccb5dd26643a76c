"""Listings: whatever the pages are, they have the payments of a full scan, each once and in order."""

import base64
import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.item import SHARDS, EncryptedPayment, shard_of
from ledger.payment import Payment
from ledger.timestamps import utc_timestamp
from ledger_cli.engine import Engine
from tests.support.functions import invoke

PAYMENTS = 10_000 if "DYNAMODB_LOCAL" in os.environ else 1_000  # moto's time for a page grows with the table
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
CIPHERTEXT = b"a ciphertext, which nobody may read here"


def text(moment: datetime) -> str:
    """Return a time in canonical form."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def items() -> Iterator[dict[str, Any]]:
    """Return payments of three processors, a third of them at one time, some of them published."""
    chance = random.Random(7)  # noqa: S311  # the same each time
    for number in range(PAYMENTS):
        moment = FIRST + timedelta(minutes=chance.choice((0, 200 * number // PAYMENTS, chance.randrange(500))))
        payment = Payment(
            transaction_id=f"t-{number}",
            amount=f"{number}.00",
            currency="EUR",
            processor_id=("acme", "other", "acme-2")[number % 3],
            status="Failure" if number % 10 == 0 else "Success",
            timestamp=text(moment),
            metadata={},
        )
        item = EncryptedPayment(payment, CIPHERTEXT, "key", f"arn:e:{number}", text(FIRST)).as_item()
        if number % 4:
            del item["Unpublished"]
            item["PublishedAt"] = {"S": text(FIRST)}
        yield item


@pytest.fixture(scope="module")
def ledger(deployed: Any) -> Iterator[tuple[Engine, list[dict[str, Any]]]]:
    """Return the engine with the payments in its table, and the payments."""
    engine = deployed[0]
    engine.clear()
    every, table = list(items()), engine.outputs["TableName"]
    for start in range(0, PAYMENTS, 25):
        puts = [{"PutRequest": {"Item": item}} for item in every[start : start + 25]]
        engine.client("dynamodb").batch_write_item(RequestItems={table: puts})
    assert {shard_of(item["TransactionID"]["S"]) for item in every} == set(range(SHARDS))
    yield engine, every
    engine.clear()


def pages(engine: Engine, **query: Any) -> list[list[dict[str, Any]]]:
    """Yield every page of a query."""
    found, cursor = [], None
    while True:
        page = invoke(engine, "QueryPaymentLedger", {**query, "Cursor": cursor})
        assert "errorType" not in page, page
        found.append(page["Payments"])
        cursor = page["Cursor"]
        if cursor is None:
            return found


def flat(found: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the payments of all pages."""
    return [payment for page in found for payment in page]


ACME = {"ProcessorID": "acme", "Limit": 100}
HOUR = ("2026-01-01T03:00:00Z", "2026-01-01T05:00:00+01:00")
MINUTES = ("2026-01-01T03:00:00Z", "2026-01-01T03:04:00Z")
ONE_TIME = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z")


@pytest.mark.parametrize(
    ("limit", "between", "least"),
    [(100, None, 0.3), (100, HOUR, 0.01), (5, HOUR, 0.01), (1, MINUTES, 0.001), (90, ONE_TIME, 0.1)],
)
def test_a_listing_is_what_a_scan_holds(ledger: Any, limit: int, between: Any, least: float) -> None:
    """The newest payments come first, although a tenth of all have the same time."""
    engine, every = ledger
    query = {} if between is None else dict(zip(("From", "To"), between, strict=True))
    first, last = (utc_timestamp(end) for end in between or ("0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"))
    expected = {
        item["TransactionID"]["S"]
        for item in every
        if item["ProcessorID"]["S"] == "acme" and first <= item["Timestamp"]["S"] < last
    }
    found = pages(engine, ProcessorID="acme", Limit=limit, **query)
    listed = [payment["TransactionID"] for payment in flat(found)]
    assert len(listed) == len(expected) >= least * PAYMENTS
    assert set(listed) == expected
    times = [payment["Timestamp"] for payment in flat(found)]
    assert times == sorted(times, reverse=True)
    assert all(len(page) == limit for page in found[:-1])
    assert len(found[-1]) >= 1


def of(every: list[dict[str, Any]], transaction_id: str) -> dict[str, Any]:
    """Return the item with this number."""
    return every[int(transaction_id.removeprefix("t-"))]


def test_a_payment_is_shown_as_it_stands(ledger: Any) -> None:
    """A payment is the same in the listing and under its ID. The token is in neither."""
    engine, every = ledger
    (page, *_) = pages(engine, ProcessorID="acme", Limit=100, From="2026-01-01T03:00:00Z", To="2026-01-01T03:30:00Z")
    for payment in page[:5]:
        item = of(every, payment["TransactionID"])
        assert payment["Amount"] == f"{item['TransactionID']['S'].removeprefix('t-')}.00"
        assert payment["Fingerprint"] == item["Fingerprint"]["S"]
        assert payment["PublishedAt"] == item.get("PublishedAt", {}).get("S")
        alone = invoke(engine, "QueryPaymentLedger", {"TransactionID": payment["TransactionID"]})["Payment"]
        assert alone == {**payment, "Seal": None}
    assert CIPHERTEXT.decode() not in json.dumps(page)
    assert base64.b64encode(CIPHERTEXT).decode() not in json.dumps(page)


def test_a_rare_status_is_found_across_pages(ledger: Any) -> None:
    """One page looks at a bounded number of payments, and says where to go on."""
    engine, every = ledger
    expected = {
        item["TransactionID"]["S"]
        for item in every
        if item["ProcessorID"]["S"] == "acme" and item["Status"]["S"] == "Failure"
    }
    found = pages(engine, ProcessorID="acme", Status="Failure", Limit=100)
    assert {payment["TransactionID"] for payment in flat(found)} == expected
    assert len(flat(found)) == len(expected)
    assert {payment["Status"] for payment in flat(found)} == {"Failure"}


def test_a_page_looks_at_a_bounded_number(ledger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no payment matches, a page is empty and has a cursor nevertheless."""
    engine, _ = ledger
    monkeypatch.setattr("ledger.pages.MAX_EXAMINED", 8)
    found = pages(engine, ProcessorID="acme", Status="Failure", Limit=100, From="2026-01-01T01:00:00Z", To=HOUR[1])
    assert any(page == [] for page in found[:-1])
    assert all(len(page) <= 8 for page in found)
    assert len(flat(found)) > PAYMENTS // 1000


def test_unpublished_are_listed_the_oldest_first(ledger: Any) -> None:
    """The list shows what the next sweep will find."""
    engine, every = ledger
    found = pages(engine, Unpublished=True, Limit=100)
    assert {payment["TransactionID"] for payment in flat(found)} == {
        item["TransactionID"]["S"] for item in every if "Unpublished" in item
    }
    assert len(flat(found)) == PAYMENTS // 4
    assert {payment["PublishedAt"] for payment in flat(found)} == {None}


def test_an_item_that_cannot_be_read_is_named_and_the_others_are_listed(ledger: Any) -> None:
    """A damaged item must not hide a processor's other payments."""
    engine, every = ledger
    table, of_acme = engine.outputs["TableName"], [item for item in every if item["ProcessorID"]["S"] == "acme"]
    damaged = of_acme[len(of_acme) // 2]["TransactionID"]["S"]
    status = of(every, damaged)["Status"]["S"]
    engine.client("dynamodb").update_item(
        TableName=table, Key={"TransactionID": {"S": damaged}}, UpdateExpression="REMOVE #s",
        ExpressionAttributeNames={"#s": "Status"},
    )  # fmt: skip
    for query in (ACME, {**ACME, "Status": status}):
        others = {
            item["TransactionID"]["S"]
            for item in of_acme
            if item["Status"]["S"] == query.get("Status", item["Status"]["S"])
        } - {damaged}
        found = listed_with_unreadable(engine, **query)
        assert found == (others, [{"TransactionID": damaged, "Attribute": "Status"}])
    engine.client("dynamodb").put_item(TableName=table, Item=of(every, damaged))
    reply = invoke(engine, "QueryPaymentLedger", {"TransactionID": damaged})
    assert reply["Payment"]["TransactionID"] == damaged


def listed_with_unreadable(engine: Engine, **query: Any) -> tuple[set[str], list[dict[str, str]]]:
    """Return the IDs of all pages, and the damaged items."""
    ids: set[str] = set()
    unreadable, cursor = [], None
    while True:
        page = invoke(engine, "QueryPaymentLedger", {**query, "Cursor": cursor})
        ids |= {payment["TransactionID"] for payment in page["Payments"]}
        unreadable += page["Unreadable"]
        cursor = page["Cursor"]
        if cursor is None:
            return ids, unreadable


def test_a_processors_name_is_not_a_prefix(ledger: Any) -> None:
    """A list for `acme` must not contain payments of `acme-2`."""
    engine, _ = ledger
    (page,) = pages(engine, ProcessorID="acm", Limit=100)
    assert page == []
    assert {p["ProcessorID"] for p in invoke(engine, "QueryPaymentLedger", {"ProcessorID": "acme-2"})["Payments"]} == {
        "acme-2"
    }
