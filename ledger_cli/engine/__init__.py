"""The embedded engine: the real template, workflow and handlers, run in this process on moto."""

from ledger_cli.environment import without_the_shells_variables

# moto looks for the shell's AWS profile when it is imported, and fails if no profile has that name.
with without_the_shells_variables():
    from ledger_cli.engine.engine import Engine

__all__ = ["Engine"]
