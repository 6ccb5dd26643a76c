"""The samples `events/functions/receive_payment-*.json`: requests as the webhook's function gets them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine import http_api, template
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack.webhook import signed

BODIES = {"acme-pay": "acme-pay.json", "stripe": "stripe-charge.succeeded.json"}
"""The file of `events/webhooks` that each sample processor posts."""

SENT_AT = datetime(2026, 11, 24, 9, 16, tzinfo=UTC)


def file_of(processor_id: str) -> Path:
    """Return the path of a processor's sample request."""
    return ROOT / f"events/functions/receive_payment-{processor_id}.json"


def event_of(processor_id: str) -> dict[str, Any]:
    """Return the event with which the function is invoked when the processor posts its sample, signed at `SENT_AT`."""
    body = (ROOT / "events/webhooks" / BODIES[processor_id]).read_bytes()
    (route,) = http_api.routes(template.expand(ROOT / "template.yaml", {}))
    path = route.path.replace("{ProcessorID}", processor_id)
    headers = signed(PROCESSORS[processor_id], body, round(SENT_AT.timestamp()))
    request = http_api.Request(route.method, path, headers, body, source_ip="192.0.2.1")
    return http_api.event_of(request, route, {"ProcessorID": processor_id}, SENT_AT)
