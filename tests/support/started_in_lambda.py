"""A process that starts as a function's environment does, and makes the calls of all services in use: what it prints.

`python -m tests.support.started_in_lambda SERVICE...` prints what is sent and read for each operation of the services,
and at last the modules that were not loaded.
"""

import ledger.cold_start  # first, as in a handler

import sys

from aws_lambda_powertools import Logger, Metrics

from ledger import aws
from tests.support.sdk_calls import replies_of, required_parameters, sent


def say(what: object) -> None:
    """Print a line."""
    sys.stdout.write(f"{what}\n")


def main() -> None:
    """Make the calls, write a log line and a metric."""
    for service in sys.argv[1:]:
        client = aws.private_client(service, attempts=1)
        for operation in sorted(client.meta.method_to_api_mapping.values()):
            for status, reply in replies_of(client, operation):
                say(sent(client, operation, required_parameters(client, operation), status, reply))
    Logger(service="s").info("logged", key="value")
    left_out = {*ledger.cold_start.LOADED_AT_THE_FIRST_CALL, *ledger.cold_start.WITHOUT_EFFECT}
    say(sorted(name for name in left_out if getattr(sys.modules.get(name), "__file__", None) is None))
    metrics = Metrics(namespace="n", service="s")
    metrics.add_metric(name="Metric", unit="Count", value=1)
    metrics.flush_metrics()


if __name__ == "__main__":
    main()
