"""Queries and reveals: which queries are valid, what a cursor allows, and who reads a token and why."""

import base64
import json
from typing import Any

import pytest

from ledger.payment import Payment, encryption_context
from ledger_cli.engine import Engine
from tests.support.faults import Faults
from tests.support.functions import decrypted, invoke, log_lines, sample


def test_what_is_new_does_not_shift_a_page(engine: Engine, payment: dict[str, Any]) -> None:
    """A cursor names the payment after which the next page starts, not a number of payments."""
    for number in range(6):
        engine.run(
            json.dumps({**payment, "TransactionID": f"t-{number}", "Timestamp": f"2026-01-0{number + 1}T00:00:00Z"})
        )
    query = {"ProcessorID": payment["ProcessorID"], "Limit": 3}
    first = invoke(engine, "QueryPaymentLedger", query)
    engine.run(json.dumps({**payment, "TransactionID": "newer", "Timestamp": "2026-02-01T00:00:00Z"}))
    second = invoke(engine, "QueryPaymentLedger", {**query, "Cursor": first["Cursor"]})
    assert [p["TransactionID"] for p in first["Payments"] + second["Payments"]] == [
        f"t-{n}" for n in (5, 4, 3, 2, 1, 0)
    ]
    assert second["Cursor"] is None


def test_an_unknown_id_is_none(engine: Engine) -> None:
    """A payment that the ledger does not have is not an error: a caller cannot know before."""
    assert invoke(engine, "QueryPaymentLedger", {"TransactionID": "nobody"}) == {
        "Payment": None,
        "Entries": [],
        "Totals": None,
        "Unreadable": [],
    }
    assert invoke(engine, "QueryPaymentLedger", {"ProcessorID": "nobody"}) == {
        "Payments": [],
        "Unreadable": [],
        "Cursor": None,
    }


def cursor_of(engine: Engine, payment: dict[str, Any]) -> str:
    """Return a cursor of the processor's first page."""
    for number in range(3):
        engine.run(json.dumps({**payment, "TransactionID": f"t-{number}"}))
    return str(invoke(engine, "QueryPaymentLedger", {"ProcessorID": payment["ProcessorID"], "Limit": 1})["Cursor"])


@pytest.mark.parametrize(
    "changed",
    [{"ProcessorID": "other"}, {"From": "2026-01-01T00:00:00Z"}, {"To": "2027-01-01T00:00:00Z"}, {"Status": "Success"}],
)
def test_a_foreign_cursor_is_rejected(engine: Engine, payment: dict[str, Any], changed: dict[str, str]) -> None:
    """The cursor would list from the middle of another list."""
    query = {"ProcessorID": payment["ProcessorID"], "Cursor": cursor_of(engine, payment), **changed}
    assert refused(engine, query) == [("Cursor", "of_another_query")]
    assert refused(engine, {"Unpublished": True, "Cursor": query["Cursor"]}) == [("Cursor", "of_another_query")]


