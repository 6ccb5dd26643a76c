"""The start of the command: `ledger`, and `python -m ledger_cli`."""

import gc
import sys


def main() -> None:
    """Run the command. Its import takes a moment, in which Ctrl-C also ends it with one line.

    What the engine imports and deploys stays until the end. To search it for garbage would take two of six seconds.
    """
    gc.set_threshold(100_000)
    try:
        from ledger_cli.cli import cli
    except KeyboardInterrupt:
        sys.stderr.write("ledger: interrupted\n")
        sys.exit(130)
    try:
        cli(prog_name="ledger")
    finally:
        gc.freeze()  # Python would search again when the process ends


if __name__ == "__main__":
    main()
