"""What `ledger verify` remembers: the newest checkpoint of each log that it has verified on this machine.

A log that is shorter than a remembered checkpoint, or that had other records then, is not the log that it was.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from ledger_cli.errors import CommandError
from ledger_cli.reading import open_regular


class UnusableMemoryError(CommandError):
    """What was remembered cannot be read or written. The message names the file."""


MAX_BYTES = 256 * 1024
"""More than a checkpoint and its key have."""


class Remembered(NamedTuple):
    """A checkpoint that was verified, and the key that signed it, both as text."""

    checkpoint: str
    key: str


def path_of(subject: str) -> Path:
    """Return the file of a log. It is named by the ID of its stack, or by its key if only an export was verified."""
    named = os.environ.get("XDG_STATE_HOME", "")
    # Source: XDG Base Directory Specification: a path that is not absolute is ignored.
    state = Path(named) if Path(named).is_absolute() else Path.home() / ".local/state"
    return state / "payment-ledger" / f"{hashlib.sha256(subject.encode()).hexdigest()[:32]}.json"


def recall(subject: str) -> Remembered | None:
    """Return what is remembered of a log; None if nothing is.

    Raises:
        UnusableMemoryError: the file cannot be read.
    """
    path = path_of(subject)
    if not path.exists():
        return None
    with open_regular(path, UnusableMemoryError) as file:
        try:
            kept = json.loads(file.read(MAX_BYTES))
            return Remembered(str(kept["checkpoint"]), str(kept["key"]))
        except OSError as error:
            raise UnusableMemoryError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UnusableMemoryError(
                f"{path}: is not what this command has remembered: see what changed it, or delete it"
            ) from None


def remember(subject: str, verified: Remembered) -> None:
    """Remember a checkpoint in place of an older one.

    Raises:
        UnusableMemoryError: the file cannot be written.
    """
    path = path_of(subject)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(verified._asdict()), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise UnusableMemoryError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None
