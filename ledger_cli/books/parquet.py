"""An export as a file of Parquet, with the same records as JSON Lines.

A column has the name that the field has in the contract; a field that a record lacks is null. Amounts are decimal text,
as everywhere: a decimal type has one number of decimals for the whole column, so none holds both 38 digits without
decimals and an amount with three, and `10.50` would become `10.500`. The file's own metadata have the first line of
JSON Lines under `payment-ledger-export`, and the counts of its last line under `payment-ledger-end`.

This module needs pyarrow, which the package's extra `parquet` brings.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 10_000
"""Rows of a row group. They are in memory at once."""

TEXTS = pa.map_(pa.string(), pa.string())
TIME = pa.timestamp("us", tz="UTC")
TOTALS = pa.struct(
    [
        *((name, pa.string()) for name in ("Captured", "Refunded", "Disputed", "Refundable")),
        ("AcceptedEntries", pa.int32()),
    ]
)

COLUMNS = {
    "record": pa.string(),
    "TransactionID": pa.string(),
    "Entry": pa.int32(),
    "EntryID": pa.string(),
    "Kind": pa.string(),
    "Reverses": pa.string(),
    "Amount": pa.string(),
    "Currency": pa.string(),
    "ProcessorID": pa.string(),
    "Status": pa.string(),
    "Timestamp": TIME,
    "Metadata": TEXTS,
    "Totals": TOTALS,
    "Acceptance": TEXTS,
    "Fingerprint": pa.string(),
    "Previous": pa.string(),
    "Execution": pa.string(),
    "RecordedAt": TIME,
    "Import": pa.string(),
}

CIPHERTEXT_COLUMNS = {"SecureToken": pa.string(), "TokenKey": pa.string()}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ParquetWriter:
    """Writes the records of an export to an open file, one row each."""

    def __init__(self, file: IO[bytes], header: Mapping[str, Any]) -> None:
        """Write the beginning.

        Args:
            file: the file.
            header: what a first line of JSON Lines would say.
        """
        self._columns = {**COLUMNS, **(CIPHERTEXT_COLUMNS if header.get("ciphertext") else {})}
        self._schema = pa.schema(list(self._columns.items()))
        self._writer = pq.ParquetWriter(file, self._schema)
        self._header, self._counts = header, {"payments": 0, "entries": 0}
        self._rows: list[dict[str, Any]] = []

    def write(self, line: str, *, is_entry: bool) -> None:
        """Write a record, as `export.line_of` returns it."""
        self._counts["entries" if is_entry else "payments"] += 1
        self._rows.append(json.loads(line))
        if len(self._rows) == ROWS:
            self._flush()

    def end(self) -> None:
        """Write the rest."""
        self._flush()
        facts = {"payment-ledger-export": self._header, "payment-ledger-end": self._counts}
        self._writer.add_key_value_metadata({name: json.dumps(value) for name, value in facts.items()})
        self._writer.close()

    def _flush(self) -> None:
        columns = [
            pa.array([_value(row.get(name), kind) for row in self._rows], kind) for name, kind in self._columns.items()
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows.clear()


def _value(value: Any, kind: pa.DataType) -> Any:
    """Return a value of JSON in the form that an array of this type takes."""
    if value is None:
        return None
    if kind == TIME:  # as a whole number of microseconds: exact, for all years
        return (datetime.fromisoformat(value) - EPOCH) // timedelta(microseconds=1)
    if kind == TEXTS:
        return list(value.items())
    return value
