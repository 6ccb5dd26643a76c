"""A generated file says what another file already says, and must not say something else."""

from pathlib import Path

import pytest

from ledger_cli import ROOT
from ledger_cli.samples import PROCESSORS
from tools import generate, sample_requests, sdk_data


@pytest.mark.parametrize("name", generate.GENERATORS)
def test_each_generated_file_is_fresh(name: str) -> None:
    """The template, the definition or a pinned package has changed since the file was written."""
    assert not [str(path.relative_to(ROOT)) for path in generate.changed(name)], "run: make generate"


def test_a_stale_and_a_superfluous_file_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this, the test above could pass on anything."""
    for path, text in sdk_data.texts().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(sdk_data, "TARGET", tmp_path)
    assert generate.changed("SDK data") == {}
    stale, superfluous = min(sdk_data.texts()), Path("old-service.json")
    (tmp_path / stale).write_text("{}")
    (tmp_path / superfluous).write_text("{}")
    assert generate.changed("SDK data") == {
        tmp_path / stale: sdk_data.texts()[stale],
        tmp_path / superfluous: None,
    }


def test_the_webhook_has_sample_requests() -> None:
    """`sam local invoke` tries it with them."""
    assert sample_requests.BODIES.keys() < PROCESSORS.keys()
