"""The project is written in plain English: these phrases occur in no source, page, or help text of the command."""

import re
from collections.abc import Iterator
from pathlib import Path

from ledger_cli import ROOT

PLAIN = {
    r"told|untold": "published, reported, returned or recognised",
    r"tells? of": "publishes or reports",
    r"where (it|there) is": "if",
    r"what (became|comes) of": "the outcome or the result",
    r"in clear": "in plaintext",
    r"lets? in|shuts? out": "register, revoke",
    r"mend(s|ed|ing)?": "fix",
    r"anew|once more": "again",
    r"for ever": "permanently",
    r"whoever|who knows": "the sender, a caller that",
    r"fail(s|ed)? technically": "had a technical failure",
    r"is no (text|JSON|object|number|name)": "is not",
    r"that is none": "an invalid name",
}
"""Each forbidden phrase, and what to write instead."""

FORBIDDEN = {
    re.compile(r"\b(" + phrase.replace(" ", r"\s+") + r")\b", re.IGNORECASE): plain for phrase, plain in PLAIN.items()
}
SKIPPED = {"node_modules", "sdk_data", "site", "__pycache__"}
"""Folders that others wrote, or that a tool makes."""


def texts() -> Iterator[Path]:
    """Yield the project's own files that people read."""
    yield from (file for file in ROOT.glob("[!.]*") if file.suffix in {".md", ".toml", ".yaml", ".yml"})
    yield ROOT / "Makefile"
    for folder in ("bench", "docs", "events", "functions", "ledger_cli", "statemachine", "tests", "tools"):
        for file in (ROOT / folder).rglob("*"):
            own = file.name == "Makefile" or file.suffix in {".md", ".py", ".toml", ".yaml", ".json", ".mjs", ".patch"}
            if own and not SKIPPED & set(file.parts) and file != Path(__file__):
                yield file


def findings() -> Iterator[tuple[str, str]]:
    """Yield the path of each file that has a forbidden phrase, and a line that says where and what to write."""
    for file in texts():
        text, path = file.read_text(), file.relative_to(ROOT).as_posix()
        for phrase, plain in FORBIDDEN.items():
            for found in phrase.finditer(text):
                line = text.count("\n", 0, found.start()) + 1
                yield path, f"{path}:{line}: “{' '.join(found[0].split())}”: write {plain}"


def test_the_project_is_written_in_plain_english() -> None:
    """A reader for whom English is a second language understands each sentence at the first reading."""
    assert not [line for _, line in findings()]
