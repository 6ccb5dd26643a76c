"""`ledger graph`: a picture of the workflow."""

import click

from ledger_cli.views import graph as views
from ledger_cli.views.terminal import say_as_it_is


@click.command(epilog="Exit status: 0.")
@click.option("--svg", "as_svg", is_flag=True, help="Draw a picture instead of text.")
def graph(*, as_svg: bool) -> int:
    """Draw the workflow from its definition.

    \b
    Examples:
      ledger graph
      ledger graph --svg > workflow.svg
    """
    drawn = views.read()
    say_as_it_is(views.svg(drawn) if as_svg else views.text(drawn), newline=not as_svg)
    return 0
