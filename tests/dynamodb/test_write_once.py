"""The one conditional write, with writers that really run at the same time, each with its own connection."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ledger.item import EncryptedPayment
from ledger.violations import PaymentConflictError
from ledger_cli.engine import Engine
from tests.support.payments import ENCRYPTED, PAYMENT

WRITERS = 30
JOIN_TIMEOUT_S = 60

Write = Callable[[EncryptedPayment], tuple[str, Any]]


@pytest.fixture
def write(engine: Engine, dynamodb: Any) -> Write:
    """Return a function that writes one payment as Persist Payment does. A conflict returns the fields that differ."""
    put_once, table = engine.functions["PersistPaymentLedger"].module.put_once, engine.outputs["TableName"]

    def write_once(encrypted: EncryptedPayment) -> tuple[str, Any]:
        try:
            return put_once(dynamodb, table, encrypted)  # type: ignore[no-any-return]
        except PaymentConflictError as conflict:
            return "CONFLICT", conflict.differs

    return write_once


def delivery(number: int, **changed: Any) -> EncryptedPayment:
    """Return one of several deliveries of a payment. Each has its own ciphertext, as KMS makes it."""
    return ENCRYPTED._replace(
        payment=PAYMENT._replace(**changed), execution=f"{ENCRYPTED.execution}-{number}", ciphertext=b"%d" % number
    )


def all_at_once(write: Write, deliveries: list[EncryptedPayment]) -> list[tuple[str, Any]]:
    """Write all deliveries at the same time, each in its own thread, and return their outcomes."""
    barrier, outcomes = threading.Barrier(len(deliveries)), list[tuple[str, Any]]()

    def deliver(encrypted: EncryptedPayment) -> None:
        barrier.wait(JOIN_TIMEOUT_S)
        outcomes.append(write(encrypted))

    threads = [threading.Thread(target=deliver, args=(one,), daemon=True) for one in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_TIMEOUT_S)
    assert len(outcomes) == len(deliveries)
    return outcomes


def test_a_repeated_write_is_recorded_and_another_delivery_is_a_duplicate(write: Write, engine: Engine) -> None:
    """No later delivery changes the first item, and each gets the first item back."""
    first = delivery(1)
    assert write(first) == ("RECORDED", first.as_item())
    assert write(first) == ("RECORDED", first.as_item())
    assert write(delivery(2)) == ("DUPLICATE", first.as_item())
    assert write(first._replace(recorded_at="2027-01-01T00:00:00.000000Z")) == ("DUPLICATE", first.as_item())
    assert engine.items() == [first.as_item()]


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"amount": "10.51"}, ["Amount"]),
        ({"currency": "USD"}, ["Currency"]),
        ({"processor_id": "other"}, ["ProcessorID"]),
        ({"status": "Failure"}, ["Status"]),
        ({"timestamp": "2026-11-23T09:30:00.000001Z"}, ["Timestamp"]),
        ({"amount": "1050", "currency": "JPY", "status": "Failure"}, ["Amount", "Currency", "Status"]),
    ],
)
def test_another_payment_conflicts_in_its_fields(
    write: Write, engine: Engine, changed: dict[str, str], differs: list[str]
) -> None:
    """The fields are compared with what DynamoDB returns, which is an amount without superfluous zeros."""
    write(delivery(1))
    assert write(delivery(2, **changed)) == ("CONFLICT", differs)
    assert engine.items() == [delivery(1).as_item()]


def test_a_failed_condition_returns_the_whole_first_item(engine: Engine, dynamodb: Any) -> None:
    """Without the item there is nothing to compare with, and a second read would leave a gap for another writer."""
    table, condition = engine.outputs["TableName"], "attribute_not_exists(TransactionID)"
    dynamodb.put_item(TableName=table, Item=delivery(1).as_item(), ConditionExpression=condition)
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as failed:
        dynamodb.put_item(
            TableName=table,
            Item=delivery(2).as_item(),
            ConditionExpression=condition,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert failed.value.response["Item"] == delivery(1).as_item()


@pytest.mark.parametrize("round_", range(3))
def test_of_many_writers_at_once_one_records(write: Write, engine: Engine, round_: int) -> None:
    """Any writer may be the first, and all others get its item."""
    outcomes = all_at_once(write, [delivery(number) for number in range(WRITERS)])
    assert Counter(name for name, _ in outcomes) == {"RECORDED": 1, "DUPLICATE": WRITERS - 1}
    (recorded,) = engine.items()
    assert [item for _, item in outcomes] == [recorded] * WRITERS


@pytest.mark.parametrize("round_", range(3))
def test_of_two_payments_at_once_one_is_recorded_and_the_other_conflicts(
    write: Write, engine: Engine, round_: int
) -> None:
    """Neither payment is lost without a trace, and the second is never mistaken for a repeat of the first."""
    amounts = {"10.50": "10.5", "99.00": "99"}
    deliveries = [delivery(number, amount=amount) for number in range(WRITERS // 2) for amount in amounts]
    outcomes = all_at_once(write, deliveries)
    assert Counter(name for name, _ in outcomes) == {
        "RECORDED": 1, "DUPLICATE": WRITERS // 2 - 1, "CONFLICT": WRITERS // 2
    }  # fmt: skip
    assert [found for name, found in outcomes if name == "CONFLICT"] == [["Amount"]] * (WRITERS // 2)
    (recorded,) = engine.items()
    assert recorded["Amount"]["N"] in amounts.values()
    assert [found for name, found in outcomes if name != "CONFLICT"] == [recorded] * (WRITERS // 2)
