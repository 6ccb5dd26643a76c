"""An event on the bus of the partner event source, as the partner puts it there."""

from botocore.exceptions import BotoCoreError, ClientError

from ledger.strict_json import StrictJSONError, loads
from ledger_cli.stack.client import Stack, StackError, explain


def put_partner_event(stack: Stack, file: str, body: bytes) -> str:
    """Put a partner's event on its bus, and return the ID that EventBridge gives it.

    Raises:
        StackError: the stack has no partner event source, or is not the embedded engine; the file is not an event; or
            the bus does not take it.
    """
    source = stack.parameters["PartnerSource"]
    if not source:
        raise StackError("the stack has no partner event source: deploy it with the parameter PartnerSource")
    if not stack.endpoint_url:
        raise StackError("on AWS only the partner itself puts events on its bus: send a test event from its dashboard")
    try:
        event = loads(body)
    except StrictJSONError as unreadable:
        raise StackError(f"{file}: it is not an event ({unreadable.rule}), nothing was sent") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise StackError(f"{file}: it is not an event with a type, nothing was sent")
    entry = {"EventBusName": source, "Source": source, "DetailType": event["type"], "Detail": body.decode()}
    try:
        (put,) = stack.client("events").put_events(Entries=[entry])["Entries"]
    except (BotoCoreError, ClientError) as error:
        raise StackError(explain(error, f"the bus {source}")) from None
    if "EventId" not in put:
        raise StackError(f"the bus {source} does not take the event: {put.get('ErrorCode')}")
    return str(put["EventId"])
