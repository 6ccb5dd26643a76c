"""Each contract is one for every way of sending: webhook, `ledger start`, `ledger run`, workflow and schema agree."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.entry import ENTRY_FIELDS, KINDS, is_entry
from ledger.fields import IMPORT, PUBLISHED, QUIET
from ledger.formats import FORMATS
from ledger.intake import Intake
from ledger.payment import CONTRACT_FIELDS
from ledger.strict_json import loads
from ledger.violations import InvalidInputError
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.reading import read
from tests.support.schema import BEYOND_A_SCHEMA, VALIDATOR

SAMPLE = json.loads((ROOT / "events/start/01-success.json").read_text())
VALID = {name: json.dumps(value) for name, value in SAMPLE.items()}
"""A valid payment: the JSON text of each field."""

ENTRY = {name: VALID[name] for name in ("TransactionID", "ProcessorID", "Currency", "Metadata")} | {
    "EntryID": '"re-2026-0001"',
    "Kind": '"RefundFailed"',
    "Amount": '"29.90"',
    "Timestamp": '"2026-11-25T10:00:00+01:00"',
    "Reverses": '"re-2026-0000"',
}
"""A valid entry: the JSON text of each field."""

LONG = 5000
"""More digits than Python reads in its default configuration."""


def as_object(pairs: dict[str, str]) -> str:
    """Return the JSON text of an object, from its names and the JSON texts of its values."""
    return f"{{{', '.join(f'{json.dumps(name)}: {value}' for name, value in pairs.items())}}}"


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
TEXTS = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(["10.50", "1e2", "EUR", "Success", "tok_4f1d"])
VALUES = st.recursive(
    st.sampled_from(["null", "true", "false"]) | NUMBERS | TEXTS.map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda values: f"[{', '.join(values)}]")
        | st.dictionaries(TEXTS, inner, max_size=2).map(as_object)
    ),
    max_leaves=4,
)
"""JSON texts of any value, with numbers written as people write them and not as Python does."""


LIKELY = {
    "Amount": NUMBERS,
    "Kind": st.sampled_from([json.dumps(kind) for kind in KINDS]),
    IMPORT: st.sampled_from([json.dumps(form) for form in (QUIET, PUBLISHED)]),
}
"""JSON texts of a field that are valid, or nearly so, more often than any value is."""


@st.composite
def near_valid(draw: st.DrawFn, valid: Mapping[str, str], fields: tuple[str, ...]) -> str:
    """Draw the JSON text of a valid payment or entry, with up to three fields replaced, left out or added."""
    changed = dict(valid)
    likely = [name for name in LIKELY if name in fields]
    for name in draw(st.lists(st.sampled_from([*fields, *likely, "Extra"]), max_size=3)):
        if draw(st.integers(0, 4)):
            changed[name] = draw(LIKELY.get(name, VALUES) if draw(st.integers(0, 4)) else VALUES)
        else:
            changed.pop(name, None)
    return as_object(changed)


Verdict = dict[str, Any] | list[dict[str, str]]
"""The canonical payment or entry, or every violation."""


def verdict_of_the_workflow(engine: Engine, text: str) -> Verdict:
    """Return the verdict of a workflow's first function on an execution's input, which Lambda's runtime parses."""
    subject = "Entry" if is_entry(loads(text)) else "Payment"
    answer, raised = engine.functions[f"Validate{subject}"].invoke(text.encode())
    reply: dict[str, Any] = json.loads(answer)
    if not raised:
        canonical: dict[str, Any] = reply[subject]
        return canonical
    assert reply["errorType"] == f"Invalid{subject}Error", reply["errorType"]
    violations: list[dict[str, str]] = json.loads(reply["errorMessage"])["Violations"]
    return violations


MACHINES = ("PaymentLedger", "PaymentEntries")


