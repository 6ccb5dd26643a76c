"""The item: its attributes are written once, and another payment is distinguished from it."""

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.amounts import to_dynamodb_number
from ledger.fields import METADATA_KEY
from ledger.item import (
    IMPORT_PAIR,
    SHARDS,
    EncryptedPayment,
    UnreadableItemError,
    as_recorded,
    differing_fields,
    publication_of,
    published_at,
    recorded_facts,
    shard_of,
)
from ledger.payment import STATE_NAMES, Payment
from ledger.violations import PaymentConflictError
from ledger_cli import ROOT
from tests.support.payments import ENCRYPTED, PAYMENT


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
        "Unsealed": "S",
    }


def test_the_item_holds_each_value_under_its_own_name() -> None:
    """A value under another's name would stay there permanently: the ledger writes no attribute twice."""
    shard = shard_of("txn-1")
    assert ENCRYPTED.as_item() == {
        "TransactionID": {"S": "txn-1"},
        "SecureToken": {"B": b"ciphertext"},
        "Amount": {"N": "10.5"},
        "Currency": {"S": "EUR"},
        "ProcessorID": {"S": "acme"},
        "Status": {"S": "Success"},
        "Timestamp": {"S": "2026-11-23T09:30:00.000000Z"},
        "Metadata": {"M": {"order": {"S": "A-1"}}},
        "Fingerprint": {"S": PAYMENT.fingerprint},
        "RecordedAt": {"S": "2026-11-23T09:30:02.000000Z"},
        "Execution": {"S": "arn:aws:states:us-east-1:123456789012:execution:PaymentLedger:1"},
        "TokenKey": {"S": "arn:aws:kms:us-east-1:123456789012:key/1"},
        "ProcessorShard": {"S": f"acme#{shard}"},
        "Unpublished": {"S": f"{shard}"},
        "Unsealed": {"S": f"{shard}"},
    }


def test_the_facts_of_an_item_are_the_payment_that_was_written() -> None:
    """An execution, a duplicate and the sweep publish from the item alone, so all must publish the same facts."""
    assert recorded_facts(ENCRYPTED.as_item()) == {
        "TransactionID": "txn-1",
        "Amount": "10.50",
        "Currency": "EUR",
        "ProcessorID": "acme",
        "Status": "Success",
        "Timestamp": "2026-11-23T09:30:00.000000Z",
        "Metadata": {"order": "A-1"},
        "Fingerprint": PAYMENT.fingerprint,
        "RecordedAt": ENCRYPTED.recorded_at,
        "Execution": ENCRYPTED.execution,
    }


@pytest.mark.parametrize("form", ["quiet", "published"])
def test_an_import_is_in_what_every_index_has(form: str) -> None:
    """The lists and the sweep read indexes, whose attributes cannot be changed. A sender's metadata stay apart."""
    imported = ENCRYPTED._replace(payment=PAYMENT._replace(imported=form))
    item = imported.as_item()
    assert item["Metadata"] == {"M": {"order": {"S": "A-1"}, "ledger:import": {"S": form}}}
    assert item.keys() == ENCRYPTED.as_item().keys() - ({"Unpublished"} if form == "quiet" else set())
    facts = recorded_facts(item)
    assert facts == {**recorded_facts(ENCRYPTED.as_item()), "Import": form}
    assert facts["Fingerprint"] == PAYMENT.fingerprint
    assert Payment.from_state(facts) == imported.payment
    assert differing_fields(item, PAYMENT) == differing_fields(ENCRYPTED.as_item(), imported.payment) == []


@pytest.mark.parametrize("value", [{"S": "loud"}, {"S": ""}, {"N": "1"}, {"NULL": True}])
def test_an_import_that_the_ledger_does_not_write_is_damage(value: dict[str, Any]) -> None:
    """Somebody who changes it could make history of a payment, or news of history."""
    item = ENCRYPTED.as_item()
    item["Metadata"]["M"]["ledger:import"] = value
    with pytest.raises(UnreadableItemError, match="Metadata"):
        recorded_facts(item)


def test_no_sender_can_write_the_pair_of_an_import() -> None:
    """Otherwise a processor could keep consumers from learning of a payment."""
    assert METADATA_KEY.fullmatch(IMPORT_PAIR) is None


@pytest.mark.parametrize(
    ("outcome", "form", "marked", "imports", "published"),
    [
        ("RECORDED", None, False, False, False),
        ("RECORDED", None, True, False, True),  # its own write, which the sweep has published
        ("RECORDED", "published", False, True, False),
        ("RECORDED", "quiet", False, True, None),
        ("DUPLICATE", None, False, False, False),
        ("DUPLICATE", None, True, False, True),
        ("DUPLICATE", "quiet", False, False, True),
        ("DUPLICATE", "quiet", True, False, True),
        ("DUPLICATE", "published", False, False, False),
        *(("DUPLICATE", form, marked, True, None) for form in (None, "quiet", "published") for marked in (False, True)),
    ],
)
def test_what_is_left_to_publish(
    outcome: str, form: str | None, *, marked: bool, imports: bool, published: bool | None
) -> None:
    """The table of all cases: nothing is lost, and history wakes nobody."""
    facts = {} if form is None else {"Import": form}
    assert publication_of(outcome, facts, is_marked=marked, is_import=imports) is published


