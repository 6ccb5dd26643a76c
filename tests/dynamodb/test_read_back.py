"""DynamoDB returns what was written, to the letter: texts, digits and bytes."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ledger.fields import MAX_METADATA_PAIRS
from ledger.item import EncryptedPayment, recorded_facts
from ledger.payment import parse_payment
from ledger.violations import InvalidPaymentError
from ledger_cli.engine import Engine
from tests.support.functions import invoke
from tests.support.payments import ENCRYPTED, PAYMENT


def assert_read_back(engine: Engine, encrypted: EncryptedPayment) -> None:
    """Write one payment, and check that its item, its index entries and every query have what was sent."""
    module, table = engine.functions["PersistPaymentLedger"].module, engine.outputs["TableName"]
    transaction_id = encrypted.payment.transaction_id
    outcome, _ = module.put_once(module.dynamodb, table, encrypted)
    reply = module.dynamodb.get_item(TableName=table, Key={"TransactionID": {"S": transaction_id}}, ConsistentRead=True)
    assert outcome == "RECORDED"
    assert reply["Item"] == encrypted.as_item()
    assert_sent(reply["Item"], encrypted)
    sent = encrypted.payment.as_state()
    answers = [
        invoke(engine, "QueryPaymentLedger", {"TransactionID": transaction_id})["Payment"],
        *invoke(engine, "QueryPaymentLedger", {"ProcessorID": encrypted.payment.processor_id})["Payments"],
        *invoke(engine, "QueryPaymentLedger", {"Unpublished": True})["Payments"],
    ]
    assert answers[0].pop("Seal") is None  # only the answer about one payment has it
    found = [answer for answer in answers if answer["TransactionID"] == transaction_id]
    assert len(found) == 3
    assert all(answer == found[0] for answer in found)
    assert {name: found[0][name] for name in sent} == sent


def assert_sent(item: dict[str, Any], encrypted: EncryptedPayment) -> None:
    """Check the item against the payment itself: a fault of `as_item` would be in the expected item as well."""
    sent, facts = encrypted.payment.as_state(), recorded_facts(item)
    assert {name: facts[name] for name in sent} == sent
    assert item["SecureToken"] == {"B": encrypted.ciphertext}


def test_every_naughty_string_is_read_back_to_the_letter(
    engine: Engine, payment: dict[str, Any], corpora: Path
) -> None:
    """A naughty string may be a metadata value, a metadata name or both IDs, if the contract accepts it there."""
    strings = list(dict.fromkeys(json.loads((corpora / "naughty-strings.json").read_text())))
    module, table = engine.functions["PersistPaymentLedger"].module, engine.outputs["TableName"]
    taken = 0
    for number, text in enumerate(strings):
        places = [{"Metadata": {"note": text}}, {"Metadata": {text: "x"}}, {"TransactionID": text, "ProcessorID": text}]
        for place, changed in enumerate(places):
            unique = {"TransactionID": f"t-{number}-{place}", "ProcessorID": f"p-{number}-{place}"}
            try:
                parsed, _ = parse_payment({**payment, **unique, **changed}, default_currency="USD")
            except InvalidPaymentError:
                continue
            encrypted = ENCRYPTED._replace(payment=parsed, ciphertext=text.encode() or b"\0")
            assert module.put_once(module.dynamodb, table, encrypted) == ("RECORDED", encrypted.as_item())
            key = {"TransactionID": {"S": parsed.transaction_id}}
            item = module.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
            assert item == encrypted.as_item(), text
            assert_sent(item, encrypted)
            taken += 1
    assert taken > len(strings)
    assert len(engine.items()) == taken


@pytest.mark.parametrize(
    "text", ["", " a ", "\0", "\r\n\t", "e\u0301", "\u212b", "\ufeff", "\ufffe", "\u2028", "𝄞" * 256]
)
def test_a_text_is_neither_trimmed_nor_normalised(engine: Engine, text: str) -> None:
    """An empty text is an attribute value like any other."""
    assert_read_back(engine, ENCRYPTED._replace(payment=PAYMENT._replace(metadata={"note": text})))


@pytest.mark.parametrize(
    ("currency", "amount"),
    [
        ("EUR", "0.00"), ("EUR", "0.01"), ("EUR", "0.10"), ("EUR", "100.00"), ("EUR", "10.50"),
        ("EUR", "9" * 36 + ".99"), ("EUR", "1" + "0" * 35 + ".01"), ("EUR", "12345678901234567890123456789012345.60"),
        ("JPY", "0"), ("JPY", "100"), ("JPY", "9" * 38), ("JPY", "1" + "0" * 37), ("KWD", "9" * 35 + ".990"),
        ("CLF", "9" * 34 + ".0001"),
    ],
)  # fmt: skip
def test_an_amount_keeps_its_38_digits(engine: Engine, currency: str, amount: str) -> None:
    """The ledger writes `Amount` as DynamoDB returns it. The engine does not imitate DynamoDB's numbers."""
    assert_read_back(engine, ENCRYPTED._replace(payment=PAYMENT._replace(currency=currency, amount=amount)))


def test_dynamodb_local_judges_numbers_as_dynamodb_does(engine: Engine, dynamodb: Any) -> None:
    """The test above proves something only because DynamoDB Local drops zeros and does not accept a 39th digit."""
    table, item = engine.outputs["TableName"], ENCRYPTED.as_item()
    with pytest.raises(ClientError, match="up to 38 digits"):
        dynamodb.put_item(TableName=table, Item={**item, "Amount": {"N": "9" * 39}})
    dynamodb.put_item(TableName=table, Item={**item, "Amount": {"N": "0010.50"}})
    (read,) = engine.items()
    assert read["Amount"]["N"] == "10.5"


def test_the_largest_payment_is_read_back(engine: Engine) -> None:
    """DynamoDB limits an item in bytes, and the contract limits its fields in characters."""
    metadata = {f"{number}".zfill(64): "𝄞" * 256 for number in range(MAX_METADATA_PAIRS)}
    largest = PAYMENT._replace(transaction_id="T" * 64, processor_id="P" * 64, metadata=metadata)
    assert_read_back(engine, ENCRYPTED._replace(payment=largest, ciphertext=b"\xff" * 6144))


def test_a_ciphertext_keeps_every_byte(engine: Engine) -> None:
    """A token is lost if one bit of its ciphertext changes, because KMS does not decrypt it then."""
    assert_read_back(engine, ENCRYPTED._replace(ciphertext=bytes(range(256)) * 24))
