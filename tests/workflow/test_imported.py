"""Imported payments and entries: history that is recorded as any other, and wakes no consumer unless asked to."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ledger.intake import seal
from ledger.violations import InvalidEntryError, InvalidPaymentError
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.stack.execution import Execution
from ledger_cli.stack.exporting import MARKERS
from tests.support.faults import Faults
from tests.support.functions import invoke, log_lines
from tests.support.intake import intake_of

SWEEP = {"ScheduledTime": "2099-01-01T00:00:00Z"}
THINGS = ["payment", "entry"]
FORMS = ["quiet", "published"]

Deliver = Callable[..., Execution]


@pytest.fixture(params=THINGS)
def thing(request: pytest.FixtureRequest) -> str:
    """Return what is imported."""
    return str(request.param)


@pytest.fixture
def deliver(engine: Engine, thing: str, payment: dict[str, Any], refund: dict[str, Any]) -> Deliver:
    """Return a function that delivers the payment, or the refund of a payment that is recorded and published."""
    if thing == "payment":
        return lambda **changes: engine.run(json.dumps({**payment, **changes}))
    assert engine.run(json.dumps(payment)).outcome == "RECORDED"
    return lambda **changes: engine.run(json.dumps({**refund, **changes}))


def events_of(engine: Engine, thing: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the type and the detail of each event about the thing, after a check against its published schema."""
    events = [(event["detail-type"], event["detail"]) for event in engine.published()]
    for detail_type, detail in events:
        schema = json.loads((ROOT / f"events/schemas/{detail_type}.schema.json").read_text())
        Draft202012Validator(schema).validate(detail)
    return [event for event in events if event[0].startswith(thing.capitalize())]


def item_of(engine: Engine, thing: str) -> dict[str, Any]:
    """Return the one item of the thing."""
    (item,) = engine.items() if thing == "payment" else engine.entries()
    return item


def answer_about(engine: Engine, thing: str) -> dict[str, Any]:
    """Return how the query function shows the thing under its ID."""
    answer = invoke(engine, "QueryPaymentLedger", {"TransactionID": "txn-2026-0001"})
    assert answer["Unreadable"] == []
    shown: dict[str, Any] = answer["Payment"] if thing == "payment" else answer["Entries"][0]
    return shown


def metrics_of(engine: Engine) -> list[str]:
    """Return the name of each metric that was counted, once for each set of dimensions."""
    lines = [json.loads(line) for line in engine.logs().splitlines() if '"_aws"' in line]
    directives = [line["_aws"]["CloudWatchMetrics"][0] for line in lines]
    return [one["Metrics"][0]["Name"] for one in directives for _ in one["Dimensions"]]


# ── Recorded ────────────────────────────────────────────────────────────────────────────────────────


def test_a_quiet_import_is_recorded_and_never_published(
    engine: Engine, deliver: Deliver, thing: str, faults: Faults
) -> None:
    """A consumer that ships goods for each event must not ship last year's again, not even after a sweep."""
    before = len(engine.published())
    faults.calls.clear()
    execution = deliver(Import="quiet")
    assert (execution.status, execution.outcome, execution.published) == ("SUCCEEDED", "RECORDED", None)
    assert "PutEvents" not in faults.calls
    assert "UpdateItem" not in faults.calls
    assert invoke(engine, "RepublishOutcomes", SWEEP)["Found"] == 0
    assert len(engine.published()) == before
    item = item_of(engine, thing)
    assert {"Unpublished", "PublishedAt"} & item.keys() == set()
    assert item["Execution"] == {"S": execution.arn}
    shown = answer_about(engine, thing)
    assert (shown["Import"], shown["PublishedAt"]) == ("quiet", None)
    (line,) = log_lines(engine, "import left unpublished")
    assert line["transaction_id"] == "txn-2026-0001"


def test_a_published_import_has_an_event_of_its_own_type(engine: Engine, deliver: Deliver, thing: str) -> None:
    """A consumer decides by the type whether history concerns it. The detail is the one of what is recorded."""
    execution = deliver(Import="published")
    ((detail_type, detail),) = events_of(engine, thing)
    assert detail_type == f"{thing.capitalize()}Imported"
    assert execution.published == (detail_type, detail["OutcomeID"])
    assert detail["Outcome"] == "RECORDED"
    item, shown = item_of(engine, thing), answer_about(engine, thing)
    assert "PublishedAt" in item
    assert "Unpublished" not in item
    assert shown["Import"] == "published"
    assert detail.items() >= {name: value for name, value in shown.items() if name not in MARKERS}.items()


