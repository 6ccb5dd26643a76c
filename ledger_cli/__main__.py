"""The start of the command: `ledger`, and `python -m ledger_cli`."""

import sys


def main() -> None:
    """Run the command. Its import takes a moment, in which Ctrl-C also ends it with one line."""
    try:
        from ledger_cli.cli import cli
    except KeyboardInterrupt:
        sys.stderr.write("ledger: interrupted\n")
        sys.exit(130)
    cli(prog_name="ledger")


if __name__ == "__main__":
    main()
