"""`make mutate`: whether the tests of the domain, of its one write and of the matcher notice a mistake in any of them.

Each mutant runs in a process of its own, forked from this one, which has already imported what takes long. The first
test that fails kills the mutant. A mutant that survives must be in `survivors.txt`, with the reason why no test can or
should kill it.

It earns its lines by the tests that were missing: its first run led to 22 new unit tests of payments, items and
outcomes, and later runs to tests of signatures, formats and the clients' settings.
"""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ledger_cli.engine import Engine
from tests.mutation.mutants import mutants
from tests.mutation.trials import TESTS, passed, path_of

SURVIVORS = Path(__file__).parent / "survivors.txt"


def main(modules: list[str]) -> int:
    """Make and run the mutants of *modules*, or of all modules; return the exit status."""
    modules = modules or list(TESTS)
    with Engine():
        pass  # deploying imports what each process would otherwise import itself
    for (module, _, _), is_passed in passed((module, "", None) for module in modules):
        if not is_passed:
            print(f"mutated: this fails without any mutant: pytest {' '.join(TESTS[module])}", file=sys.stderr)  # noqa: T201
            return 1
    sources = {module: path_of(module).read_text() for module in modules}
    made = [(module, change, code) for module in modules for change, code in mutants(sources[module])]
    runs = track(passed(iter(made)), "Mutants", total=len(made), console=Console(stderr=True))
    results = {f"{module}: {change}": survives for (module, change, _), survives in runs}
    survivors = {name for name, survives in results.items() if survives}
    listed = {name for name in reasons() if name.partition(":")[0] in modules}
    lines = [f"survives without a reason in the list: {name}" for name in sorted(survivors - listed)]
    lines += [
        f"in the list, but {'killed' if name in results else 'no longer made'}: {name}"
        for name in sorted(listed - survivors)
    ]
    killed, explained = len(results) - len(survivors), len(survivors & listed)
    lines.append(f"mutated: {len(results)} made, {killed} killed, {explained} survive with a reason")
    print("\n".join(lines))  # noqa: T201
    return int(survivors != listed)


def reasons() -> dict[str, str]:
    """Return the listed survivors, each with the reason from the indented line below its group of names."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in SURVIVORS.read_text().splitlines():
        if line.startswith("    "):
            found |= dict.fromkeys(names, line.strip())
            names = []
        elif line:
            names.append(line)
    if names:
        raise ValueError(f"{SURVIVORS.name}: these survivors have no reason: {names}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
