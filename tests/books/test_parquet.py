"""An export as Parquet: every field of the contract has a column, and no row is lost between two groups."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ledger_cli.books import parquet
from ledger_cli.books.export import line_of
from ledger_cli.books.parquet import CIPHERTEXT_COLUMNS, COLUMNS, ParquetWriter
from tests.support.books import life, payment
from tests.support.schema import schema_of


def test_each_field_of_an_export_has_a_column() -> None:
    """A field without a column would be lost, and nobody would see it."""
    _, _, paid, entered, _ = schema_of("export")["oneOf"]
    assert {*COLUMNS, *CIPHERTEXT_COLUMNS} == paid["properties"].keys() | entered["properties"].keys()
    assert {field.name for field in parquet.TOTALS} == set(entered["properties"]["Totals"]["properties"])


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5])
def test_groups_of_rows_have_all_records(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds one group at a time, so the last one is often smaller, and may be empty."""
    monkeypatch.setattr(parquet, "ROWS", 2)
    file = io.BytesIO()
    writer = ParquetWriter(file, {})
    for index in range(number):
        writer.write(line_of(life(payment(f"txn-{index}"))[0]), is_entry=False)
    writer.end()
    read = pq.ParquetFile(io.BytesIO(file.getvalue()))
    assert read.read()["TransactionID"].to_pylist() == [f"txn-{index}" for index in range(number)]
    assert read.metadata.metadata[b"payment-ledger-end"] == b'{"payments": %d, "entries": 0}' % number


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"]
)
def test_a_time_is_exact_to_the_microsecond(time: str, tmp_path: Path) -> None:
    """No float and no nanosecond is on the way, so all years of the contract fit."""
    with (tmp_path / "one.parquet").open("wb") as file:
        writer = ParquetWriter(file, {})
        writer.write(line_of(life(payment(timestamp=time))[0]), is_entry=False)
        writer.end()
    (read,) = pq.read_table(tmp_path / "one.parquet")["Timestamp"].to_pylist()
    assert f"{read.replace(tzinfo=None).isoformat(timespec='microseconds')}Z" == time