def test_card_data_that_was_recorded_is_read() -> None:
    """The contract rejects it today, but a payment that an older version recorded must be found and published."""
    card = "4111111111111111"
    payment = PAYMENT._replace(transaction_id=card, processor_id=card, metadata={"cvv": "123", card: card})
    assert recorded_facts(ENCRYPTED._replace(payment=payment).as_item()).items() >= payment.as_state().items()


@pytest.mark.parametrize(
    ("stored", "amount"),
    [("10.5", "10.50"), ("0", "0.000"), ("100", "100"), ("1E+2", "100.00"), ("1E+2", "100"), ("10.50", "10.5")],
)
def test_a_stored_number_becomes_the_recorded_amount_again(stored: str, amount: str) -> None:
    """However DynamoDB prints it, a consumer reads the recorded decimals and no exponent."""
    recorded = PAYMENT._replace(amount=amount)
    assert as_recorded(PAYMENT._replace(amount=stored), recorded.fingerprint) == recorded


@given(st.integers(0, 10**38 - 1), st.integers(0, 37))
def test_every_amount_is_read_back_as_it_was_recorded(digits: int, decimals: int) -> None:
    """Reading an amount does not depend on a currency table, where a currency may be retired or have other decimals."""
    whole, fraction = divmod(digits, 10**decimals)
    payment = PAYMENT._replace(currency="???", amount=f"{whole}.{fraction:0{decimals}}" if decimals else f"{whole}")
    item = EncryptedPayment(payment, b"c", "k", ENCRYPTED.execution, ENCRYPTED.recorded_at).as_item()
    assert recorded_facts(item)["Amount"] == payment.amount


@pytest.mark.parametrize("attribute", sorted(recorded_facts(ENCRYPTED.as_item()).keys() - {"TransactionID"}))
def test_a_damaged_item_names_its_attribute(attribute: str) -> None:
    """An operator has to know the item and the attribute to fix it. No message contains the values."""
    item = ENCRYPTED.as_item()
    another = {"Amount": {"N": "11"}, "Metadata": {"M": {"order": {"N": "1"}}}}.get(attribute, {"S": "another"})
    fingerprinted = attribute not in {"Metadata", "RecordedAt", "Execution"}
    damages = [
        ({name: value for name, value in item.items() if name != attribute}, attribute),
        ({**item, attribute: {"BOOL": True}}, attribute),
    ]
    if attribute == "Execution":  # which may be any text
        damages.append(({**item, attribute: {"S": ""}}, attribute))
    else:
        damages.append(({**item, attribute: another}, "Fingerprint" if fingerprinted else attribute))
    for damaged, named in damages:
        with pytest.raises(UnreadableItemError) as refused:
            recorded_facts(damaged)
        assert json.loads(str(refused.value)) == {"TransactionID": "txn-1", "Attribute": named}


def test_an_amount_is_recognised_by_its_value_too() -> None:
    """An amount with fewer decimals than the value has is another amount, whatever the fingerprint is."""
    assert as_recorded(PAYMENT._replace(amount="10.5"), PAYMENT._replace(amount="10").fingerprint) is None
    assert as_recorded(PAYMENT._replace(amount="10.50"), PAYMENT._replace(amount="10.5").fingerprint) is not None


@pytest.mark.parametrize("text", ["2026-11-23T09:30:02.000000z", "2026-11-23T09:30:02Z", "9", ""])
def test_a_moment_that_does_not_sort_is_damage(text: str) -> None:
    """Times are compared as text, also by DynamoDB: only the canonical form is in order."""
    item = ENCRYPTED.as_item()
    with pytest.raises(UnreadableItemError, match="RecordedAt"):
        recorded_facts({**item, "RecordedAt": {"S": text}})
    with pytest.raises(UnreadableItemError, match="PublishedAt"):
        published_at({**item, "PublishedAt": {"S": text}})
    with pytest.raises(UnreadableItemError, match="PublishedAt"):
        published_at({**item, "PublishedAt": {"N": "1"}})
    assert published_at(item) is None
    assert published_at({**item, "PublishedAt": item["RecordedAt"]}) == item["RecordedAt"]["S"]


@pytest.mark.parametrize("attribute", ["Fingerprint", "Amount", "Currency", "Status"])
def test_a_damaged_item_is_named_to_the_writer(attribute: str) -> None:
    """A repeated delivery that finds the damaged item fails with this error's name, not with a KeyError."""
    item = {name: value for name, value in ENCRYPTED.as_item().items() if name != attribute}
    with pytest.raises(UnreadableItemError, match=attribute):
        differing_fields(item, PAYMENT._replace(timestamp="2027-01-01T00:00:00.000000Z"))


