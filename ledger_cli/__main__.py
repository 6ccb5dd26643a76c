"""The command's beginning: `ledger`, and `python -m ledger_cli`."""

import sys


def main() -> None:
    """Run the command. To import it takes a moment, in which Ctrl-C ends it in one line as well."""
    try:
        from ledger_cli.cli import cli  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.stderr.write("ledger: interrupted\n")
        sys.exit(130)
    cli(prog_name="ledger")


if __name__ == "__main__":
    main()