def test_without_the_field_everything_is_as_before(engine: Engine, deliver: Deliver, thing: str) -> None:
    """No item and no event of what happens now says anything of imports."""
    deliver()
    ((detail_type, detail),) = events_of(engine, thing)
    assert detail_type == f"{thing.capitalize()}Recorded"
    assert "mport" not in json.dumps([detail, item_of(engine, thing), answer_about(engine, thing)], default=str)


@pytest.mark.parametrize("form", FORMS)
def test_an_import_counts_in_a_metric_of_its_own(engine: Engine, deliver: Deliver, thing: str, form: str) -> None:
    """The graph of payments, by currency and by processor, must not jump by a million when history comes in."""
    before = metrics_of(engine)
    deliver(Import=form)
    deliver(Import=form)
    assert metrics_of(engine)[len(before) :] == [f"{thing.capitalize()}Imported"]


@pytest.mark.parametrize("form", FORMS)
def test_recorded_at_is_the_start_of_the_import(engine: Engine, deliver: Deliver, thing: str, form: str) -> None:
    """The ledger says when it learned of something, and not when another system did."""
    execution = deliver(Import=form)
    described = engine.client("stepfunctions").describe_execution(executionArn=execution.arn)
    recorded_at = answer_about(engine, thing)["RecordedAt"]
    assert recorded_at.startswith(f"{described['startDate']:%Y-%m-%dT%H:%M:%S}")


@pytest.mark.parametrize("form", FORMS)
def test_an_entry_has_the_same_totals_fingerprint_and_hash(
    engine: Engine, payment: dict[str, Any], refund: dict[str, Any], form: str
) -> None:
    """Two ledgers with the same entries have the same chain, however each of them learned of an entry."""
    imported = engine.run(json.dumps({**payment, "Import": form}))
    engine.run(json.dumps({**refund, "Import": form}))
    engine.run(json.dumps({**refund, "EntryID": "re-2", "Amount": "1.00"}))
    first, second = invoke(engine, "QueryPaymentLedger", {"TransactionID": "txn-2026-0001"})["Entries"]
    assert imported.outcome == "RECORDED"
    assert first["Totals"]["Refundable"] == "100.00"
    hashed = {name: value for name, value in first.items() if name not in {"Import", *MARKERS}}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
    assert second["Previous"] == hashlib.sha256(text.encode()).hexdigest()


# ── Again ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", FORMS)
def test_what_was_imported_and_is_delivered_is_a_duplicate(
    engine: Engine, deliver: Deliver, thing: str, form: str
) -> None:
    """A processor that sends something which the import brought has changed nothing, and consumers may know that."""
    deliver(Import=form)
    before, events = item_of(engine, thing), len(events_of(engine, thing))
    again = deliver()
    assert again.outcome == "DUPLICATE"
    assert item_of(engine, thing) == before
    ((detail_type, detail),) = events_of(engine, thing)[events:]
    assert detail_type == f"{thing.capitalize()}Duplicate"
    assert (detail["Import"], detail["DuplicateExecution"]) == (form, again.arn)


@pytest.mark.parametrize("before", [None, *FORMS])
@pytest.mark.parametrize("form", FORMS)
def test_an_import_of_what_the_ledger_has_changes_and_publishes_nothing(
    engine: Engine, deliver: Deliver, thing: str, form: str, before: str | None
) -> None:
    """An import that stopped is begun again from the start. Nothing that it has done is done twice."""
    deliver(**({} if before is None else {"Import": before}))
    item, events = item_of(engine, thing), engine.published()
    again = deliver(Import=form)
    assert (again.status, again.outcome, again.published) == ("SUCCEEDED", "DUPLICATE", None)
    assert item_of(engine, thing) == item
    assert engine.published() == events


