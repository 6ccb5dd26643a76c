"""The embedded engine with a thousand payments, and what one payment costs the ledger as its table grows.

`python -m bench.engine` prints JSON. It is a process of its own, so that the memory it measures is the engine's.
"""

import base64
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from moto.core.botocore_stubber import BotocoreStubber
from moto.dynamodb.models import dynamodb_backends

from bench.measure import memory_mib
from ledger_cli import REGION, ROOT
from ledger_cli.engine import Engine, lambda_runtime, template
from ledger_cli.engine.engine import Call
from ledger_cli.reading import read
from ledger_cli.samples import START_INPUTS
from tools import write_units

WARM_UP = 5
PAYMENTS = 1000
TABLE_SIZES = (100, 1_000, 10_000, 100_000)
PAYMENTS_PER_SIZE = 20


def main() -> int:
    """Measure both, and print what was measured as one line of JSON."""
    payment = json.loads(read(START_INPUTS[0])[0].text)
    with Engine() as engine:
        print(json.dumps({**measure_thousand(engine, payment), "growth": measure_growth(engine, payment)}))
    return 0


def measure_thousand(engine: Engine, payment: dict[str, Any]) -> dict[str, float]:
    """Run a thousand new payments, one after the other."""
    for number in range(WARM_UP):
        _run(engine, payment, f"warm-up-{number}")
    before_mib, seconds = memory_mib("self", "VmRSS"), []
    for number in range(PAYMENTS):
        started = time.perf_counter()
        _run(engine, payment, f"thousand-{number}")
        seconds.append(time.perf_counter() - started)
    after_mib = memory_mib("self", "VmRSS")
    return {
        "execution_ms": statistics.median(seconds) * 1000,
        "executions_per_s": PAYMENTS / sum(seconds),
        "memory_mib": after_mib,
        "memory_kib_per_payment": (after_mib - before_mib) * 1024 / PAYMENTS,
    }


def measure_growth(engine: Engine, payment: dict[str, Any]) -> list[dict[str, float]]:
    """Measure what the functions send for a payment, and its use of the table's capacity, at each size of the table."""
    table = dynamodb_backends[engine.account_id][REGION].tables[engine.outputs["TableName"]]
    indexes = write_units.indexes(template.load(ROOT / "template.yaml"))
    (some, *_) = engine.items()
    found = []
    for size in TABLE_SIZES:
        for number in range(len(table.items), size):
            table.put_item({**some, "TransactionID": {"S": f"existing-{number}"}})
        engine.forget_history()
        with _collected_requests() as requests:
            for number in range(PAYMENTS_PER_SIZE):
                _run(engine, payment, f"at-{size:06}-{number:02}")
        units = sum(_write_units(engine, operation, json.loads(body), indexes) for operation, body in requests)
        found.append(
            {
                "items": size,
                "requests": len(requests) / PAYMENTS_PER_SIZE,
                "bytes": sum(len(body) for _, body in requests) / PAYMENTS_PER_SIZE,
                "write_units": float(units) / PAYMENTS_PER_SIZE,
            }
        )
    return found


@contextmanager
def _collected_requests() -> Iterator[list[tuple[str, bytes]]]:
    """Collect each request of the functions: its operation and its body."""
    requests: list[tuple[str, bytes]] = []
    process_request: Callable[..., Any] = BotocoreStubber.process_request

    def collect(stubber: BotocoreStubber, request: Any) -> Any:
        if function := lambda_runtime.running_function():
            requests.append((Call.of(function, request).operation, request.body))
        return process_request(stubber, request)

    with patch.object(BotocoreStubber, "process_request", collect):
        yield requests


def _write_units(engine: Engine, operation: str, sent: dict[str, Any], indexes: list[write_units.Index]) -> Decimal:
    """Return the write units of one request, indexes included: a put of a new item, or the marker's update."""
    if operation == "PutItem":
        item = {**sent["Item"], "SecureToken": {"B": base64.b64decode(sent["Item"]["SecureToken"]["B"])}}
        written = [item, *(write_units.entry_of(item, index) for index in indexes)]
    elif operation == "UpdateItem":
        item = engine.client("dynamodb").get_item(TableName=sent["TableName"], Key=sent["Key"])["Item"]
        before = {**{name: item[name] for name in item if name != "PublishedAt"}, "Unpublished": {"S": "0"}}
        entries = [(write_units.entry_of(before, index), write_units.entry_of(item, index)) for index in indexes]
        written = [item, *(entry or was for was, entry in entries if was != entry)]
    else:
        return Decimal()
    return sum((write_units.write_units(write_units.item_bytes(one)) for one in written), Decimal())


def _run(engine: Engine, payment: dict[str, Any], transaction_id: str) -> None:
    execution = engine.run(json.dumps({**payment, "TransactionID": transaction_id}))
    assert execution.outcome == "RECORDED", execution


if __name__ == "__main__":
    sys.exit(main())
