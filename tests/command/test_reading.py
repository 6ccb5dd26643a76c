"""Reading payments strictly: the command hands on the very text, or names the fault and its place in one line."""

import contextlib
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_cli import reading
from ledger_cli.reading import MAX_DEPTH, MAX_START_INPUT_BYTES, UnreadableInputError, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a path to write a file to."""
    return tmp_path / "payments.json"


def texts(file: Path, contents: str) -> list[str]:
    """Return the texts of the payments in a file with *contents*."""
    file.write_text(contents, encoding="utf-8", newline="")
    return [start_input.text for start_input in read(str(file))]


@pytest.mark.parametrize(
    ("contents", "payments"),
    [
        ('{"a": 1.10}', ['{"a": 1.10}']),
        ('\ufeff {"a": 1}\r\n', ['{"a": 1}']),
        ('[{"a": 1.0}, {"b":\n2}]', ['{"a": 1.0}', '{"b":\n2}']),
        ('{"a": 1}\n{"a": 2}\n\n{"a": 3}', ['{"a": 1}', '{"a": 2}', '{"a": 3}']),
        ("null", ["null"]),
        ('["NaN", {"NaN": "Infinity"}]', ['"NaN"', '{"NaN": "Infinity"}']),
        ('{"a": {"x": 1}, "b": {"x": 1}}', ['{"a": {"x": 1}, "b": {"x": 1}}']),
        ('{"a": "\\ud800"}', ['{"a": "\\ud800"}']),
        (json.dumps("x" * (MAX_START_INPUT_BYTES - 2)), [json.dumps("x" * (MAX_START_INPUT_BYTES - 2))]),
        (f'{{"a": -{"9" * 5000}}}', [f'{{"a": -{"9" * 5000}}}']),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, ["[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)]),
    ],
)
def test_one_an_array_or_lines(file: Path, contents: str, payments: list[str]) -> None:
    """Numbers and spaces stay as they were written: the workflow must see what the sender sent."""
    assert texts(file, contents) == payments


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", ": holds no payment"),
        (b" \n", ": holds no payment"),
        (b"[]", ": holds no payment"),
        (b'{"a": 1', ":1:8: not JSON: expecting ',' delimiter"),
        (b'{"a": 1}\n{"a": }', ":2:7: not JSON: expecting value"),
        (b"[1, 2", ":1:6: not JSON: expecting ',' or ']'"),
        (b"[1, ", ":1:5: not JSON: the array does not end"),
        (b"[1] 2", ":1:5: not JSON: text after the end of the array"),
        (b"{'a': 1}", ":1:2: not JSON: expecting property name enclosed in double quotes"),
        (b'{"Amount": NaN}', ":1:12: NaN and Infinity are not JSON"),
        (b"[1,\n -Infinity]", ":2:2: NaN and Infinity are not JSON"),
        (b'{"a": 1,\n "a": 2}', ":2:5: the field before this colon is given twice in its object"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', ":1:24: the field before this colon is given twice in its object"),
        (b"[" * (MAX_DEPTH + 1), f":1:{MAX_DEPTH + 1}: nested deeper than {MAX_DEPTH} levels"),
        (
            b'[1,\n"' + b"x" * MAX_START_INPUT_BYTES + b'"]',
            ":2:1: a payment of 262,146 bytes; at most 262,144 can start",
        ),
        (b'{"a": "\xff"}', ":1: not UTF-8"),
        (b'{"a":\n"\xe9"}', ":2: not UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_reported_in_one_line(file: Path, contents: bytes, message: str) -> None:
    """The line has the file and the position, so that a person can go there."""
    file.write_bytes(contents)
    with pytest.raises(UnreadableInputError) as caught:
        read(str(file))
    assert str(caught.value) == f"{file}{message}"


def test_files_that_are_not_there_are_reported(tmp_path: Path) -> None:
    """It is the most common mistake of all."""
    with pytest.raises(UnreadableInputError, match="no such file or directory"):
        read(str(tmp_path / "none.json"))
    with pytest.raises(UnreadableInputError, match="is a directory"):
        read(str(tmp_path))


def test_standard_input_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person can pipe another command into it."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}')))
    assert [(found.file, found.text) for found in read("-")] == [("-", '{"a": 1}')]


@given(st.lists(JSON, min_size=1, max_size=4), st.sampled_from([None, 1]))
def test_any_json_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, payments: list[Any], indent: int | None
) -> None:
    """The project's own checks must accept whatever is JSON."""
    file = tmp_path_factory.mktemp("read") / "payments.json"
    assert [json.loads(text) for text in texts(file, json.dumps(payments, indent=indent))] == payments
    lines = "\n".join(json.dumps(payment, ensure_ascii=True) for payment in payments)
    if not lines.startswith("["):
        assert [json.loads(text) for text in texts(file, lines)] == payments