def verdict_of_the_intake(engine: Engine, message: Any, *, imports: bool) -> Verdict:
    """Return the verdict of `ledger start`, or of the webhook, where nobody imports.

    That is a list of violations, or the workflow's verdict on what they start.
    """
    started: list[Mapping[str, str]] = []
    states: Any = SimpleNamespace(
        start_execution=lambda **request: started.append(request),
        exceptions=SimpleNamespace(ExecutionAlreadyExists=RuntimeError),
    )
    kms: Any = SimpleNamespace(encrypt=lambda **_: {"CiphertextBlob": b"sealed"})
    dynamodb: Any = SimpleNamespace()
    payments, entries = (f"arn:aws:states:us-east-1:123456789012:stateMachine:{name}:live" for name in MACHINES)
    intake = Intake(
        states=states,
        kms=kms,
        dynamodb=dynamodb,
        workflow=payments,
        entries_workflow=entries,
        intake_key="",
        table_name="",
        entries_table_name="",
        default_currency="USD",
        imports=imports,
    )
    try:
        intake.deliver(message)
    except InvalidInputError as error:
        return [{"Field": field, "Rule": rule} for field, rule in error.violations]
    (request,) = started
    assert request["stateMachineArn"] == (entries if is_entry(message) else payments)
    return verdict_of_the_workflow(engine, request["input"])


