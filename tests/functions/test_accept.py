"""Accept Entry: an entry that was refused is recorded after all, with its reason."""

import json
from typing import Any

import pytest

from ledger_cli.engine import Engine
from tests.support.functions import invoke, log_lines

ARN = "arn:aws:states:us-east-1:123456789012:execution:PaymentEntries-dev:txn-2026-0001-3563d86b5103badb"
REASON = "the bank confirmed it, ticket 4711"


@pytest.fixture
def request_(engine: Engine, payment: dict[str, Any], refund: dict[str, Any]) -> dict[str, Any]:
    """Record the payment, and return a request to accept a refund of more than it."""
    assert engine.run(json.dumps(payment)).outcome == "RECORDED"
    return {"Entry": {**refund, "Amount": "200.00"}, "Execution": ARN, "Reason": REASON, "Requester": "kim"}


def test_an_accepted_entry_is_recorded_with_its_reason(engine: Engine, request_: dict[str, Any]) -> None:
    """It has the execution that refused it, and the totals say that they contain it."""
    reply = invoke(engine, "AcceptEntry", request_)
    assert reply["Outcome"] == "RECORDED"
    entry = reply["Entry"]
    assert (entry["Acceptance"], entry["Execution"]) == ({"Reason": REASON, "Requester": "kim"}, ARN)
    assert (entry["Totals"]["Refundable"], entry["Totals"]["AcceptedEntries"]) == ("-70.10", 1)
    (line,) = log_lines(engine, "entry accepted")
    assert (line["entry_id"], line["entry"], line["waived"], line["reason"], line["requester"]) == (
        "re-2026-0001", 1, True, REASON, "kim",
    )  # fmt: skip
    assert '"EntryAccepted"' in engine.logs()
    assert engine.run(json.dumps(request_["Entry"])).outcome == "DUPLICATE"


def test_it_is_published_like_any_other(engine: Engine, request_: dict[str, Any]) -> None:
    """The event says that an operator accepted it, and why."""
    invoke(engine, "AcceptEntry", request_)
    assert invoke(engine, "RepublishOutcomes", {"ScheduledTime": "2099-01-01T00:00:00Z"})["Published"] == 1
    detail = engine.published()[-1]["detail"]
    assert (detail["Outcome"], detail["Acceptance"]["Reason"]) == ("RECORDED", REASON)


def test_asked_again_it_changes_nothing(engine: Engine, request_: dict[str, Any]) -> None:
    """An operator whose connection broke asks again."""
    first = invoke(engine, "AcceptEntry", request_)
    again = invoke(engine, "AcceptEntry", {**request_, "Reason": "another reason"})
    assert (again["Outcome"], again["Entry"]["Acceptance"]) == ("DUPLICATE", first["Entry"]["Acceptance"])
    assert len(engine.entries()) == 1


def test_without_a_broken_rule_it_needs_no_acceptance(engine: Engine, request_: dict[str, Any]) -> None:
    """The totals count only the entries that needed one."""
    reply = invoke(engine, "AcceptEntry", {**request_, "Entry": {**request_["Entry"], "Amount": "1.00"}})
    assert "Acceptance" not in reply["Entry"]
    assert log_lines(engine, "entry accepted")[0]["waived"] is False


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"Reason": None}, "InvalidRequestError", "Reason"),
        ({"Reason": " " * 20}, "InvalidRequestError", "Reason"),
        ({"Reason": "short"}, "InvalidRequestError", "Reason"),
        ({"Reason": "x" * 257}, "InvalidRequestError", "Reason"),
        ({"Reason": "card 4111 1111 1111 1111"}, "InvalidRequestError", "card number"),
        ({"Requester": ""}, "InvalidRequestError", "Requester"),
        ({"Requester": "4111111111111111"}, "InvalidRequestError", "card number"),
        ({"Execution": None}, "InvalidRequestError", "Execution"),
        ({"Execution": ARN.replace("PaymentEntries", "PaymentLedger")}, "InvalidRequestError", "Execution"),
        ({"Execution": f"{ARN}\n"}, "InvalidRequestError", "Execution"),
        ({"Entry": None}, "InvalidEntryError", "not_an_object"),
        ({"Entry": {}}, "InvalidEntryError", "required"),
    ],
)
def test_a_wrong_request_records_nothing(
    engine: Engine, request_: dict[str, Any], changes: dict[str, Any], error: str, named: str
) -> None:
    """The message names the field, and repeats no value."""
    reply = invoke(engine, "AcceptEntry", {**request_, **changes})
    assert reply["errorType"] == error
    assert named in reply["errorMessage"]
    assert "4111" not in reply["errorMessage"]
    assert engine.entries() == []


@pytest.mark.parametrize(
    ("changes", "error", "rule"),
    [
        ({"Currency": "USD"}, "InvalidEntryError", "currency"),
        ({"TransactionID": "txn-none"}, "EntryTooEarlyError", "unknown_payment"),
        ({"Amount": "0.00"}, "InvalidEntryError", "zero"),
    ],
)
def test_some_rules_cannot_be_waived(
    engine: Engine, request_: dict[str, Any], changes: dict[str, Any], error: str, rule: str
) -> None:
    """There is no chain to append it to, or no sum."""
    reply = invoke(engine, "AcceptEntry", {**request_, "Entry": {**request_["Entry"], **changes}})
    assert (reply["errorType"], rule in reply["errorMessage"]) == (error, True)
    assert engine.entries() == []
