"""How a command ends if it cannot do its work: one line on standard error, and an exit status that is true."""

INTERRUPTED = 130
"""Ctrl-C. Source: the shells' convention, 128 and the signal's number."""

NO_READER = 141
"""Whatever read standard output went away, such as `head`. Source: the same convention, for SIGPIPE."""

UNWRITABLE = 74
"""Standard output cannot be written, such as on a full disk. Source: sysexits.h, EX_IOERR."""

FAULT = 70
"""The command itself is at fault. Source: sysexits.h, EX_SOFTWARE."""


class CommandError(Exception):
    """The command cannot go on; the message, if there is one, says why and what to do, in one line."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
