"""How long the embedded engine takes for one warm execution."""

import json
import statistics
import time

from ledger_cli.engine import Engine
from ledger_cli.reading import read
from ledger_cli.samples import START_INPUTS

WARM_UP = 5
EXECUTIONS = 100


def warm_execution_ms() -> float:
    """The median of the success sample under new ids, one after the other."""
    payment = json.loads(read(START_INPUTS[0])[0].text)
    milliseconds = []
    with Engine() as engine:
        for number in range(WARM_UP + EXECUTIONS):
            text = json.dumps({**payment, "TransactionID": f"bench-{number}"})
            started = time.perf_counter()
            engine.run(text)
            milliseconds.append((time.perf_counter() - started) * 1000)
    return statistics.median(milliseconds[WARM_UP:])
