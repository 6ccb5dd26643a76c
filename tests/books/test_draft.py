"""An export that is being made: it continues after an interruption, and never mixes two exports."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ledger_cli.books.draft import Draft, DraftError, opened_draft
from ledger_cli.books.export import Export, line_of
from tests.support.books import AT, WHOLE, entry, life, payment

ONE, REFUND, DISPUTE = life(payment("txn-1"), entry("Refunded", "40.00"), entry("Disputed", "60.00"))
(OTHER,) = life(payment("txn-0"))
QUERY = {"stack": "payment-ledger", "processors": ["acme-pay"]}
NOW = "2026-11-25T00:00:00.000000Z"
HEADER = {**WHOLE, "taken_at": AT, "version": "0.1.0"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the name of a draft."""
    return tmp_path / "ledger.jsonl.part"


def written(draft: Draft, file: Path) -> list[dict[str, Any]]:
    """Write the export of a draft, and return its records."""
    with file.open("wb") as opened:
        number = len(list(draft.write(opened, HEADER)))
    export = Export.open(file)
    records = list(export.records())
    assert len(records) == number == export.header["records"]
    return records


def test_records_are_sorted_whatever_the_order_of_the_pages(path: Path, tmp_path: Path) -> None:
    """Two exports of the same ledger are the same text."""
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("acme-pay Entries", "cursor-1", [DISPUTE])
        draft.add("acme-pay Entries", None, [REFUND])
        draft.add("acme-pay Payments", None, [ONE, OTHER])
        assert written(draft, tmp_path / "ledger.jsonl") == [OTHER, ONE, REFUND, DISPUTE]


def test_a_deleted_draft_leaves_nothing_behind(path: Path) -> None:
    """SQLite keeps a log beside its file."""
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", None, [ONE])
        draft.delete()
    assert list(path.parent.iterdir()) == []


def test_a_draft_remembers_where_each_list_goes_on(path: Path) -> None:
    """A page and its cursor are kept together, or not at all."""
    with opened_draft(path, QUERY, NOW) as draft:
        assert (draft.continues, draft.cursor_of("a")) == (False, (None, False))
        draft.add("a", "cursor-1", [ONE])
        draft.add("b", None, [])
    with opened_draft(path, QUERY, NOW) as draft:
        assert (draft.continues, draft.number()) == (True, 1)
        assert (draft.cursor_of("a"), draft.cursor_of("b")) == (("cursor-1", False), (None, True))
        with pytest.raises(KeyError):
            draft.add("a", "cursor-2", [OTHER, {}])
        assert (draft.cursor_of("a"), draft.number()) == (("cursor-1", False), 1)


def test_a_record_that_comes_twice_is_there_once(path: Path) -> None:
    """An interrupted page is read again."""
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", "cursor-1", [ONE, REFUND])
        draft.add("a", None, [ONE, REFUND])
        assert draft.number() == 2


def test_a_payment_with_a_gap_is_named_and_replaced(path: Path, tmp_path: Path) -> None:
    """An index may have the second entry before the first one."""
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", None, [ONE, DISPUTE, OTHER])
        assert draft.incomplete() == ["txn-1"]
        draft.replace("txn-1", [ONE, REFUND, DISPUTE])
        assert draft.incomplete() == []
        assert written(draft, tmp_path / "ledger.jsonl") == [OTHER, ONE, REFUND, DISPUTE]


def test_an_entry_without_its_payment_is_a_gap(path: Path) -> None:
    """Entries are read before payments, so only an index that is behind can lack it."""
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", None, [REFUND])
        assert draft.incomplete() == ["txn-1"]