@pytest.mark.parametrize("attribute", ["Execution", "RecordedAt"])
def test_a_write_that_nobody_can_tell_is_named(attribute: str) -> None:
    """It is impossible to know whether the write was this delivery's own."""
    with pytest.raises(UnreadableItemError, match=attribute):
        ENCRYPTED.is_own_write({name: value for name, value in ENCRYPTED.as_item().items() if name != attribute})


def test_what_is_about_to_be_written_cannot_be_changed() -> None:
    """A resend is recognised by its delivery, which must be the one that was written."""
    field = "execution"
    with pytest.raises(AttributeError):
        setattr(ENCRYPTED, field, "another")


def test_index_keys_are_sharded() -> None:
    """Without shards, all payments of a busy processor would go to one partition."""
    item = ENCRYPTED.as_item()
    shard = shard_of(PAYMENT.transaction_id)
    assert (item["ProcessorShard"], item["Unpublished"]) == ({"S": f"acme#{shard}"}, {"S": str(shard)})


@pytest.mark.parametrize("amount", ["10.5", "10.500", "10.50"])
def test_a_payment_is_recognised_whatever_decimals_its_currency_has_today(amount: str) -> None:
    """A delivery after a change of ISO 4217 is the same payment, and not a conflict because of its fingerprint."""
    assert differing_fields(ENCRYPTED.as_item(), PAYMENT._replace(amount=amount)) == []
    assert differing_fields(ENCRYPTED.as_item(), PAYMENT._replace(amount="10.51")) == ["Amount"]


ITEMS = ROOT / "tests/items"


@pytest.mark.parametrize("file", sorted(ITEMS.glob("*.json")), ids=lambda file: file.stem)
def test_items_of_every_format_stay_readable(file: Path) -> None:
    """A recorded item is read as it was recorded, whichever version wrote it: see docs/integrate/contract.md#items."""
    kept = json.loads(file.read_text())
    item = {**kept["Item"], "SecureToken": {"B": base64.b64decode(kept["Item"]["SecureToken"]["B"])}}
    assert recorded_facts(item) == kept["Facts"]
    payment = Payment.from_state({name: kept["Facts"][name] for name in STATE_NAMES.values() if name in kept["Facts"]})
    assert differing_fields(item, payment) == []


def test_the_newest_format_is_kept() -> None:
    """A new attribute, or one of another type, is a new format: keep an item of it in tests/items."""
    kept = [json.loads(file.read_text())["Item"] for file in ITEMS.glob("*.json")]
    formats = [{(name, kind) for name, value in item.items() for kind in value} for item in kept]
    assert {(name, kind) for name, value in ENCRYPTED.as_item().items() for kind in value} in formats


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
    """An operator uses these fields to decide which of the two payments is right."""
    assert differing_fields(ENCRYPTED.as_item(), PAYMENT._replace(**changes)) == differs


def test_a_conflict_tells_whose_it_is_and_what_differs() -> None:
    """The workflow passes on only the error's message, so the event is made of nothing else."""
    conflict = PaymentConflictError(PAYMENT, ["Amount"])
    assert conflict.differs == ["Amount"]
    assert json.loads(str(conflict)) == {
        "TransactionID": "txn-1",
        "ProcessorID": "acme",
        "Differs": ["Amount"],
        "Fingerprint": PAYMENT.fingerprint,
    }


def test_equal_fields_under_another_fingerprint_are_not_a_duplicate() -> None:
    """If a release ever changed fingerprints, a person would have to look at its repeats."""
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
    assert Decimal(to_dynamodb_number(text)) == Decimal(text)
    assert len(to_dynamodb_number("9" * 38 + ".00")) == 38


@pytest.mark.parametrize("amount", ["0", "10", "100000"])
def test_zeros_of_a_whole_amount_are_kept(amount: str) -> None:
    """A currency without decimals has no point in its amounts: ¥100 must not become ¥1."""
    assert to_dynamodb_number(amount) == amount


def test_own_writes_are_recognised_by_execution_and_start() -> None:
    """A name is free again after 90 days. Then the same ARN means another delivery."""
    item = ENCRYPTED.as_item()
    assert ENCRYPTED.is_own_write(item)
    assert not ENCRYPTED._replace(execution=ENCRYPTED.execution + "2").is_own_write(item)
    assert not ENCRYPTED._replace(recorded_at="2027-03-01T00:00:00.000000Z").is_own_write(item)


def test_shards_are_stable_and_even() -> None:
    """The index key contains the shard. If it changed, old payments would not be found."""
    assert [shard_of(f"txn-{i}") for i in range(6)] == [6, 2, 4, 3, 0, 6]
    counts = [0] * SHARDS
    for i in range(8000):
        counts[shard_of(f"txn-{i}")] += 1
    assert min(counts) > 850
    assert max(counts) < 1150
