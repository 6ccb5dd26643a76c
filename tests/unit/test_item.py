"""The item: what is written once, and how another payment is told from it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.item import SHARDS, EncryptedPayment, differing_fields, number, shard_of
from ledger.payment import Payment

PAYMENT = Payment(
    transaction_id="txn-1",
    amount="10.50",
    currency="EUR",
    processor_id="acme",
    status="Success",
    timestamp="2026-11-23T09:30:00.000000Z",
    metadata={"order": "A-1"},
)
ENCRYPTED = EncryptedPayment(
    payment=PAYMENT,
    ciphertext=b"ciphertext",
    token_key="arn:aws:kms:us-east-1:123456789012:key/1",
    execution="arn:aws:states:us-east-1:123456789012:execution:PaymentLedger:1",
    recorded_at="2026-11-23T09:30:02.000000Z",
)


def test_the_item_has_the_briefs_attributes_and_types() -> None:
    """Readers outside this project rely on the six; amounts are numbers and the token is binary."""
    item = ENCRYPTED.as_item()
    assert {name: next(iter(value)) for name, value in item.items()} == {
        "TransactionID": "S",
        "SecureToken": "B",
        "Amount": "N",
        "ProcessorID": "S",
        "Status": "S",
        "Timestamp": "S",
        "Currency": "S",
        "RecordedAt": "S",
        "Fingerprint": "S",
        "TokenKey": "S",
        "Execution": "S",
        "Metadata": "M",
        "ProcessorShard": "S",
        "Unpublished": "S",
    }


def test_index_keys_are_sharded() -> None:
    """Unsharded, a busy processor's payments would all meet one partition."""
    item = ENCRYPTED.as_item()
    shard = shard_of(PAYMENT.transaction_id)
    assert (item["ProcessorShard"], item["Unpublished"]) == ({"S": f"acme#{shard}"}, {"S": str(shard)})


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, []),
        ({"metadata": {}}, []),
        ({"amount": "10.51"}, ["Amount"]),
        ({"amount": "10.51", "currency": "USD"}, ["Amount", "Currency"]),
        ({"processor_id": "b"}, ["ProcessorID"]),
        ({"status": "Failure"}, ["Status"]),
        ({"timestamp": "2026-11-23T09:30:00.000001Z"}, ["Timestamp"]),
    ],
)
def test_the_fields_that_differ_are_named(changes: dict[str, str], differs: list[str]) -> None:
    """An operator decides by them which of the two payments is right."""
    assert differing_fields(ENCRYPTED.as_item(), replace(PAYMENT, **changes)) == differs  # type: ignore[arg-type]


def test_equal_fields_under_another_fingerprint_are_no_duplicate() -> None:
    """If a release ever made fingerprints otherwise, its repeats must be seen by a person."""
    item = {**ENCRYPTED.as_item(), "Fingerprint": {"S": "0" * 64}}
    assert differing_fields(item, PAYMENT) == ["Fingerprint"]


def test_the_number_a_table_gives_back_equals_the_one_written() -> None:
    """DynamoDB trims zeros: an amount must be compared as a number, not as text."""
    item = {**ENCRYPTED.as_item(), "Amount": {"N": "10.5"}, "Fingerprint": {"S": "0" * 64}}
    assert differing_fields(item, PAYMENT) == ["Fingerprint"]


@given(whole=st.integers(0, 10**36 - 1), cents=st.integers(0, 99))
def test_numbers_keep_their_value_within_38_digits(whole: int, cents: int) -> None:
    """A DynamoDB number has 38 digits, so the padding zeros of a large amount must not count."""
    text = f"{whole}.{cents:02}"
    assert Decimal(number(text)) == Decimal(text)
    assert len(number("9" * 38 + ".00")) == 38


def test_own_writes_are_told_by_execution_and_start() -> None:
    """A name is free again after 90 days: then the same ARN is another delivery."""
    item = ENCRYPTED.as_item()
    assert ENCRYPTED.wrote(item)
    assert not replace(ENCRYPTED, execution=ENCRYPTED.execution + "2").wrote(item)
    assert not replace(ENCRYPTED, recorded_at="2027-03-01T00:00:00.000000Z").wrote(item)


def test_shards_are_stable_and_even() -> None:
    """A shard is stored in the index key: were it another tomorrow, old payments would not be found."""
    assert [shard_of(f"txn-{i}") for i in range(6)] == [6, 2, 4, 3, 0, 6]
    counts = [0] * SHARDS
    for i in range(8000):
        counts[shard_of(f"txn-{i}")] += 1
    assert min(counts) > 850
    assert max(counts) < 1150