def test_a_payment_with_a_damaged_item_has_no_gap(path: Path, tmp_path: Path) -> None:
    """Reading it again would not help: the export names it."""
    damaged = {"TransactionID": "txn-1", "Entry": 1, "Attribute": "Amount"}
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", None, [ONE, DISPUTE], [damaged])
        assert draft.incomplete() == []
        assert written(draft, tmp_path / "ledger.jsonl") == [ONE, DISPUTE]
    assert Export.open(tmp_path / "ledger.jsonl").header["unreadable"] == [damaged]


def test_a_draft_of_another_export_is_never_continued(path: Path) -> None:
    """Otherwise one export would have the records of two questions."""
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", None, [ONE])
    with pytest.raises(DraftError, match="left by another export that was interrupted: delete it"):
        Draft(path, {**QUERY, "from": AT}, NOW)


def test_two_exports_never_write_one_draft(path: Path) -> None:
    """The second command says so, and the first goes on."""
    with opened_draft(path, QUERY, NOW) as draft:
        with pytest.raises(DraftError, match="cannot be used: another export uses it"):
            Draft(path, QUERY, NOW)
        draft.add("a", None, [ONE])
        assert draft.number() == 1


@pytest.mark.parametrize("content", [b"not a database, and longer than its header " * 30, b"{}"])
def test_a_file_that_is_no_draft_is_named(path: Path, content: bytes) -> None:
    """It may be anybody's, so it stays as it is."""
    path.write_bytes(content)
    with pytest.raises(DraftError, match="not what an interrupted export left: name another file"):
        Draft(path, QUERY, NOW)
    assert path.read_bytes() == content


def test_a_full_disk_is_one_line(path: Path) -> None:
    """The draft stays, and the same command continues when there is room."""

    def fill() -> None:
        with opened_draft(path, QUERY, NOW) as draft:
            draft._database.execute("PRAGMA max_page_count = 8")
            draft.add("a", None, [life(payment(f"txn-{number}"))[0] for number in range(1000)])

    with pytest.raises(DraftError, match=f"^{path}: database or disk is full$"):
        fill()
    with opened_draft(path, QUERY, NOW) as draft:
        assert (draft.continues, draft.number(), draft.cursor_of("a")) == (True, 0, (None, False))


def test_what_was_recorded_after_the_draft_began_is_left_out(path: Path) -> None:
    """The list of entries was read before. So a payment could be there without its refund, and sums would be wrong."""
    late = {"RecordedAt": "2026-11-25T00:00:00.000001Z"}
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", "cursor", [ONE, {**REFUND, **late}, DISPUTE])
    with opened_draft(path, QUERY, "2026-11-26T00:00:00.000000Z") as draft:
        draft.add("a", None, [{**OTHER, **late}])
        draft.cut()
        assert (draft.began_at, [line for line, _ in draft.lines()]) == (NOW, [line_of(ONE)])


def test_two_different_records_under_one_key_are_an_error(path: Path) -> None:
    """A recorded fact never changes, so one of the two is wrong."""

    def add(**changes: str) -> None:
        with opened_draft(path, QUERY, NOW) as draft:
            draft.add("a", None, [{**ONE, **changes}])

    add()
    add()
    with pytest.raises(DraftError, match=r"there are two different records under one key$"):
        add(Amount="1.00")


def test_a_damaged_draft_is_one_line(path: Path) -> None:
    """The records are in the ledger, so it can be deleted."""
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", None, [life(payment(f"txn-{number}"))[0] for number in range(200)])
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"x" * (len(content) - 4096 * 2)
    path.write_bytes(content)

    def read() -> None:
        with opened_draft(path, QUERY, NOW) as draft:
            list(draft.lines())

    with pytest.raises(DraftError):
        read()


def test_a_draft_is_a_file_of_sqlite(path: Path) -> None:
    """An operator can look into it."""
    with opened_draft(path, QUERY, NOW) as draft:
        draft.add("a", None, [ONE])
    with closing(sqlite3.connect(path)) as database:
        ((line,),) = database.execute("SELECT line FROM records").fetchall()
    assert json.loads(line) == {"record": "payment", **ONE}
