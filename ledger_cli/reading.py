"""Payments that are read from files, strictly, and kept as the very text that was read.

A start input is sent as it was written, since parsing and printing it again would change numbers such as 1.10 or
0.30000000000000000001.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ledger_cli.errors import CommandError

MAX_START_INPUT_BYTES = 256 * 1024
"""Source: Step Functions Developer Guide, quotas: input size of an execution."""

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 100

# The tokens cover every text without a gap, valid or not, and no part of the pattern backtracks, so each character is
# examined once. A string that does not end is a token too: otherwise each quote in it would be tried as a beginning.
_TOKENS = re.compile(
    r'(?P<string>"(?:[^"\\]++|\\.)*+"?+)|(?P<constant>-?+Infinity|NaN)|[{}\[\]:,]|[^"{}\[\]:,IN-]++|.',
    re.DOTALL,
)
_SPACE = re.compile(r"[ \t\n\r]*")


class UnreadableInputError(CommandError):
    """The input cannot be read. The message says where and why, in one line."""


@dataclass(frozen=True, slots=True)
class StartInput:
    """The JSON text of one payment, and the file that holds it."""

    file: str
    text: str


def read(file: str) -> list[StartInput]:
    """Return the start inputs of *file* (`-` for standard input): one payment, an array, or JSON Lines.

    Raises:
        UnreadableInputError: the file cannot be read, or some of it is invalid.
    """
    text = decoded(file, contents(file))
    _check_tokens(file, text)
    inputs = [StartInput(file, text[start:end]) for start, end in _values(file, text)]
    if not inputs:
        raise UnreadableInputError(f"{file}: holds no payment")
    return inputs


def contents(file: str) -> bytes:
    """Return the contents of *file* (`-` for standard input).

    Raises:
        UnreadableInputError: the file cannot be read, or is too large.
    """
    try:
        if file == "-":
            if sys.stdin is None:
                raise UnreadableInputError("-: standard input is closed")
            read_in = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                read_in = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableInputError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from None
    if len(read_in) > MAX_FILE_BYTES:
        raise UnreadableInputError(f"{file}: larger than {MAX_FILE_BYTES // 1024**2} MiB; split it")
    return read_in


def open_regular(path: Path, error_class: type[CommandError]) -> BinaryIO:
    """Open a file that is read more than once, which a pipe allows nobody.

    Raises:
        CommandError: the file cannot be read, or is not a regular one. The error is of *error_class*.
    """
    try:
        if path.exists() and not path.is_file():
            raise error_class(f"{path}: not a regular file: save what it has in one")
        return path.open("rb")
    except OSError as error:
        raise error_class(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


def decoded(file: str, encoded: bytes) -> str:
    """Return the text of a file's contents.

    Raises:
        UnreadableInputError: the contents are not UTF-8.
    """
    try:
        return encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = encoded.count(b"\n", 0, error.start) + 1
        raise UnreadableInputError(f"{file}:{line}: not UTF-8") from None


def _check_tokens(file: str, text: str) -> None:
    """Raise an error at what Python's JSON parser accepts but a start input must not hold: see each message."""
    keys: list[set[str] | None] = []  # the keys of each open object; None for an open array
    string: str | None = None
    for token in _TOKENS.finditer(text):
        position = token.start()
        first = text[position]
        if token["string"]:
            string = token["string"]
        elif token["constant"]:
            raise _unreadable(file, text, position, "NaN and Infinity are not JSON")
        elif first in "{[":
            keys.append(set() if first == "{" else None)
            if len(keys) > MAX_DEPTH:
                raise _unreadable(file, text, position, f"nested deeper than {MAX_DEPTH} levels")
        elif first in "}]":
            if keys:
                keys.pop()
        elif first == ":" and keys and keys[-1] is not None and string is not None:
            key, string = _unescaped(string), None  # the parser rejects a colon without a key
            if key in keys[-1]:
                raise _unreadable(file, text, position, "the field before this colon is given twice in its object")
            keys[-1].add(key)


def _unescaped(string: str) -> str:
    try:
        return str(json.loads(string))
    except json.JSONDecodeError:
        return string  # the parser says what is wrong with it


def _values(file: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where each payment's text begins and ends."""
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)  # the numbers are not used
    position = _skip_space(text, 0)
    in_array = text[position : position + 1] == "["
    if in_array:
        position = _skip_space(text, position + 1)
        if text[position : position + 1] == "]":
            return
    while position < len(text):
        try:
            _, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise _unreadable(file, text, error.pos, f"not JSON: {error.msg[0].lower()}{error.msg[1:]}") from None
        size = len(text[position:end].encode(errors="surrogatepass"))
        if size > MAX_START_INPUT_BYTES:
            raise _unreadable(
                file, text, position, f"a payment of {size:,} bytes; at most {MAX_START_INPUT_BYTES:,} can start"
            )
        yield position, end
        position = _skip_space(text, end)
        if not in_array:
            continue
        if text[position : position + 1] == "]":
            position = _skip_space(text, position + 1)
            if position < len(text):
                raise _unreadable(file, text, position, "not JSON: text after the end of the array")
            return
        if text[position : position + 1] != ",":
            raise _unreadable(file, text, position, "not JSON: expecting ',' or ']'")
        position = _skip_space(text, position + 1)
    if in_array:
        raise _unreadable(file, text, position, "not JSON: the array does not end")


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _unreadable(file: str, text: str, position: int, why: str) -> UnreadableInputError:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return UnreadableInputError(f"{file}:{line}:{column}: {why}")
