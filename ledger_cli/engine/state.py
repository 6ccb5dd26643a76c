"""The state of a served engine, as one JSON file in a folder: the next server continues with it.

The engine takes the snapshot that the file holds (`snapshots.py`), and puts it back.
"""

import fcntl
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledger_cli.engine.state_format import VERSION, decode, encode, is_state

FILE = "ledger.json"


class StateError(Exception):
    """The folder's state cannot be read or written. The message says why, and what to do."""


class State:
    """The state in one folder. It holds key material and secrets, if only for trying: no other user may read it."""

    def __init__(self, folder: Path, note: Callable[[str], None] = lambda _: None) -> None:
        """Read the state in the folder.

        Args:
            folder: is made if it does not exist.
            note: is called once, with a line, for each thing that cannot be kept.

        Raises:
            StateError: the folder is not a folder, may not be written, or holds something else.
        """
        self.file = folder / FILE
        self._marker = secrets.token_hex(8)
        self._written = b""
        self._note = note
        self._noted: set[str] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StateError(f"{folder}: may not be written: choose another folder with --state")
            _require_own(folder)
            # The process holds this lock until it ends.
            lock = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _require_own(self.file)
            self.kept: dict[str, Any] = decode(self.file.read_bytes())
        except BlockingIOError:
            raise StateError(f"{folder}: another `ledger serve` uses it: choose another with --state") from None
        except FileNotFoundError:
            self.kept = {}
        except OSError as error:
            raise StateError(f"{error.filename}: {(error.strerror or 'cannot be read').lower()}") from None
        except (ValueError, TypeError, RecursionError):
            raise self.unreadable() from None
        else:
            if not is_state(self.kept):
                raise self.unreadable()

    def unreadable(self) -> StateError:
        """Return the error of a file that no engine of this version has written."""
        return StateError(f"{self.file}: holds no state of this version: move it away, or choose another with --state")

    def leave_out(self, kind: str, identifier: object, why: str) -> None:
        """Note, once, that one thing is neither kept nor restored."""
        text = f"{self.file}: the {kind} {identifier} is left out ({why})"
        if text not in self._noted:
            self._noted.add(text)
            self._note(text)

    def write(self, take_snapshot: Callable[[Callable[[str, object, str], None]], dict[str, Any]]) -> None:
        """Write a snapshot, if it differs from the one that was written last.

        Args:
            take_snapshot: `Engine.snapshot`.

        Raises:
            StateError: the snapshot cannot be taken or written. The file keeps what was written before.
        """
        try:
            snapshot = take_snapshot(self.leave_out)
            written = encode({"Version": VERSION, "Marker": self._marker, **snapshot}, self._marker)
            if written != self._written:
                self._replace(written)
        except OSError as error:
            raise StateError(f"{self.file}: cannot be written: {(error.strerror or '').lower()}") from None
        except Exception as error:  # noqa: BLE001  # data that a caller sent must not end the server
            raise StateError(f"{self.file}: cannot be written ({type(error).__name__})") from None
        self._written = written

    def _replace(self, written: bytes) -> None:
        """Put a new file in the place of the state. It replaces whatever is there or beside it, and follows no link."""
        unfinished = self.file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.file)


def _require_own(path: Path) -> None:
    """Check that no other user may change the folder or file.

    Raises:
        FileNotFoundError: it does not exist.
        StateError: another user may change it, and could read or replace the key material in it.
    """
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise StateError(f"{path}: belongs to another user: choose another folder with --state")
    if stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise StateError(f"{path}: others may write it: chmod go-w it, or choose another folder with --state")
