"""Pages of a listing while payments arrive, and the start key, which DynamoDB requires within the query's range."""

import itertools
import random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ledger_cli.engine import Engine
from tests.dynamodb.judge import asking_moto
from tests.support.functions import invoke
from tests.support.payments import ENCRYPTED, PAYMENT

PROCESSOR = "acme"
OUT_OF_RANGE = "The provided starting key does not match the range key predicate"


@pytest.mark.parametrize(
    "query", [{}, {"Status": "Success"}, {"From": "2026-01-01T00:10:00Z", "To": "2026-01-01T00:50:00Z"}]
)
def test_every_payment_is_listed_once_while_others_are_added(
    engine: Engine, dynamodb: Any, query: dict[str, str]
) -> None:
    """Payments that arrive between two pages, newer, older or as old as the page's end, must not hide another."""
    chance = random.Random(11)  # noqa: S311  # every run has the same numbers
    numbers, minutes = itertools.count(), dict[str, str]()

    def add(at: str | None = None) -> str:
        transaction_id = f"t-{next(numbers)}"
        minutes[transaction_id] = at or f"2026-01-01T00:{chance.randrange(60):02d}:00.000000Z"
        payment = PAYMENT._replace(transaction_id=transaction_id, timestamp=minutes[transaction_id])
        item = ENCRYPTED._replace(payment=payment).as_item()
        dynamodb.put_item(TableName=engine.outputs["TableName"], Item=item)
        return transaction_id

    first = {add() for _ in range(150)}
    if query.keys() >= {"From", "To"}:
        first = {one for one in first if query["From"][:16] <= minutes[one][:16] < query["To"][:16]}
    listed, cursor = list[str](), None
    while True:
        page = invoke(engine, "QueryPaymentLedger", {"ProcessorID": PROCESSOR, "Limit": 12, "Cursor": cursor, **query})
        assert "errorType" not in page, page
        listed += [payment["TransactionID"] for payment in page["Payments"]]
        cursor = page["Cursor"]
        if cursor is None:
            break
        for at in (None, None, minutes[listed[-1]], "2026-01-01T00:59:59.000000Z"):
            add(at)
    assert len(listed) == len(set(listed))
    assert first <= set(listed)
    assert [minutes[one] for one in listed] == sorted((minutes[one] for one in listed), reverse=True)


@pytest.mark.parametrize("order", ["oldest first", "newest first"])
@pytest.mark.parametrize("at", ["2025-12-31", "2026-01-01", "2026-06-01", "2026-12-31", "2027-01-01"])
def test_dynamodb_accepts_only_a_start_key_within_the_range(engine: Engine, dynamodb: Any, at: str, order: str) -> None:
    """The listing's cursors must respect this rule, and the engine imitates it with the same message."""
    partition = {"S": f"{PROCESSOR}#1"}
    query = {
        "TableName": engine.outputs["TableName"],
        "IndexName": "PaymentsByProcessor",
        "KeyConditionExpression": "#p = :p AND #t BETWEEN :first AND :last",
        "ExpressionAttributeNames": {"#p": "ProcessorShard", "#t": "Timestamp"},
        "ExpressionAttributeValues": {":p": partition, ":first": {"S": "2026-01-01"}, ":last": {"S": "2026-12-31"}},
        "ExclusiveStartKey": {"ProcessorShard": partition, "Timestamp": {"S": at}, "TransactionID": {"S": "t"}},
        "ScanIndexForward": order == "oldest first",
    }
    within = "2026-01-01" <= at <= "2026-12-31"
    expected = {} if within else {"Code": "ValidationException", "Message": OUT_OF_RANGE}
    assert error_of(dynamodb, query) == expected
    with asking_moto():
        assert error_of(engine.client("dynamodb"), query) == expected


def error_of(client: Any, query: dict[str, Any]) -> dict[str, str]:
    """Return the error of a query with its message, or nothing if the query is answered."""
    try:
        assert client.query(**query)["Items"] == []
    except ClientError as error:
        return dict(error.response["Error"])
    return {}
