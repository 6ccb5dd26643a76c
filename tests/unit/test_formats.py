"""What holds of every processor's own format."""

import json
from typing import Any

import pytest

from ledger.formats import FORMATS
from ledger.item import IMPORT_PAIR
from ledger.violations import InvalidInputError
from ledger_cli import ROOT
from ledger_cli.samples import PROCESSORS

SAMPLES = [
    (described["Format"], file)
    for name, described in PROCESSORS.items()
    if described["Format"] != "standard-webhooks"
    for file in sorted((ROOT / "events/webhooks").glob(f"{name}-*.json"))
]


def with_import(value: Any) -> Any:
    """Return a message with an import in each of its objects, and beside each pair of metadata."""
    if isinstance(value, list):
        return [with_import(one) for one in value]
    if isinstance(value, dict):
        inner = {name: with_import(one) for name, one in value.items()}
        return {**inner, "Import": "quiet", "import": "quiet", IMPORT_PAIR: "quiet"}
    return value


@pytest.mark.parametrize(("format_name", "file"), SAMPLES, ids=[file.stem for _, file in SAMPLES])
def test_no_mapping_makes_an_import(format_name: str, file: Any) -> None:
    """A processor whose account somebody has taken over must not be able to keep payments from consumers."""
    message = json.loads(file.read_text())
    start_input = FORMATS[format_name].start_input(message, "sample")
    assert start_input is not None
    try:
        changed = FORMATS[format_name].start_input(with_import(message), "sample")
    except InvalidInputError as refused:  # a format that allows no other field
        pytest.fail(f"the mapping judges fields that it does not read: {refused}")
    assert changed is not None
    assert "Import" not in changed
    assert not any("mport" in name for name in changed["Metadata"])


def test_there_are_samples_of_every_format() -> None:
    """An empty list would pass."""
    modules = {one.module for one in FORMATS.values()} - {"standard_webhooks"}
    assert {FORMATS[name].module for name, _ in SAMPLES} == modules