def refused(engine: Engine, query: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rules that a query breaks."""
    reply = invoke(engine, "QueryPaymentLedger", query)
    assert reply.get("errorType") == "InvalidQueryError", reply
    return [(broken["Field"], broken["Rule"]) for broken in json.loads(reply["errorMessage"])["Violations"]]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "====", "é", 7, ["a"], {"a": 1}, True, base64.urlsafe_b64encode(b"{}").decode(),
     base64.urlsafe_b64encode(b"null").decode(), "A" * 100_000],
)  # fmt: skip
def test_what_is_not_a_cursor_is_rejected(engine: Engine, cursor: Any) -> None:
    """A query breaks a rule by name, because a caller may send any text."""
    assert refused(engine, {"ProcessorID": "acme", "Cursor": cursor}) == [("Cursor", "cursor")]


@pytest.mark.parametrize("position", [None, 7, "end", [], ["a"], ["a", ""], ["a", 7], ["a", "b", "c"], {"a": "b"}])
def test_a_cursor_that_was_changed_is_rejected(engine: Engine, payment: dict[str, Any], position: Any) -> None:
    """Invalid texts stand in the place of a partition's position."""
    digest, bound, positions = json.loads(base64.urlsafe_b64decode(cursor_of(engine, payment)))
    changes = [(bound, [position, *positions[1:]]), (bound, positions[1:]), (bound, [*positions, "start"])]
    for changed in (*changes, (bound, position), (position, positions), ("~", positions), ("", positions)):
        cursor = base64.urlsafe_b64encode(json.dumps([digest, *changed]).encode()).decode()
        assert refused(engine, {"ProcessorID": payment["ProcessorID"], "Cursor": cursor}) == [("Cursor", "cursor")]


NOON = "2026-01-01T12:00:00Z"


@pytest.mark.parametrize(
    ("query", "broken"),
    [
        ({}, [("ProcessorID", "identifier")]),
        ({"ProcessorID": "a#1"}, [("ProcessorID", "identifier")]),
        ({"ProcessorID": 7}, [("ProcessorID", "identifier")]),
        ({"ProcessorID": "a", "From": "yesterday"}, [("From", "timestamp")]),
        ({"ProcessorID": "a", "From": "2026-01-01T00:00:00"}, [("From", "timestamp")]),
        ({"ProcessorID": "a", "To": 7}, [("To", "type")]),
        ({"ProcessorID": "a", "From": "2026-01-02T00:00:00Z", "To": NOON}, [("From", "not_before_to")]),
        ({"ProcessorID": "a", "From": NOON, "To": NOON}, [("From", "not_before_to")]),
        ({"ProcessorID": "a", "To": "0001-01-01T00:00:00Z"}, [("From", "not_before_to")]),
        ({"ProcessorID": "a", "Status": "success"}, [("Status", "status")]),
        ({"ProcessorID": "a", "Limit": 0}, [("Limit", "limit")]),
        ({"ProcessorID": "a", "Limit": 101}, [("Limit", "limit")]),
        ({"ProcessorID": "a", "Limit": True}, [("Limit", "limit")]),
        ({"ProcessorID": "a", "Limit": 1.5}, [("Limit", "limit")]),
        ({"ProcessorID": "a", "Processor": "a"}, [("Query", "unknown_field")]),
        ({"TransactionID": "a", "ProcessorID": "a"}, [("Query", "unknown_field")]),
        ({"TransactionID": "a b"}, [("TransactionID", "identifier")]),
        ({"TransactionID": None}, [("TransactionID", "identifier")]),
        ({"Unpublished": False}, [("Unpublished", "true")]),
        ({"Unpublished": True, "Status": "Success"}, [("Query", "unknown_field")]),
        ({"ProcessorID": "", "From": "x"}, [("From", "timestamp"), ("ProcessorID", "identifier")]),
    ],
)  # fmt: skip
def test_a_query_that_breaks_a_rule_gets_its_name(engine: Engine, query: dict[str, Any], broken: Any) -> None:
    """The error names every broken rule at once, by field."""
    assert refused(engine, query) == broken


# ── Card data that an older version recorded ────────────────────────────────────────────────────────

CARD = "4111111111111111"


def test_card_data_that_was_recorded_earlier_stays_readable(engine: Engine) -> None:
    """A recorded payment is readable, whatever the contract says now, and no log repeats its data."""
    payment = Payment(
        CARD, "10.50", "EUR", CARD, "Success", "2026-11-23T09:30:00.000000Z", {"cvv": "123", "card": CARD}
    )
    invoke(engine, "PersistPaymentLedger", {**sample("persist_payment_ledger"), "Payment": payment.as_state()})
    read = invoke(engine, "QueryPaymentLedger", {"TransactionID": CARD})["Payment"]
    assert {name: read[name] for name in payment.as_state()} == payment.as_state()
    listed = {name: value for name, value in read.items() if name != "Seal"}
    assert invoke(engine, "QueryPaymentLedger", {"ProcessorID": CARD})["Payments"] == [listed]
    assert invoke(engine, "QueryPaymentLedger", {"Unpublished": True})["Payments"] == [listed]
    reply, error = engine.functions["RevealSecureToken"].invoke(json.dumps({**REQUEST, "TransactionID": CARD}).encode())
    assert (error is not None, CARD in str(reply)) == (True, False)  # of KMS, which cannot open this ciphertext
    for function in ("QueryPaymentLedger", "RevealSecureToken"):
        assert CARD not in "".join(engine.functions[function].logs)
    assert len(log_lines(engine, "token requested")) == 1


# ── Reveal Secure Token ─────────────────────────────────────────────────────────────────────────────

REQUEST = {"TransactionID": "txn-2026-0001", "Reason": "refund, ticket 4711", "Requester": "arn:aws:iam::1:user/me"}


def test_a_token_is_revealed_and_that_is_logged(engine: Engine, payment: dict[str, Any]) -> None:
    """The log says which token was revealed, why and for whom. It never contains the token."""
    engine.run(json.dumps(payment))
    reply = invoke(engine, "RevealSecureToken", REQUEST)
    assert reply == {"TransactionID": "txn-2026-0001", "SecureToken": payment["SecureToken"]}
    (asked,) = log_lines(engine, "token requested")
    assert (asked["transaction_id"], asked["reason"], asked["requester"], asked["level"]) == (
        *REQUEST.values(),
        "WARNING",
    )
    assert asked["function_request_id"]
    assert '"TokenRevealed":[1.0]' in engine.logs().replace(" ", "")
    assert payment["SecureToken"] not in engine.logs()


def test_a_token_is_revealed_as_it_was(engine: Engine) -> None:
    """The result is the plaintext that the holder of the key would decrypt."""
    recorded = invoke(engine, "EncryptToken", sample("encrypt_token"))
    invoke(engine, "PersistPaymentLedger", sample("persist_payment_ledger") | recorded)
    ciphertext = engine.items()[0]["SecureToken"]["B"]
    revealed = invoke(engine, "RevealSecureToken", REQUEST)["SecureToken"]
    assert revealed == decrypted(engine, ciphertext, "txn-2026-0001")


def test_a_token_that_is_not_text_is_revealed_nevertheless(engine: Engine, payment: dict[str, Any]) -> None:
    """A sender that seals its tokens may seal any bytes."""
    engine.run(json.dumps(payment))
    (item,) = engine.items()
    sealed = engine.client("kms").encrypt(
        KeyId=str(engine.physical_ids["TokenKey"]),
        Plaintext=b"\xff\x00",
        EncryptionContext=encryption_context(payment["TransactionID"]),
    )["CiphertextBlob"]
    changed = {**item, "SecureToken": {"B": sealed}}
    engine.client("dynamodb").put_item(TableName=engine.outputs["TableName"], Item=changed)
    assert invoke(engine, "RevealSecureToken", REQUEST) == {
        "TransactionID": payment["TransactionID"],
        "SecureTokenBase64": "/wA=",
    }


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"TransactionID": "nobody"}, "PaymentNotFoundError"),
        ({"TransactionID": "a b"}, "InvalidRequestError"),
        ({"TransactionID": None}, "InvalidRequestError"),
        ({"Reason": None}, "InvalidRequestError"),
        ({"Reason": "       "}, "InvalidRequestError"),
        ({"Reason": "short"}, "InvalidRequestError"),
        ({"Reason": "x" * 257}, "InvalidRequestError"),
        ({"Requester": ""}, "InvalidRequestError"),
        ({"Requester": None}, "InvalidRequestError"),
    ],
)
def test_nothing_is_revealed_without_a_reason(
    engine: Engine, payment: dict[str, Any], faults: Faults, changed: dict[str, Any], error: str
) -> None:
    """Nothing is decrypted either: the function does not call KMS."""
    engine.run(json.dumps(payment))
    faults.calls.clear()
    reply = invoke(engine, "RevealSecureToken", {**REQUEST, **changed})
    assert reply["errorType"] == error
    assert "Decrypt" not in faults.calls
    assert payment["SecureToken"] not in json.dumps(reply)


def test_a_ciphertext_of_another_payment_is_not_revealed(engine: Engine, payment: dict[str, Any]) -> None:
    """A writer with access to the table could have moved the ciphertext. KMS knows which payment it belongs to."""
    engine.run(json.dumps(payment))
    (item,) = engine.items()
    table, client = engine.outputs["TableName"], engine.client("dynamodb")
    client.put_item(TableName=table, Item={**item, "TransactionID": {"S": "moved"}})
    reply = invoke(engine, "RevealSecureToken", {**REQUEST, "TransactionID": "moved"})
    assert reply["errorType"] == "InvalidCiphertextException"