def test_an_import_leaves_the_missed_event_of_an_execution_to_the_sweep(
    engine: Engine, deliver: Deliver, thing: str, faults: Faults
) -> None:
    """The first execution stopped before its event. It is published as what it was, and once."""
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]})
    assert deliver().status == "FAILED"
    assert deliver(Import="quiet").outcome == "DUPLICATE"
    assert events_of(engine, thing) == []
    assert invoke(engine, "RepublishOutcomes", SWEEP)["Published"] == 1
    ((detail_type, _),) = events_of(engine, thing)
    assert detail_type == f"{thing.capitalize()}Recorded"


def test_a_published_import_that_stopped_is_published_by_the_sweep(
    engine: Engine, deliver: Deliver, thing: str, faults: Faults
) -> None:
    """The item itself says which event it still needs, also in the index that the sweep reads."""
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]})
    failed = deliver(Import="published")
    assert failed.error == "OutcomeRefusedError"
    assert "Unpublished" in item_of(engine, thing)
    assert invoke(engine, "RepublishOutcomes", SWEEP)["Published"] == 1
    ((detail_type, detail),) = events_of(engine, thing)
    assert (detail_type, detail["Execution"]) == (f"{thing.capitalize()}Imported", failed.arn)
    assert metrics_of(engine).count(f"{thing.capitalize()}Imported") == 1
    assert "PublishedAt" in item_of(engine, thing)


def test_a_delivery_publishes_the_missed_event_of_an_import(
    engine: Engine, deliver: Deliver, thing: str, faults: Faults
) -> None:
    """A duplicate publishes what its predecessor missed, as that predecessor would have."""
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]})
    deliver(Import="published")
    assert deliver().outcome == "DUPLICATE"
    kinds = [detail_type for detail_type, _ in events_of(engine, thing)]
    assert kinds == [f"{thing.capitalize()}Imported", f"{thing.capitalize()}Duplicate"]
    assert "PublishedAt" in item_of(engine, thing)


# ── Refused ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", FORMS)
def test_a_conflict_of_an_import_is_published(engine: Engine, deliver: Deliver, thing: str, form: str) -> None:
    """A person has to decide which of the two histories is right."""
    deliver()
    conflict = deliver(Import=form, Amount="1.00")
    assert conflict.outcome == "CONFLICT"
    detail_type, detail = events_of(engine, thing)[-1]
    assert (detail_type, detail["Differs"]) == (f"{thing.capitalize()}Conflict", ["Amount"])


@pytest.mark.parametrize("form", FORMS)
def test_a_refused_import_is_published(engine: Engine, deliver: Deliver, thing: str, form: str) -> None:
    """What history elsewhere contains and this ledger cannot take must not vanish."""
    refused = deliver(Import=form, Amount="x")
    assert refused.outcome == ("REJECTED" if thing == "payment" else "REFUSED")
    _, detail = events_of(engine, thing)[-1]
    assert detail["Violations"] == [{"Field": "Amount", "Rule": "decimal"}]


@pytest.mark.parametrize(
    ("value", "rule"),
    [("loud", "import"), ("", "import"), ("Quiet", "import"), (True, "type"), (None, "type"), (["quiet"], "type")],
)
def test_another_value_breaks_a_rule(engine: Engine, deliver: Deliver, thing: str, value: Any, rule: str) -> None:
    """A misspelled value must not turn history into news."""
    deliver(Import=value)
    _, detail = events_of(engine, thing)[-1]
    assert detail["Violations"] == [{"Field": "Import", "Rule": rule}]
    assert '"RuleBroken"' in engine.logs()


def test_a_misspelled_name_is_recognised(engine: Engine, deliver: Deliver, thing: str) -> None:
    """It must not be recorded as news either."""
    deliver(imports="quiet")
    _, detail = events_of(engine, thing)[-1]
    assert detail["Violations"] == [{"Field": "Import", "Rule": "misspelled_field"}]