def test_hostile_strings_are_read_back(file: Path, corpora: Path) -> None:
    """Quotes, backslashes, brackets and colons inside a string are not structure."""
    hostile = json.loads((corpora / "naughty-strings.json").read_text())
    for text in hostile:
        payment = {"k": text, "[": {text: ":"}}
        assert [json.loads(found) for found in texts(file, json.dumps(payment, ensure_ascii=False))] == [payment]


# ── Time ────────────────────────────────────────────────────────────────────────────────────────────


class Counted(str):
    """Text that counts how many of its characters are taken out of it."""

    taken = 0

    def __getitem__(self, index: Any) -> str:
        """Return a part of it, which is plain text."""
        part = super().__getitem__(index)
        Counted.taken += len(part)
        return part


def steps(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count the characters that reading looks at, before the parser proper.

    In the search for tokens: where none begins, it has tried every alternative in vain; at a quote, a string without an
    end is looked at up to the end of the text. Behind it: each part that is taken out of the text, and each string that
    is unescaped.
    """
    looked_at, position = 0, 0
    for token in reading._TOKENS.finditer(text):
        for missed in range(position, token.start()):
            looked_at += len(text) - missed if text[missed] == '"' else 1
        looked_at += len(token[0])
        position = token.end()
    looked_at += sum(len(text) - missed if text[missed] == '"' else 1 for missed in range(position, len(text)))
    unescaped = reading._unescaped
    Counted.taken = 0

    def counted(string: str) -> str:
        Counted.taken += len(string)
        return unescaped(string)

    with monkeypatch.context() as patched:
        patched.setattr(reading, "_unescaped", counted)
        patched.setattr(reading, "contents", lambda _: b"")
        patched.setattr(reading, "decoded", lambda *_: Counted(text))
        with contextlib.suppress(UnreadableInputError):
            read("-")
    return looked_at + Counted.taken


SHAPES = {
    "a payload cut in the middle": lambda n: '{"payload": "' + '{\\"a\\": \\"b\\"}, ' * n,
    "a string without an end": lambda n: '"' * (2 * n + 1),
    "backslashes": lambda n: '"' + "\\" * (2 * n + 1),
    "a number": lambda n: "1" * 10 * n,
    "minus signs": lambda n: "-" * 10 * n,
    "infinities": lambda n: "-Infinit" * n,
    "spaces": lambda n: " " * 10 * n,
    "keys": lambda n: "{" + ", ".join(f'"{key}": 1' for key in range(n)) + "}",
    "lines": lambda n: '{"a": 1}\n' * n,
    "brackets": lambda n: "[]" * n,
    "colons behind a long string": lambda n: '["' + "A" * n + '",' + "{:}" * n + "]",
    "a long key, again and again": lambda n: '["' + "A" * n + '",' + "{:1}," * n + "]",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_reading_takes_steps_in_proportion(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a few hundred kB that somebody cut must not keep a command busy for minutes."""
    counted = [steps(SHAPES[shape](n), monkeypatch) for n in (200, 400, 800)]
    assert all(later < 2.2 * before for before, later in itertools.pairwise(counted)), counted


@given(st.text(alphabet='"\\{}[]:,0-.eINnf \n') | st.text())
def test_tokens_cover_every_text(text: str) -> None:
    """The pattern looks at each character once. It would try every place in a gap between tokens again and again."""
    assert "".join(token[0] for token in reading._TOKENS.finditer(text)) == text
