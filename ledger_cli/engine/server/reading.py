"""The reading of a connection: until a deadline, by lines, and a body by its length or in chunks."""

import io
import re
import socket
import time
from email.message import Message
from typing import TYPE_CHECKING

from ledger_cli.engine.server.errors import MAX_BODY_BYTES, OTHER_CODING, TOO_LARGE, bad_request

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

IDLE_S = 60
"""How long a connection may wait for its next request, and for a client that does not read its answer."""

MAX_LINE_BYTES = 4096
"""The longest line before a chunk, including its extensions, and the longest line of a trailer."""

MAX_TRAILER_LINES = 100
"""The limit that http.client has for headers."""

CHUNK = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n]*)?\r\n")
"""The line before a chunk: its size in hexadecimal digits, and extensions, which are ignored. Source: RFC 9112, 7.1."""


class TimedConnection(io.RawIOBase):
    """The bytes that a client sends until a deadline. http.server limits single calls of `recv` only."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.set_deadline(IDLE_S)

    def set_deadline(self, seconds: float) -> None:
        """Let reading fail once these seconds have passed."""
        self.deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """Return that it can be read; a buffer asks."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read the bytes that have come.

        Raises:
            TimeoutError: no byte came until the deadline.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)
        try:
            return self.connection.recv_into(buffer)
        finally:
            self.connection.settimeout(IDLE_S)


class Lines(io.BufferedReader):
    """A client's bytes by lines. In a head, `email` takes a lone CR for the end of a line; other readers do not.

    Source: RFC 9112, 2.2, which forbids it.
    """

    in_head = False

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line.

        Raises:
            RequestError: it is a line of a head, and has a CR within.
        """
        line = super().readline(size)
        if self.in_head and b"\r" in line.removesuffix(b"\r\n"):
            raise bad_request("a line of the head has a CR within")
        return line


def declared_size(headers: Message) -> int | None:
    """Return the body's length in bytes; None if it comes in chunks. Source: RFC 9112, 6.

    Raises:
        RequestError: the headers do not say one length, or the body is too large.
    """
    lengths = headers.get_all("Content-Length", [])
    codings = headers.get_all("Transfer-Encoding", [])
    if codings and lengths:
        raise bad_request("a body has a Content-Length or a Transfer-Encoding, and never both")
    if codings:
        if [coding.strip(" \t").lower() for coding in codings] != ["chunked"]:
            raise OTHER_CODING
        return None
    if not lengths:
        return 0
    length = lengths[0].strip(" \t")
    if len(lengths) > 1 or not re.fullmatch("[0-9]+", length):
        raise bad_request("a body has one Content-Length, a decimal number")
    if len(length.lstrip("0")) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
        raise TOO_LARGE
    return int(length)


def read_body(lines: io.BufferedReader, size: int | None) -> bytes:
    """Read a body by its length, or in chunks if *size* is None.

    Raises:
        RequestError: its form is wrong, it is too large, or it ends early.
        TimeoutError: it is too slow.
    """
    return _read_chunks(lines) if size is None else _read_exactly(lines, size)


def _read_chunks(lines: io.BufferedReader) -> bytes:
    """Read a chunked body to the end of its trailer, which is ignored. Source: RFC 9112, 7.1."""
    body = bytearray()
    while size := _read_chunk_size(lines):
        if len(body) + size > MAX_BODY_BYTES:
            raise TOO_LARGE
        body += _read_exactly(lines, size)
        if _read_exactly(lines, 2) != b"\r\n":
            raise bad_request("a chunk is longer than its size")
    for _ in range(MAX_TRAILER_LINES):
        if _read_line(lines) == b"\r\n":
            return bytes(body)
    raise bad_request("a trailer is too long")


def _read_chunk_size(lines: io.BufferedReader) -> int:
    line = CHUNK.fullmatch(_read_line(lines))
    if line is None:
        raise bad_request("a chunk begins with its size in hexadecimal digits")
    return int(line[1], 16)


def _read_line(lines: io.BufferedReader) -> bytes:
    line = lines.readline(MAX_LINE_BYTES)
    if not line.endswith(b"\r\n"):
        raise bad_request("a line of a chunked body does not end, or is too long")
    return line


def _read_exactly(lines: io.BufferedReader, size: int) -> bytes:
    read = lines.read(size)
    if len(read) < size:
        raise bad_request("the body ends early")
    return read
