"""Postings for Beancount, which judges each file."""

import io
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from beancount import loader
from beancount.core.data import Open, Transaction
from hypothesis import given
from hypothesis import strategies as st

from ledger.fields import IDENTIFIER
from ledger_cli.books.amounts import total
from ledger_cli.books.beancount import BeancountWriter, PostingsError, component_of
from ledger_cli.books.export import line_of
from ledger_cli.books.record import Record

PAYMENT: dict[str, Any] = {
    "TransactionID": "txn-1",
    "Amount": "10.50",
    "Currency": "EUR",
    "ProcessorID": "acme",
    "Status": "Success",
    "Timestamp": "2026-11-23T09:30:00.000000Z",
    "Metadata": {},
}
ENTRY: dict[str, Any] = {**PAYMENT, "Entry": 1, "EntryID": "re-1", "Kind": "Refunded"}
del ENTRY["Status"]


def written(records: Sequence[dict[str, Any]], **options: Any) -> str:
    """Return the file of these records."""
    file = io.BytesIO()
    writer = BeancountWriter(file, {"stack": "a\n2026-01-01 open Assets:Evil"}, **options)
    for record in records:
        writer.write(line_of(record), is_entry="EntryID" in record)
    writer.end()
    return file.getvalue().decode()


def loaded(records: Sequence[dict[str, Any]], **options: Any) -> tuple[list[Transaction], list[Open]]:
    """Return the transactions and the accounts of these records, in which Beancount must find no error."""
    entries, errors, _ = loader.load_string(written(records, **options))
    assert errors == []
    transactions = [one for one in entries if isinstance(one, Transaction)]
    opened = [one for one in entries if isinstance(one, Open)]
    assert len(transactions) + len(opened) == len(entries)
    return transactions, opened


IDENTIFIERS = st.from_regex(IDENTIFIER, fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    ids=st.lists(IDENTIFIERS, min_size=2, max_size=2),
    processor_id=IDENTIFIERS,
    metadata=st.dictionaries(st.from_regex(r"[A-Za-z0-9_.-]{1,9}", fullmatch=True), TEXTS, min_size=1, max_size=3),
    reason=TEXTS,
)
def test_whatever_a_record_says_beancount_reads_it(
    ids: list[str], processor_id: str, metadata: dict[str, str], reason: str
) -> None:
    """A customer's order text must not end a string, or be a directive in the books."""
    changes = {"TransactionID": ids[0], "ProcessorID": processor_id, "Metadata": metadata}
    entry = {**ENTRY, **changes, "EntryID": ids[1], "Acceptance": {"Reason": reason}}
    records = [{**PAYMENT, **changes}, entry]
    assert all(line.isprintable() for line in written(records).split("\n"))  # nothing moves a reader's cursor
    (paid, refunded), opened = loaded(records)
    assert [one.meta["transaction-id"] for one in (paid, refunded)] == [ids[0]] * 2
    assert (paid.payee, refunded.meta["entry-id"], paid.links) == (processor_id, ids[1], {ids[0]})
    assert json.loads(paid.meta["metadata"]) == metadata
    assert json.loads(refunded.meta["acceptance"]) == {"Reason": reason}
    assert {one.meta["processor"] for one in opened} == {processor_id}


@pytest.mark.parametrize("other", ["Acme", "ACME", "acme-", "acme_", "_acme", "-acme", "a-cme", "acmé", "", "é"])
def test_two_processors_never_share_an_account(other: str) -> None:
    """Money that one processor owes would be looked for at the other."""
    assert component_of("acme") == "Acme"
    assert component_of(other) != "Acme"
    assert {one.account for one in loaded([{**PAYMENT, "ProcessorID": other}])[1]} == {
        f"Assets:Clearing:{component_of(other)}",
        f"Income:Revenue:{component_of(other)}",
    }


@given(st.lists(IDENTIFIERS, min_size=2, max_size=20, unique=True))
def test_accounts_are_as_many_as_processors(processor_ids: list[str]) -> None:
    """The name is made of the ID alone, so it is the same in each file."""
    assert len(set(map(component_of, processor_ids))) == len(processor_ids)


