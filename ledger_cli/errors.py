"""How a command ends if it cannot do its work: with one line on standard error, and an exit status that fits it."""

INTERRUPTED = 130
"""The status after Ctrl-C. Source: the shells' convention, 128 and the signal's number."""

NO_READER = 141
"""The status if the reader of standard output, such as `head`, ended. Source: the same convention, for SIGPIPE."""

UNWRITABLE = 74
"""The status if standard output cannot be written, such as on a full disk. Source: sysexits.h, EX_IOERR."""

FAULT = 70
"""The status if the command itself has a fault. Source: sysexits.h, EX_SOFTWARE."""


class CommandError(Exception):
    """The command cannot continue. The message, if it has one, says in one line why, and what to do."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
