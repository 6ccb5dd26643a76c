"""Write every file that the project generates: `make generate`.

A file is generated if it says what another file already says: the template, the workflow's definition, the pinned SDK,
the list of currencies or the measured figures. A test compares each with what is generated today.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import __main__ as bench
from bench.figures import page
from ledger_cli import ROOT
from ledger_cli.views import graph
from tests.proof import permissions
from tools import currencies, sample_requests, scale, sdk_data, sealed_log_vectors


def _workflow() -> dict[Path, str]:
    return {ROOT / "docs/workflow.svg": graph.svg(graph.read())}


GENERATORS: Mapping[str, Callable[[], Mapping[Path, str]]] = {
    "currencies": lambda: {currencies.TARGET: currencies.source()},
    "SDK data": lambda: {sdk_data.TARGET / path: text for path, text in sdk_data.texts().items()},
    "sample requests": sample_requests.texts,
    "vectors of the sealed log": sealed_log_vectors.texts,
    "workflow": _workflow,
    "scale and price": scale.generated_pages,
    "benchmarks": lambda: {bench.PAGE: page(bench.DATA.read_text(encoding="utf-8"))},
    "permissions": lambda: {permissions.PAGE: permissions.page()},
}
"""What is generated, by its name: the text of each file."""


def changed(name: str) -> dict[Path, str | None]:
    """Return the files of one generator that differ from what it generates today; None is a file to remove."""
    made = GENERATORS[name]()
    differing: dict[Path, str | None] = {
        path: text for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    if name == "SDK data":  # the folder holds nothing else
        differing |= dict.fromkeys({*sdk_data.TARGET.rglob("*.*")} - made.keys())
    return differing


def main() -> None:
    """Write each file that is out of date, and print its path."""
    for name in GENERATORS:
        try:
            differing = changed(name)
        except scale.ScaleError as error:
            sys.exit(f"generate: {error}")
        for path, text in differing.items():
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
