"""The chain of a payment's entries: appended once, in order, and never beyond what was captured."""

import contextlib
import itertools
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from ledger import chain, totals
from ledger.chain import (
    DeliveredEntry,
    EntryContentionError,
    RecordedEntry,
    append_once,
    next_entry,
    read_chain,
)
from ledger.entry import Entry
from ledger.item import UnreadableItemError, shard_of
from ledger.payment import Payment
from ledger.publication import mark_published
from ledger.totals import Totals, after, opening
from ledger.violations import EntryConflictError, EntryTooEarlyError, InvalidEntryError
from ledger_cli.engine import Engine
from tests.support.faults import Faults

TABLE = "EntriesOfATest"
AT = "2026-11-25T09:00:00.000000Z"
PAYMENT = Payment("ch_1", "50.00", "EUR", "acme-pay", "Success", "2026-11-24T09:00:00.000000Z", {})
AT_ONCE = 100 if "DYNAMODB_LOCAL" in os.environ else 30  # moto's time for a page grows with the chain


@pytest.fixture
def dynamodb(engine: Engine) -> Iterator[Any]:
    """Yield a client of DynamoDB, with an empty table of entries."""
    client = engine.client("dynamodb")
    client.create_table(
        TableName=TABLE,
        KeySchema=[
            {"AttributeName": "TransactionID", "KeyType": "HASH"},
            {"AttributeName": "Entry", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "TransactionID", "AttributeType": "S"},
            {"AttributeName": "Entry", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    yield client
    client.delete_table(TableName=TABLE)


def refund(entry_id: str, amount: str, **changes: Any) -> Entry:
    """Return a refund of the payment."""
    whole = Entry("ch_1", entry_id, "Refunded", amount, "EUR", "acme-pay", AT, None, {"note": "damaged"})
    return whole._replace(**changes)


def totals_item(**changes: Any) -> dict[str, Any]:
    """Return the totals of an item after a refund of 20.00."""
    texts = {"Captured": "50.00", "Refunded": "20.00", "Disputed": "0.00", "Refundable": "30.00"}
    return {name: {"S": text} for name, text in texts.items()} | {"AcceptedEntries": {"N": "0"}} | changes


def append(client: Any, entry: Entry, execution: str = "arn:1", payment: Payment = PAYMENT, at: str = AT) -> str:
    """Append an entry, and return the outcome."""
    return append_once(client, TABLE, payment, DeliveredEntry(entry, execution, at))[0]


def check(entries: list[RecordedEntry], payment: Payment = PAYMENT) -> None:
    """Check what must be true of every chain."""
    expected, previous = opening(payment), payment.fingerprint
    for number, one in enumerate(entries, 1):
        expected = after(expected, one.entry)
        assert (one.number, one.totals, one.previous) == (number, expected, previous)
        assert not one.totals.refundable.startswith("-")
        previous = one.hash
    assert len({one.entry.entry_id for one in entries}) == len(entries)


def test_entries_are_numbered_and_carry_the_totals(dynamodb: Any) -> None:
    """A reader needs no sum of its own: the last entry has the totals."""
    entries = [
        refund("re_1", "20.00"),
        refund("dp_1", "30.00", kind="Disputed"),
        refund("rf_1", "20.00", kind="RefundFailed", reverses="re_1"),
    ]
    assert [append(dynamodb, one) for one in entries] == ["RECORDED"] * 3
    recorded = read_chain(dynamodb, TABLE, PAYMENT)
    assert [one.entry for one in recorded] == entries
    assert recorded[-1].totals == Totals("50.00", "0.00", "30.00")
    check(recorded)
    assert read_chain(dynamodb, TABLE, PAYMENT._replace(transaction_id="ch_2")) == []


def test_an_item_is_read_as_it_was_written(dynamodb: Any) -> None:
    """The item has the markers and the key of the index as well, and no text that is not the sender's."""
    append(dynamodb, refund("re_1", "20.00"))
    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    assert item == {
        "TransactionID": {"S": "ch_1"}, "Entry": {"N": "1"}, "EntryID": {"S": "re_1"}, "Kind": {"S": "Refunded"},
        "Amount": {"S": "20.00"}, "Currency": {"S": "EUR"}, "ProcessorID": {"S": "acme-pay"}, "Timestamp": {"S": AT},
        "Metadata": {"M": {"note": {"S": "damaged"}}}, "Totals": {"M": {
            "Captured": {"S": "50.00"}, "Refunded": {"S": "20.00"}, "Disputed": {"S": "0.00"},
            "Refundable": {"S": "30.00"}, "AcceptedEntries": {"N": "0"},
        }}, "Fingerprint": {"S": refund("re_1", "20.00").fingerprint},
        "Previous": {"S": PAYMENT.fingerprint}, "Execution": {"S": "arn:1"}, "RecordedAt": {"S": AT},
        "ProcessorShard": item["ProcessorShard"], "Unpublished": item["Unpublished"],
        "Unsealed": item["Unpublished"],
    }  # fmt: skip
    shard = shard_of("ch_1")
    assert (item["ProcessorShard"]["S"], item["Unpublished"]["S"]) == (f"acme-pay#{shard}", f"{shard}")


def test_the_hash_never_changes() -> None:
    """A reader of an entry must be able to check the one before it, with `sha256sum` alone."""
    one = RecordedEntry(1, refund("re_1", "20.00"), Totals("50.00", "20.00", "0.00"), "0" * 64, "arn:1", AT)
    assert one.hash == "2d2cee1289d689f06b10fb899940d69e05c1346583f49def975e49e3d7e847cf"
    for name, other in {"number": 2, "previous": "1" * 64, "execution": "arn:2", "recorded_at": "x"}.items():
        assert one._replace(**{name: other}).hash != one.hash
    assert one._replace(totals=Totals("50.00", "20.01", "0.00")).hash != one.hash
    assert one._replace(totals=Totals("50.00", "20.00", "0.00", 1)).hash != one.hash
    assert one._replace(entry=refund("re_1", "20.00", metadata={})).hash != one.hash
    assert one._replace(acceptance={"Reason": "x", "Requester": "y"}).hash != one.hash
    assert one._replace(published_at=AT).hash == one.hash  # the marker changes once, and is no fact
    accented = one._replace(entry=refund("re_1", "20.00", metadata={"note": "caf\u00e9 \U0001f600"}))
    assert accented.hash == "c8dddf7eb46c5760703571be44bea232aa203b533152d8f41a151c9ec7e4e75c"


def test_a_twin_is_a_duplicate_and_another_entry_a_conflict(dynamodb: Any) -> None:
    """A refund that is delivered twice moves money once, whatever its metadata says the second time."""
    assert append(dynamodb, refund("re_1", "20.00"), "arn:1") == "RECORDED"
    assert append(dynamodb, refund("re_1", "20.00"), "arn:1") == "RECORDED"  # the same delivery lost the reply
    assert append(dynamodb, refund("re_1", "20.00", metadata={}), "arn:2") == "DUPLICATE"
    assert append(dynamodb, refund("re_1", "20.00"), "arn:1", at="2027-03-01T00:00:00.000000Z") == "DUPLICATE"
    with pytest.raises(EntryConflictError) as error:
        append(dynamodb, refund("re_1", "20.01", kind="Disputed"), "arn:3")
    assert json.loads(str(error.value)) == {
        "TransactionID": "ch_1", "EntryID": "re_1", "ProcessorID": "acme-pay", "Differs": ["Amount", "Kind"],
        "Fingerprint": refund("re_1", "20.01", kind="Disputed").fingerprint,
    }  # fmt: skip
    assert len(read_chain(dynamodb, TABLE, PAYMENT)) == 1


def test_what_does_not_add_up_is_refused_and_leaves_nothing(dynamodb: Any) -> None:
    """The error has all rules and the IDs."""
    with pytest.raises(InvalidEntryError) as error:
        append(dynamodb, refund("re_1", "50.01", processor_id="other"))
    assert json.loads(str(error.value)) == {
        "TransactionID": "ch_1", "EntryID": "re_1", "ProcessorID": "other",
        "Violations": [
            {"Field": "Amount", "Rule": "exceeds_captured"}, {"Field": "ProcessorID", "Rule": "processor"}
        ],
    }  # fmt: skip
    assert read_chain(dynamodb, TABLE, PAYMENT) == []


def test_what_may_still_come_is_waited_for(dynamodb: Any) -> None:
    """A failure of a refund may overtake the refund. If another rule is broken too, no time heals it."""
    failed = refund("rf_1", "20.00", kind="RefundFailed", reverses="re_1")
    with pytest.raises(EntryTooEarlyError, match="unknown_entry"):
        append(dynamodb, failed)
    with pytest.raises(InvalidEntryError) as error:
        append(dynamodb, failed._replace(processor_id="other"))
    assert type(error.value) is InvalidEntryError
    append(dynamodb, refund("re_1", "20.00"))
    assert append(dynamodb, failed) == "RECORDED"


ACCEPTANCE = {"Reason": "the bank confirmed it", "Requester": "arn:aws:iam::1:user/kim"}


def accept(client: Any, entry: Entry, payment: Payment = PAYMENT) -> RecordedEntry:
    """Append an entry that an operator accepted, and return it as the chain has it."""
    return append_once(client, TABLE, payment, DeliveredEntry(entry, "arn:1", AT, ACCEPTANCE))[1]


def test_an_operator_can_have_an_entry_added_that_does_not_add_up(dynamodb: Any) -> None:
    """What happened is in the ledger. The totals say that they contain it, and what is left is negative."""
    accepted = accept(dynamodb, refund("re_1", "60.00"))
    assert accepted.totals.as_dict() == {
        "Captured": "50.00", "Refunded": "60.00", "Disputed": "0.00", "Refundable": "-10.00", "AcceptedEntries": 1,
    }  # fmt: skip
    assert accepted.facts()["Acceptance"] == ACCEPTANCE
    with pytest.raises(InvalidEntryError, match="exceeds_captured"):
        append(dynamodb, refund("re_2", "0.01"))
    late = accept(dynamodb, refund("rf_9", "70.00", kind="RefundFailed", reverses="re_9"))
    assert (late.totals.refunded, late.totals.refundable, late.totals.accepted_entries) == ("-10.00", "60.00", 2)
    assert append(dynamodb, refund("re_3", "60.00")) == "RECORDED"
    recorded = read_chain(dynamodb, TABLE, PAYMENT)
    assert [one.acceptance for one in recorded] == [ACCEPTANCE, ACCEPTANCE, None]
    assert recorded[-1].totals == Totals("50.00", "50.00", "0.00", 2)


def test_an_entry_that_needs_no_acceptance_has_none(dynamodb: Any) -> None:
    """The cause may be gone by the time that the operator accepts. Then the entry is like any other."""
    recorded = accept(dynamodb, refund("re_1", "20.00"))
    assert (recorded.acceptance, recorded.totals.accepted_entries) == (None, 0)
    assert accept(dynamodb, refund("re_1", "20.00")).number == 1


def test_some_rules_cannot_be_waived(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Euros and dollars have no sum."""
    with pytest.raises(InvalidEntryError) as error:
        accept(dynamodb, refund("re_1", "60.00", currency="USD", processor_id="other"))
    assert [one.rule for one in error.value.violations] == ["currency", "processor"]
    monkeypatch.setattr(totals, "MAX_ENTRIES", 0)
    with pytest.raises(InvalidEntryError, match="too_many_entries"):
        accept(dynamodb, refund("re_1", "60.00"))


def test_a_payment_that_failed_has_nothing_to_refund(dynamodb: Any) -> None:
    """An operator may accept it nevertheless: the processor says that the money went back."""
    failed = PAYMENT._replace(status="Failure")
    with pytest.raises(InvalidEntryError, match="failed_payment"):
        append(dynamodb, refund("re_1", "1.00"), payment=failed)
    assert accept(dynamodb, refund("re_1", "1.00"), failed).totals.refundable == "-1.00"


def test_an_entry_knows_whether_it_is_published(dynamodb: Any) -> None:
    """A duplicate publishes what its first delivery did not."""
    append(dynamodb, refund("re_1", "1.00"))
    assert read_chain(dynamodb, TABLE, PAYMENT)[0].published_at is None
    mark_published(dynamodb, TABLE, {"TransactionID": "ch_1", "Entry": 1}, AT)
    (recorded,) = read_chain(dynamodb, TABLE, PAYMENT)
    assert (recorded.published_at, recorded.view()["PublishedAt"]) == (AT, AT)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        mark_published(dynamodb, TABLE, {"TransactionID": "ch_1", "Entry": 2}, AT)


@pytest.mark.parametrize("form", ["quiet", "published"])
def test_an_import_changes_nothing_of_the_chain(dynamodb: Any, form: str) -> None:
    """Two ledgers with the same entries have the same hashes, however each learned of an entry."""
    entry = refund("re_1", "20.00")
    plain = next_entry(PAYMENT, [], DeliveredEntry(entry, "arn:1", AT))
    assert append(dynamodb, entry._replace(imported=form)) == "RECORDED"
    (recorded,) = read_chain(dynamodb, TABLE, PAYMENT)
    assert recorded.facts() == {**plain.facts(), "Import": form}
    assert recorded.hash == plain.hash
    assert next_entry(PAYMENT, [recorded], DeliveredEntry(refund("re_2", "1.00"), "arn:1", AT)).previous == plain.hash
    shard = {} if form == "quiet" else {"Unpublished": plain.as_item()["Unpublished"]}
    markless = {name: value for name, value in plain.as_item().items() if name != "Unpublished"}
    assert recorded.as_item() == {**markless, **shard, "Import": {"S": form}}
    assert append(dynamodb, entry, "arn:2") == "DUPLICATE"
    assert append(dynamodb, refund("re_2", "1.00")) == "RECORDED"
    check(read_chain(dynamodb, TABLE, PAYMENT))


@pytest.mark.parametrize("value", [{"S": "loud"}, {"S": ""}, {"N": "1"}])
def test_an_import_that_the_ledger_does_not_write_is_damage(dynamodb: Any, value: dict[str, str]) -> None:
    """A person who changes it could make news of history."""
    append(dynamodb, refund("re_1", "20.00", imported="quiet"))
    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    dynamodb.put_item(TableName=TABLE, Item={**item, "Import": value})
    with pytest.raises(UnreadableItemError) as damaged:
        read_chain(dynamodb, TABLE, PAYMENT)
    assert (damaged.value.attribute, damaged.value.entry) == ("Import", 1)


def test_a_duplicate_is_recognised_when_nothing_is_left(dynamodb: Any) -> None:
    """A repeat of the last refund is no new refund, so no rule about totals concerns it."""
    assert append(dynamodb, refund("re_1", "50.00"), "arn:1") == "RECORDED"
    assert append(dynamodb, refund("re_1", "50.00"), "arn:2") == "DUPLICATE"


def test_a_lost_reply_is_no_second_entry(dynamodb: Any, faults: Faults) -> None:
    """The write happened, and the function does not know it: a retry finds it."""
    faults.lose_reply("PutItem")
    with contextlib.suppress(Exception):
        append(dynamodb, refund("re_1", "20.00"))
    assert append(dynamodb, refund("re_1", "20.00")) == "RECORDED"
    check(read_chain(dynamodb, TABLE, PAYMENT))


def test_a_faster_delivery_is_read_before_the_next_decision(dynamodb: Any) -> None:
    """Two refunds of 30.00 both fit a payment of 50.00 when they are read, and only one when they are written."""
    read = chain.read_chain
    others = iter(["re_2"])

    def overtaken(*arguments: Any) -> list[RecordedEntry]:
        found = read(*arguments)
        for entry_id in others:
            append(dynamodb, refund(entry_id, "30.00"), "arn:2")
        return found

    with patch.object(chain, "read_chain", overtaken), pytest.raises(InvalidEntryError, match="exceeds_captured"):
        append(dynamodb, refund("re_1", "30.00"))
    assert [one.entry.entry_id for one in read_chain(dynamodb, TABLE, PAYMENT)] == ["re_2"]


def test_a_call_that_is_always_overtaken_ends(dynamodb: Any) -> None:
    """Every loop has an end. Nothing was written, so the state machine may retry."""
    read, numbers = chain.read_chain, itertools.count()

    def overtaken(*arguments: Any) -> list[RecordedEntry]:
        found = read(*arguments)
        number = next(numbers)
        other = DeliveredEntry(refund(f"other-{number}", "0.01"), "arn:2", AT)
        dynamodb.put_item(TableName=TABLE, Item=next_entry(PAYMENT, found, other).as_item())
        return found

    with patch.object(chain, "read_chain", overtaken), pytest.raises(EntryContentionError, match="3 times"):
        append(dynamodb, refund("re_1", "1.00"))
    assert next(numbers) == chain.MAX_RACES + 1
    check(read_chain(dynamodb, TABLE, PAYMENT))


def test_refunds_at_once_take_no_more_than_was_captured(dynamodb: Any) -> None:
    """A hundred concurrent refunds of 1.00 fit a payment of 50.00 fifty times, whatever their order is."""
    outcomes: Counter[str] = Counter()
    payment = PAYMENT._replace(amount=f"{AT_ONCE // 2}.00")

    def deliver(number: int) -> None:
        while True:
            try:
                outcomes[append(dynamodb, refund(f"re_{number}", "1.00"), f"arn:{number}", payment)] += 1
            except EntryContentionError:
                continue  # as the state machine does
            except InvalidEntryError as refused:
                outcomes[refused.violations[0].rule] += 1
            return

    threads = [threading.Thread(target=deliver, args=[number]) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert outcomes == {"RECORDED": AT_ONCE // 2, "exceeds_captured": AT_ONCE // 2}
    recorded = read_chain(dynamodb, TABLE, payment)
    assert (len(recorded), recorded[-1].totals.refundable) == (AT_ONCE // 2, "0.00")
    check(recorded, payment)


@pytest.mark.parametrize(
    ("attribute", "value", "named"),
    [
        ("Amount", {"S": "20.01"}, "Fingerprint"), ("Amount", {"N": "20"}, "Amount"), ("Kind", None, "Kind"),
        ("Metadata", {"M": {"k": {"N": "1"}}}, "Metadata"), ("Metadata", {"M": {}}, "Previous"),
        ("Fingerprint", None, "Fingerprint"), ("Reverses", {"S": "re_0"}, "Fingerprint"),
        ("Totals", None, "Totals"), ("Totals", {"S": "0.00"}, "Totals"), ("Totals", {"M": {}}, "Totals"),
        *(("Totals", {"M": totals_item(**{name: value})}, "Totals") for name, value in (
            ("Captured", {"S": "500.00"}), ("Captured", {"S": "secret"}), ("Refunded", {"S": "0.00"}),
            ("Refunded", {"S": "20.0"}), ("Refunded", {"N": "20"}), ("Disputed", {"S": "-1.00"}),
            ("Refundable", {"S": "31.00"}), ("AcceptedEntries", {"N": "1"}), ("AcceptedEntries", {"S": "0"}),
            ("Another", {"S": "0.00"}),
        )),
        ("Acceptance", {"M": {"Reason": {"S": "x"}}}, "Totals"), ("Acceptance", {"S": "x"}, "Acceptance"),
        ("Previous", {"S": "x"}, "Previous"), ("Previous", None, "Previous"),
        ("Execution", None, "Execution"), ("Execution", {"S": "arn:2"}, "Previous"),
        ("RecordedAt", None, "RecordedAt"), ("RecordedAt", {"S": "x"}, "RecordedAt"),
        ("RecordedAt", {"S": "2026-11-25T09:00:00.000001Z"}, "Previous"),
        ("ProcessorShard", {"S": "x"}, "ProcessorShard"), ("PublishedAt", {"S": "x"}, "PublishedAt"),
    ],
)  # fmt: skip
def test_a_damaged_entry_is_named(dynamodb: Any, attribute: str, value: Any, named: str) -> None:
    """If one total could be changed, the money could go out twice. What no total shows, the next entry's hash shows."""
    for number in (1, 2):
        append(dynamodb, refund(f"re_{number}", "20.00"))
    item = dynamodb.query(
        TableName=TABLE, KeyConditionExpression="TransactionID = :id", ExpressionAttributeValues={":id": {"S": "ch_1"}}
    )["Items"][0]
    damaged = {name: one for name, one in item.items() if name != attribute}
    dynamodb.put_item(TableName=TABLE, Item={**damaged, attribute: value} if value else damaged)
    with pytest.raises(UnreadableItemError) as error:
        append(dynamodb, refund("re_3", "1.00"))
    number = 2 if named == "Previous" and attribute != "Previous" else 1
    assert json.loads(str(error.value)) == {"TransactionID": "ch_1", "Entry": number, "Attribute": named}


def test_an_amount_that_is_no_decimal_is_named(dynamodb: Any) -> None:
    """An insider can compute a fingerprint for any text. The text must appear in no message."""
    one = RecordedEntry(1, refund("re_1", "secret"), Totals("50.00", "1.00", "0.00"), PAYMENT.fingerprint, "arn:1", AT)
    dynamodb.put_item(TableName=TABLE, Item=one.as_item())
    with pytest.raises(UnreadableItemError, match='"Attribute": "Amount"'):
        append(dynamodb, refund("re_2", "1.00"))


def test_a_gap_or_a_twin_in_the_chain_is_named(dynamodb: Any) -> None:
    """If somebody deleted or copied an entry, the totals of the others would still look right."""
    for number in (1, 2):
        append(dynamodb, refund(f"re_{number}", "1.00"))
    chain = read_chain(dynamodb, TABLE, PAYMENT)
    twin = RecordedEntry(
        3, chain[0].entry, after(chain[1].totals, chain[0].entry), chain[1].hash, "arn:1", AT
    ).as_item()
    dynamodb.put_item(TableName=TABLE, Item=twin)
    with pytest.raises(UnreadableItemError, match='"Entry": 3, "Attribute": "EntryID"'):
        read_chain(dynamodb, TABLE, PAYMENT)
    dynamodb.delete_item(TableName=TABLE, Key={"TransactionID": {"S": "ch_1"}, "Entry": {"N": "1"}})
    with pytest.raises(UnreadableItemError, match='"Entry": 1, "Attribute": "Entry"'):
        read_chain(dynamodb, TABLE, PAYMENT)


@pytest.fixture
def small_pages(dynamodb: Any) -> Iterator[list[Any]]:
    """Let each page of a query have one item, and yield the queries. A real page has at most one megabyte."""
    asked: list[Any] = []

    def ask(params: Any, **_: Any) -> None:
        asked.append(dict(params))
        params["Limit"] = 1

    dynamodb.meta.events.register("provide-client-params.dynamodb.Query", ask)
    yield asked
    dynamodb.meta.events.unregister("provide-client-params.dynamodb.Query", ask)


def test_every_page_is_read_as_it_is_at_this_moment(dynamodb: Any, small_pages: list[Any]) -> None:
    """Two entries would be decided by one total if a read missed the newest one. The emulators' reads miss nothing."""
    for number in range(4):
        append(dynamodb, refund(f"re_{number}", "1.00"))
    assert append(dynamodb, refund("re_0", "1.00"), "arn:2") == "DUPLICATE"  # it is on the first page
    check(read_chain(dynamodb, TABLE, PAYMENT))
    assert {one["ConsistentRead"] for one in small_pages} == {True}


def test_an_entry_of_another_payment_is_a_fault_of_the_caller(dynamodb: Any) -> None:
    """It would be checked against this payment, and written below the other one."""
    with pytest.raises(ValueError, match="another payment"):
        append(dynamodb, refund("re_1", "1.00", transaction_id="ch_2"))


def test_a_write_that_lost_its_reply_in_the_last_race_is_found(dynamodb: Any) -> None:
    """The SDK sends a write again if the reply is lost, and the number is then taken by this very delivery."""
    put = dynamodb.put_item

    def lost(**request: Any) -> Any:
        put(**request)
        return put(**request)

    with patch.object(chain, "MAX_RACES", 1), patch.object(dynamodb, "put_item", lost):
        assert append(dynamodb, refund("re_1", "1.00")) == "RECORDED"
    check(read_chain(dynamodb, TABLE, PAYMENT))


def test_any_other_error_of_the_write_is_no_lost_race(dynamodb: Any, faults: Faults) -> None:
    """The state machine retries it, and a right that is missing must not look like contention."""
    faults.refuse("PutItem", "AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        append(dynamodb, refund("re_1", "1.00"))


def test_the_number_of_entries_has_a_limit(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry reads all entries before it."""
    monkeypatch.setattr(totals, "MAX_ENTRIES", 2)
    for number in (1, 2):
        append(dynamodb, refund(f"re_{number}", "1.00"))
    with pytest.raises(InvalidEntryError, match="too_many_entries"):
        append(dynamodb, refund("re_3", "1.00"))