def test_an_id_from_elsewhere_is_linked_by_its_hash() -> None:
    """No ID of the contract needs it. A file must not break on one that another rule let pass."""
    ((paid,), _) = loaded([{**PAYMENT, "TransactionID": 'x" y\n'}])
    assert paid.meta["transaction-id"] == 'x" y\n'
    assert [link[:7] for link in paid.links] == ["sha256-"]


def test_what_moves_no_money_is_no_transaction() -> None:
    """A bookkeeper has nothing to post for it, and an account that nothing used is not opened."""
    kinds = ["Voided", "DisputeLost"]
    records: list[dict[str, Any]] = [{**PAYMENT, "Status": "Failure"}, *({**ENTRY, "Kind": kind} for kind in kinds)]
    assert loaded([*records, {**PAYMENT, "Amount": "0.00"}]) == ([], [])
    assert written(records).endswith(";; payments: 1\n;; entries: 2\n;; transactions: 0\n")


@pytest.mark.parametrize(
    ("kind", "clearing", "account"),
    [
        ("Captured", "10.50", "Income:Revenue"),
        ("Refunded", "-10.50", "Income:Refunds"),
        ("RefundFailed", "10.50", "Income:Refunds"),
        ("Disputed", "-10.50", "Expenses:Disputes"),
        ("DisputeWon", "10.50", "Expenses:Disputes"),
    ],
)
def test_each_kind_moves_the_clearing_account_and_its_own(kind: str, clearing: str, account: str) -> None:
    """The clearing account is what the processor still owes."""
    ((transaction,), _) = loaded([{**ENTRY, "Kind": kind}])
    postings = {one.account: one.units.number for one in transaction.postings}
    assert postings == {"Assets:Clearing:Acme": Decimal(clearing), f"{account}:Acme": -Decimal(clearing)}


@pytest.mark.parametrize(
    ("amount", "currency"), [("1500", "JPY"), ("10.50", "EUR"), ("0.005", "BHD"), ("1.0000", "UYW")]
)
def test_amounts_keep_their_decimals(amount: str, currency: str) -> None:
    """The books show what the processor reported."""
    assert f"  Assets:Clearing:Acme  -{amount} {currency}\n" in written(
        [{**ENTRY, "Amount": amount, "Currency": currency}]
    )


def test_an_amount_that_beancount_would_round_is_an_error() -> None:
    """It calculates with 28 digits. A longer amount would be in the books as another one."""
    longest = "9" * 26 + ".99"
    ((paid, _), _) = loaded([{**one, "Amount": longest} for one in (PAYMENT, ENTRY)])
    assert paid.postings[0].units.number == Decimal(longest)
    for record, name in ((PAYMENT, "txn-1"), (ENTRY, "txn-1 entry re-1")):
        with pytest.raises(PostingsError, match=rf"^{name}: its amount has more than the 28 digits .* another format$"):
            written([{**record, "Amount": f"9{longest}"}])


def test_an_amount_of_38_digits_moves_the_balance_by_itself() -> None:
    """A sum in the context of the decimal module would round it to 28 digits."""
    amount = "98765432109876543210987654321098765.432"
    moved = [Record.of({**one, "Amount": amount}).moved for one in (PAYMENT, ENTRY, {**ENTRY, "Kind": "DisputeWon"})]
    assert [str(one) for one in moved] == [amount, f"-{amount}", amount]
    assert total(moved[:2]) == 0


def test_the_first_posting_opens_an_account() -> None:
    """Records are in the order of their IDs, and Beancount wants an account to be open before its first posting."""
    times = ["2026-11-23T09:30:00.000000Z", "2025-01-02T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z"]
    records = [{**PAYMENT, "TransactionID": f"t-{time}", "Timestamp": time} for time in times]
    assert {one.date.isoformat() for one in loaded(records)[1]} == {"2025-01-02"}


def test_a_time_at_the_end_of_all_times_has_no_date_in_a_zone() -> None:
    """The line names the record; in UTC it has its date."""
    record = {**PAYMENT, "Timestamp": "9999-12-31T23:30:00.000000Z"}
    ((paid,), _) = loaded([record])
    assert paid.date.isoformat() == "9999-12-31"
    with pytest.raises(PostingsError, match=r"^txn-1: its time has no date in the zone Europe/Berlin$"):
        written([record], zone=ZoneInfo("Europe/Berlin"))
