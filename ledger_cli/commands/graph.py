"""`ledger graph`: a picture of a workflow."""

import click

from ledger_cli.views import graph as views
from ledger_cli.views.terminal import say_as_it_is


@click.command(epilog="Exit status: 0.")
@click.option("--entries", is_flag=True, help="Draw the workflow of entries instead of that of payments.")
@click.option("--svg", "as_svg", is_flag=True, help="Draw a picture instead of text.")
def graph(*, entries: bool, as_svg: bool) -> int:
    """Draw a workflow from its definition.

    \b
    Examples:
      ledger graph
      ledger graph --entries --svg > entries.svg
    """
    drawn = views.read(views.ENTRIES if entries else views.PAYMENTS)
    say_as_it_is(views.svg(drawn) if as_svg else views.text(drawn), newline=not as_svg)
    return 0
