"""`make bench`: how long the embedded engine takes for one warm execution."""

import json
import statistics
import time

from ledger_cli.engine import Engine
from ledger_cli.reading import read
from ledger_cli.samples import START_INPUTS

WARM_UP = 5
EXECUTIONS = 100


def main() -> None:
    """Run the success sample under new ids, one after the other, and print the median and the slowest tenth."""
    payment = json.loads(read(START_INPUTS[0])[0].text)
    milliseconds = []
    with Engine() as engine:
        for number in range(WARM_UP + EXECUTIONS):
            text = json.dumps({**payment, "TransactionID": f"bench-{number}"})
            started = time.perf_counter()
            engine.run(text)
            milliseconds.append((time.perf_counter() - started) * 1000)
    warm = milliseconds[WARM_UP:]
    slowest_tenth = statistics.quantiles(warm, n=10)[-1]
    print(  # noqa: T201
        f"a warm execution on the engine: {statistics.median(warm):.0f} ms (median of {EXECUTIONS}), "
        f"a tenth above {slowest_tenth:.0f} ms; the goal is 100 ms"
    )


if __name__ == "__main__":
    main()
