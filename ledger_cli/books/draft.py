"""An export that is being made: its records, sorted, and how far each list of the ledger was read.

They are in a file of SQLite beside the export, so that an export which was interrupted continues, and memory does not
grow with the ledger.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from ledger.seal import parse_key
from ledger_cli.books.export import Writer, line_of, line_of_seal, position_of
from ledger_cli.errors import CommandError

SCHEMA = """
CREATE TABLE IF NOT EXISTS asked (query TEXT NOT NULL, began_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lists (name TEXT PRIMARY KEY, cursor TEXT, is_read INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    transaction_id TEXT, entry INTEGER, recorded_at TEXT NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY (transaction_id, entry)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unreadable (
    transaction_id TEXT, entry INTEGER, item TEXT NOT NULL, PRIMARY KEY (transaction_id, entry)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seals (number INTEGER PRIMARY KEY, line TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sealed (
    transaction_id TEXT, entry INTEGER, is_looked_up INTEGER NOT NULL, PRIMARY KEY (transaction_id, entry)
) WITHOUT ROWID;
"""


class RecordWriter(Protocol):
    """What writes the records of an export in one of its formats."""

    def write(self, line: str, *, is_entry: bool) -> None:
        """Write a record, as `line_of` returns it."""

    def end(self) -> None:
        """Write what comes after the last record."""


class DraftError(CommandError):
    """The draft cannot be used. The message says why, and what to do."""


@contextmanager
def opened_draft(path: Path, query: Mapping[str, Any], now: str) -> Iterator["Draft"]:
    """Yield the draft in the file *path*, which stays for the next command unless it is deleted: see `Draft`.

    Raises:
        DraftError: the draft cannot be used, or the disk is full.
    """
    draft = Draft(path, query, now)
    try:
        yield draft
    except sqlite3.OperationalError as error:
        raise DraftError(f"{path}: {error}") from None
    except sqlite3.IntegrityError:
        raise DraftError(f"{path}: there are two different records under one key") from None
    except sqlite3.DatabaseError as error:
        raise DraftError(f"{path}: damaged ({error}): delete it, and export again") from None
    finally:
        draft.close()


class Draft:
    """The draft of one export, which one command at a time may have open.

    Attributes:
        continues: whether an earlier command began it.
        began_at: when the first command began it, in the ledger's form of UTC.
    """

    def __init__(self, path: Path, query: Mapping[str, Any], now: str) -> None:
        """Open the draft in the file *path*, or begin one.

        Args:
            path: the file.
            query: what is exported. A draft of something else is never continued.
            now: the time at which a new draft begins.

        Raises:
            DraftError: the file is of another export, or another command has it open.
        """
        self.path = path
        self._read_until = ""
        asked = json.dumps(query, sort_keys=True)
        try:
            self._database = sqlite3.connect(path, timeout=0)
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(SCHEMA)
            row = self._database.execute("SELECT query, began_at FROM asked").fetchone()
            self.continues = row is not None
            if row is None:
                with self._database:
                    self._database.execute("INSERT INTO asked VALUES (?, ?)", (asked, now))
            before: str = row[0] if row else asked
            self.began_at: str = row[1] if row else now
        except sqlite3.OperationalError as error:
            why = "another export uses it" if "locked" in str(error) else str(error)
            raise DraftError(f"{path}: cannot be used: {why}") from None
        except sqlite3.DatabaseError:
            raise DraftError(f"{path}: not what an interrupted export left: name another file") from None
        if before != asked:
            self._database.close()
            raise DraftError(f"{path}: left by another export that was interrupted: delete it, or name another file")

    def close(self) -> None:
        """Close the file, which stays for the next command."""
        self._database.close()

    def cursor_of(self, name: str) -> tuple[str | None, bool]:
        """Return where a list goes on, and whether it was read to its end."""
        row = self._database.execute("SELECT cursor, is_read FROM lists WHERE name = ?", (name,)).fetchone()
        return (None, False) if row is None else (row[0], bool(row[1]))

    def add(
        self,
        name: str,
        cursor: str | None,
        found: Iterable[Mapping[str, Any]],
        unreadable: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Add a page of a list, and remember where the list goes on; None means that this was its last page."""
        with self._database:
            self._put(found, unreadable)
            self._database.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", (name, cursor, int(cursor is None)))

    def replace(
        self, transaction_id: str, found: Iterable[Mapping[str, Any]], unreadable: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Replace all records of one payment."""
        with self._database:
            for table in ("records", "unreadable"):
                self._database.execute(f"DELETE FROM {table} WHERE transaction_id = ?", (transaction_id,))  # noqa: S608  # one of two names
            self._put(found, unreadable)

    def add_seals(self, name: str, cursor: str | None, seals: Iterable[Mapping[str, Any]]) -> None:
        """Add a page of seals, as `ledger.seal.seal_view` gives them, as `add` does for records."""
        with self._database:
            for seal in seals:
                self._database.execute("INSERT OR REPLACE INTO seals VALUES (?, ?)", (seal["Seal"], line_of_seal(seal)))
                keys = (parse_key(key) for key in seal["Keys"])
                self._database.executemany("INSERT OR IGNORE INTO sealed VALUES (?, ?, 0)", keys)
            self._database.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", (name, cursor, int(cursor is None)))

    def last_seal(self) -> int:
        """Return the number of the last seal; 0 if there is none."""
        return int(self._database.execute("SELECT coalesce(max(number), 0) FROM seals").fetchone()[0])

    def not_read(self) -> str | None:
        """Return a payment with a sealed record that was neither read nor looked up; None if there is none.

        What is before the payment that was returned last was read or looked up.
        """
        row = self._database.execute(
            "SELECT transaction_id FROM sealed WHERE transaction_id >= ? AND NOT is_looked_up AND NOT EXISTS"
            " (SELECT 1 FROM records WHERE records.transaction_id = sealed.transaction_id"
            " AND records.entry = sealed.entry) ORDER BY transaction_id LIMIT 1",
            (self._read_until,),
        ).fetchone()
        self._read_until = "" if row is None else str(row[0])
        return None if row is None else self._read_until

    def looked_up(self, transaction_id: str) -> None:
        """Remember that all that there is of a payment was read: `not_read` does not return it again."""
        with self._database:
            self._database.execute("UPDATE sealed SET is_looked_up = 1 WHERE transaction_id = ?", (transaction_id,))

    def keep_sealed(self, processors: Sequence[str] | None, until: str | None) -> None:
        """Leave out what no seal has, what other processors reported, and what was recorded after *until*.

        The entries behind a record that was recorded later are left out too.
        """
        with self._database:
            for table in ("records", "unreadable"):
                self._database.execute(
                    f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM sealed"  # noqa: S608  # one of two names
                    f" WHERE sealed.transaction_id = {table}.transaction_id AND sealed.entry = {table}.entry)"
                )
            if processors is not None:
                marks = ", ".join("?" * len(processors))
                self._database.execute(
                    f"DELETE FROM records WHERE json_extract(line, '$.ProcessorID') NOT IN ({marks})",  # noqa: S608  # question marks alone
                    tuple(processors),
                )
        if until is not None:
            self._cut(until)

    def incomplete(self) -> list[str]:
        """Return the payments with a gap, but for those that have a damaged item.

        A gap is an entry without the entry or the payment before it. An index follows its table a moment later, so a
        list may have an entry, and not yet what is before it.
        """
        rows = self._database.execute(
            "SELECT DISTINCT transaction_id FROM records AS later WHERE entry > 0"
            " AND transaction_id NOT IN (SELECT transaction_id FROM unreadable)"
            " AND NOT EXISTS (SELECT 1 FROM records AS one"
            " WHERE one.transaction_id = later.transaction_id AND one.entry = later.entry - 1)"
        )
        return [transaction_id for (transaction_id,) in rows]

    def cut(self) -> None:
        """Leave out what was recorded after the draft began, and the entries behind it.

        The lists are read one after another, so of later records they may have a payment without its entries.
        """
        self._cut(self.began_at)

    def _cut(self, last: str) -> None:
        with self._database:
            self._database.execute(
                "DELETE FROM records WHERE EXISTS (SELECT 1 FROM records AS one WHERE one.recorded_at > ?"
                " AND one.transaction_id = records.transaction_id AND one.entry <= records.entry)",
                (last,),
            )

    def number(self) -> int:
        """Return how many records there are so far."""
        return int(self._database.execute("SELECT count(*) FROM records").fetchone()[0])

    def unreadable(self) -> list[dict[str, Any]]:
        """Return the damaged items, in order."""
        rows = self._database.execute("SELECT item FROM unreadable ORDER BY transaction_id, entry")
        return [json.loads(item) for (item,) in rows]

    def lines(self) -> Iterator[tuple[str, bool]]:
        """Yield the line of each record in order, and whether it is an entry's."""
        for entry, line in self._database.execute("SELECT entry, line FROM records ORDER BY transaction_id, entry"):
            yield line, entry > 0

    def seal_lines(self) -> Iterator[str]:
        """Yield the line of each seal, in the order of the log."""
        for (line,) in self._database.execute("SELECT line FROM seals ORDER BY number"):
            yield line

    def write(
        self,
        file: IO[bytes],
        header: Mapping[str, Any],
        make_writer: Callable[[IO[bytes], Mapping[str, Any]], RecordWriter] = Writer,
    ) -> Iterator[None]:
        """Write the export to an open file, and yield after each record.

        Its first line has the header, and what the draft knows.
        """
        writer = make_writer(file, {**header, "records": self.number(), "unreadable": self.unreadable()})
        for line, is_entry in self.lines():
            writer.write(line, is_entry=is_entry)
            yield
        writer.end()

    def delete(self) -> None:
        """Delete the draft."""
        self._database.close()
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(f"{self.path.name}{suffix}").unlink()

    def _put(self, found: Iterable[Mapping[str, Any]], unreadable: Iterable[Mapping[str, Any]]) -> None:
        self._database.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT (transaction_id, entry)"
            " DO UPDATE SET line = CASE WHEN line = excluded.line THEN line END",  # null, which the table rejects
            ((*position_of(facts), facts["RecordedAt"], line_of(facts)) for facts in found),
        )
        self._database.executemany(
            "INSERT OR REPLACE INTO unreadable VALUES (?, ?, ?)",
            ((*position_of(item), json.dumps(item)) for item in unreadable),
        )
