"""The samples of `events/functions` that follow from other samples: requests of the webhook, and all about entries."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger.chain import DeliveredEntry, RecordedEntry, next_entry, refusal
from ledger.entry import Entry, parse_entry
from ledger.fields import QUIET
from ledger.payment import Payment, parse_payment
from ledger.timestamps import utc_timestamp
from ledger.totals import violations
from ledger.violations import EntryConflictError, InvalidEntryError
from ledger_cli import REGION, ROOT
from ledger_cli.engine import http_api, template
from ledger_cli.engine.deployment import LOCAL_PARAMETERS
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack.webhook import signed, signed_body

BODIES = {
    "acme-pay": "acme-pay.json",
    "stripe": "stripe-charge.succeeded.json",
}
"""The file of `events/webhooks` that each sample processor posts."""

PARTNER_SOURCE = LOCAL_PARAMETERS["PartnerSource"]

SENT_AT = datetime(2026, 11, 24, 9, 16, tzinfo=UTC)

ENTRY_STARTED_AT, ENTRY_PUBLISHED_AT = "2026-11-24T10:00:02Z", "2026-11-24T10:00:03Z"

EXECUTION = f"arn:aws:states:{REGION}:123456789012:execution:PaymentEntries:sample"
"""The execution of every sample about an entry."""


def texts() -> dict[Path, str]:
    """Return the text of each sample, by its path."""
    samples = {file_of(processor_id): event_of(processor_id) for processor_id in BODIES}
    samples[ROOT / "events/functions/receive_partner_event-stripe.json"] = partner_event()
    samples |= {ROOT / f"events/functions/{name}.json": event for name, event in entry_samples()}
    return {path: json.dumps(event, indent=2) + "\n" for path, event in samples.items()}


def file_of(processor_id: str) -> Path:
    """Return the path of a processor's sample request."""
    return ROOT / f"events/functions/receive_payment-{processor_id}.json"


def event_of(processor_id: str) -> dict[str, Any]:
    """Return the event with which the function is invoked when the processor posts its sample, signed at `SENT_AT`."""
    body = signed_body(PROCESSORS[processor_id], (ROOT / "events/webhooks" / BODIES[processor_id]).read_bytes())
    (route,) = http_api.routes(template.expand(ROOT / "template.yaml", {}))
    path = route.path.replace("{ProcessorID}", processor_id)
    headers = signed(PROCESSORS[processor_id], body, round(SENT_AT.timestamp()))
    request = http_api.Request(route.method, path, headers, body, source_ip="192.0.2.1")
    return http_api.event_of(request, route, {"ProcessorID": processor_id}, SENT_AT)


def partner_event() -> dict[str, Any]:
    """Return the event with which EventBridge invokes the function of the partner event source.

    Source: Stripe's documentation, "Send events to Amazon EventBridge", event structure.
    """
    detail = json.loads((ROOT / "events/webhooks" / BODIES["stripe"]).read_text(encoding="utf-8"))
    return {
        "version": "0",
        "id": "5f9f6c1e-6d2b-4d0a-9d9e-2c1f0a7b3e55",
        "detail-type": detail["type"],
        "source": PARTNER_SOURCE,
        "account": "123456789012",
        "time": "2026-11-24T09:16:00Z",
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def recorded_entry() -> tuple[Payment, RecordedEntry]:
    """Return the first sample payment, and the sample refund as its first entry."""
    payment, _ = parse_payment(_start_input("01-success"), default_currency="USD")
    delivered = DeliveredEntry(parse_entry(_start_input("10-refund")), EXECUTION, utc_timestamp(ENTRY_STARTED_AT))
    return payment, next_entry(payment, [], delivered)


def entry_samples() -> Iterator[tuple[str, Any]]:
    """Yield the name and the event of each sample about an entry, as the workflow and the stream pass it on."""
    payment, recorded = recorded_entry()
    entry, facts = recorded.entry, recorded.facts()
    yield (
        "validate_entry",
        _start_input("10-refund")
        | {
            "EntryID": "re-2026-0001-failed",
            "Kind": "RefundFailed",
            "Reverses": entry.entry_id,
        },
    )
    yield "append_entry", {"Entry": entry.as_state(), "Execution": EXECUTION, "StartTime": ENTRY_STARTED_AT}
    yield (
        "accept_entry",
        {
            "Entry": _start_input("11-refund-refused"),
            "Execution": EXECUTION,
            "Reason": "the bank confirmed it, ticket 4711",
            "Requester": "arn:aws:iam::123456789012:user/operator",
        },
    )
    published = {"Execution": EXECUTION, "PublishedAt": ENTRY_PUBLISHED_AT}
    yield "publish_outcome-entry-recorded", {"Outcome": "RECORDED", "Entry": facts, "Published": False, **published}
    again = published | {"Execution": f"{EXECUTION}-again"}
    yield "publish_outcome-entry-duplicate", {"Outcome": "DUPLICATE", "Entry": facts, "Published": True, **again}
    quiet = recorded._replace(entry=entry._replace(imported=QUIET)).facts()
    yield "publish_outcome-entry-imported", {"Outcome": "RECORDED", "Entry": quiet, "Published": None, **published}
    refused = _refusal(payment, recorded, parse_entry(_start_input("11-refund-refused")))
    yield "publish_outcome-entry-refused", _caught("REFUSED", refused)
    conflict = EntryConflictError(entry._replace(amount="5.00"), ["Amount"])
    yield "publish_outcome-entry-conflict", _caught("CONFLICT", conflict)
    yield (
        "query_payment_ledger-entries",
        {
            "Entries": True,
            "ProcessorID": entry.processor_id,
            "From": "2026-11-01T00:00:00Z",
            "To": "2026-12-01T00:00:00Z",
            "Limit": 10,
        },
    )
    yield "query_payment_ledger-unpublished-entries", {"Entries": True, "Unpublished": True}
    yield "watch_ledger-entries", {"Records": [_replacement(recorded)]}


def _start_input(name: str) -> dict[str, Any]:
    """Return a sample of `events/start`."""
    start_input: dict[str, Any] = json.loads((ROOT / f"events/start/{name}.json").read_text(encoding="utf-8"))
    return start_input


def _refusal(payment: Payment, recorded: RecordedEntry, entry: Entry) -> InvalidEntryError:
    """Return the error that Append Entry raises for an entry after the recorded one."""
    return refusal(entry, violations(payment, [recorded.entry], recorded.totals, entry))


def _caught(outcome: str, error: Exception) -> dict[str, Any]:
    """Return what a Catch passes on. Source: Step Functions Developer Guide, error handling."""
    cause = {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": "00000000-0000-4000-8000-000000000000",
        "stackTrace": [],
    }
    return {"Outcome": outcome, "Cause": json.dumps(cause), "Execution": EXECUTION}


def _replacement(recorded: RecordedEntry) -> Mapping[str, Any]:
    """Return the record of the stream that shows how somebody changed the amount of a published entry."""
    old = {name: value for name, value in recorded.as_item().items() if name != "Unpublished"}
    old["PublishedAt"] = {"S": utc_timestamp(ENTRY_PUBLISHED_AT)}
    return {
        "eventID": "eccbc87e4b5ce2fe28308fd9f2a7baf3",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "Keys": {name: old[name] for name in ("TransactionID", "Entry")},
            "OldImage": old,
            "NewImage": {**old, "Amount": {"S": "5.00"}},
            "SequenceNumber": "111",
            "SizeBytes": 2000,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": f"arn:aws:dynamodb:{REGION}:123456789012:table/PaymentEntries/stream/2026-11-23T08:00:00.000",
    }