@pytest.mark.parametrize("form", FORMS)
def test_an_accepted_import_stays_an_import(engine: Engine, payment: dict[str, Any], form: str) -> None:
    """An operator who accepts an entry of history decides about its sums, and not about its consumers."""
    engine.run(json.dumps(payment))
    start_input = json.loads((ROOT / "events/start/11-refund-refused.json").read_text()) | {"Import": form}
    refused = engine.run(json.dumps({**start_input, "Amount": "200.00"}))
    request = {"Entry": {**start_input, "Amount": "200.00"}, "Execution": refused.arn}
    reply = invoke(engine, "AcceptEntry", {**request, "Reason": "the bank confirmed it", "Requester": "kim"})
    assert (reply["Outcome"], reply["Entry"]["Import"]) == ("RECORDED", form)
    assert "Acceptance" in reply["Entry"]
    assert invoke(engine, "RepublishOutcomes", SWEEP)["Published"] == (form == "published")
    kinds = [kind for kind, _ in events_of(engine, "entry")]
    assert kinds == ["EntryRefused", *(["EntryImported"] if form == "published" else [])]


# ── Who may ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", ["quiet", "published", "loud", None])
def test_nobody_imports_by_an_intake_that_may_not(
    engine: Engine, payment: dict[str, Any], refund: dict[str, Any], value: str | None
) -> None:
    """The intake of a processor: nothing is started, whatever the value is."""
    intake = intake_of(engine)
    with pytest.raises(InvalidPaymentError) as rejected:
        intake.deliver({**payment, "Import": value})
    with pytest.raises(InvalidEntryError) as refused:
        intake.deliver({**refund, "Import": value})
    for error in (rejected.value, refused.value):
        assert error.violations == [("Import", "not_for_processors")]
        assert engine.wait_for(intake.reject(error, "message")).outcome in {"REJECTED", "REFUSED"}
    assert (engine.items(), engine.entries()) == ([], [])
    assert [one["detail"]["Violations"] for one in engine.published()] == [
        [{"Field": "Import", "Rule": "not_for_processors"}]
    ] * 2


def test_an_intake_that_may_import_passes_the_field_on(engine: Engine, payment: dict[str, Any]) -> None:
    """`ledger start` and a sender's own code use the same intake, and seal the token of an import as well."""
    intake = intake_of(engine, imports=True)
    delivery = intake.deliver({**payment, "Import": "quiet"})
    assert engine.wait_for(delivery.execution).outcome == "RECORDED"
    assert answer_about(engine, "payment")["Import"] == "quiet"
    assert intake.deliver(payment).outcome == "RECORDED"
    assert intake.deliver({**payment, "Import": "published"}).outcome == "RECORDED"


def test_an_import_with_a_sealed_token_keeps_it(engine: Engine, payment: dict[str, Any]) -> None:
    """History has tokens too, and its holder must be able to use them."""
    del payment["SecureToken"]
    ids = payment["TransactionID"], payment["ProcessorID"]
    token = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, "tok_of_history")
    assert engine.run(json.dumps({**payment, "SealedToken": token, "Import": "quiet"})).outcome == "RECORDED"
    (item,) = engine.items()
    context = {"TransactionID": payment["TransactionID"]}
    reply = engine.client("kms").decrypt(CiphertextBlob=item["SecureToken"]["B"], EncryptionContext=context)
    assert reply["Plaintext"] == b"tok_of_history"


# ── Lists ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_lists_show_which_are_imported(engine: Engine, payment: dict[str, Any], refund: dict[str, Any]) -> None:
    """The index that a list reads shows the same as the table. A quiet import is not waiting for anything."""
    for name, form in {"txn-q": "quiet", "txn-p": "published", "txn-n": None}.items():
        more = {} if form is None else {"Import": form}
        assert engine.run(json.dumps({**payment, "TransactionID": name, **more})).outcome == "RECORDED"
        assert engine.run(json.dumps({**refund, "TransactionID": name, **more})).outcome == "RECORDED"
    for query, listed in (({}, "Payments"), ({"Entries": True}, "Entries")):
        page = invoke(engine, "QueryPaymentLedger", {"ProcessorID": "acme-pay", **query})
        found = {one["TransactionID"]: (one.get("Import"), one["PublishedAt"] is not None) for one in page[listed]}
        assert found == {"txn-q": ("quiet", False), "txn-p": ("published", True), "txn-n": (None, True)}
        assert all("ledger:import" not in one["Metadata"] for one in page[listed])
        waiting = invoke(engine, "QueryPaymentLedger", {"Unpublished": True, **query})
        assert waiting[listed] == []