@settings(max_examples=500)
@given(text=near_valid(VALID, (*CONTRACT_FIELDS, IMPORT)) | VALUES)
@example(text=as_object({**VALID, IMPORT: '"quiet"'}))
@example(text=as_object({**VALID, IMPORT: "null"}))
@example(text="null")
@example(text='["Kind"]')
@example(text='"EntryID"')
@example(text=as_object({**VALID, "SecureToken": "4111111111111111.5"}))
@example(text=as_object({**VALID, "Metadata": '{"fx": 1.08}'}))
@example(text=as_object({**VALID, "TransactionID": "9" * 70}))
@example(text=as_object({**VALID, "Amount": "1e2"}))
@example(text=as_object({**VALID, "Amount": "10.500"}))
@example(text=as_object({**VALID, "Amount": "48.00000000000000001"}))
@example(text=as_object({**VALID, "Amount": "-0"}))
@example(text=as_object({**VALID, "Amount": "-0.0"}))
@example(text=as_object({**VALID, "Amount": "1e400"}))
@example(text=as_object({**VALID, "Amount": "-1e400"}))
@example(text=as_object({**VALID, "Amount": "9" * 38}))
@example(text=as_object({**VALID, "Amount": "9" * 65}))
@example(text=as_object({**VALID, "Amount": "9" * LONG}))
@example(text=as_object({**VALID, "Amount": f"-{'9' * LONG}"}))
@example(text=as_object({**VALID, "Amount": f"1.{'0' * LONG}"}))
@example(text=as_object({**VALID, "Amount": f"{'9' * LONG}e-{LONG}"}))
@example(text=as_object({**VALID, "Metadata": f'{{"n": {"9" * LONG}}}'}))
@example(text=as_object({**VALID, "ProcessorID": "9" * LONG}))
@example(text=as_object({**VALID, "ProcessorID": "0.30000000000000001"}))
@example(text=as_object({**VALID, "Amount": '"\\ud800"'}))
@example(text=as_object({**VALID, "SecureToken": '"\\ud800"'}))
def test_every_way_of_sending_gives_the_same_verdict(
    deployed: tuple[Engine, list[float]], tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """A sender that changes its way of sending must not see a payment rejected that was recorded the day before.

    `ledger run` passes the text of a file unchanged to the workflow, and `ledger start` passes it to the intake.

    There is one difference: Step Functions and Lambda round a number before the contract sees it, and the intake
    rejects a number that a double does not keep.
    """
    verdict = the_one_verdict(deployed[0], tmp_path_factory, text)
    if verdict is None:
        return
    broken = {violation["Rule"] for violation in verdict} if isinstance(verdict, list) else set()
    if VALIDATOR.is_valid(loads(text)):
        assert broken <= BEYOND_A_SCHEMA
    else:
        assert broken


@settings(max_examples=300)
@given(text=near_valid(ENTRY, (*ENTRY_FIELDS, IMPORT)))
@example(text=as_object({**ENTRY, IMPORT: '"published"'}))
@example(text=as_object({**ENTRY, IMPORT: "7"}))
@example(text=as_object({**ENTRY, "Amount": "1e2"}))
@example(text=as_object({**ENTRY, "Amount": "29.900"}))
@example(text=as_object({**ENTRY, "Amount": "29.90000000000000001"}))
@example(text=as_object({**ENTRY, "Amount": "-0.0"}))
@example(text=as_object({**ENTRY, "Amount": "1e400"}))
@example(text=as_object({**ENTRY, "Amount": "9" * LONG}))
@example(text=as_object({**ENTRY, "Amount": f"1.{'0' * LONG}"}))
@example(text=as_object({**ENTRY, "Amount": '"\\ud800"'}))
@example(text=as_object({**ENTRY, "Kind": '"Refunded"'}))
@example(text=as_object({**ENTRY, "Kind": "9" * LONG}))
@example(text=as_object({**ENTRY, "EntryID": ENTRY["TransactionID"]}))
@example(text=as_object({**ENTRY, "SecureToken": '"tok_4f1d"'}))
@example(text=as_object({**ENTRY, "Metadata": f'{{"n": {"9" * LONG}}}'}))
@example(text=as_object({**VALID, "Kind": '"Refunded"'}))
@example(text=as_object({"Kind": "null"}))
def test_every_way_of_sending_an_entry_gives_the_same_verdict(
    deployed: tuple[Engine, list[float]], tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """As above: the message alone decides whether it is a payment or an entry, whichever way it comes."""
    the_one_verdict(deployed[0], tmp_path_factory, text)


def the_one_verdict(engine: Engine, tmp_path_factory: pytest.TempPathFactory, text: str) -> Verdict | None:
    """Check that every way of sending the text has one verdict, and return it; None if a double does not hold it."""
    verdict = verdict_of_the_workflow(engine, text)
    message = loads(text)
    amount = message.get("Amount") if isinstance(message, dict) else None
    if isinstance(amount, float) and math.isnan(amount):
        assert {"Field": "Amount", "Rule": "float_digits"} in verdict_of_the_intake(engine, message, imports=True)
        return None
    assert verdict_of_the_intake(engine, message, imports=True) == verdict
    of_the_webhook = verdict_of_the_intake(engine, message, imports=False)
    if isinstance(message, dict) and IMPORT in message:
        assert {"Field": IMPORT, "Rule": "not_for_processors"} in of_the_webhook
    else:
        assert of_the_webhook == verdict
    if isinstance(message, dict):
        file = tmp_path_factory.getbasetemp() / "start-input.json"
        file.write_text(text)
        assert [start_input.text for start_input in read(str(file))] == [text]
        # Only the webhook also checks whose message it is, and ignores one that is about something else.
        processor_id = message.get("ProcessorID", "acme-pay")
        if isinstance(processor_id, str):
            start_input = FORMATS["standard-webhooks"].start_input(message, processor_id)
            assert start_input in (message, None)
    return verdict


@pytest.mark.parametrize("function", ["validate_payment", "validate_entry"])
def test_a_validating_function_reads_an_integer_of_any_length(function: str) -> None:
    """Otherwise the runtime fails before it calls the function, with an error that no redrive can fix."""
    probe = f"import json, {function}; assert json.loads('9' * {LONG}) > 10 ** {LONG - 1}"
    environment = {"DEFAULT_CURRENCY": "USD", "PLAINTEXT_TOKENS": "refused", "PYTHONPATH": "functions"}
    subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=True, env=environment)  # noqa: S603
