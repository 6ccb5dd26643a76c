"""Mutation tests (`make mutate`): the tests of the domain and of its one write must notice an error in either.

Each mutant runs in a process of its own, forked from this one, which has imported the slow modules. The first test that
fails kills it. A mutant that survives must be in `survivors.txt`, with the reason why no test can or should kill it.
"""

import sys
from pathlib import Path

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.mutation.mutants import mutants
from tests.mutation.trials import TESTS, passed

SURVIVORS = Path(__file__).parent / "survivors.txt"


def main(modules: list[str]) -> int:
    """Make and run the mutants of *modules*, or of all modules; return the exit status."""
    modules = modules or list(TESTS)
    with Engine():
        pass  # deployed once here, so that what it imports late need not be imported by each process
    for (module, _, _), is_passed in passed((module, "", None) for module in modules):
        if not is_passed:
            print(f"mutated: without a mutant, this fails: pytest {' '.join(TESTS[module])}", file=sys.stderr)  # noqa: T201
            return 1
    sources = {module: (ROOT / "functions" / module).read_text() for module in modules}
    made = ((module, change, code) for module in modules for change, code in mutants(sources[module]))
    results = {f"{module}: {change}": survives for (module, change, _), survives in passed(made)}
    survivors = {name for name, survives in results.items() if survives}
    listed = {name for name in reasons() if name.partition(":")[0] in modules}
    lines = [f"survives, and no reason is given: {name}" for name in sorted(survivors - listed)]
    lines += [
        f"listed, but {'killed' if name in results else 'not made'}: {name}" for name in sorted(listed - survivors)
    ]
    killed, explained = len(results) - len(survivors), len(survivors & listed)
    lines.append(f"mutated: {len(results)} made, {killed} killed, {explained} survive with a reason")
    print("\n".join(lines))  # noqa: T201
    return int(survivors != listed)


def reasons() -> dict[str, str]:
    """Return the listed survivors by name. The indented line below each group of names is the reason."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in SURVIVORS.read_text().splitlines():
        if line.startswith("    "):
            found |= dict.fromkeys(names, line.strip())
            names = []
        elif line:
            names.append(line)
    if names:
        raise ValueError(f"{SURVIVORS.name}: no reason is given for: {names}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
